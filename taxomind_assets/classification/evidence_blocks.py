"""Evidence rows arranged in blocks, so that one correction more leaves nearly all of the arrangement as it is.

What makes scoring fast (rows sorted by node, a compiled product) takes time in proportion to the rows. New rows therefore go to
a small last block, which is arranged anew with each of them; full blocks of like size are joined, so there are few of them and
each row takes part in few arrangements (the logarithmic method: Bentley and Saxe, 1980, "Decomposable searching problems").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.row_maxima import RowMaxima
from taxomind_resources.products import BATCH, RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows of the last block, which is arranged anew with every correction.
SMALLEST_BLOCK: Final = 128


class EvidenceBlock:
    """m consecutive rows. Immutable; safe to share between threads.

    Args:
        start: place of the first row among all.
        nodes: int64[m], node of each row.
        vectors: float32[m, d].
    """

    def __init__(self, start: int, nodes: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        self.start = start
        self.end = start + nodes.size
        self._nodes = nodes
        self._by_node = np.argsort(nodes, kind="stable")
        self._maxima = RowMaxima.of(nodes[self._by_node].astype(np.int32))
        self._order = self._by_node[self._maxima.order]
        self._products = RowProducts(vectors)

    def __len__(self) -> int:
        """Number of rows."""
        return self.end - self.start

    @property
    def nodes(self) -> NDArray[np.int64]:
        """int64[g]: nodes that have rows here."""
        return self._maxima.groups

    def similarities(self, vectors: NDArray[np.float32], found: NDArray[np.float32]) -> None:
        """Write cosines of vectors float32[b, d] into this block's rows of `found` float32[e, b]."""
        for start in range(0, vectors.shape[0], BATCH):
            found[self.start : self.end, start : start + BATCH] = self._products(vectors[start : start + BATCH])

    def maxima(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest value of each of `nodes`, float32[g, b]; `values` are float32[e, b]."""
        return self._maxima(values[self.start : self.end][self._order])

    def sums(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sum of each of `nodes`, float32[g, b]; `values` are float32[e, b]."""
        found: NDArray[np.float32] = self._gather @ values[self.start : self.end]
        return found

    @cached_property
    def _gather(self) -> sparse.csr_array:
        """float32 sparse [g, m]: 1 where a row belongs to a node."""
        ascending = np.argsort(self.nodes)
        owners = ascending[np.searchsorted(self.nodes[ascending], self._nodes)]
        ones = np.ones(len(self), np.float32)
        return sparse.csr_array((ones, (owners, np.arange(len(self)))), shape=(self.nodes.size, len(self)))


def block_starts(blocks: Sequence[int], size: int) -> list[int]:
    """Where blocks begin after rows were added.

    Args:
        blocks: where they began before, ascending.
        size: number of rows now.
    """
    starts, ends = list(blocks), [*blocks[1:], size]
    if not starts:
        return [0] if size else []
    # The last one took the new rows if it was small; otherwise they are a block of their own.
    while len(starts) > 1 and ends[-1] - starts[-1] >= SMALLEST_BLOCK and _is_near(starts, ends):
        del starts[-1], ends[-2]
    return starts


def _is_near(starts: Sequence[int], ends: Sequence[int]) -> bool:
    """Whether the block before the last is less than twice as large."""
    return ends[-2] - starts[-2] < 2 * (ends[-1] - starts[-1])
