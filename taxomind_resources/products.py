"""Similarities of many vectors with the same rows: one matrix product, by whichever library is fastest here.

NumPy's wheels choose kernels of half the width on several processors; OpenVINO, which runs the embedding model anyway, makes
its own for the processor at hand (twice the speed measured with AVX-512, four times in bfloat16). Sums are always float32.

A product of a vector depends on no other vector: all products have one shape, and vectors that are too few are padded.
"""

from __future__ import annotations

import importlib.util
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Vectors in a product that goes to OpenVINO: a fixed number, since each new one costs some ten milliseconds, and a small
#: one, so that the product is still in the processor's cache when it is read.
BATCH: Final = 64
_FEW_NUMBERS: Final = 1 << 15


class RowProducts:
    """Products of fixed rows with vectors. Safe to share between threads; nothing is compiled before it is needed.

    Args:
        rows: float32[m, d]; kept, not copied.
        bfloat16: round rows and vectors to bfloat16 before they are multiplied, where the processor is faster with it. For
            unit rows the product then errs by about 0.0001 (measured), less than vectors of an encoder in bfloat16 do.
    """

    def __init__(self, rows: NDArray[np.float32], *, bfloat16: bool = False) -> None:
        self.rows = np.ascontiguousarray(rows, np.float32)
        self._bfloat16 = bfloat16
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
        if not self._by_library:
            return self.rows @ vectors.T
        b = vectors.shape[0]
        if b == BATCH:
            return self._product(np.ascontiguousarray(vectors, np.float32), self._buffer())
        product = np.empty((self.rows.shape[0], b), np.float32)
        padded = np.zeros((BATCH, self.rows.shape[1]), np.float32)
        for start in range(0, b, BATCH):
            part = vectors[start : start + BATCH]
            padded[: len(part)] = part
            self._product(padded, product[:, start : start + BATCH])
        return product

    def _product(self, vectors: NDArray[np.float32], product: NDArray[np.float32]) -> NDArray[np.float32]:
        """Multiply `BATCH` vectors and keep the first columns, as many as `product` has."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled().create_infer_request()
        request.infer({0: vectors}, share_inputs=True, share_outputs=True)
        np.copyto(product, request.get_output_tensor(0).data[: product.shape[1]].T)
        return product

    def _buffer(self) -> NDArray[np.float32]:
        if not hasattr(self._own, "buffer"):
            self._own.buffer = np.empty((self.rows.shape[0], BATCH), np.float32)
        buffer: NDArray[np.float32] = self._own.buffer
        return buffer

    def _compiled(self) -> Any:
        with self._compiling:
            if self._model is None:
                self._model = _compile(self.rows, "bf16" if self._bfloat16 and has_bfloat16() else "f32")
            return self._model


@cache
def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16."""
    from taxomind_resources.embedding.runtimes import openvino_module

    return "BF16" in openvino_module().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _compile(rows: NDArray[np.float32], precision: str) -> Any:
    from taxomind_resources.embedding.runtimes import available_cores, openvino_module

    openvino = openvino_module()
    from openvino import opset13 as operations

    vectors = operations.parameter([BATCH, rows.shape[1]], np.float32)
    # Only a product with constants on the right is made in bfloat16 with sums in float32.
    product = operations.matmul(vectors, operations.constant(rows, shared_memory=True), False, True)
    cores = available_cores()
    options = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": cores, "INFERENCE_NUM_THREADS": cores}
    return openvino.Core().compile_model(openvino.Model([operations.result(product)], [vectors]), "CPU", options)
