"""Small operations on matrices of vectors that all providers share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to length 1 in float32, shape kept; zero rows stay zero. The input is not changed."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float32))
    norms[norms == 0] = 1
    return np.asarray(vectors / norms[:, None], dtype=np.float32)


def rounded_unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit rows as they come back from the float16 cache: rounded, then scaled again."""
    return unit_rows(vectors.astype(np.float16).astype(np.float32))


def mean_of_chunks(vectors: NDArray[np.float32], owner: NDArray[np.int64], texts: int) -> NDArray[np.float32]:
    """One unit row per text: the mean of its chunks' unit vectors, scaled to length 1.

    Args:
        vectors: unit vectors of all chunks, (chunks, d).
        owner: row of the text that each chunk belongs to, (chunks,), ascending, every text at least once.
        texts: number of texts.
    """
    if len(owner) == texts:
        return vectors
    starts = np.searchsorted(owner, np.arange(texts))
    return unit_rows(np.add.reduceat(vectors, starts, axis=0))


def token_batches(lengths: NDArray[np.int64], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches of similar length, longest first, each of at most `batch_tokens` padded tokens.

    A single text longer than that is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + size]
        start += size
