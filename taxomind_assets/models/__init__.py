"""MODELS: supervised classifiers made of plug-ins, trained on labelled texts, kept as versions, judged and promoted."""
