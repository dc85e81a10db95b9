"""A linear support vector machine for each node, on words, characters and what is principal in the vectors of texts.

Each machine tells the texts of one node from those of all others (Fan et al., 2008, "LIBLINEAR"). Of the others it sees the
nearest, which decide where the border lies, and some drawn ones that hold it back elsewhere (hard negatives, as in Felzenszwalb
et al., 2010, "Object detection with discriminatively trained part-based models"). So the time to train grows with the number of
nodes, not with nodes times texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import sparse

from taxomind_assets.views.lexical import BUCKET_BITS, CountedTexts
from taxomind_assets.views.postings import summed_postings
from taxomind_resources.products import RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.training_rows import TrainingRows

_BUCKETS: Final = 1 << BUCKET_BITS
#: Penalty of a machine's errors, and how exactly and how long it is trained (more changes no accuracy, measured).
_PENALTY: Final = 1.0
_TOLERANCE: Final = 0.1
_PASSES: Final = 10
#: Texts of other nodes that a machine sees: the nearest and drawn ones, each also as a multiple of the texts of its own node.
_NEAREST: Final = 1_000
_DRAWN: Final = 500
_FOR_EACH: Final = 2
#: Principal directions of the vectors beside words and characters: as good as all of them, in half of the time (measured).
_DIRECTIONS: Final = 96
#: Coefficients under this size are dropped: they are most of them, and decide nothing.
_SMALLEST: Final = 0.02
#: Nodes whose nearest texts are looked for at once.
_BLOCK: Final = 64


@dataclass(frozen=True)
class WordVoter:
    """The machines of c nodes.

    Attributes:
        columns: int32[v], ascending: buckets of characters, then of words.
        idf: float32[v].
        coefficients: float32 sparse [v, c].
        of_vectors: float32[c, d], coefficients of the vectors.
        intercepts: float32[c].
        nodes: int64[c].
    """

    columns: NDArray[np.int32]
    idf: NDArray[np.float32]
    coefficients: sparse.csr_array
    of_vectors: NDArray[np.float32]
    intercepts: NDArray[np.float32]
    nodes: NDArray[np.int64]

    @classmethod
    def fit(cls, rows: TrainingRows) -> WordVoter | None:
        """Train; None when there is nothing to tell apart."""
        nodes, owners = np.unique(rows.nodes, return_inverse=True)
        columns, idf = _vocabulary(rows.texts)
        if nodes.size < 2 or not columns.size:
            return None
        directions = _principal(rows.vectors)
        words = _weighed(CountedTexts(rows.texts), _places(columns), idf)
        principal = rows.vectors @ directions
        # The library wants 32-bit places.
        data = sparse.csr_matrix(sparse.hstack((words, sparse.csr_array(principal)), format="csr"))
        of_words, of_principal, intercepts = [], [], []
        for own, others in _told_apart(words, principal, owners):
            machine = _machine(data, own, others)
            of_words.append(_large(machine.coef_[:, : columns.size]))
            of_principal.append(machine.coef_[0, columns.size :])
            intercepts.append(machine.intercept_[0])
        coefficients = sparse.csr_array(sparse.vstack(of_words).T)
        of_vectors = np.ascontiguousarray(np.array(of_principal) @ directions.T, np.float32)
        return cls(columns, idf, coefficients, of_vectors, np.array(intercepts, np.float32), nodes.astype(np.int64))

    def margins(self, texts: CountedTexts, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far each text lies on the side of each node, float32[c, b]; `vectors` are float32[b, d]."""
        found = summed_postings(_weighed(texts, self._places, self.idf), self._postings) + self.intercepts
        margins: NDArray[np.float32] = self._products(vectors) + found.T.astype(np.float32)
        return margins

    @cached_property
    def _products(self) -> RowProducts:
        """A text's product depends on no other text of its block."""
        return RowProducts(self.of_vectors)

    @cached_property
    def _postings(self) -> sparse.csr_array:
        """The coefficients with 32-bit places."""
        own = self.coefficients
        parts = (own.data, own.indices.astype(np.int32), own.indptr.astype(np.int32))
        return sparse.csr_array(parts, shape=own.shape)

    @cached_property
    def _places(self) -> NDArray[np.int32]:
        return _places(self.columns)


def training_cost(rows: TrainingRows) -> int:
    """Numbers that the machines look at in one pass over what they see."""
    counted = CountedTexts(rows.texts)
    each = (counted.characters.nnz + counted.words.nnz) / max(len(rows.texts), 1)
    _, counts = np.unique(rows.nodes, return_counts=True)
    seen = [min(len(rows.texts), size + nearest + drawn) for size in counts.tolist() for nearest, drawn in [_seen(size)]]
    return int(each * sum(seen))


def _seen(own: int) -> tuple[int, int]:
    """How many of the nearest texts of others, and how many drawn ones, a machine sees that has `own` texts."""
    return max(_NEAREST, _FOR_EACH * own), max(_DRAWN, _FOR_EACH * own)


