"""Hashed tf-idf over character and word n-grams, fitted on the node texts alone.

Why not a library vectoriser: scikit-learn's analyser spends about 100 microseconds a text in Python loops, more than the
embedding of a job title. Rolling hashes over the code points of a whole block cost about 2 (measured), so words can be
weighed against vectors without being the bottleneck. Features are hash buckets (Weinberger et al., 2009, "Feature hashing
for large scale multitask learning"); weights are smoothed idf with sublinear term frequency (Salton and Buckley, 1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from scipy import sparse

from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKET_BITS: Final = 20
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_PRIME: Final = np.uint64(0x100000001B3)
_SHIFT: Final = np.uint64(29)
_SPACE: Final = 32
Grams = Literal["character", "word"]


def _code_points(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Code points of ` text ` for all texts in one array, and the text that each belongs to."""
    framed = [f" {normalise(text)} " for text in texts]
    lengths = np.fromiter((len(text) for text in framed), np.int64, len(framed))
    points = np.frombuffer("".join(framed).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    return points, np.repeat(np.arange(len(framed)), lengths)


def _bucket(hashes: NDArray[np.uint64], salt: int) -> NDArray[np.int32]:
    mixed = (hashes * _MIX + np.uint64(salt)) * _MIX
    return (mixed >> np.uint64(64 - BUCKET_BITS)).astype(np.int32)


def _counts(rows: NDArray[np.int64], columns: NDArray[np.int32], texts: int) -> sparse.csr_array:
    counts = sparse.csr_array((np.ones(rows.size, np.float32), (rows, columns)), shape=(texts, 1 << BUCKET_BITS))
    counts.sum_duplicates()
    return counts


def character_counts(texts: Sequence[str], shortest: int = 3, longest: int = 5) -> sparse.csr_array:
    """Counts of character n-grams inside words, word boundaries included.

    Returns:
        float32 sparse [texts, 2**BUCKET_BITS].
    """
    points, owner = _code_points(texts)
    space = points == _SPACE
    hashes = points * _MIX
    inside = np.ones(points.size, np.bool_)
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for length in range(2, longest + 1):
        size = points.size - length + 1
        if size <= 0:
            break
        hashes = (hashes[:size] * _PRIME) ^ (points[length - 1 :] * _MIX)
        hashes ^= hashes >> _SHIFT
        inside = inside[:size]
        if length > 2:  # the last character of the previous window is now an inner one
            inside = inside & ~space[length - 2 : length - 2 + size]
        if length >= shortest:
            kept = inside & (owner[:size] == owner[length - 1 :])
            rows.append(owner[:size][kept])
            columns.append(_bucket(hashes[kept], length))
    return _counts(np.concatenate(rows), np.concatenate(columns), len(texts))


def word_counts(texts: Sequence[str]) -> sparse.csr_array:
    """Counts of words and pairs of neighbouring words (runs of letters, digits and underscores).

    Returns:
        float32 sparse [texts, 2**BUCKET_BITS].
    """
    points, owner = _code_points(texts)
    if not points.size:
        return _counts(np.empty(0, np.int64), np.empty(0, np.int32), len(texts))
    inner = _is_word_character(points)
    start = inner & ~np.concatenate(([False], inner[:-1]))
    starts = np.flatnonzero(start)
    if not starts.size:
        return _counts(np.empty(0, np.int64), np.empty(0, np.int32), len(texts))
    word_of = np.cumsum(start) - 1
    position = np.arange(points.size) - starts[np.maximum(word_of, 0)]
    # A sum of characters weighted by a power of their position is a polynomial hash that needs no loop.
    powers = _powers(int(position[inner].max()) + 1)
    terms = np.where(inner, (points + np.uint64(1)) * powers[np.where(inner, position, 0)], np.uint64(0))
    words = np.add.reduceat(terms, starts)
    words ^= words >> _SHIFT
    words_owner = owner[starts]
    pairs = (words[:-1] * _PRIME) ^ (words[1:] * _MIX)
    same = words_owner[:-1] == words_owner[1:]
    rows = np.concatenate((words_owner, words_owner[:-1][same]))
    columns = np.concatenate((_bucket(words, 11), _bucket(pairs[same], 12)))
    return _counts(rows, columns, len(texts))


def _powers(length: int) -> NDArray[np.uint64]:
    powers = np.full(length, _MIX | np.uint64(1), np.uint64)
    return np.multiply.accumulate(powers)


_CODE_POINTS: Final = 0x110000
_word_table: NDArray[np.bool_] | None = None


def _is_word_character(points: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Letters, digits and underscore, looked up in a table that is made at the first call (0.1 s)."""
    global _word_table
    if _word_table is None:
        table = np.fromiter((chr(point).isalnum() for point in range(0x3000)), np.bool_, 0x3000)
        table[ord("_")] = True
        _word_table = table
    known = points < _word_table.size
    result = np.ones(points.size, np.bool_)  # beyond U+3000: scripts without spaces, every character counts
    result[known] = _word_table[points[known].astype(np.int64)]
    return result


@dataclass(frozen=True)
class HashedTfidf:
    """tf-idf of m documents. Make it with `HashedTfidf.fit`.

    Attributes:
        grams: which n-grams.
        idf: float32[buckets], 0 for n-grams that no document has or that are too frequent to tell documents apart.
        norm_idf: float32[buckets], the same before pruning; used for lengths.
        documents: float32 sparse [buckets, m], unit columns.
    """

    grams: Grams
    idf: NDArray[np.float32]
    norm_idf: NDArray[np.float32]
    documents: sparse.csr_array

    @classmethod
    def fit(cls, texts: Sequence[str], grams: Grams, *, max_share: float = 1.0) -> HashedTfidf:
        """Fit on documents.

        Args:
            texts: m documents.
            grams: `character` (3 to 5, inside words) or `word` (1 and 2).
            max_share: leave n-grams out of the products that stand in a larger share of the documents (speed).
        """
        counts = _count(texts, grams)
        frequency = np.bincount(counts.indices, minlength=counts.shape[1])
        norm_idf = (np.log((1 + len(texts)) / (1 + frequency)) + 1).astype(np.float32)
        norm_idf[frequency == 0] = 0
        idf = norm_idf.copy()
        idf[frequency > max(max_share * len(texts), 1)] = 0
        weighted = _weigh(counts, idf, norm_idf)
        return cls(grams, idf, norm_idf, weighted.T.tocsr())

    def group_similarities(self, texts: Sequence[str], groups: NDArray[np.int64], n: int) -> NDArray[np.float32]:
        """Cosine of b texts with the nearest document of each group.

        Args:
            groups: int64[m], group (0..n-1) of each document.

        Returns:
            float32[n, b] (group-major), 0 where nothing is shared.
        """
        product = (_weigh(_count(texts, self.grams), self.idf, self.norm_idf) @ self.documents).tocoo()
        best = np.zeros(n * len(texts), np.float32)
        rows, columns = product.coords
        np.maximum.at(best, groups[columns] * len(texts) + rows, product.data)
        return best.reshape(n, len(texts))


def _count(texts: Sequence[str], grams: Grams) -> sparse.csr_array:
    return character_counts(texts) if grams == "character" else word_counts(texts)


def _weigh(counts: sparse.csr_array, idf: NDArray[np.float32], norm_idf: NDArray[np.float32]) -> sparse.csr_array:
    """Sublinear tf-idf with rows of unit length (length before pruning)."""
    term = 1 + np.log(counts.data)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    squares = np.bincount(rows, (term * norm_idf[counts.indices]) ** 2, minlength=counts.shape[0])
    lengths = np.sqrt(squares, dtype=np.float64)
    data = term * idf[counts.indices] / np.maximum(lengths, 1e-9)[rows]
    kept = data != 0
    shape = counts.shape
    weighted = sparse.csr_array((data[kept].astype(np.float32), (rows[kept], counts.indices[kept])), shape=shape)
    weighted.sum_duplicates()
    return weighted
