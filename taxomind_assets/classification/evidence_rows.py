"""Evidence rows, cheap to add to: a resident process learns a correction without doing the others again."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.learning.evidence import Evidence, row_number, version_of
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST_STORE: Final = 64


class RowStore:
    """Rows that grow at the end; every user sees those that were there when it came.

    Memory doubles when it is full, so a row costs the same however many there are (on average). Safe to share between threads.

    Args:
        dimensions: length of the vectors.
    """

    def __init__(self, dimensions: int) -> None:
        self.texts: list[str] = []
        self.codes: list[str] = []
        #: Rows by normalised text.
        self.places: dict[str, tuple[int, ...]] = {}
        self._nodes = np.empty(_SMALLEST_STORE, np.int64)
        self._vectors = np.empty((_SMALLEST_STORE, dimensions), np.float32)
        self._lock = threading.Lock()

    def nodes(self, size: int) -> NDArray[np.int64]:
        """int64[size] of the first rows, not to be changed."""
        return self._nodes[:size]

    def vectors(self, size: int) -> NDArray[np.float32]:
        """float32[size, d] of the first rows, not to be changed."""
        return self._vectors[:size]

    def extended(
        self, size: int, texts: Sequence[str], codes: Sequence[str], nodes: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> RowStore:
        """A store whose first `size` rows are those of this one and whose next are new ones: itself, if nobody was faster."""
        with self._lock:
            if len(self.texts) == size:
                self._append(texts, codes, nodes, vectors)
                return self
        other = RowStore(self._vectors.shape[1])
        other._append(self.texts[:size], self.codes[:size], self._nodes[:size], self._vectors[:size])
        other._append(texts, codes, nodes, vectors)
        return other

    def _append(
        self, texts: Sequence[str], codes: Sequence[str], nodes: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> None:
        start, end = len(self.texts), len(self.texts) + len(texts)
        if end > self._nodes.size:
            # Whoever holds the former arrays goes on reading them.
            self._nodes = np.concatenate((self._nodes[:start], np.empty(2 * end - start, np.int64)))
            room = np.empty((2 * end - start, self._vectors.shape[1]), np.float32)
            self._vectors = np.concatenate((self._vectors[:start], room))
        self._nodes[start:end] = nodes
        self._vectors[start:end] = vectors
        for row, text in enumerate(texts, start):
            key = normalise(text)
            self.places[key] = (*self.places.get(key, ()), row)
        self.codes.extend(codes)
        self.texts.extend(texts)


@dataclass(frozen=True)
class EvidenceRows:
    """e corrected texts in the order in which they came. Make it with `EvidenceRows.of`.

    Attributes:
        store: holds the rows, and perhaps later ones.
        size: e.
        total: sum of their `row_number`s.
        finds: whether `rows_of` knows them.
    """

    store: RowStore
    size: int
    total: int
    finds: bool = True

    @classmethod
    def of(cls, evidence: Evidence, position: Mapping[str, int]) -> EvidenceRows:
        """Rows of evidence; `position` gives the place of each code in the tree, and codes without one are left out."""
        kept = [row for row, code in enumerate(evidence.codes) if code in position]
        texts, codes = [evidence.texts[row] for row in kept], [evidence.codes[row] for row in kept]
        none = cls(RowStore(evidence.vectors.shape[1]), 0, 0)
        return none.extended(texts, codes, evidence.vectors[kept], position)

    def extended(
        self, texts: Sequence[str], codes: Sequence[str], vectors: NDArray[np.float32], position: Mapping[str, int]
    ) -> EvidenceRows:
        """These rows and more; `vectors` are float32[k, d] unit rows."""
        nodes = np.array([position[code] for code in codes], np.int64)
        store = self.store.extended(self.size, texts, codes, nodes, vectors)
        return EvidenceRows(store, self.size + len(texts), self.total + sum(map(row_number, codes, texts)), self.finds)

    def __len__(self) -> int:
        """Number of rows."""
        return self.size

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Clean texts."""
        return tuple(self.store.texts[: self.size])

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """The code of each."""
        return tuple(self.store.codes[: self.size])

    @property
    def nodes(self) -> NDArray[np.int64]:
        """int64[e], position of the node of each."""
        return self.store.nodes(self.size)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """float32[e, d], unit rows."""
        return self.store.vectors(self.size)

    @property
    def version(self) -> str:
        """As `Evidence.version`."""
        return version_of(self.total, self.size)

    @cached_property
    def evidence(self) -> Evidence:
        """The same as plain evidence."""
        return Evidence.of(self.texts, self.codes, self.vectors)

    def rows_of(self, text: str) -> tuple[int, ...]:
        """Rows whose normalised text is that of `text`."""
        found = self.store.places.get(normalise(text), ()) if self.finds else ()
        return tuple(row for row in found if row < self.size)

    def without(self, gone: NDArray[np.bool_], position: Mapping[str, int]) -> EvidenceRows:
        """The rows that are not marked in bool[e]."""
        kept = np.flatnonzero(~gone).tolist()
        return EvidenceRows.of(
            Evidence(tuple(self.texts[i] for i in kept), tuple(self.codes[i] for i in kept), self.vectors[kept]), position
        )
