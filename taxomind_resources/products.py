"""Similarities of many vectors with the same rows: one matrix product, by whichever library is fastest here.

NumPy's wheels choose kernels of half the width on several processors; OpenVINO, which runs the embedding model anyway, makes
its own for the processor at hand (twice the speed measured with AVX-512). Both compute in float32.
"""

from __future__ import annotations

import importlib.util
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Vectors in a product that goes to OpenVINO: a fixed number, since each new one costs some ten milliseconds, and a small
#: one, so that the product is still in the processor's cache when it is read.
BATCH: Final = 64
_FEW_NUMBERS: Final = 1 << 16


class RowProducts:
    """Products of fixed rows with vectors. Safe to share between threads; nothing is compiled before it pays.

    Args:
        rows: float32[m, d]; kept, not copied.
    """

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = np.ascontiguousarray(rows, np.float32)
        self._own = threading.local()
        self._compiling = threading.Lock()
        self._model: Any = None
        self._by_library = self.rows.size >= _FEW_NUMBERS and importlib.util.find_spec("openvino") is not None

    @property
    def single_threaded(self) -> bool:
        """Whether a product runs on the calling thread's core alone, so that several threads are of use."""
        return self._by_library

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """`rows @ vectors.T`, float32[m, b], for float32[b, d]; fastest when b is `BATCH`.

        The result may be overwritten: by the caller, and by this thread's next call.
        """
        if not self._by_library or vectors.shape[0] != BATCH:
            return self.rows @ vectors.T
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled().create_infer_request()
        request.infer({0: np.ascontiguousarray(vectors, np.float32)}, share_inputs=True, share_outputs=True)
        product: NDArray[np.float32] = request.get_output_tensor(0).data
        return product

    def _compiled(self) -> Any:
        with self._compiling:
            if self._model is None:
                self._model = _compile(self.rows)
            return self._model


def _compile(rows: NDArray[np.float32]) -> Any:
    from taxomind_resources.embedding.runtimes import available_cores, openvino_module

    openvino = openvino_module()
    from openvino import opset13 as operations

    vectors = operations.parameter([BATCH, rows.shape[1]], np.float32)
    fixed = operations.constant(rows, shared_memory=True)
    product = operations.matmul(fixed, vectors, False, True)
    cores = available_cores()
    options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    return openvino.Core().compile_model(openvino.Model([operations.result(product)], [vectors]), "CPU", options)
