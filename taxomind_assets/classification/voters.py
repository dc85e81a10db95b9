"""Supervised voters: classifiers trained on corrections, whose scores join the fusion as features.

Three that are cheap and differ: linear support vector machines on words, characters and what is principal in the vectors, for
each node (`word_voter`) and for the branches of the tree (`branch_voter`), and a linear discriminant on the vectors, with a
covariance shrunk towards a sphere (Friedman, 1989, "Regularized discriminant analysis"). The texts of the nodes are further
training rows, so a node without corrections is no stranger to them (without them they lose 5 to 15 points where corrections are
few).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.added_views import Block, KnownBlocks, version_of
from taxomind_assets.classification.branch_voter import BRANCHES, BranchVoter
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.classification.voter_features import VoterFeatures
from taxomind_assets.classification.word_voter import WordVoter
from taxomind_assets.views.lexical import CountedTexts
from taxomind_resources.products import RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.queries import Query
    from taxomind_assets.classification.training_rows import TrainingRows
    from taxomind_assets.taxonomy.tree import Taxonomy

WORDS: Final = "voter_words"
VECTORS: Final = "voter_vectors"
PRIOR: Final = "voter_prior"
#: Shipped weights: small, because of leaves that have no corrections.
WEIGHTS: Final = FusionWeights(
    untrusted={WORDS: 1.5, BRANCHES: 1.0, VECTORS: 0.1, PRIOR: 0.0},
    trusted={WORDS: 1.0, BRANCHES: 2.0, VECTORS: 0.1, PRIOR: 0.0},
)
#: Weights from which fitting starts: texts that are enough for it mostly show that voters are worth more.
FITTING_STARTS: Final = FusionWeights(
    untrusted={WORDS: 3.0, BRANCHES: 2.0, VECTORS: 0.1}, trusted={WORDS: 3.0, BRANCHES: 2.0, VECTORS: 0.2}
)
#: Share of the spherical covariance, and weight of the mean of all rows in the mean of each node, in rows.
_SHRINKAGE: Final = 0.1
_MEAN_ROWS: Final = 1.0
#: Rows from which the spread of its scores is taken.
_SCALE_ROWS: Final = 1_000


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
    """An added view (`added_views.AddedView`). A node that a voter does not know gets 0: far off for the machines on words
    (whose features are margins over -1, at least 0), and the mean of all nodes for the discriminant.

    Attributes:
        features: how the machines see texts.
        words: the machines of nodes; None when there were too many rows and nodes for them.
        branches: the machines of branches; None when the tree has none.
        vectors: the discriminant.
        counted: nodes with corrections, int64[g], and `counts` float32[g] of each.
    """

    features: VoterFeatures
    words: WordVoter | None
    branches: BranchVoter | None
    vectors: VectorVoter
    counted: NDArray[np.int64]
    counts: NDArray[np.float32]

    weights = WEIGHTS
    agreement = {WORDS: 2.0, BRANCHES: 1.0, VECTORS: 0.0, PRIOR: 0.0}  # noqa: RUF012 (a constant of the protocol, no field)
    bounds = {PRIOR: (0.0, math.inf)}  # noqa: RUF012 (the same; see `EvidenceView.bounds`)

    @classmethod
    def fit(cls, rows: TrainingRows, tree: Taxonomy, *, words: bool) -> Voters:
        """Train on rows; `words` = also the machines of nodes, which take most of the time."""
        counted, counts = np.unique(rows.nodes[rows.corrected], return_counts=True)
        texts = CountedTexts(rows.texts)
        features = VoterFeatures.of(texts, rows.vectors)
        described = features(texts, rows.vectors)
        return cls(
            features,
            WordVoter.fit(described, rows.nodes) if words else None,
            BranchVoter.fit(described, rows.nodes, tree),
            VectorVoter.fit(rows),
            counted,
            counts.astype(np.float32),
        )

    def blocks(self, query: Query, known: KnownBlocks) -> Mapping[str, Block]:
        """See `added_views.AddedView.blocks`."""
        prior = np.repeat(np.log1p(self.counts)[:, None], len(query), axis=1)
        found = {VECTORS: Block(self.vectors.scores(query.vectors), self.vectors.nodes), PRIOR: Block(prior, self.counted)}
        if self.words or self.branches:
            described = self.features(query.texts, query.vectors)
            if self.words:
                found[WORDS] = Block(np.maximum(self.words.margins(described) + 1, 0), self.words.nodes)
            if self.branches:
                found[BRANCHES] = self.branches.block(described)
        return found

    @cached_property
    def version(self) -> str:
        """12 hex digits over all numbers."""
        return version_of(self.to_arrays())

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The numbers by name."""
        found: dict[str, NDArray[np.generic]] = {
            "weights": self.vectors.weights,
            "offsets": self.vectors.offsets,
            "nodes": self.vectors.nodes,
            "counted": self.counted,
            "counts": self.counts,
        }
        parts = {"features": self.features, "words": self.words, "branches": self.branches}
        for part, own in parts.items():
            found |= {f"{part}.{name}": values for name, values in own.to_arrays().items()} if own else {}
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Voters:
        """The inverse of `to_arrays`."""
        words, branches = _part(arrays, "words"), _part(arrays, "branches")
        return cls(
            VoterFeatures.from_arrays(_part(arrays, "features")),
            WordVoter.from_arrays(words) if words else None,
            BranchVoter.from_arrays(branches) if branches else None,
            VectorVoter(*(np.asarray(arrays[name]) for name in ("weights", "offsets", "nodes"))),
            np.asarray(arrays["counted"]),
            np.asarray(arrays["counts"]),
        )


def _part(arrays: Mapping[str, NDArray[np.generic]], part: str) -> dict[str, NDArray[np.generic]]:
    """The arrays whose names begin with the part's."""
    return {name.removeprefix(f"{part}."): values for name, values in arrays.items() if name.startswith(f"{part}.")}