def _told_apart(
    words: sparse.csr_array, principal: NDArray[np.float32], owners: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each node its rows, and the rows of others that its machine sees, int64 each."""
    rows, nodes = owners.size, int(owners.max()) + 1
    counts = np.bincount(owners)
    gather = sparse.csr_array(((1 / counts)[owners].astype(np.float32), (owners, np.arange(rows))), shape=(nodes, rows))
    means, centres = sparse.csr_array(gather @ words), gather @ principal
    postings = sparse.csr_array(words.T)
    parts = (postings.data, postings.indices.astype(np.int32), postings.indptr.astype(np.int32))
    postings = sparse.csr_array(parts, shape=postings.shape)
    order, ends = np.argsort(owners, kind="stable"), np.cumsum(counts)
    for start in range(0, nodes, _BLOCK):
        block = slice(start, start + _BLOCK)
        similar = summed_postings(means[block], postings) + centres[block] @ principal.T
        for node in range(start, min(start + _BLOCK, nodes)):
            own = order[ends[node] - counts[node] : ends[node]]
            yield own, _others(similar[node - start], own, node)


def _others(similar: NDArray[np.float32], own: NDArray[np.int64], node: int) -> NDArray[np.int64]:
    """The nearest rows of others and some drawn ones; all of them when there are no more."""
    nearest, drawn = _seen(own.size)
    others = np.ones(similar.size, np.bool_)
    others[own] = False
    places = np.flatnonzero(others)
    if places.size <= nearest + drawn:
        return places
    split = np.argpartition(-similar[places], nearest - 1)
    far = np.random.default_rng(node).choice(split[nearest:], drawn, replace=False, shuffle=False)
    return np.sort(places[np.concatenate((split[:nearest], far))])


def _machine(data: sparse.csr_matrix, own: NDArray[np.int64], others: NDArray[np.int64]) -> Any:
    from sklearn.svm import LinearSVC

    seen = np.concatenate((own, others))
    sides = np.repeat([1, 0], [own.size, others.size])
    # The order in which it visits rows is drawn from a fixed seed.
    return LinearSVC(C=_PENALTY, tol=_TOLERANCE, max_iter=_PASSES, random_state=0).fit(data[seen], sides)


def _large(coefficients: NDArray[np.float64]) -> sparse.csr_array:
    """Those that are not small, float32 sparse."""
    return sparse.csr_array(np.where(np.abs(coefficients) < _SMALLEST, 0, coefficients).astype(np.float32))


def _principal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Directions in which vectors differ most, float32[d, k]."""
    _, directions = np.linalg.eigh(np.cov(vectors.T.astype(np.float64)))  # ascending
    return np.ascontiguousarray(directions[:, ::-1][:, :_DIRECTIONS], np.float32)


def _counts(texts: CountedTexts) -> sparse.csr_array:
    """Characters, then words, float32 sparse [r, 2 * buckets]."""
    return sparse.csr_array(sparse.hstack((texts.characters, texts.words), format="csr"))


def _vocabulary(texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """All columns that are there, int32[v] ascending, and their idf, float32[v].

    Those of a single row are among them: without them the machines were 1 to 2 points worse on five sets of six.
    """
    frequency = np.bincount(_counts(CountedTexts(texts)).indices, minlength=2 * _BUCKETS)
    known = np.flatnonzero(frequency)
    idf = np.log((1 + len(texts)) / (1 + frequency[known])) + 1
    return known.astype(np.int32), idf.astype(np.float32)


def _places(columns: NDArray[np.int32]) -> NDArray[np.int32]:
    """Place of each bucket among the columns, int32[2 * buckets]; -1 = it is none of them."""
    places = np.full(2 * _BUCKETS, -1, np.int32)
    places[columns] = np.arange(columns.size, dtype=np.int32)
    return places


def _weighed(texts: CountedTexts, places: NDArray[np.int32], idf: NDArray[np.float32]) -> sparse.csr_array:
    """Sublinear tf-idf, float32 sparse [b, v]; characters and words of a text have the same length, together one."""
    halves = [
        _weighed_half(counts, places[start : start + _BUCKETS], idf)
        for counts, start in ((texts.characters, 0), (texts.words, _BUCKETS))
    ]
    return sparse.csr_array(halves[0] + halves[1])


def _weighed_half(counts: sparse.csr_array, places: NDArray[np.int32], idf: NDArray[np.float32]) -> sparse.csr_array:
    found = places[counts.indices]
    kept = np.flatnonzero(found >= 0)
    owners = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[kept]
    found = found[kept]
    data = (1 + np.log(counts.data[kept])) * idf[found]
    lengths = np.sqrt(np.bincount(owners, np.square(data), minlength=counts.shape[0]))
    data = (data / (np.sqrt(2) * np.maximum(lengths[owners], 1e-9))).astype(np.float32)
    indptr = np.searchsorted(owners, np.arange(counts.shape[0] + 1)).astype(np.int32)
    return sparse.csr_array((data, found, indptr), shape=(counts.shape[0], idf.size))
