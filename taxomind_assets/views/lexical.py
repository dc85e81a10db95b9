"""Hashed tf-idf over character and word n-grams, fitted on the node texts alone.

Why not a library vectoriser: scikit-learn's analyser spends about 100 microseconds a text in Python loops, more than the
embedding of a job title. Rolling hashes over the code points of a whole block cost about 2 (measured), so words can be
weighed against vectors without being the bottleneck. Features are hash buckets (Weinberger et al., 2009, "Feature hashing
for large scale multitask learning"); weights are smoothed idf with sublinear term frequency (Salton and Buckley, 1988).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final, Literal, overload

import numpy as np
from scipy import sparse

from taxomind_assets.classification.row_maxima import RowMaxima
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKET_BITS: Final = 20
_BUCKETS: Final = 1 << BUCKET_BITS
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_PRIME: Final = np.uint64(0x100000001B3)
_SHIFT: Final = np.uint64(29)
_SPACE: Final = 32
_LAST_POINT: Final = np.uint64(0xFFFF)
#: Characters counted at once; it bounds the memory.
_CHUNK: Final = 1 << 20
#: Documents up to which similarities of character n-grams are added up in a dense matrix, and the numbers that it may hold.
_DENSE_DOCUMENTS: Final = 1 << 15
_DENSE_NUMBERS: Final = 1 << 20
Grams = Literal["character", "word"]
_Keys = Callable[["NDArray[np.uint64]", "NDArray[np.int64]"], "NDArray[np.int64]"]


class CountedTexts(Sequence[str]):
    """Texts whose n-grams are counted once, however many views ask for them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    @classmethod
    def of(cls, texts: Sequence[str]) -> CountedTexts:
        """The texts themselves when they are counted texts already."""
        return texts if isinstance(texts, cls) else cls(texts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        """A text, or several."""
        return self._texts[place]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self._texts)

    @cached_property
    def _framed(self) -> list[str]:
        return [f" {normalise(text)} " for text in self._texts]

    @cached_property
    def characters(self) -> sparse.csr_array:
        """Counts of character n-grams (3 to 5) inside words, word boundaries included; float32 [texts, buckets]."""
        return self._counts(_character_keys)

    @cached_property
    def words(self) -> sparse.csr_array:
        """Counts of words and pairs of neighbouring words; float32 [texts, buckets].

        A word is a run of letters, marks, digits and underscores.
        """
        return self._counts(_word_keys)

    def of_kind(self, grams: Grams) -> sparse.csr_array:
        """The counts of one kind."""
        return self.characters if grams == "character" else self.words

    def _counts(self, keys_of: _Keys) -> sparse.csr_array:
        parts = [_counted(keys_of(*_code_points(chunk)), len(chunk)) for chunk in _chunks(self._framed)]
        if len(parts) == 1:
            return parts[0]
        return sparse.vstack(parts, format="csr") if parts else _counted(np.empty(0, np.int64), 0)


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    """Consecutive texts of up to `_CHUNK` characters together (one text may be longer)."""
    start, size = 0, 0
    for place, text in enumerate(texts):
        size += len(text)
        if size > _CHUNK and place > start:
            yield texts[start:place]
            start, size = place, len(text)
    if texts:
        yield texts[start:]


