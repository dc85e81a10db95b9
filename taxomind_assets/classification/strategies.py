"""Other ways to decide, by name, for side-by-side comparison on the same texts; none is the default of the product.

Each strategy is a function (tree, scores, candidates, hits, options) -> Decisions over b texts and n nodes: scores
float32[b, n] finite, candidates bool[b, n], hits as in `Hits`. Options are frozen dataclasses; defaults are the older
service's.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from taxomind_assets.classification.consensus import ConsensusOptions, consensus
from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.descent import (
    Hits,
    Stop,
    StopTests,
    Veto,
    descend,
    examine,
    is_doubt,
    places_within,
    reason_texts,
)
from taxomind_assets.classification.rules import beam, route
from taxomind_assets.classification.validation import validate
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_resources.faults import Fault
from taxomind_resources.settings import RetrievalSettings, RoutingSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy


@dataclass(frozen=True, slots=True, kw_only=True)
class VetoOptions:
    """Routing by rules with one of the vetoes of the parent.

    Attributes:
        routing: thresholds; `enable_parent_veto` is ignored, the strategy's name chooses the veto.
        retrieval: beam settings.
        decay: factor on the margin per level below 1 (`veto_decaying`).
        ratio: share of the parent's score by which the best child must lead (`veto_relative`).
        spread: spread of the children below which the veto counts (`veto_low_spread`).
        validated: check the routed answers against the leaves.
    """

    routing: RoutingSettings = field(default_factory=lambda: RoutingSettings.model_validate({}))
    retrieval: RetrievalSettings = field(default_factory=lambda: RetrievalSettings.model_validate({}))
    decay: float = 0.7
    ratio: float = 0.05
    spread: float = 0.05
    validated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatOptions:
    """`flat_k`: answers kept, the first is the answer, the others are alternatives."""

    flat_k: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TopdownOptions:
    """Greedy descent.

    Attributes:
        topdown_k: top nodes followed; the best end is the answer, the other ends are alternatives.
        min_confidence: least score of a node below level 1.
        min_confidence_level1: least score of a top node.
        stop_on_decrease: stop when the best child scores less than its parent.
    """

    topdown_k: int = 1
    min_confidence: float = 0.4
    min_confidence_level1: float = 0.05
    stop_on_decrease: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class BottomupOptions:
    """Scores passed up the tree.

    Attributes:
        bottomup_k: answers kept, the first is the answer, the others are alternatives.
        parent_weight: weight of a node's own score; the rest goes to its children.
        aggregation: how children are summed up: mean of the best ones, mean of all, the best one.
        top_k_children: how many are the best ones.
    """

    bottomup_k: int = 1
    parent_weight: float = 0.3
    aggregation: Literal["mean_top_k", "mean", "max"] = "mean_top_k"
    top_k_children: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridOptions:
    """Top-down and bottom-up together.

    Attributes:
        hybrid_k: answers kept; with 2 or more the losing answer is an alternative.
        disagreement_threshold: difference of levels from which the common ancestor is answered.
        topdown: options of the one.
        bottomup: options of the other.
    """

    hybrid_k: int = 1
    disagreement_threshold: int = 3
    topdown: TopdownOptions = TopdownOptions()
    bottomup: BottomupOptions = BottomupOptions()


def route_with_veto(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    hits: Hits,
    options: VetoOptions,
    *,
    veto: Veto,
) -> Decisions:
    """Routing by rules; `veto` says when the parent is preferred to its best child.

    `none`; `fixed`: score(p) + margin >= best; `decaying`: the margin shrinks with each level below 1; `with_ambiguity`:
    stop only when the children are close and the fixed veto holds (at the root, closeness alone stops); `relative`:
    best - score(p) < ratio * |score(p)|; `low_spread`: the fixed veto, where the children differ by less than `spread`.
    """
    routing = options.routing
    tests = StopTests(
        min_gap=routing.min_descent_gap,
        only_child_margin=routing.only_child_margin,
        alternatives=routing.alternatives,
        max_level=routing.max_depth,
        veto=veto,
        veto_margin=routing.parent_veto_margin,
        veto_decay=options.decay,
        veto_ratio=options.ratio,
        veto_spread=options.spread,
        least_spread=routing.stop_on_low_spread,
        stop_on_decrease=routing.stop_on_decrease,
    )
    routed = route(tree, scores, candidates, beam(tree, hits, options.retrieval), tests)
    if not options.validated:
        return routed
    return validate(
        tree=tree,
        scores=scores,
        candidates=candidates,
        decisions=routed,
        threshold=routing.validation_threshold,
        stability_margin=routing.validation_stability_margin,
        deepen_margin=routing.validation_deepen_margin if routing.validation_deepen else None,
        max_level=routing.max_depth,
    )


def flat(
    tree: Taxonomy, scores: NDArray[np.float32], candidates: NDArray[np.bool_], hits: Hits, options: FlatOptions
) -> Decisions:
    """The best candidate of any depth; ties: tree order."""
    return _best_nodes(np.where(candidates, scores, -np.inf), options.flat_k, "flat_best")


def topdown(
    tree: Taxonomy, scores: NDArray[np.float32], candidates: NDArray[np.bool_], hits: Hits, options: TopdownOptions
) -> Decisions:
    """Greedy descent from the best top nodes; stops at a low or falling score."""
    tests = StopTests(
        min_gap=0.0,
        only_child_margin=np.inf,
        alternatives=options.topdown_k,
        stop_on_decrease=options.stop_on_decrease,
        least_score=options.min_confidence,
        least_top_score=options.min_confidence_level1,
    )
    texts = np.arange(len(scores))
    root = examine(tree, scores, candidates, texts, np.full(len(scores), ROOT, np.int32), tests=tests)
    wanted = (root.stops == Stop.DESCEND)[:, None] & (root.ranked_scores >= options.min_confidence_level1)
    rows, columns = np.nonzero(wanted[:, : options.topdown_k])
    ends = descend(tree, scores, candidates, rows, root.ranked[rows, columns], tests=tests)
    order, place = places_within(rows, [-scores[rows, ends.nodes], columns])
    ranked = np.full((len(scores), options.topdown_k), ROOT, np.int32)
    ranked[rows[order], place] = ends.nodes[order]
    stops = root.stops.copy()
    first = order[place == 0]
    stops[rows[first]] = ends.stops[first]
    return Decisions(ranked[:, 0].copy(), reason_texts(stops, None), is_doubt(stops), ranked[:, 1:])


def bottomup(
    tree: Taxonomy, scores: NDArray[np.float32], candidates: NDArray[np.bool_], hits: Hits, options: BottomupOptions
) -> Decisions:
    """The node with the best score after children have passed theirs up (see `passed_up`)."""
    return _best_nodes(passed_up(tree, scores, candidates, options), options.bottomup_k, "bottomup_best")


def hybrid(
    tree: Taxonomy, scores: NDArray[np.float32], candidates: NDArray[np.bool_], hits: Hits, options: HybridOptions
) -> Decisions:
    """The better (own score) of top-down and bottom-up; their common ancestor, ambiguous, where the levels lie far apart."""
    down = topdown(tree, scores, candidates, hits, options.topdown)
    up = bottomup(tree, scores, candidates, hits, options.bottomup)
    texts = np.arange(len(scores))
    own = [np.where(each.nodes == ROOT, -np.inf, scores[texts, each.nodes]) for each in (down, up)]
    levels = [np.where(each.nodes == ROOT, 0, tree.levels[each.nodes]) for each in (down, up)]
    apart = np.abs(levels[0] - levels[1]) >= options.disagreement_threshold
    down_wins = own[0] >= own[1]
    nodes = np.where(apart, _common_ancestors(tree, down.nodes, up.nodes), np.where(down_wins, down.nodes, up.nodes))
    loser = np.where(down.nodes == up.nodes, ROOT, np.where(down_wins, up.nodes, down.nodes))
    alternatives = np.column_stack([loser if options.hybrid_k > 1 else np.full_like(loser, ROOT), np.full_like(loser, ROOT)])
    alternatives[apart] = np.column_stack([down.nodes, up.nodes])[apart]
    return Decisions(
        nodes=nodes.astype(np.int32),
        reasons=np.where(apart, "hybrid_disagreement", np.where(down_wins, down.reasons, up.reasons)).astype(object),
        ambiguous=apart | np.where(down_wins, down.ambiguous, up.ambiguous),
        alternatives=alternatives.astype(np.int32),
    )


def passed_up(
    tree: Taxonomy, scores: NDArray[np.float32], candidates: NDArray[np.bool_], options: BottomupOptions
) -> NDArray[np.float64]:
    """float64[b, n]: own score blended with the children's, from the deepest level up; -inf outside the candidates."""
    total = np.where(candidates, scores, -np.inf).astype(np.float64)
    starts, members = tree.children
    counts = np.diff(starts)[1:]
    best = {"mean_top_k": options.top_k_children, "mean": len(tree), "max": 1}[options.aggregation]
    for depth in range(tree.depth - 1, 0, -1):
        parents = np.flatnonzero((tree.depths == depth) & (counts > 0))
        # Parents with equally many children form one dense block, so that each block is one partition.
        for size in np.unique(counts[parents]).tolist():
            block = parents[counts[parents] == size]
            children = members[starts[block + 1][:, None] + np.arange(size)]
            kept = min(best, size)
            top = np.partition(total[:, children], size - kept, axis=2)[:, :, size - kept :]
            known = np.isfinite(top)
            some = known.any(axis=2)
            mean = np.where(known, top, 0.0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
            own = total[:, block]
            blend = options.parent_weight * scores[:, block].astype(np.float64) + (1 - options.parent_weight) * mean
            total[:, block] = np.where(some & np.isfinite(own), blend, own)
    return total


@dataclass(frozen=True, slots=True)
class Strategy:
    """A named way to decide: the function, the type of its options and one line on it."""

    decide: Callable[..., Decisions]
    options: type[Any]
    summary: str


STRATEGIES: Final[Mapping[str, Strategy]] = MappingProxyType(
    {
        "veto_none": Strategy(partial(route_with_veto, veto="none"), VetoOptions, "rules without a veto"),
        "veto_fixed": Strategy(partial(route_with_veto, veto="fixed"), VetoOptions, "veto with a fixed margin"),
        "veto_decaying": Strategy(partial(route_with_veto, veto="decaying"), VetoOptions, "margin shrinks with depth"),
        "veto_with_ambiguity": Strategy(
            partial(route_with_veto, veto="with_ambiguity"), VetoOptions, "veto only where the children are close"
        ),
        "veto_relative": Strategy(
            partial(route_with_veto, veto="relative"), VetoOptions, "margin relative to the parent's score"
        ),
        "veto_low_spread": Strategy(
            partial(route_with_veto, veto="low_spread"), VetoOptions, "veto only where the children hardly differ"
        ),
        "flat": Strategy(flat, FlatOptions, "the best node of any depth"),
        "topdown": Strategy(topdown, TopdownOptions, "greedy descent"),
        "bottomup": Strategy(bottomup, BottomupOptions, "scores passed up the tree"),
        "hybrid": Strategy(hybrid, HybridOptions, "top-down and bottom-up, common ancestor when far apart"),
        "consensus": Strategy(consensus, ConsensusOptions, "similarity and retrieval mass together"),
    }
)


def run_strategy(
    name: str,
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    hits: Hits,
    *,
    options: object | None = None,
) -> Decisions:
    """Decide b texts with the strategy `name`.

    Args:
        name: a key of `STRATEGIES`.
        tree: the taxonomy, n nodes.
        scores: float32[b, n], finite.
        candidates: bool[b, n].
        hits: retrieved nodes (see `Hits`).
        options: of the type that the strategy names, None = its defaults.

    Raises:
        Fault: `invalid_input`: unknown name, options of another strategy, or arrays whose shapes do not fit the tree.
    """
    strategy = STRATEGIES.get(name)
    if strategy is None:
        near = difflib.get_close_matches(name, STRATEGIES, 1, 0.0)[0]
        raise Fault(
            "invalid_input",
            f"There is no strategy {name!r}.",
            value=name,
            allowed=f"did you mean {near!r}? All: {', '.join(STRATEGIES)}",
        )
    chosen = strategy.options() if options is None else options
    if not isinstance(chosen, strategy.options):
        raise Fault(
            "invalid_input",
            f"Strategy {name!r} cannot use these options.",
            value=chosen,
            allowed=f"{strategy.options.__name__}",
        )
    shape = (len(hits[0]), len(tree))
    if scores.shape != shape or candidates.shape != shape or hits[0].shape != hits[1].shape:
        raise Fault(
            "invalid_input",
            "Scores, candidates and hits do not fit together.",
            value=(scores.shape, candidates.shape, hits[0].shape, hits[1].shape),
            allowed=f"scores and candidates {shape}, both arrays of hits (texts, hits)",
        )
    return strategy.decide(tree, scores, candidates, hits, chosen)


def _best_nodes(values: NDArray[np.floating], count: int, reason: str) -> Decisions:
    """The `count` nodes with the largest values of each text; -inf is no node."""
    left = values.copy()
    rows = np.arange(len(values))
    ranked = np.full((len(values), count), ROOT, np.int32)
    for place in range(min(count, values.shape[1])):
        at = left.argmax(axis=1)
        ranked[:, place] = np.where(np.isfinite(left[rows, at]), at, ROOT)
        left[rows, at] = -np.inf
    none = ranked[:, 0] == ROOT
    reasons = np.full(len(values), reason, dtype=object)
    reasons[none] = reason_texts(np.array([Stop.NO_CANDIDATES], np.int8), None)[0]
    return Decisions(ranked[:, 0].copy(), reasons, none, ranked[:, 1:])


def _common_ancestors(tree: Taxonomy, left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32[b]: deepest node above or equal to both, `ROOT` where they share none or one is `ROOT`."""
    paths = np.vstack([tree.paths, np.full((1, tree.depth), ROOT, np.int32)])
    same = (paths[left] == paths[right]) & (paths[left] != ROOT)
    depth = np.logical_and.accumulate(same, axis=1).sum(axis=1)
    return np.where(depth > 0, paths[left][np.arange(len(left)), depth - 1], ROOT).astype(np.int32)
