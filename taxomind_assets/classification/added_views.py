"""What a further view must offer to take part in the fusion: evidence, voters and the cross-lingual student are such views.

A view gives unweighted features by name, each as a `Block` of numbers for some nodes and all texts of a query. The scorer
multiplies them by their weights; logits, contributions, the largest logit, explanations and fitting then include the view
without knowing it. A view is immutable and safe to share between threads, and its numbers for a text must depend on no other
text of the query.

    class Letters:
        '''A node gets 1 when its code begins with the letter that the text begins with.'''

        weights = FusionWeights(untrusted={"first_letter": 0.5}, trusted={"first_letter": 0.1})
        agreement = {"first_letter": 1.0}
        bounds = {"first_letter": (0.0, math.inf)}
        version = "1"

        def blocks(self, query: Query, known: KnownBlocks) -> dict[str, Block]:
            same = ...                            # float32[n, b]
            return {"first_letter": Block(same)}  # or Block(some, nodes) with int64[g] `nodes` and float32[g, b] `some`

    scorer = Scorer(index, added=[Letters()])
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.fusion import FusionWeights
    from taxomind_assets.classification.queries import Query


@dataclass(frozen=True)
class Block:
    """One feature of a query.

    Attributes:
        values: float32[n, b] for all nodes; or float32[g, b] for `nodes`, and other nodes have 0; or float32[g, b] for `rows`.
        nodes: int64[g], different positions; None = all nodes in order.
        rows: int64[n], the row of `values` that each node has, where many have the same; None = see `nodes`, with which it
            never stands together.
    """

    values: NDArray[np.float32]
    nodes: NDArray[np.int64] | None = None
    rows: NDArray[np.int64] | None = None

    def add_to(self, total: NDArray[np.float32], weights: NDArray[np.float32]) -> None:
        """Add the feature times `weights` float32[b] to `total` float32[n, b]."""
        if self.rows is not None:
            total += (self.values * weights).take(self.rows, axis=0)
        elif self.nodes is not None:
            total[self.nodes] += self.values * weights
        else:
            total += self.values * weights

    def dense(self, n: int) -> NDArray[np.float32]:
        """The feature of all n nodes, float32[n, b]."""
        if self.rows is not None:
            return self.values.take(self.rows, axis=0)
        if self.nodes is None:
            return self.values
        whole = np.zeros((n, self.values.shape[1]), np.float32)
        whole[self.nodes] = self.values
        return whole


def version_of(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """12 hex digits over numbers by name: the version of a view that is made of them."""
    digest = hashlib.sha256()
    for name, values in arrays.items():
        digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:12]


class KnownBlocks:
    """Similarities of a query with the node texts, which added views may build on; computed when asked for.

    Args:
        best_text: float32[n, b], best cosine among all texts of each node.
        words: gives a lexical view by name, float32[n, b] (see `base_views.LEXICAL`), scaled by the texts' shortness.
        whole: gives the cosines of vectors float32[b, d] with the whole vectors of the nodes, float32[n, b].
        query: the query.
        total: float32[n, b], the logits that the views before this one give: those of vectors, and of the student if there is
            one; do not change it.
    """

    def __init__(
        self,
        best_text: NDArray[np.float32],
        words: Callable[[str], NDArray[np.float32]],
        whole: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        query: Query,
        total: NDArray[np.float32],
    ) -> None:
        self.best_text = best_text
        self.total = total
        self._words = words
        self._whole = whole
        self._query = query
        self.asked: dict[str, NDArray[np.float32]] = {}

    def words(self, name: str) -> NDArray[np.float32]:
        """A lexical view, float32[n, b]; do not change it."""
        if name not in self.asked:
            self.asked[name] = self._words(name)
        return self.asked[name]

    @cached_property
    def whole(self) -> NDArray[np.float32]:
        """Cosines with the whole vectors of the nodes, float32[n, b]; do not change it."""
        return self._whole(self._query.vectors).copy()  # the next product may overwrite it


class AddedView(Protocol):
    """A view that joins the fusion; see the module's docstring for an example."""

    @property
    def weights(self) -> FusionWeights:
        """Shipped weights of its features, and of others that weigh more or less beside it; fitted weights replace them."""

    @property
    def agreement(self) -> Mapping[str, float]:
        """Every feature that it may give, with the value for a node that agrees fully with a text."""

    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]:
        """Lowest and highest weight that labels may give a feature; those that are left out may get any."""

    @property
    def version(self) -> str:
        """Changes whenever its numbers may change."""

    def blocks(self, query: Query, known: KnownBlocks) -> Mapping[str, Block]:
        """Unweighted features; one that is left out is 0 everywhere.

        Args:
            query: b texts.
            known: similarities of the query with the node texts.
        """
