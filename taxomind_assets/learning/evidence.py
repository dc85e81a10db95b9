"""Evidence: texts whose place people have told, as the classifier uses them.

Per node evidence is a plain sum and a count of unit vectors, beside the texts themselves. Sums know no order, so any
interleaving of corrections and withdrawals ends in the same evidence as the clean sequence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray


def row_number(code: str, text: str) -> int:
    """A number below 2**256 that stands for one correction; the sum of all stands for the evidence, in whatever order."""
    return int.from_bytes(hashlib.sha256(f"{code}\x1f{text}".encode()).digest())


def version_of(total: int, rows: int) -> str:
    """12 hex digits that stand for rows whose `row_number`s sum up to `total` (a hash of a multiset: Clarke et al., 2003,
    "Incremental multiset hash functions"); '' without rows."""
    return hashlib.sha256(f"{rows}:{total}".encode()).hexdigest()[:12] if rows else ""


@dataclass(frozen=True)
class Evidence:
    """e corrections that count. A text that several people placed has a row for each of them, at the same node or at another.

    Attributes:
        texts: e clean texts (`views.texts.clean`), ordered by (code, text).
        codes: the code of each.
        vectors: float32[e, d], unit rows, made by the model of the index.
    """

    texts: tuple[str, ...]
    codes: tuple[str, ...]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, texts: Sequence[str], codes: Sequence[str], vectors: NDArray[np.float32]) -> Evidence:
        """Evidence in its own order, whatever the order of the arguments."""
        order = sorted(range(len(texts)), key=lambda i: (codes[i], texts[i]))
        return cls(tuple(texts[i] for i in order), tuple(codes[i] for i in order), vectors[order])

    @classmethod
    def none(cls, dimensions: int) -> Evidence:
        """No evidence."""
        return cls((), (), np.zeros((0, dimensions), np.float32))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.texts)

    @cached_property
    def version(self) -> str:
        """12 hex digits over texts and codes; '' without evidence."""
        return version_of(sum(map(row_number, self.codes, self.texts)), len(self))

    def sums(self) -> tuple[list[str], NDArray[np.float64], NDArray[np.int64]]:
        """The g codes with evidence, the sums of their vectors, float64[g, d], and their counts, int64[g]."""
        codes, place = np.unique(np.array(self.codes, object).astype(str), return_inverse=True)
        counts = np.bincount(place, minlength=codes.size)
        ones = np.ones(len(self), np.float64)
        shape = (codes.size, len(self))
        gather = sparse.csr_array((ones, (place, np.arange(len(self)))), shape=shape)
        return [str(code) for code in codes], np.asarray(gather @ self.vectors.astype(np.float64)), counts
