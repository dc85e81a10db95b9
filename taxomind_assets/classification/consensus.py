"""The `consensus` strategy: similarity and retrieval mass must agree before a path goes deeper.

The retrieval mass of a node is the sum of the (non-negative) scores of the hits in its subtree. The top node with the
best blend of nearest hit and share of mass starts the path. Below it, the score of a child is its similarity, decayed per
level, and its mass is taken relative to its siblings'; either may carry the path on. At the end the whole path may be
overruled by a leaf elsewhere, but only if the retrieval mass lies elsewhere too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.descent import Hits, best_of_groups, candidate_children
from taxomind_assets.classification.validation import compare_leaves
from taxomind_assets.taxonomy.tree import ROOT, subtree_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusOptions:
    """Options of `consensus`; masses are shares, margins are on the scale of the scores.

    Attributes:
        hit_weight: weight of the best hit in the score of a top node, the rest goes to its share of mass.
        decay: factor on a child's score per level below the top.
        mass_share: share of the siblings' mass that carries the path on,
        mass_lead: with this lead over the second.
        score: score that carries the path on as well,
        score_lead: with this lead over the second.
        override_inside: a leaf elsewhere overrides only when the answer holds less of the mass than this,
        override_ratio: when the mass outside is this many times the mass inside,
        override_margin: when it leads by this over the best leaf inside,
        override_stability: and by this over the next leaf.
        deepen: go on to the best leaf below the answer when it is the best of all and leads the answer,
        deepen_margin: by this.
        alternatives: nodes kept at a stop.
    """

    hit_weight: float = 0.5
    decay: float = 0.9
    mass_share: float = 0.60
    mass_lead: float = 0.10
    score: float = 0.50
    score_lead: float = 0.10
    override_inside: float = 0.55
    override_ratio: float = 1.30
    override_margin: float = 0.10
    override_stability: float = 0.08
    deepen: bool = False
    deepen_margin: float = 0.08
    alternatives: int = 3


def consensus(
    tree: Taxonomy, scores: NDArray[np.float32], candidates: NDArray[np.bool_], hits: Hits, options: ConsensusOptions
) -> Decisions:
    """Decide b texts by consensus of similarity and retrieval mass (see the module).

    Args:
        tree: the taxonomy, n nodes.
        scores: float32[b, n], finite.
        candidates: bool[b, n].
        hits: retrieved nodes of the b texts.
        options: thresholds.
    """
    mass = _retrieval_mass(tree, hits)
    tops = tree.children_of(ROOT)
    total = mass[:, tops].sum(axis=1)
    starts = _best_tops(tree, hits, mass[:, tops], total, options.hit_weight)
    nodes, reasons, alternatives = _walk(tree, scores, candidates, mass=mass, starts=starts, options=options)
    ambiguous = reasons != "leaf_node_reached"
    leaves = compare_leaves(tree, scores, candidates, nodes, None)
    texts = np.arange(len(nodes))
    share = np.divide(mass[texts, nodes], total, out=np.zeros(len(nodes)), where=total > 0)
    overruled = (nodes != ROOT) & ~leaves.agree & (share < options.override_inside)
    overruled &= 1.0 - share >= options.override_ratio * share
    overruled &= (leaves.margin >= options.override_margin) & (leaves.stability >= options.override_stability)
    deeper = np.zeros(len(nodes), np.bool_)
    if options.deepen:
        lead = leaves.below_score - scores[texts, nodes]
        deeper = (nodes != ROOT) & leaves.agree & (leaves.below != nodes) & (lead >= options.deepen_margin)
    reasons[overruled] = reasons[overruled] + "|consensus_override"
    reasons[deeper] = reasons[deeper] + "|consensus_deeper"
    nodes = np.where(overruled, leaves.best, np.where(deeper, leaves.below, nodes)).astype(np.int32)
    return Decisions(nodes, reasons, ambiguous, alternatives)


def _retrieval_mass(tree: Taxonomy, hits: Hits) -> NDArray[np.float64]:
    """float64[b, n]: sum of the hit scores in each subtree, negative scores counted as 0."""
    nodes, scores = hits
    own = np.zeros((len(nodes), len(tree)))
    row, column = np.nonzero(nodes != ROOT)
    own[row, nodes[row, column]] = np.maximum(scores[row, column], 0.0)
    return subtree_sums(tree, own)


def _best_tops(
    tree: Taxonomy, hits: Hits, mass: NDArray[np.float64], total: NDArray[np.float64], hit_weight: float
) -> NDArray[np.int32]:
    """int32[b]: top node with the best blend of nearest hit and share of mass; `ROOT` without hits."""
    nodes, scores = hits
    tops = tree.children_of(ROOT)
    row, column = np.nonzero(nodes != ROOT)
    nearest = np.full(mass.shape, -np.inf)
    top = np.searchsorted(tops, tree.paths[nodes[row, column], 0])
    np.maximum.at(nearest, (row, top), scores[row, column].astype(np.float64))
    share = np.divide(mass, total[:, None], out=np.zeros_like(mass), where=total[:, None] > 0)
    blend = hit_weight * nearest + (1 - hit_weight) * share
    found = np.isfinite(nearest)
    blend[~found] = -np.inf
    if not len(tops):
        return np.full(len(nodes), ROOT, np.int32)
    return np.where(found.any(axis=1), tops[blend.argmax(axis=1)], ROOT).astype(np.int32)


def _walk(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    *,
    mass: NDArray[np.float64],
    starts: NDArray[np.int32],
    options: ConsensusOptions,
) -> tuple[NDArray[np.int32], NDArray[np.object_], NDArray[np.int32]]:
    """Go down while mass or score agrees on a child: (nodes int32[b], reasons, alternatives int32[b, a])."""
    at = starts.copy()
    reasons = np.full(len(at), "no_candidate_children", dtype=object)
    alternatives = np.full((len(at), options.alternatives), ROOT, np.int32)
    active = np.flatnonzero(at != ROOT)
    for _ in range(tree.depth + 1):
        if not len(active):
            break
        child, points, children = candidate_children(tree, candidates, active, at[active])
        counts = np.bincount(points, minlength=len(active)).astype(np.int64)
        reasons[active[children == 0]] = "leaf_node_reached"
        decayed = scores[active[points], child] * options.decay ** (tree.depths[child] - 1.0)
        near, near_scores = best_of_groups(decayed, child, counts, max(2, options.alternatives))
        by_mass = _carried_by_mass(mass[active[points], child], child, points, counts, options)
        lead = np.subtract(near_scores[:, 0], near_scores[:, 1], out=np.zeros(len(near)), where=counts > 0)
        by_score = (near_scores[:, 0] >= options.score) & (lead >= options.score_lead)
        chosen = np.where(by_mass != ROOT, by_mass, np.where(by_score, near[:, 0], ROOT))
        undecided = (chosen == ROOT) & (counts > 0)
        reasons[active[undecided]] = "no_consensus"
        alternatives[active[undecided]] = near[undecided, : options.alternatives]
        onward = chosen != ROOT
        active = active[onward]
        at[active] = chosen[onward]
    return at, reasons, alternatives


def _carried_by_mass(
    masses: NDArray[np.float64],
    child: NDArray[np.int32],
    points: NDArray[np.int64],
    counts: NDArray[np.int64],
    options: ConsensusOptions,
) -> NDArray[np.int32]:
    """int32[m]: the child that holds enough of its siblings' mass, `ROOT` where none does."""
    total = np.bincount(points, weights=masses, minlength=len(counts))
    shares = np.divide(masses, total[points], out=np.zeros(len(masses)), where=total[points] > 0)
    heavy, share = best_of_groups(shares, child, counts, 2)
    second = np.where(counts > 1, share[:, 1], 0.0)
    carried = (share[:, 0] >= options.mass_share) & (share[:, 0] - second >= options.mass_lead)
    return np.where(carried, heavy[:, 0], ROOT).astype(np.int32)
