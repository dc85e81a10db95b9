"""Trained models as ONNX: graphs, variants, the gate that decides what may be served, and serving itself."""
