"""ONNX graphs of classifiers, and the variants that ONNX Runtime makes of them.

A graph gives `logits`, float32 [b, c]. What it takes says how it is fed (`runtime.py`): `input_ids` and `attention_mask`
(int64 [b, tokens]), `rows` (float32 [b, f]), or, for rows that are mostly zeros, `columns` (int64[u], the columns that occur in
the batch) and `rows` (float32 [b, u]) of these columns alone. Boosted trees take `present` (`trees.py`).
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taxomind_assets.models.plugins.classifiers.encoder import Encoder
    from taxomind_assets.models.plugins.classifiers.linear import Linear

OPSET: Final = 17
_IR: Final = 8
#: A file of protocol buffers holds two gigabytes; quantising one needs room beside it.
_MOST_BYTES: Final = 1_500_000_000


def write_linear(linear: Linear, path: Path, *, sparse: bool) -> None:
    """A linear classifier as a graph; `sparse` = it is fed with the columns that occur.

    Raises:
        Fault: `export_impossible` when its coefficients do not fit into one file.
    """
    from onnx import TensorProto, helper, numpy_helper

    size = 4 * int(np.prod(linear.coefficients.shape))
    if size > _MOST_BYTES:
        what = "The coefficients do not fit into an ONNX file."
        raise Fault("export_impossible", what, value=f"{size / 1e9:.1f} GB", allowed=f"{_MOST_BYTES / 1e9:.1f} GB")
    given = linear.coefficients
    weights = np.ascontiguousarray(given if isinstance(given, np.ndarray) else given.toarray(), np.float32)
    named = {"coefficients": weights, "intercepts": linear.intercepts.astype(np.float32)}
    inputs = [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", "columns" if sparse else weights.shape[0]])]
    nodes = [
        helper.make_node("MatMul", ["rows", "chosen" if sparse else "coefficients"], ["product"], "product"),
        helper.make_node("Add", ["product", "intercepts"], ["logits"], "sum"),
    ]
    if sparse:
        inputs.insert(0, helper.make_tensor_value_info("columns", TensorProto.INT64, ["columns"]))
        nodes.insert(0, helper.make_node("Gather", ["coefficients", "columns"], ["chosen"], "chosen", axis=0))
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", weights.shape[1]])
    constants = [numpy_helper.from_array(values, name) for name, values in named.items()]
    graph = helper.make_graph(nodes, "linear", inputs, [output], constants)
    _save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR), path)


def write_encoder(encoder: Encoder, path: Path) -> None:
    """A fine-tuned encoder with its linear layer as a graph, both axes of its inputs free.

    Raises:
        Fault: `export_impossible` when torch cannot trace the encoder.
    """
    import torch

    class Whole(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = encoder.body, encoder.head

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            vectors = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            kept = attention_mask.unsqueeze(-1).to(vectors.dtype)
            return self.head((vectors * kept).sum(1) / kept.sum(1))

    tokens = torch.tensor([[101, 2023, 2003, 102], [101, 2023, 102, 0]]) % encoder.body.config.vocab_size
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    axes = {"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}, "logits": {0: "batch"}}
    whole = Whole().eval()
    before = encoder.body.config._attn_implementation
    encoder.body.set_attn_implementation("eager")  # fused attention has no ONNX operator of its own
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                whole,
                (tokens.to(encoder.device), mask.to(encoder.device)),
                str(path),
                input_names=["input_ids", "attention_mask"],
                output_names=["logits"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        what = "The encoder cannot be written as ONNX."
        raise Fault("export_impossible", what, value=str(error).splitlines()[0][:200]) from error
    finally:
        encoder.body.set_attn_implementation(before)


def describe(path: Path, facts: Mapping[str, str]) -> None:
    """Write facts into the metadata of a graph, and check it.

    Raises:
        Fault: `export_impossible` when it is no valid graph.
    """
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(facts))
    _save(model, path)


def write_optimised(baseline: Path, path: Path) -> None:
    """The graph as ONNX Runtime fuses it, at the level whose result runs on any CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(baseline), options, providers=["CPUExecutionProvider"])


def write_int8(baseline: Path, path: Path) -> None:
    """The baseline with signed 8-bit weights, per channel; numbers between them are quantised as they come (no data needed).

    Embeddings of words stay as they are; the coefficients of a linear classifier, which are looked up as well, do not.

    Raises:
        Fault: `export_impossible` when there is nothing to quantise.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = _load(baseline).graph
    kinds = ["MatMul", "Gemm"] if any(own.name == "input_ids" for own in graph.input) else ["MatMul", "Gemm", "Gather"]
    if not any(node.op_type in kinds for node in graph.node):
        raise Fault("export_impossible", "Nothing in the graph has weights that could get 8 bits.")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the library advises on standard error, by the root logger
    try:
        quantize_dynamic(
            baseline,
            path,
            op_types_to_quantize=kinds,
            per_channel=True,
            reduce_range=not _has_vnni(),
            weight_type=QuantType.QInt8,
        )
    finally:
        root.setLevel(level)


def _has_vnni() -> bool:
    """Whether products of 8 bits are added up without overflow here; else weights get 7 bits."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return any(name in flags for name in ("avx512_vnni", "avx_vnni", "asimddp"))


def _load(path: Path) -> Any:
    import onnx

    return onnx.load(path, load_external_data=False)


def _save(model: Any, path: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise Fault("export_impossible", "The graph is not valid ONNX.", value=str(error)[:200]) from error
    onnx.save(model, path)
