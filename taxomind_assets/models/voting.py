"""A trained model as one more view of the classifier (`classification.added_views.AddedView`).

It gives every leaf that it knows the logarithm of its probability, and says which leaves it knows: one that was added to the
taxonomy after it was trained is no worse off for that, the other views decide. What it leaves at an internal node is spread
over the leaves below.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.added_views import Block, KnownBlocks
from taxomind_assets.classification.fusion import FusionWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.calibration import Calibration
    from taxomind_assets.classification.queries import Query
    from taxomind_assets.models.pipeline import Pipeline
    from taxomind_assets.taxonomy.tree import Taxonomy

#: Probability that counts as none.
FLOOR: Final = 1e-4
_HIGHEST: Final = float(-np.log(FLOOR))


@dataclass(frozen=True)
class ModelVotes:
    """A version's vote on the nodes of a taxonomy. Its feature is named after it: `model_v3`.

    Attributes:
        pipeline: the model.
        number: its version.
        tree: the taxonomy of the classifier; codes that the model lacks get nothing from it.
        strength: weight of the vote.
        familiarity: weight of being known to the model.
        variant: of the version, see `exports.report`.
    """

    pipeline: Pipeline
    number: int
    tree: Taxonomy
    strength: float
    familiarity: float
    variant: str = "source"

    @property
    def name(self) -> str:
        """Its feature."""
        return f"model_v{self.number}"

    @cached_property
    def weights(self) -> FusionWeights:
        """See `AddedView.weights`."""
        own = {self.name: self.strength, f"{self.name}_known": self.familiarity}
        return FusionWeights(own, own)

    @cached_property
    def agreement(self) -> Mapping[str, float]:
        """See `AddedView.agreement`."""
        return {self.name: _HIGHEST, f"{self.name}_known": 1.0}

    @cached_property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """See `AddedView.bounds`."""
        return {}

    @cached_property
    def version(self) -> str:
        """See `AddedView.version`."""
        facts = [self.name, self.pipeline.tree.version, self.pipeline.spec.version, str(self.strength), str(self.familiarity)]
        facts += [] if self.variant == "source" else [self.variant]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]

    @cached_property
    def leaves(self) -> NDArray[np.int64]:
        """Positions of the leaves of the classifier's taxonomy that the model may give something, int64[g]."""
        position, model = self.tree.position, self.pipeline.tree
        known = np.zeros(len(model), np.bool_)
        for code in self.pipeline.codes:
            node = model.position[code]
            known[node : model.ends[node]] = True  # what stays at an internal node is spread below it
        shared = [position[code] for code, own in zip(model.codes, known.tolist(), strict=True) if own and code in position]
        found = np.array(shared, np.int64)
        return np.sort(found[self.tree.is_leaf[found]]) if found.size else found

    @cached_property
    def _columns(self) -> NDArray[np.int64]:
        """The model's own positions of `leaves`."""
        position = self.pipeline.tree.position
        return np.array([position[self.tree.codes[node]] for node in self.leaves.tolist()], np.int64)

    def votes(self, texts: list[str]) -> NDArray[np.float32]:
        """The feature itself, float32 [g, b]: log of the probability over `FLOOR`, at least 0."""
        return self.votes_of(self.pipeline.predict(texts).own)

    def votes_of(self, own: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `votes`, from what the model said, float32 [b, nodes of its taxonomy]."""
        chances = self._spread(own)[:, self._columns]
        found: NDArray[np.float32] = np.log(np.maximum(chances, FLOOR) / FLOOR).astype(np.float32)
        return np.ascontiguousarray(found.T)

    def _spread(self, own: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [b, nodes]: of a leaf its own probability and its share of what stays above it."""
        tree = self.pipeline.tree
        inner = np.flatnonzero(~tree.is_leaf & own.any(axis=0))
        if not inner.size:
            return own
        shares = own[:, inner] / tree.leaf_counts[inner]
        return np.asarray(own + shares @ tree.descendants[inner], np.float32)

    def blocks(self, query: Query, known: KnownBlocks) -> Mapping[str, Block]:
        """See `added_views.AddedView.blocks`."""
        values = self.votes(list(query.texts))
        return {self.name: Block(values, self.leaves), f"{self.name}_known": Block(np.ones_like(values), self.leaves)}


@dataclass(frozen=True)
class Vote:
    """A model's vote with the calibration of the classifier that it votes in."""

    view: ModelVotes
    calibration: Calibration
