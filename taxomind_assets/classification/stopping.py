"""Where a path ends: as a rule at the deepest node whose probability reaches the threshold.

Hierarchical selective classification (Goren et al., 2024): with probabilities summed over subtrees, going up the tree trades
detail for certainty, and one threshold keeps one promise at every depth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.routing import competitors
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.calibration import Masses
    from taxomind_assets.classification.routing import Route

LEAF: Final = "leaf_node_reached"
UNSURE: Final = "below_threshold"
NOTHING: Final = "insufficient_information"
NOWHERE: Final = "belongs_nowhere"
DEEPEST: Final = "max_depth_reached"
EMPTY: Final = "empty_text"
FORCED: Final = "forced_to_leaf"
GATE: Final = "gate_closed"
EXACT: Final = "exact_evidence"


def stop_by_mass(
    tree: Taxonomy,
    masses: Masses,
    route: Route,
    threshold: float,
    *,
    max_depth: int | None = None,
    alternatives: int = 3,
) -> Decisions:
    """End each path at its deepest node with at least `threshold` probability.

    Args:
        max_depth: deepest level (the node's own level) of an answer; None = no limit.
    """
    reached = (route.path != ROOT) & (route.confidences >= threshold)
    return end_paths(tree, masses, route, reached.sum(axis=1), UNSURE, max_depth=max_depth, alternatives=alternatives)


def end_paths(
    tree: Taxonomy,
    masses: Masses,
    route: Route,
    depth: NDArray[np.int64],
    unsure: str,
    *,
    max_depth: int | None = None,
    alternatives: int = 3,
) -> Decisions:
    """End each path after `depth` nodes, or earlier where `max_depth` says so.

    Args:
        depth: int64[b], path nodes that the stop rule allows; 0 = no answer.
        unsure: stop reason of paths that the stop rule ends at an internal node.
        max_depth: deepest level (the node's own level) of an answer; None = no limit.
    """
    wanted = depth
    if max_depth is not None:
        allowed = (route.path != ROOT) & (tree.levels[np.maximum(route.path, 0)] <= max_depth)
        depth = np.minimum(depth, allowed.sum(axis=1))
    nodes = _at_depth(route.path, depth)
    reasons = np.full(nodes.size, unsure, object)
    answered = nodes != ROOT
    at_leaf = answered & tree.is_leaf[np.maximum(nodes, 0)]
    reasons[at_leaf] = LEAF
    reasons[~answered] = NOTHING
    reasons[~answered & (masses.belongs < 0.5)] = NOWHERE
    reasons[depth < wanted] = DEEPEST
    others, _ = competitors(tree, masses, route, nodes, alternatives)
    return Decisions(nodes, reasons, ~at_leaf & (reasons != DEEPEST), others)


def force_leaf(tree: Taxonomy, masses: Masses, route: Route, threshold: float, *, alternatives: int = 3) -> Decisions:
    """Always answer with the best leaf; answers under the threshold are marked as ambiguous."""
    nodes = route.leaves[:, 0].astype(np.int32)
    sure = route.leaf_probabilities[:, 0] >= threshold
    reasons = np.where(sure, LEAF, FORCED).astype(object)
    others, _ = competitors(tree, masses, route, nodes, alternatives)
    return Decisions(nodes, reasons, ~sure, others)


def _at_depth(path: NDArray[np.int32], depth: NDArray[np.int64]) -> NDArray[np.int32]:
    """The node of each path at `depth` (1 = top), `ROOT` at 0."""
    picked = np.take_along_axis(path, np.maximum(depth - 1, 0)[:, None], axis=1)[:, 0]
    return np.where(depth == 0, ROOT, picked).astype(np.int32)
