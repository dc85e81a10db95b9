"""What linear voters see of a text: its characters and words, and what is principal in its vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.views.lexical import BUCKET_BITS, CountedTexts
from taxomind_resources.products import RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BUCKETS: Final = 1 << BUCKET_BITS
#: Principal directions of the vectors beside words and characters: as good as all of them, in half of the time (measured).
_DIRECTIONS: Final = 96


@dataclass(frozen=True)
class Described:
    """What voters see of b texts.

    Attributes:
        words: sublinear tf-idf of characters and words, float32 sparse [b, v].
        principal: float32[b, k].
    """

    words: sparse.csr_array
    principal: NDArray[np.float32]

    @cached_property
    def stacked(self) -> sparse.csr_matrix:
        """Both side by side, float32 sparse [b, v + k], with the 32-bit places that the library wants."""
        return sparse.csr_matrix(sparse.hstack((self.words, sparse.csr_array(self.principal)), format="csr"))


@dataclass(frozen=True)
class VoterFeatures:
    """Describes texts as the texts that voters were trained on were described.

    Attributes:
        columns: int32[v], ascending: buckets of characters, then of words.
        idf: float32[v].
        directions: float32[d, k].
    """

    columns: NDArray[np.int32]
    idf: NDArray[np.float32]
    directions: NDArray[np.float32]

    @classmethod
    def of(cls, texts: CountedTexts, vectors: NDArray[np.float32]) -> VoterFeatures:
        """Columns of all n-grams of the texts, and the directions in which the vectors float32[r, d] differ most.

        n-grams of single rows are among them: without them the machines were 1 to 2 points worse on five sets of six.
        """
        frequency = np.bincount(_counts(texts).indices, minlength=2 * _BUCKETS)
        known = np.flatnonzero(frequency)
        idf = np.log((1 + len(texts)) / (1 + frequency[known])) + 1
        return cls(known.astype(np.int32), idf.astype(np.float32), _principal(vectors))

    def __call__(self, texts: CountedTexts, vectors: NDArray[np.float32]) -> Described:
        """Describe b texts; `vectors` are float32[b, d]. What is seen of a text depends on no other text."""
        halves = [
            self._weighed(counts, slice(start, start + _BUCKETS))
            for counts, start in ((texts.characters, 0), (texts.words, _BUCKETS))
        ]
        return Described(sparse.csr_array(halves[0] + halves[1]), np.ascontiguousarray(self._principal(vectors).T))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The numbers by name."""
        return {"columns": self.columns, "idf": self.idf, "directions": self.directions}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> VoterFeatures:
        """The inverse of `to_arrays`."""
        return cls(*(np.asarray(arrays[name]) for name in ("columns", "idf", "directions")))

    @cached_property
    def _principal(self) -> RowProducts:
        return RowProducts(np.ascontiguousarray(self.directions.T))

    @cached_property
    def _places(self) -> NDArray[np.int32]:
        """Place of each bucket among the columns, int32[2 * buckets]; -1 = it is none of them."""
        places = np.full(2 * _BUCKETS, -1, np.int32)
        places[self.columns] = np.arange(self.columns.size, dtype=np.int32)
        return places

    def _weighed(self, counts: sparse.csr_array, buckets: slice) -> sparse.csr_array:
        """Sublinear tf-idf of half of the columns; characters and words of a text have the same length, together one."""
        found = self._places[buckets][counts.indices]
        kept = np.flatnonzero(found >= 0)
        owners = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[kept]
        found = found[kept]
        data = (1 + np.log(counts.data[kept])) * self.idf[found]
        lengths = np.sqrt(np.bincount(owners, np.square(data), minlength=counts.shape[0]))
        data = (data / (np.sqrt(2) * np.maximum(lengths[owners], 1e-9))).astype(np.float32)
        indptr = np.searchsorted(owners, np.arange(counts.shape[0] + 1)).astype(np.int32)
        return sparse.csr_array((data, found, indptr), shape=(counts.shape[0], self.idf.size))


def _counts(texts: CountedTexts) -> sparse.csr_array:
    """Characters, then words, float32 sparse [r, 2 * buckets]."""
    return sparse.csr_array(sparse.hstack((texts.characters, texts.words), format="csr"))


def _principal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Directions in which vectors differ most, float32[d, k]."""
    _, directions = np.linalg.eigh(np.cov(vectors.T.astype(np.float64)))  # ascending
    return np.ascontiguousarray(directions[:, ::-1][:, :_DIRECTIONS], np.float32)
