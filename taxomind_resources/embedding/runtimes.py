"""A converted model, executed by OpenVINO or ONNX Runtime in one-thread streams."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from taxomind_resources.embedding.spec import NumberFormat
from taxomind_resources.embedding.vectors import token_batches
from taxomind_resources.faults import Fault
from taxomind_resources.files import remove_tree, temporary_path

RuntimeName = Literal["openvino", "onnxruntime"]
Numbers = NDArray[np.int64]
Infer = Callable[[Numbers, Numbers], NDArray[np.float32]]


class Runtime:
    """Runs batches on all cores: one stream of one thread each, which beats one stream of many threads on short texts.

    Thread-safe. Calls share the streams; a short call does not wait for the whole of a long one.
    """

    def __init__(self, infer: Infer, pad_id: int) -> None:
        self._infer = infer
        self._pad_id = pad_id
        self._streams = available_cores()
        self._threads = ThreadPoolExecutor(self._streams, thread_name_prefix="embedding")

    def run(self, tokens: Sequence[Sequence[int]], batch_tokens: int, dimensions: int) -> NDArray[np.float32]:
        """The model's raw vectors, float32 (n, dimensions), in the order of `tokens`."""
        vectors = np.empty((len(tokens), dimensions), dtype=np.float32)
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))

        def one(rows: Numbers) -> None:
            vectors[rows] = self._infer(*padded(tokens, rows, lengths, self._pad_id))

        waiting: deque[Future[None]] = deque()
        for rows in token_batches(lengths, batch_tokens):
            waiting.append(self._threads.submit(one, rows))
            if len(waiting) > 2 * self._streams:
                waiting.popleft().result()
        while waiting:
            waiting.popleft().result()
        return vectors

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)


def padded(tokens: Sequence[Sequence[int]], rows: Numbers, lengths: Numbers, pad_id: int) -> tuple[Numbers, Numbers]:
    """Token numbers and mask of the chosen rows, both int64 (rows, longest)."""
    own = lengths[rows]
    mask = np.arange(own.max()) < own[:, None]
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.fromiter((number for row in rows for number in tokens[row]), np.int64, int(own.sum()))
    return ids, mask.astype(np.int64)


def chosen_runtime(wanted: Literal["auto", "openvino", "onnxruntime"], number_format: NumberFormat) -> RuntimeName:
    """The runtime to use: OpenVINO where it is installed, unless another is asked for.

    Raises:
        Fault: `missing_extra` when the runtime is not installed, `invalid_setting` when it lacks the number format.
    """
    name: RuntimeName = ("openvino" if _installed("openvino") else "onnxruntime") if wanted == "auto" else wanted
    if not _installed(name):
        raise Fault("missing_extra", f"The runtime {name} is not installed.", value=name, next_step=f"pip install {name}")
    if name == "onnxruntime" and number_format in {"bfloat16", "int8"}:
        raise Fault(
            "invalid_setting",
            f"onnxruntime runs the local model in float32 only, not in {number_format}.",
            value=f"embedding.number_format = {number_format}",
            allowed="embedding.runtime = 'openvino', or embedding.number_format 'auto' or 'float32'",
        )
    return name


@contextlib.contextmanager
def open_runtime(file: Path, name: RuntimeName, number_format: NumberFormat, pad_id: int) -> Iterator[Runtime]:
    """`load_runtime`, closed at the end of the block."""
    runtime = load_runtime(file, name, number_format, pad_id)
    try:
        yield runtime
    finally:
        runtime.close()


def load_runtime(file: Path, name: RuntimeName, number_format: NumberFormat, pad_id: int) -> Runtime:
    """Load a converted model file.

    Raises:
        Fault: `model_unavailable`, or `invalid_setting` for a number format that the processor lacks.
    """
    try:
        return Runtime(_openvino(file, number_format) if name == "openvino" else _onnxruntime(file), pad_id)
    except Fault:
        raise
    except Exception as error:  # both libraries raise types of their own that share no base class
        raise Fault(
            "model_unavailable",
            f"{name} cannot load the converted model: {error}",
            value=str(file),
            next_step=f"Delete the folder {file.parent}; it is made again at the next use.",
        ) from error


def openvino_module() -> Any:
    """The package openvino, imported so that it tells nobody.

    As it comes, each import sends an event to a web analytics service and writes into the home folder. Without the package
    `openvino_telemetry` it uses a stub of its own; None in `sys.modules` makes that package absent for this process.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    # The first array that OpenVINO sees sets up a static of its binding; two threads that do so at once block for ever.
    openvino.Type.i64.to_dtype()
    return openvino


def available_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _onnxruntime(file: Path) -> Infer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def infer(ids: Numbers, mask: Numbers) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"input_ids": ids, "attention_mask": mask})[0], dtype=np.float32)

    return infer


def _openvino(file: Path, number_format: NumberFormat) -> Infer:
    openvino = openvino_module()
    core = openvino.Core()
    cores = available_cores()
    options: dict[str, Any] = {"NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores, "CACHE_MODE": "OPTIMIZE_SIZE"}
    if number_format == "float32":
        options["INFERENCE_PRECISION_HINT"] = "f32"
    elif number_format == "bfloat16":
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Fault("invalid_setting", "This processor has no bfloat16.", value="bfloat16", allowed="'auto' or 'float32'")
        options["INFERENCE_PRECISION_HINT"] = "bf16"
    model = _compiled(core, file, options, f"{openvino.get_version().split('-')[0]}-{number_format}-{cores}")
    own = threading.local()

    def infer(ids: Numbers, mask: Numbers) -> NDArray[np.float32]:
        request = getattr(own, "request", None)
        if request is None:
            request = own.request = model.create_infer_request()
        request.infer({"input_ids": ids, "attention_mask": mask}, share_inputs=True)
        return np.asarray(request.get_output_tensor(0).data, dtype=np.float32)  # copied by the caller

    return infer


def _compiled(core: Any, file: Path, options: dict[str, Any], variant: str) -> Any:
    """Compile with OpenVINO's own cache, which saves half of the start-up time.

    OpenVINO writes its cache files in place, so the first compilation of a variant goes to a folder of its own that is then
    renamed: no other process ever reads half a file.
    """
    cache = file.parent / f"compiled-{variant}"
    if not cache.is_dir() and not os.access(file.parent, os.W_OK):
        return core.compile_model(file, "CPU", options)
    if cache.is_dir():
        return core.compile_model(file, "CPU", options | {"CACHE_DIR": str(cache)})
    fresh = temporary_path(file.parent)
    try:
        model = core.compile_model(file, "CPU", options | {"CACHE_DIR": str(fresh)})
        with contextlib.suppress(OSError):  # another process was first, or the folder is read-only: only speed is lost
            fresh.rename(cache)
    finally:
        remove_tree(fresh)
    return model
