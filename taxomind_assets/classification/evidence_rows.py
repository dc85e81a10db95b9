"""Evidence arranged for scoring, cheap to add to: a resident process learns a correction without doing the others again."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.views.lexical import CountedTexts, Grams
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST_BUFFER: Final = 64


class RowBuffer:
    """Vectors that grow at the end; every user sees the rows that were there when it came.

    Memory doubles when it is full, so a row costs the same however many there are (on average).
    """

    def __init__(self, rows: NDArray[np.float32]) -> None:
        capacity = max(_SMALLEST_BUFFER, rows.shape[0])
        self._data = np.empty((capacity, rows.shape[1]), np.float32)
        self._data[: rows.shape[0]] = rows
        self._used = rows.shape[0]
        self._lock = threading.Lock()

    def first(self, size: int) -> NDArray[np.float32]:
        """The first rows, not to be changed."""
        return self._data[:size]

    def extended(self, size: int, rows: NDArray[np.float32]) -> RowBuffer:
        """A buffer whose first `size` rows are those of this one and whose next are `rows`; this one itself if it has room."""
        with self._lock:
            end = size + rows.shape[0]
            if self._used == size and end <= self._data.shape[0]:
                self._data[size:end] = rows
                self._used = end
                return self
        grown = RowBuffer(np.empty((2 * end, rows.shape[1]), np.float32))
        grown._data[:size] = self._data[:size]
        grown._data[size:end] = rows
        grown._used = end
        return grown


@dataclass(frozen=True)
class EvidenceRows:
    """e corrected texts in the order in which they came. Make it with `EvidenceRows.of`.

    Attributes:
        texts: clean texts.
        codes: the code of each.
        nodes: int64[e], position of the node of each.
        characters: float32 sparse [e, buckets], counts of character n-grams.
        words: float32 sparse [e, buckets], counts of words and pairs.
        places: rows by normalised text.
        buffer: holds the vectors.
    """

    texts: tuple[str, ...]
    codes: tuple[str, ...]
    nodes: NDArray[np.int64]
    characters: sparse.csr_array
    words: sparse.csr_array
    places: Mapping[str, tuple[int, ...]]
    buffer: RowBuffer

    @classmethod
    def of(cls, evidence: Evidence, position: Mapping[str, int]) -> EvidenceRows:
        """Rows of evidence; `position` gives the place of each code in the tree, and codes without one are left out."""
        kept = [row for row, code in enumerate(evidence.codes) if code in position]
        empty = cls((), (), np.empty(0, np.int64), *_counts([]), {}, RowBuffer(evidence.vectors[:0]))
        return empty.extended(
            [evidence.texts[row] for row in kept], [evidence.codes[row] for row in kept], evidence.vectors[kept], position
        )

    def extended(
        self, texts: Sequence[str], codes: Sequence[str], vectors: NDArray[np.float32], position: Mapping[str, int]
    ) -> EvidenceRows:
        """These rows and more; `vectors` are float32[k, d] unit rows."""
        size = len(self.texts)
        places = dict(self.places)
        for row, text in enumerate(texts, start=size):
            key = normalise(text)
            places[key] = (*places.get(key, ()), row)
        characters, words = _counts(texts)
        nodes = np.array([position[code] for code in codes], np.int64)
        return EvidenceRows(
            (*self.texts, *texts),
            (*self.codes, *codes),
            np.concatenate((self.nodes, nodes)),
            sparse.csr_array(sparse.vstack((self.characters, characters), format="csr")),
            sparse.csr_array(sparse.vstack((self.words, words), format="csr")),
            places,
            self.buffer.extended(size, vectors),
        )

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.texts)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """float32[e, d], unit rows."""
        return self.buffer.first(len(self.texts))

    @cached_property
    def evidence(self) -> Evidence:
        """The same as plain evidence."""
        return Evidence.of(self.texts, self.codes, self.vectors)

    def rows_of(self, text: str) -> tuple[int, ...]:
        """Rows whose normalised text is that of `text`."""
        return self.places.get(normalise(text), ())

    def without(self, gone: NDArray[np.bool_], position: Mapping[str, int]) -> EvidenceRows:
        """The rows that are not marked in bool[e]."""
        kept = np.flatnonzero(~gone).tolist()
        return EvidenceRows.of(
            Evidence(tuple(self.texts[i] for i in kept), tuple(self.codes[i] for i in kept), self.vectors[kept]), position
        )


def _counts(texts: Sequence[str]) -> tuple[sparse.csr_array, sparse.csr_array]:
    counted = CountedTexts(texts)
    return counted.characters, counted.words


class EvidenceWords:
    """tf-idf of evidence rows; frequencies count the texts of the nodes and the evidence together.

    Args:
        counts: float32 sparse [e, buckets], n-grams of the rows.
        node_frequency: int64[buckets], in how many node texts each n-gram is.
        node_texts: number of node texts.
        grams: which n-grams.
    """

    def __init__(self, counts: sparse.csr_array, node_frequency: NDArray[np.int64], node_texts: int, grams: Grams) -> None:
        self._grams: Grams = grams
        frequency = node_frequency + np.bincount(counts.indices, minlength=node_frequency.size)
        # One logarithm for each frequency that occurs, not for each of a million buckets.
        documents = node_texts + counts.shape[0]
        weights = np.log((1 + documents) / (1 + np.arange(int(frequency.max(initial=0)) + 1))) + 1
        weights[0] = 0
        self._idf = weights.astype(np.float32)[frequency]
        self._rows = sparse.csr_array(self._weighed(counts).T)

    def similarities(self, texts: CountedTexts, weights: NDArray[np.float32]) -> sparse.csr_array:
        """Cosines with all rows times `weights` float32[b], float32 sparse [b, e]."""
        queries = self._weighed(texts.of_kind(self._grams), weights)
        return sparse.csr_array(queries @ self._rows)

    def _weighed(self, counts: sparse.csr_array, weights: NDArray[np.float32] | None = None) -> sparse.csr_array:
        """Sublinear tf-idf with rows of length one (times their weight)."""
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        data = (1 + np.log(counts.data)) * self._idf[counts.indices]
        lengths = np.sqrt(np.bincount(rows, np.square(data), minlength=counts.shape[0]))
        scale = (1 if weights is None else weights) / np.maximum(lengths, 1e-9)
        data = (data * scale[rows]).astype(np.float32)
        return sparse.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)
