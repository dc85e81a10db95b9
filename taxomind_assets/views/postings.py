"""Sums over the postings of n-grams: a product of two sparse matrices whose result is dense.

A product of two sparse matrices finds out with every number whether its place is new, and does so twice. Where most texts share
something with most rows, it is three times as fast to write the postings of all n-grams of all texts one after the other, each
text with places of its own, and to multiply them with one vector (measured).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Numbers of the result that are added up at once; it bounds the memory.
_NUMBERS: Final = 1 << 20


def summed_postings(queries: sparse.csr_array, postings: sparse.csr_array) -> NDArray[np.float32]:
    """`queries @ postings`, dense. A text's sums depend on no other text, to the last bit.

    Args:
        queries: float32 sparse [b, v].
        postings: float32 sparse [v, m] with 32-bit places: the rows that hold each n-gram.

    Returns:
        float32[b, m].
    """
    b, m = queries.shape[0], postings.shape[1]
    sums = np.empty((b, m), np.float32)
    size = max(1, _NUMBERS // max(m, 1))
    for start in range(0, b, size):
        stop = min(start + size, b)
        first, last = queries.indptr[start], queries.indptr[stop]
        found = postings[queries.indices[first:last]]
        ends = found.indptr[queries.indptr[start : stop + 1] - first]
        found.indices += np.repeat(np.arange(stop - start, dtype=np.int32) * np.int32(m), np.diff(ends))
        columns = sparse.csc_array((found.data, found.indices, found.indptr), shape=((stop - start) * m, last - first))
        sums[start:stop] = (columns @ queries.data[first:last]).reshape(stop - start, m)
    return sums
