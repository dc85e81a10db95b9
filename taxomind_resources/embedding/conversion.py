"""A model folder, converted once into the form that a runtime executes.

The conversion is done by libraries in a process of its own (torch and transformers never enter the caller's), compared
with the original model, and published by renaming a folder: two processes that convert at once end with one result.
Run as `python -m taxomind_resources.embedding.conversion FOLDER FORM TARGET`.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Literal

from taxomind_resources.embedding.model_folder import ModelFolder, read_model_folder
from taxomind_resources.embedding.quantisation import quantised, require_nncf
from taxomind_resources.faults import Fault
from taxomind_resources.files import flush_tree, remove_tree, storage_faults, sweep_temporary, temporary_path

_LOG = logging.getLogger(__name__)

Form = Literal["onnx", "openvino", "int8"]

#: Part of the folder name: raised when the way of converting changes.
BUILDER_VERSION: Final = 1
MODEL_FILE: Final[dict[Form, str]] = {"onnx": "model.onnx", "openvino": "model.xml", "int8": "model.xml"}
INPUTS: Final = ("input_ids", "attention_mask")
OUTPUT: Final = "vector"
#: What the converted float32 model must reach against the original on every checked text.
LEAST_COSINE: Final = 0.99999
LEAST_COSINE_INT8: Final = 0.95
_COMPARED_TEXTS: Final = 60
_OPSET: Final = 17
_TIMEOUT_S: Final = 1800


def converted_model(folder: ModelFolder, form: Form, models: Path) -> Path:
    """Path of the converted model file below `models`, converting first where it does not exist yet.

    Raises:
        Fault: `model_unavailable` when the conversion fails or its result does not agree with the original;
            `missing_extra` for `int8` without nncf; `storage_failed` when `models` cannot be written.
    """
    target = models / f"{folder.weights_digest[:24]}-{folder.layout_digest[:8]}-{form}-{BUILDER_VERSION}"
    file = target / MODEL_FILE[form]
    if not file.is_file():
        if form == "int8":
            require_nncf()
        _LOG.info("The embedding model is converted for this machine, once. This takes about half a minute.")
        _publish(folder, form, target)
    return file


def _publish(folder: ModelFolder, form: Form, target: Path) -> None:
    with storage_faults(target):
        sweep_temporary(target.parent)
        temporary = temporary_path(target.parent)
        temporary.mkdir(parents=True)
    try:
        _convert_elsewhere(folder, form, temporary)
        with storage_faults(target):
            flush_tree(temporary)
            _rename_unless_there(temporary, target, MODEL_FILE[form])
    finally:
        remove_tree(temporary)


def _rename_unless_there(temporary: Path, target: Path, file: str) -> None:
    """Publish; when another process was first, its result is as good. A folder without its model file makes way."""
    if target.is_dir() and not (target / file).is_file():
        remove_tree(target)
    try:
        temporary.rename(target)
    except OSError:
        if not (target / file).is_file():
            raise


def _convert_elsewhere(folder: ModelFolder, form: Form, target: Path) -> None:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "taxomind_resources.embedding.conversion",
        str(folder.path),
        form,
        str(target),
    ]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Fault(
            "model_unavailable", f"Converting the model took more than {_TIMEOUT_S} s.", value=str(folder.path)
        ) from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Fault(
            "model_unavailable",
            f"The model cannot be converted for a fast runtime: {reason}",
            value=str(folder.path),
            allowed="encoders such as BERT, XLM-R, MPNet, ModernBERT; else embedding.provider = 'sentence-transformers'",
        )


def convert(folder: Path, form: Form, target: Path) -> None:
    """Write `folder`'s model into `target` in the given form, and compare it with the original.

    Raises:
        RuntimeError: the converted model's vectors are not those of the original.
    """
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"})
    described = read_model_folder(folder)
    onnx_file = target / MODEL_FILE["onnx"]
    _export_onnx(model, described, onnx_file)
    if form != "onnx":
        _to_openvino(onnx_file, target / MODEL_FILE[form], described if form == "int8" else None)
    _compare(model, described, form, target / MODEL_FILE[form])
    for entry in target.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif form != "onnx" and entry.suffix not in {".xml", ".bin"}:
            entry.unlink()


def _export_onnx(model: Any, folder: ModelFolder, file: Path) -> None:
    import torch

    class Vectors(torch.nn.Module):  # type: ignore[misc]
        """The model's modules from token numbers to the pooled vector."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            features = self.model({"input_ids": input_ids, "attention_mask": attention_mask})
            return features["sentence_embedding"]

    axes = {name: {0: "text", 1: "token"} for name in INPUTS} | {OUTPUT: {0: "text"}}
    # The tracing exporter: its graph of standard operators runs 10 to 20 % faster than that of the dynamo exporter.
    with torch.no_grad():
        torch.onnx.export(
            Vectors().eval(),
            tuple(torch.from_numpy(array) for array in _example(folder)),
            str(file),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )


def _example(folder: ModelFolder) -> tuple[Any, Any]:
    """Two texts of different lengths, so that the traced graph holds the way of padding."""
    import numpy as np

    from taxomind_resources.embedding.runtimes import padded
    from taxomind_resources.embedding.tokens import Tokens

    tokens, _ = Tokens(folder.path, folder.max_tokens).chunks(["one", "a text of some more words"], "")
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    return padded(tokens, np.arange(len(tokens)), lengths, folder.pad_id)


def _to_openvino(onnx_file: Path, file: Path, quantised_for: ModelFolder | None) -> None:
    from taxomind_resources.embedding.runtimes import openvino_module

    openvino = openvino_module()
    model = openvino.convert_model(onnx_file)
    if quantised_for is not None:
        model = quantised(model, quantised_for.path, quantised_for.pad_id, quantised_for.max_tokens)
    openvino.save_model(model, file, compress_to_fp16=False)


def _compare(model: Any, folder: ModelFolder, form: Form, file: Path) -> None:
    """Compare whole paths, tokenizer included: our reading of the folder against sentence-transformers' own."""
    from taxomind_resources.embedding.calibration import calibration_texts
    from taxomind_resources.embedding.runtimes import open_runtime
    from taxomind_resources.embedding.tokens import Tokens
    from taxomind_resources.embedding.vectors import unit_rows

    tokens = Tokens(folder.path, folder.max_tokens)
    texts = [text for text in calibration_texts(_COMPARED_TEXTS) if len(tokens.chunks([text], "")[0]) == 1]
    with open_runtime(file, "onnxruntime" if form == "onnx" else "openvino", "float32", folder.pad_id) as runtime:
        ours = unit_rows(runtime.run(tokens.chunks(texts, "")[0], 1024, folder.dimensions))
    theirs = unit_rows(model.encode(texts, prompt="", convert_to_numpy=True, show_progress_bar=False))
    least = float((ours * theirs).sum(axis=1).min())
    if least < (LEAST_COSINE_INT8 if form == "int8" else LEAST_COSINE):
        raise RuntimeError(f"the converted model's vectors differ from the original's (cosine {least:.6f})")


if __name__ == "__main__":
    convert(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))  # type: ignore[arg-type]
