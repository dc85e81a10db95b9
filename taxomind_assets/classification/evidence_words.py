"""Words and characters of corrected texts, exact after every correction and cheap to add to.

tf-idf weighs an n-gram by its rarity among the texts of the nodes and of the evidence together, so one more correction changes
the weights of all. Rows are therefore stored by their term frequencies alone. Weights come in when a text is compared, on its
side of the product, and the lengths of the rows are kept as polynomials of the one number that the size of the whole decides:
idf = a + c with a = -log(1 + frequency) and c = 1 + log(1 + texts), so a squared length is A + 2 c B + c^2 C. A correction
changes `a` of its own n-grams only, and with it A and B of the rows that hold them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from scipy import sparse

from taxomind_assets.views.lexical import CountedTexts, Grams
from taxomind_assets.views.postings import summed_postings

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows whose n-grams are kept beside the frequencies until there are so many; then these are written anew.
_PENDING: Final = 128


class Postings:
    """Term frequencies of m rows. Immutable.

    Args:
        rows: float32 sparse [m, buckets], 1 + log(count) of the n-grams of each row.
    """

    def __init__(self, rows: sparse.csr_array) -> None:
        self.rows = rows

    @classmethod
    def of(cls, texts: Sequence[str], grams: Grams) -> Self:
        """Those of some texts."""
        counts = CountedTexts(texts).of_kind(grams)
        return cls(sparse.csr_array((1 + np.log(counts.data), counts.indices, counts.indptr), shape=counts.shape))

    def joined(self, other: Postings) -> Postings:
        """These rows and then those of another."""
        return Postings(sparse.csr_array(sparse.vstack((self.rows, other.rows), format="csr")))

    @cached_property
    def columns(self) -> sparse.csr_array:
        """float32 sparse [buckets, m]: the rows of each n-gram."""
        return sparse.csr_array(self.rows.T)


@dataclass(frozen=True)
class Frequencies:
    """In how many texts each n-gram is. Make it with `Frequencies.of`.

    Attributes:
        written: int64[buckets].
        texts: number of all texts.
        columns: int64[p], ascending: n-grams of the last texts, which `written` does not know; `counts` int64[p] of each.
        pending: number of these texts.
    """

    written: NDArray[np.int64]
    texts: int
    columns: NDArray[np.int64]
    counts: NDArray[np.int64]
    pending: int

    @classmethod
    def of(cls, written: NDArray[np.int64], texts: int) -> Self:
        """Frequencies that are known as a whole."""
        return cls(written, texts, np.empty(0, np.int64), np.empty(0, np.int64), 0)

    def with_rows(self, rows: sparse.csr_array) -> Frequencies:
        """The frequencies after some texts more."""
        texts, pending = self.texts + rows.shape[0], self.pending + rows.shape[0]
        columns, place = np.unique(np.concatenate((self.columns, rows.indices)), return_inverse=True)
        counts = np.bincount(place, np.concatenate((self.counts, np.ones(rows.nnz, np.int64))), columns.size).astype(np.int64)
        if pending < _PENDING:
            return Frequencies(self.written, texts, columns, counts, pending)
        written = self.written.copy()
        written[columns] += counts
        return Frequencies.of(written, texts)

    def rarity(self, columns: NDArray[np.integer]) -> NDArray[np.float64]:
        """-log(1 + frequency) of n-grams, float64."""
        found = self.written[columns].astype(np.float64)
        if self.columns.size:
            place = np.searchsorted(self.columns, columns).clip(max=self.columns.size - 1)
            found += np.where(self.columns[place] == columns, self.counts[place], 0)
        rarity: NDArray[np.float64] = -np.log1p(found)
        return rarity

    @property
    def offset(self) -> float:
        """What idf adds to `rarity`."""
        return float(1 + np.log(1 + self.texts))


@dataclass(frozen=True)
class EvidenceWords:
    """tf-idf of e evidence rows. Make it with `EvidenceWords.of`.

    Attributes:
        grams: which n-grams.
        frequencies: of node texts and rows together.
        parts: the rows, in one or several parts.
        lengths: float64[3, e]: A, B and C of each row, see the module.
    """

    grams: Grams
    frequencies: Frequencies
    parts: tuple[Postings, ...]
    lengths: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Sequence[Postings], node_frequency: NDArray[np.int64], node_texts: int, grams: Grams) -> Self:
        """Arrange rows.

        Args:
            parts: the rows.
            node_frequency: int64[buckets], in how many node texts each n-gram is.
            node_texts: number of node texts.
            grams: which n-grams.
        """
        written = node_frequency.copy()
        for part in parts:
            written += np.bincount(part.rows.indices, minlength=written.size)
        frequencies = Frequencies.of(written, node_texts + sum(part.rows.shape[0] for part in parts))
        lengths = [np.zeros((3, 0)), *(_lengths(part.rows, frequencies) for part in parts)]
        return cls(grams, frequencies, tuple(parts), np.concatenate(lengths, axis=1))

    def with_rows(self, added: Postings, parts: Sequence[Postings]) -> Self:
        """These rows and more.

        Args:
            added: the new rows.
            parts: all rows, arranged anew, the new ones last.
        """
        frequencies = self.frequencies.with_rows(added.rows)
        columns = np.unique(added.rows.indices)
        before, after = self.frequencies.rarity(columns), frequencies.rarity(columns)
        lengths = np.concatenate((self.lengths, _lengths(added.rows, frequencies)), axis=1)
        start = 0
        for part in self.parts:
            end = start + part.rows.shape[0]
            postings = part.columns[columns]
            squares = np.square(postings.data, dtype=np.float64)
            sizes = np.diff(postings.indptr)
            for place, change in enumerate((np.square(after) - np.square(before), after - before)):
                weights = squares * np.repeat(change, sizes)
                lengths[place, start:end] += np.bincount(postings.indices, weights, minlength=end - start)
            start = end
        return type(self)(self.grams, frequencies, tuple(parts), lengths)

    def similarities(self, texts: CountedTexts, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines with all rows times `weights` float32[b], float32[b, e]."""
        queries = self._queries(texts, weights)
        found = [summed_postings(queries, part.columns) for part in self.parts]
        similar: NDArray[np.float32] = np.concatenate([np.zeros((len(texts), 0), np.float32), *found], axis=1)
        similar *= self._scale
        return similar

    def shared(self, texts: CountedTexts, weights: NDArray[np.float32]) -> sparse.csr_array:
        """As `similarities`, float32 sparse [b, e]: faster for n-grams that few rows share."""
        queries = self._queries(texts, weights)
        nothing = sparse.csr_array((len(texts), 0), dtype=np.float32)
        similar = sparse.csr_array(sparse.hstack([nothing, *(queries @ part.columns for part in self.parts)], format="csr"))
        similar.data *= self._scale[similar.indices]
        return similar

    def _queries(self, texts: CountedTexts, weights: NDArray[np.float32]) -> sparse.csr_array:
        """Texts as rows that multiply with term frequencies, float32 sparse [b, buckets]."""
        counts = texts.of_kind(self.grams)
        owners = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        idf = self.frequencies.rarity(counts.indices) + self.frequencies.offset
        own = (1 + np.log(counts.data)) * idf
        lengths = np.sqrt(np.bincount(owners, np.square(own), minlength=counts.shape[0]))
        data = (own * idf * (weights / np.maximum(lengths, 1e-9))[owners]).astype(np.float32)
        return sparse.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)

    @cached_property
    def _scale(self) -> NDArray[np.float32]:
        """float32[e]: one over the length of each row."""
        a, b, c = self.lengths
        offset = self.frequencies.offset
        squares: NDArray[np.float64] = a + 2 * offset * b + offset**2 * c
        return np.asarray(1 / np.sqrt(np.maximum(squares, 1e-18)), np.float32)


def _lengths(rows: sparse.csr_array, frequencies: Frequencies) -> NDArray[np.float64]:
    """A, B and C of each row, float64[3, m]."""
    owners = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    squares = np.square(rows.data, dtype=np.float64)
    rarity = frequencies.rarity(rows.indices)
    sums = [np.bincount(owners, squares * factor, rows.shape[0]) for factor in (np.square(rarity), rarity, 1.0)]
    return np.array(sums, np.float64).reshape(3, rows.shape[0])