def _code_points(texts: list[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Code points of all texts in one array, and the text that each belongs to."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    return points, np.repeat(np.arange(len(texts)), lengths)


def _keys(owners: NDArray[np.int64], hashes: NDArray[np.uint64], salt: int) -> NDArray[np.int64]:
    """Text and bucket as one number."""
    mixed = (hashes * _MIX + np.uint64(salt)) * _MIX
    return (owners << BUCKET_BITS) | (mixed >> np.uint64(64 - BUCKET_BITS)).view(np.int64)


def _counted(keys: NDArray[np.int64], texts: int) -> sparse.csr_array:
    """Sorting brings equal n-grams of a text together, which is much faster than a general sparse conversion."""
    keys = np.sort(keys)
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if keys.size else np.empty(0, np.int64)
    counts = np.diff(starts, append=keys.size).astype(np.float32)
    different = keys[starts]
    ends = np.searchsorted(different, np.arange(1, texts + 1) << BUCKET_BITS)
    indptr = np.concatenate(([0], ends)).astype(np.int32)
    return sparse.csr_array((counts, (different & (_BUCKETS - 1)).astype(np.int32), indptr), shape=(texts, _BUCKETS))


def _character_keys(points: NDArray[np.uint64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """n-grams of 3 to 5 characters, over the first and last character of which a word may begin or end, not further."""
    space = points == _SPACE
    mixed = points * _MIX
    hashes = mixed
    inside = np.ones(points.size, np.bool_)
    keys = [np.empty(0, np.int64)]
    for length in range(2, min(5, points.size) + 1):
        size = points.size - length + 1
        hashes = (hashes[:size] * _PRIME) ^ mixed[length - 1 :]
        hashes ^= hashes >> _SHIFT
        if length > 2:  # the last character of the previous window is now an inner one
            inside = inside[:size] & ~space[length - 2 : length - 2 + size]
            kept = np.flatnonzero(inside & (owner[:size] == owner[length - 1 :]))
            keys.append(_keys(owner[kept], hashes[kept], length))
    return np.concatenate(keys)


def _word_keys(points: NDArray[np.uint64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Words and pairs of neighbouring words."""
    inner = _word_characters()[np.minimum(points, _LAST_POINT).astype(np.int64)]
    places = np.flatnonzero(inner)
    if not places.size:
        return np.empty(0, np.int64)
    starts = np.flatnonzero(np.diff(places, prepend=-2) > 1)
    lengths = np.diff(starts, append=places.size)
    # A sum of characters weighted by a power of their position is a polynomial hash that needs no loop.
    position = np.arange(places.size) - np.repeat(starts, lengths)
    powers = np.multiply.accumulate(np.full(int(lengths.max()), _MIX | np.uint64(1), np.uint64))
    words = np.add.reduceat((points[places] + np.uint64(1)) * powers[position], starts)
    words ^= words >> _SHIFT
    owners = owner[places[starts]]
    pairs = (words[:-1] * _PRIME) ^ (words[1:] * _MIX)
    together = np.flatnonzero(owners[:-1] == owners[1:])
    return np.concatenate((_keys(owners, words, 11), _keys(owners[together], pairs[together], 12)))


@cache
def _word_characters() -> NDArray[np.bool_]:
    """bool[65536]: letters, marks, digits and underscore of the basic plane; the last place stands for all other planes."""
    table = np.fromiter((unicodedata.category(chr(point))[0] in "LMN" for point in range(0x10000)), np.bool_, 0x10000)
    table[ord("_")] = True
    table[-1] = True
    return table


def character_counts(texts: Sequence[str]) -> sparse.csr_array:
    """Counts of character n-grams (see `CountedTexts.characters`), float32 sparse [texts, 2**BUCKET_BITS]."""
    return CountedTexts.of(texts).characters


def word_counts(texts: Sequence[str]) -> sparse.csr_array:
    """Counts of words and pairs of words (see `CountedTexts.words`), float32 sparse [texts, 2**BUCKET_BITS]."""
    return CountedTexts.of(texts).words


@dataclass(frozen=True)
class HashedTfidf:
    """tf-idf of m documents over their v different n-grams. Make it with `HashedTfidf.fit`.

    Attributes:
        grams: which n-grams.
        places: int32[buckets], place of an n-gram among those of the documents, from 1; 0 = in no document.
        idf: float32[v + 1], 0 at place 0 and for n-grams that are too frequent to tell documents apart.
        norm_idf: float32[v + 1], the same before pruning; used for lengths.
        documents: float32 sparse [v + 1, m], columns of length one before pruning.
    """

    grams: Grams
    places: NDArray[np.int32]
    idf: NDArray[np.float32]
    norm_idf: NDArray[np.float32]
    documents: sparse.csr_array

    @classmethod
    def fit(cls, texts: Sequence[str], grams: Grams, *, max_documents: int | None = None) -> HashedTfidf:
        """Fit on documents.

        Args:
            texts: m documents.
            grams: `character` (3 to 5, inside words) or `word` (1 and 2).
            max_documents: leave n-grams out of the products that stand in more documents (speed).
        """
        counts = CountedTexts.of(texts).of_kind(grams)
        frequency = np.bincount(counts.indices, minlength=_BUCKETS)
        known = np.flatnonzero(frequency)
        places = np.zeros(_BUCKETS, np.int32)
        places[known] = np.arange(1, known.size + 1)
        frequency = np.concatenate(([0], frequency[known]))
        norm_idf = (np.log((1 + len(texts)) / (1 + frequency)) + 1).astype(np.float32)
        norm_idf[0] = 0
        most = len(texts) if max_documents is None else max_documents
        idf = np.where(frequency > most, 0, norm_idf).astype(np.float32)
        documents: sparse.csr_array = _weighed(counts, places, idf, norm_idf, None).T.tocsr()
        return cls(grams, places, idf, norm_idf, documents)

    def queries(self, texts: Sequence[str], weights: NDArray[np.float32] | None = None) -> sparse.csr_array:
        """Texts as rows that multiply with `documents`, float32 sparse [b, v + 1]; `weights` as in `GroupedTfidf`."""
        return _weighed(CountedTexts.of(texts).of_kind(self.grams), self.places, self.idf, self.norm_idf, weights)


class GroupedTfidf:
    """Similarities of texts with groups of documents. Immutable; safe to share between threads.

    Args:
        model: tf-idf of m documents.
        groups: int64[m], group (0..n-1) of each document.
        n: number of groups.
    """

    def __init__(self, model: HashedTfidf, groups: NDArray[np.int64], n: int) -> None:
        self._model = model
        self._n = n
        by_group = np.argsort(groups, kind="stable")
        self._maxima = RowMaxima.of(groups[by_group].astype(np.int32))
        self._order = by_group[self._maxima.order]
        self._documents = sparse.csr_array(model.documents[:, self._order])
        self._groups = groups[self._order]

    def __call__(self, texts: Sequence[str], weights: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Cosine of b texts with the nearest document of each group.

        Args:
            texts: b texts.
            weights: float32[b], factor on each text's similarities, not negative; a text with factor 0 costs nothing.

        Returns:
            float32[n, b] (group-major), 0 where nothing is shared.
        """
        queries = self._model.queries(texts, weights)
        best = np.zeros((self._n, len(texts)), np.float32)
        # Decided by the documents alone: how a text is added up must not depend on the texts beside it.
        if self._model.grams == "word" or self._order.size > _DENSE_DOCUMENTS:
            self._add_sparsely(best, queries)
            return best
        size = max(1, _DENSE_NUMBERS // max(self._order.size, 1))
        for start in range(0, len(texts), size):
            self._add_densely(best[:, start : start + size], queries[start : start + size])
        return best

    def _add_densely(self, best: NDArray[np.float32], queries: sparse.csr_array) -> None:
        """By one product with a vector: the postings of all n-grams of all texts, each text with rows of its own.

        A product of two sparse matrices finds out with every number whether its place is new, which takes three times as long.
        """
        b, m = best.shape[1], self._order.size
        postings = self._documents[queries.indices]
        lengths = np.diff(postings.indptr[queries.indptr])
        places = postings.indices * np.int32(b)
        places += np.repeat(np.arange(b, dtype=np.int32), lengths)
        columns = sparse.csc_array((postings.data, places, postings.indptr), shape=(m * b, queries.nnz))
        best[self._maxima.groups] = self._maxima((columns @ queries.data).reshape(m, b))

    def _add_sparsely(self, best: NDArray[np.float32], queries: sparse.csr_array) -> None:
        """By a product of sparse matrices, where most texts share nothing with most documents."""
        product = queries @ self._documents
        rows = np.repeat(np.arange(best.shape[1]), np.diff(product.indptr))
        np.maximum.at(best.ravel(), self._groups[product.indices] * best.shape[1] + rows, product.data)


def _weighed(
    counts: sparse.csr_array,
    places: NDArray[np.int32],
    idf: NDArray[np.float32],
    norm_idf: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
) -> sparse.csr_array:
    """Sublinear tf-idf, float32 sparse [texts, v + 1]; rows have length one (before pruning) times their weight."""
    columns = places[counts.indices]
    data = norm_idf[columns]
    repeated = np.flatnonzero(counts.data > 1)
    data[repeated] *= 1 + np.log(counts.data[repeated])
    shape = (counts.shape[0], idf.size)
    squares = sparse.csr_array((np.square(data), columns, counts.indptr), shape=shape) @ np.ones(idf.size, np.float32)
    scale = 1 / np.maximum(np.sqrt(squares), 1e-9)
    used = (idf > 0)[columns]
    if weights is not None:
        scale *= weights
        used &= np.repeat(weights > 0, np.diff(counts.indptr))
    kept = np.flatnonzero(used)
    indptr = np.searchsorted(kept, counts.indptr).astype(np.int32)
    data = data[kept] * np.repeat(scale.astype(np.float32), np.diff(indptr))
    return sparse.csr_array((data, columns[kept], indptr), shape=shape)
