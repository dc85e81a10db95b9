"""Arrow arrays of Python texts and numpy numbers. `pyarrow.array` makes the same, and loads pandas first (0.3 s)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


def texts_array(values: Iterable[str | None]) -> pa.StringArray:
    """Texts; None is null."""
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def repeated_text(value: str, times: int) -> pa.StringArray:
    """The same text so many times. A scalar of an array, since `pyarrow.scalar` of a text loads pandas as well."""
    return pa.repeat(texts_array([value])[0], times)


def numbers_array(values: NDArray[Any], *, null: NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers or truth values of a one-dimensional array, in their own type.

    Args:
        values: any[n].
        null: bool[n], where there is no value.
    """
    kind = pa.from_numpy_dtype(values.dtype)
    data = _bits(values) if values.dtype == np.bool_ else pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(kind, values.size, [None if null is None else _bits(~null), data])


def _bits(values: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
