"""Supervised voters: classifiers trained on corrections, whose scores join the fusion as features.

Two that are cheap and differ: a linear support vector machine on words, characters and what is principal in the vectors (Fan et
al., 2008, "LIBLINEAR"), and a linear discriminant on the vectors, with a covariance shrunk towards a sphere (Friedman, 1989,
"Regularized discriminant analysis"). The texts of the nodes are further training rows, so a node without corrections is no
stranger to them (without them both lose 5 to 15 points where corrections are few).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.added_views import Block, KnownBlocks
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.views.lexical import BUCKET_BITS, CountedTexts
from taxomind_assets.views.postings import summed_postings
from taxomind_resources.products import RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.evidence_rows import EvidenceRows
    from taxomind_assets.classification.queries import Query
    from taxomind_assets.views.index import NodeIndex

WORDS: Final = "voter_words"
VECTORS: Final = "voter_vectors"
PRIOR: Final = "voter_prior"
#: Weights from which fitting starts; voters are only used with fitted ones.
WEIGHTS: Final = FusionWeights(untrusted={WORDS: 3.0, VECTORS: 0.1, PRIOR: 0.0}, trusted={WORDS: 3.0, VECTORS: 0.2, PRIOR: 0.0})
_BUCKETS: Final = 1 << BUCKET_BITS
#: Penalty of the machine's errors, and how exactly and how long it is trained (more changes no accuracy, measured).
_PENALTY: Final = 1.0
_TOLERANCE: Final = 0.1
_PASSES: Final = 10
#: Principal directions of the vectors beside words and characters: as good as all of them, in half of the time (measured).
_DIRECTIONS: Final = 96
#: Coefficients that are held while training, and the size under which one is dropped afterwards.
_MOST_COEFFICIENTS: Final = 40_000_000
_SMALLEST: Final = 0.02
#: Share of the spherical covariance, and weight of the mean of all rows in the mean of each node, in rows.
_SHRINKAGE: Final = 0.1
_MEAN_ROWS: Final = 1.0
#: Rows from which the spread of its scores is taken.
_SCALE_ROWS: Final = 1_000


@dataclass(frozen=True)
class TrainingRows:
    """r texts with their nodes: own texts of leaves, then corrections.

    Attributes:
        texts: the texts.
        nodes: int64[r].
        vectors: float32[r, d].
        corrected: bool[r], False for texts of the taxonomy.
    """

    texts: tuple[str, ...]
    nodes: NDArray[np.int64]
    vectors: NDArray[np.float32]
    corrected: NDArray[np.bool_]

    @classmethod
    def of(cls, index: NodeIndex, evidence: EvidenceRows, kept: NDArray[np.bool_]) -> TrainingRows:
        """Rows of an index and of the evidence that is marked in bool[e]."""
        leaf = index.tree.is_leaf[index.owners]
        own = np.flatnonzero(leaf & np.array([text.view != "negative" for text in index.texts], np.bool_))
        told = np.flatnonzero(kept)
        return cls(
            (*(index.texts[i].text for i in own.tolist()), *(evidence.texts[i] for i in told.tolist())),
            np.concatenate((index.owners[own].astype(np.int64), evidence.nodes[told])),
            np.concatenate((index.vectors[own], evidence.vectors[told])),
            np.repeat([False, True], [own.size, told.size]),
        )


@dataclass(frozen=True)
class WordVoter:
    """A linear support vector machine for each of c nodes against all others.

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
        from sklearn.svm import LinearSVC

        classes = np.unique(rows.nodes).size
        columns, idf = _vocabulary(rows.texts, _MOST_COEFFICIENTS // max(classes, 1))
        if classes < 2 or not columns.size:
            return None
        directions = _principal(rows.vectors)
        words = _weighed(CountedTexts(rows.texts), _places(columns), idf)
        data = sparse.hstack((words, sparse.csr_array(rows.vectors @ directions)), format="csr")
        # The library wants 32-bit places; the order in which it visits rows is drawn from a fixed seed.
        machine = LinearSVC(C=_PENALTY, tol=_TOLERANCE, max_iter=_PASSES, random_state=0)
        machine.fit(sparse.csr_matrix(data), rows.nodes)
        coefficients, intercepts = machine.coef_, machine.intercept_
        if classes == 2:  # one machine for both
            coefficients, intercepts = np.concatenate((-coefficients, coefficients)), np.concatenate((-intercepts, intercepts))
        of_words, of_vectors = np.split(coefficients, [columns.size], axis=1)
        of_words = np.where(np.abs(of_words) < _SMALLEST, 0, of_words).astype(np.float32)
        of_vectors = np.ascontiguousarray(of_vectors @ directions.T, np.float32)
        nodes = machine.classes_.astype(np.int64)
        return cls(columns, idf, sparse.csr_array(of_words.T), of_vectors, intercepts.astype(np.float32), nodes)

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


@dataclass(frozen=True)
class VectorVoter:
    """A linear discriminant of c nodes.

    Attributes:
        weights: float32[c, d].
        offsets: float32[c].
        nodes: int64[c].
    """

    weights: NDArray[np.float32]
    offsets: NDArray[np.float32]
    nodes: NDArray[np.int64]

    @classmethod
    def fit(cls, rows: TrainingRows) -> VectorVoter:
        """Train."""
        nodes, place = np.unique(rows.nodes, return_inverse=True)
        vectors = rows.vectors.astype(np.float64)
        counts = np.bincount(place)[:, None]
        gather = sparse.csr_array((np.ones(place.size), (place, np.arange(place.size))), shape=(nodes.size, place.size))
        means = (gather @ vectors + _MEAN_ROWS * vectors.mean(axis=0)) / (counts + _MEAN_ROWS)
        rest = vectors - means[place]
        covariance = rest.T @ rest / len(vectors)
        size = covariance.shape[0]
        sphere = max(float(np.trace(covariance)) / size, 1e-6)
        covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * sphere * np.eye(size)
        weights = np.linalg.solve(covariance, means.T).T
        offsets = -0.5 * np.einsum("cd,cd->c", means, weights)
        # A text's mean over all nodes tells nothing about any of them.
        weights, offsets = weights - weights.mean(axis=0), offsets - offsets.mean()
        # Scores have a spread of one, so that one prior of their weight fits all taxonomies.
        sample = vectors[:: max(1, len(vectors) // _SCALE_ROWS)]
        spread = max(float((weights @ sample.T + offsets[:, None]).std(axis=0).mean()), 1e-6)
        weights, offsets = weights / spread, offsets / spread
        # In the order in which it is stored, so that it answers alike to the last bit when it is loaded.
        return cls(np.ascontiguousarray(weights, np.float32), offsets.astype(np.float32), nodes)

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log odds of each node but for a number of each text and a factor of all, float32[c, b]."""
        scores: NDArray[np.float32] = self._products(vectors) + self.offsets[:, None]
        return scores

    @cached_property
    def _products(self) -> RowProducts:
        """A text's product depends on no other text of its block."""
        return RowProducts(self.weights)


@dataclass(frozen=True)
class Voters:
    """An added view (`added_views.AddedView`). A node that a voter does not know gets 0: far off for the machine on words
    (whose features are margins over -1, at least 0), and the mean of all nodes for the discriminant.

    Attributes:
        words: the machine; None when there were too many rows and nodes for one.
        vectors: the discriminant.
        counted: nodes with corrections, int64[g], and `counts` float32[g] of each.
    """

    words: WordVoter | None
    vectors: VectorVoter
    counted: NDArray[np.int64]
    counts: NDArray[np.float32]

    weights = WEIGHTS
    agreement = {WORDS: 2.0, VECTORS: 0.0, PRIOR: 0.0}  # noqa: RUF012 (a constant of the protocol, no field)

    @classmethod
    def fit(cls, rows: TrainingRows, *, words: bool) -> Voters:
        """Train on rows; `words` = also the machine on words and characters, which takes most of the time."""
        counted, counts = np.unique(rows.nodes[rows.corrected], return_counts=True)
        return cls(WordVoter.fit(rows) if words else None, VectorVoter.fit(rows), counted, counts.astype(np.float32))

    def blocks(self, query: Query, known: KnownBlocks) -> Mapping[str, Block]:
        """See `added_views.AddedView.blocks`."""
        prior = np.repeat(np.log1p(self.counts)[:, None], len(query), axis=1)
        found = {VECTORS: Block(self.vectors.scores(query.vectors), self.vectors.nodes), PRIOR: Block(prior, self.counted)}
        if self.words:
            found[WORDS] = Block(np.maximum(self.words.margins(query.texts, query.vectors) + 1, 0), self.words.nodes)
        return found

    @cached_property
    def version(self) -> str:
        """12 hex digits over all numbers."""
        digest = hashlib.sha256()
        for name, values in self.to_arrays().items():
            digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:12]

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The numbers by name."""
        found: dict[str, NDArray[np.generic]] = {
            "weights": self.vectors.weights,
            "offsets": self.vectors.offsets,
            "nodes": self.vectors.nodes,
            "counted": self.counted,
            "counts": self.counts,
        }
        if self.words:
            found |= {
                "columns": self.words.columns,
                "idf": self.words.idf,
                "coefficients": self.words.coefficients.data,
                "coefficient_columns": self.words.coefficients.indices.astype(np.int32),
                "coefficient_ends": self.words.coefficients.indptr.astype(np.int64),
                "of_vectors": self.words.of_vectors,
                "intercepts": self.words.intercepts,
                "word_nodes": self.words.nodes,
            }
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Voters:
        """The inverse of `to_arrays`."""
        given = {name: np.asarray(values) for name, values in arrays.items()}
        words = None
        if "columns" in given:
            parts = given["coefficients"], given["coefficient_columns"], given["coefficient_ends"]
            shape = given["columns"].size, given["word_nodes"].size
            coefficients = sparse.csr_array(parts, shape=shape)
            words = WordVoter(
                given["columns"], given["idf"], coefficients, given["of_vectors"], given["intercepts"], given["word_nodes"]
            )
        vectors = VectorVoter(given["weights"], given["offsets"], given["nodes"])
        return cls(words, vectors, given["counted"], given["counts"])


def training_cost(rows: TrainingRows) -> int:
    """Numbers that the machine on words looks at in one pass: those of all rows, for every node."""
    counted = CountedTexts(rows.texts)
    return (counted.characters.nnz + counted.words.nnz) * np.unique(rows.nodes).size


def _principal(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Directions in which vectors differ most, float32[d, k]."""
    _, directions = np.linalg.eigh(np.cov(vectors.T.astype(np.float64)))  # ascending
    return np.ascontiguousarray(directions[:, ::-1][:, :_DIRECTIONS], np.float32)


def _counts(texts: CountedTexts) -> sparse.csr_array:
    """Characters, then words, float32 sparse [r, 2 * buckets]."""
    return sparse.csr_array(sparse.hstack((texts.characters, texts.words), format="csr"))


def _vocabulary(texts: Sequence[str], most: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The most frequent columns, int32[v] ascending, and their idf, float32[v].

    Those of a single row are among them where they fit: without them the machine was 1 to 2 points worse on five sets of six.
    """
    frequency = np.bincount(_counts(CountedTexts(texts)).indices, minlength=2 * _BUCKETS)
    known = np.flatnonzero(frequency)
    if known.size > most:
        known = np.sort(known[np.argsort(-frequency[known], kind="stable")[:most]])
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
