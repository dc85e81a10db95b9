"""The walk down the tree as a view: which branch a text belongs to, by machines that learn from the taxonomy's own texts.

The same machines as among voters (`branch_voter`), before anyone has corrected anything. Where the encoder reads none of a
taxonomy's languages there is no such view: it won on one such set and lost on another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from taxomind_assets.classification.added_views import Block, KnownBlocks, version_of
from taxomind_assets.classification.branch_voter import BRANCHES, BranchVoter
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.classification.linear_machines import few_passes
from taxomind_assets.classification.voter_features import VoterFeatures
from taxomind_assets.views.lexical import CountedTexts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.queries import Query
    from taxomind_assets.views.index import NodeIndex


@dataclass(frozen=True)
class BranchView:
    """An added view (`added_views.AddedView`).

    Attributes:
        features: how the machines see texts.
        voter: the machines.
    """

    features: VoterFeatures
    voter: BranchVoter

    weights = FusionWeights(untrusted={BRANCHES: 1.0}, trusted={BRANCHES: 2.0})
    agreement = {BRANCHES: 1.0}  # noqa: RUF012 (a constant of the protocol, no field)
    bounds = MappingProxyType[str, tuple[float, float]]({})

    @classmethod
    def of(cls, index: NodeIndex) -> BranchView | None:
        """Trained on the texts of an index; None where it has no branches, or no language that the encoder reads."""
        if not (index.trusted_languages and BranchVoter.has_work(index.tree)):
            return None
        rows = index.rows_of("label", "definition", "example")
        texts, vectors = CountedTexts([index.texts[row].text for row in rows.tolist()]), index.vectors[rows]
        features = VoterFeatures.of(texts, vectors)
        with few_passes():
            voter = BranchVoter.fit(features(texts, vectors), index.owners[rows].astype(np.int64), index.tree)
        return cls(features, voter) if voter else None

    def blocks(self, query: Query, known: KnownBlocks) -> Mapping[str, Block]:
        """See `added_views.AddedView.blocks`. Vectors of texts that the encoder does not read say nothing, and are not read."""
        vectors = np.where(query.trusted[:, None] > 0, query.vectors, np.float32(0))
        return {BRANCHES: self.voter.block(self.features(query.texts, vectors))}

    def grown(self, origin: NDArray[np.int64]) -> BranchView:
        """The same view of a tree with further nodes.

        Args:
            origin: int64[n'], for each node of that tree the position here of the node whose walk it has; -1 = none.
        """
        return BranchView(self.features, replace(self.voter, nearest=np.append(self.voter.nearest, -1)[origin]))

    @cached_property
    def version(self) -> str:
        """12 hex digits over all numbers."""
        return version_of(self.to_arrays())

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The numbers by name."""
        return self.features.to_arrays() | self.voter.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> BranchView:
        """The inverse of `to_arrays`."""
        return cls(VoterFeatures.from_arrays(arrays), BranchVoter.from_arrays(arrays))


def branched_index(index: NodeIndex) -> NodeIndex:
    """The index with the view that its texts make."""
    return replace(index, branches=BranchView.of(index))
