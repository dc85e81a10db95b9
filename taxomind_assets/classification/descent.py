"""One step down the tree for many texts at once: look at a parent's children, then stop there or enter the best one.

A decision point is a pair (text, parent). All points of one depth are judged together: the children of all parents lie
behind each other in one flat array, and best, second and lowest score per parent are segment reductions over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from taxomind_assets.taxonomy.tree import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.settings import RoutingSettings

Hits: TypeAlias = "tuple[NDArray[np.int32], NDArray[np.float32]]"
"""Retrieved nodes int32[b, k] (padded with `ROOT`), each node once per text, and their scores float32[b, k] (-inf)."""

Veto: TypeAlias = Literal["none", "fixed", "decaying", "with_ambiguity", "relative", "low_spread"]


class Stop(IntEnum):
    """Why a path ends. The order is the order of the tests."""

    DESCEND = 0
    LEAF = 1
    NO_CANDIDATES = 2
    MAX_DEPTH = 3
    LOW_CONFIDENCE = 4
    ONLY_CHILD_WEAKER = 5
    SIBLING_AMBIGUITY = 6
    LOW_SPREAD = 7
    PARENT_COMPETITIVE = 8
    SCORE_DECREASE = 9
    MAX_ITERATIONS = 10


_REASONS = {
    Stop.DESCEND: "descend",
    Stop.LEAF: "leaf_node_reached",
    Stop.NO_CANDIDATES: "no_candidate_children",
    Stop.MAX_DEPTH: "max_depth_reached",
    Stop.LOW_CONFIDENCE: "low_confidence",
    Stop.ONLY_CHILD_WEAKER: "only_child_weaker",
    Stop.SIBLING_AMBIGUITY: "sibling_ambiguity",
    Stop.LOW_SPREAD: "low_spread",
    Stop.PARENT_COMPETITIVE: "parent_competitive",
    Stop.SCORE_DECREASE: "score_decrease",
    Stop.MAX_ITERATIONS: "max_iterations_exceeded",
}
# A path that ends because the tree or the wanted depth ends is no case for a person; every other end is a doubt.
_CLEAR = (Stop.DESCEND, Stop.LEAF, Stop.MAX_DEPTH)
_DOUBT_AMONG_SIBLINGS = (Stop.SIBLING_AMBIGUITY, Stop.LOW_SPREAD, Stop.LOW_CONFIDENCE)
_DOUBT_AGAINST_PARENT = (Stop.PARENT_COMPETITIVE, Stop.SCORE_DECREASE, Stop.ONLY_CHILD_WEAKER)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTests:
    """The tests at a decision point; scores are on the scale of the fused similarity.

    Attributes:
        min_gap: least lead of the best child over the second.
        only_child_margin: an only child may score this much less than its parent.
        alternatives: nodes kept at the stop.
        max_level: deepest level of an answer, None = no limit.
        veto: which test compares the parent with its best child.
        veto_margin: margin of all vetoes but `relative`.
        veto_decay: factor on the margin per level below 1 (`decaying`).
        veto_ratio: share of the parent's score that the best child must lead by (`relative`).
        veto_spread: spread of the children below which the veto counts (`low_spread`).
        least_spread: stop when the children differ by less, None = no test.
        stop_on_decrease: stop when the best child scores less than the parent.
        least_score: stop when the best child scores less, None = no test.
        least_top_score: the same for top nodes.
    """

    min_gap: float
    only_child_margin: float
    alternatives: int
    max_level: int | None = None
    veto: Veto = "none"
    veto_margin: float = 0.0
    veto_decay: float = 1.0
    veto_ratio: float = 0.0
    veto_spread: float = 0.0
    least_spread: float | None = None
    stop_on_decrease: bool = False
    least_score: float | None = None
    least_top_score: float | None = None

    @classmethod
    def from_settings(cls, settings: RoutingSettings) -> StopTests:
        """The tests that the routing settings ask for."""
        return cls(
            min_gap=settings.min_descent_gap,
            only_child_margin=settings.only_child_margin,
            alternatives=settings.alternatives,
            max_level=settings.max_depth,
            veto="fixed" if settings.enable_parent_veto else "none",
            veto_margin=settings.parent_veto_margin,
            least_spread=settings.stop_on_low_spread,
            stop_on_decrease=settings.stop_on_decrease,
        )


@dataclass(frozen=True, slots=True)
class Points:
    """m judged decision points.

    Attributes:
        rows: int64[m], which path (row of the walk) each point belongs to.
        texts: int64[m], row of the score matrix.
        nodes: int32[m], the parent, `ROOT` for the root sentinel.
        children: int64[m], children in the tree.
        candidates: int64[m], children among the candidates.
        ranked: int32[m, w], best candidate children, best first, padded with `ROOT`; w >= 2. Ties: tree order.
        ranked_scores: float64[m, w], their scores, padded with -inf.
        lowest: float64[m], score of the worst candidate child, +inf without one.
        own: float64[m], score of the parent, 0 for the root sentinel (where no test uses it).
        stops: int8[m], values of `Stop`.
    """

    rows: NDArray[np.int64]
    texts: NDArray[np.int64]
    nodes: NDArray[np.int32]
    children: NDArray[np.int64]
    candidates: NDArray[np.int64]
    ranked: NDArray[np.int32]
    ranked_scores: NDArray[np.float64]
    lowest: NDArray[np.float64]
    own: NDArray[np.float64]
    stops: NDArray[np.int8]

    def alternatives(self, width: int) -> NDArray[np.int32]:
        """int32[m, width]: what else was near; the parent itself where it was compared with its best child."""
        chosen = np.full((len(self.nodes), max(width, 2)), ROOT, np.int32)
        siblings = np.isin(self.stops, _DOUBT_AMONG_SIBLINGS)
        chosen[siblings, : self.ranked.shape[1]] = self.ranked[siblings, : chosen.shape[1]]
        parent = np.isin(self.stops, _DOUBT_AGAINST_PARENT)
        chosen[parent, 0] = self.nodes[parent]
        chosen[parent, 1] = self.ranked[parent, 0]
        return chosen[:, :width]


@dataclass(frozen=True, slots=True)
class PathEnds:
    """Where m paths end: nodes int32[m], stops int8[m], alternatives int32[m, a] (padded with `ROOT`)."""

    nodes: NDArray[np.int32]
    stops: NDArray[np.int8]
    alternatives: NDArray[np.int32]


def reason_texts(stops: NDArray[np.int8], max_level: int | None) -> NDArray[np.object_]:
    """object[m] of str: the `stopping_reason` of each stop."""
    names = np.array([_REASONS[stop] for stop in Stop], dtype=object)
    names[Stop.MAX_DEPTH] = f"{_REASONS[Stop.MAX_DEPTH]} (depth={max_level})"
    return names[stops]


def is_doubt(stops: NDArray[np.int8]) -> NDArray[np.bool_]:
    """bool[m]: whether a stop leaves the answer ambiguous."""
    return ~np.isin(stops, _CLEAR)


def candidate_children(
    tree: Taxonomy, candidates: NDArray[np.bool_], texts: NDArray[np.int64], nodes: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """The candidate children of m points, behind each other.

    Returns:
        (members int32[f], points int64[f] ascending, children int64[m]: all children in the tree).
    """
    starts, members = tree.children
    first = starts[nodes + 1].astype(np.int64)
    counts = starts[nodes + 2] - first
    points = np.repeat(np.arange(len(nodes)), counts)
    within = np.arange(len(points)) - np.repeat(np.cumsum(counts) - counts, counts)
    child = members[first[points] + within]
    keep = candidates[texts[points], child]
    return child[keep], points[keep], counts


def best_of_groups(
    values: NDArray[np.float64], members: NDArray[np.int32], counts: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The `width` best members of each group; groups lie behind each other. Ties: the earlier member.

    Args:
        values: float64[f], finite.
        members: int32[f].
        counts: int64[m], members of each group, may be 0.
        width: places wanted.

    Returns:
        (int32[m, width] padded with `ROOT`, float64[m, width] padded with -inf).
    """
    ranked = np.full((len(counts), width), ROOT, np.int32)
    scores = np.full((len(counts), width), -np.inf)
    groups = np.flatnonzero(counts)
    sizes = counts[groups]
    offsets = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(groups)), sizes)
    left = values.copy()
    for place in range(width if len(groups) else 0):
        top = np.maximum.reduceat(left, offsets)
        at = np.flatnonzero(left == top[owner])
        at = at[np.diff(owner[at], prepend=-1) > 0]
        found = top > -np.inf
        ranked[groups[found], place] = members[at[found]]
        scores[groups[found], place] = top[found]
        left[at] = -np.inf
    return ranked, scores


def places_within(rows: NDArray[np.int64], keys: Sequence[NDArray[np.generic]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order entries by row, then by `keys` (the first counts most, ascending).

    Returns:
        (order int64[f], place int64[f]: 0 for the first entry of each row in that order).
    """
    order = np.lexsort((*reversed(keys), rows))
    return order, np.arange(len(order)) - np.searchsorted(rows[order], rows[order])


def examine(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    texts: NDArray[np.int64],
    nodes: NDArray[np.int32],
    *,
    tests: StopTests,
    rows: NDArray[np.int64] | None = None,
) -> Points:
    """Judge the points (texts[i], nodes[i]): m points, scores float32[b, n] finite, candidates bool[b, n]."""
    child, points, children = candidate_children(tree, candidates, texts, nodes)
    counts = np.bincount(points, minlength=len(nodes)).astype(np.int64)
    values = scores[texts[points], child].astype(np.float64)
    ranked, ranked_scores = best_of_groups(values, child, counts, max(2, tests.alternatives))
    lowest = np.full(len(nodes), np.inf)
    some = np.flatnonzero(counts)
    if len(some):
        lowest[some] = np.minimum.reduceat(values, np.cumsum(counts[some]) - counts[some])
    own = np.zeros(len(nodes))
    inner = np.flatnonzero(nodes != ROOT)
    own[inner] = scores[texts[inner], nodes[inner]]
    rows = np.arange(len(nodes)) if rows is None else rows
    undecided = np.zeros(len(nodes), np.int8)
    seen = Points(rows, texts, nodes, children, counts, ranked, ranked_scores, lowest, own, undecided)
    return replace(seen, stops=_verdicts(tree, seen, tests))


def descend(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    texts: NDArray[np.int64],
    starts: NDArray[np.int32],
    *,
    tests: StopTests,
    record: list[Points] | None = None,
) -> PathEnds:
    """Walk m paths from `starts` down until each stops; at most depth + 1 steps.

    Args:
        tree: the taxonomy.
        scores: float32[b, n], finite.
        candidates: bool[b, n].
        texts: int64[m], row of `scores` of each path.
        starts: int32[m].
        tests: when to stop.
        record: takes the judged points of every step.
    """
    at = starts.copy()
    stops = np.full(len(starts), Stop.MAX_ITERATIONS, np.int8)
    alternatives = np.full((len(starts), tests.alternatives), ROOT, np.int32)
    active = np.arange(len(starts))
    for _ in range(tree.depth + 1):
        if not len(active):
            break
        points = examine(tree, scores, candidates, texts[active], at[active], tests=tests, rows=active)
        if record is not None:
            record.append(points)
        halted = points.stops != Stop.DESCEND
        stops[active[halted]] = points.stops[halted]
        alternatives[active[halted]] = points.alternatives(tests.alternatives)[halted]
        active = active[~halted]
        at[active] = points.ranked[~halted, 0]
    return PathEnds(at, stops, alternatives)


def _verdicts(tree: Taxonomy, points: Points, tests: StopTests) -> NDArray[np.int8]:
    """int8[m]: the first test that stops each point, else `Stop.DESCEND`."""
    inner = points.nodes != ROOT
    best, second = points.ranked_scores[:, 0], points.ranked_scores[:, 1]
    only = points.candidates == 1
    several = points.candidates > 1
    never = np.zeros(len(inner), np.bool_)
    gap = np.subtract(best, second, out=np.full(len(best), np.inf), where=several)
    close = gap < tests.min_gap
    veto = _veto(tree, points, tests, close) & inner
    conditions = {
        Stop.LEAF: inner & (points.children == 0),
        Stop.NO_CANDIDATES: points.candidates == 0,
        Stop.MAX_DEPTH: never if tests.max_level is None else tree.levels[points.ranked[:, 0]] > tests.max_level,
        Stop.LOW_CONFIDENCE: best < _least_scores(inner, tests),
        Stop.ONLY_CHILD_WEAKER: only & inner & (best < points.own - tests.only_child_margin),
        # Where the veto asks for both doubts, closeness alone stops only at the root, which has no score to compare with.
        Stop.SIBLING_AMBIGUITY: close & ~inner if tests.veto == "with_ambiguity" else close,
        Stop.LOW_SPREAD: never if tests.least_spread is None else several & (best - points.lowest < tests.least_spread),
        Stop.PARENT_COMPETITIVE: veto,
        Stop.SCORE_DECREASE: inner & (best < points.own) if tests.stop_on_decrease else never,
    }
    return np.select(list(conditions.values()), [np.int8(stop) for stop in conditions], np.int8(Stop.DESCEND))


def _least_scores(inner: NDArray[np.bool_], tests: StopTests) -> NDArray[np.float64]:
    below = -np.inf if tests.least_score is None else tests.least_score
    top = -np.inf if tests.least_top_score is None else tests.least_top_score
    return np.where(inner, below, top)


def _veto(tree: Taxonomy, points: Points, tests: StopTests, close: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool[m]: the parent is as good as its best child, by the rule that `tests.veto` names."""
    best, own = points.ranked_scores[:, 0], points.own
    if tests.veto == "none":
        return np.zeros(len(own), np.bool_)
    if tests.veto == "relative":
        return best - own < tests.veto_ratio * np.abs(own)
    if tests.veto == "decaying":
        levels = np.maximum(tree.levels[points.nodes], 1)
        return own + tests.veto_margin * tests.veto_decay ** (levels - 1) >= best
    competitive = own + tests.veto_margin >= best
    if tests.veto == "with_ambiguity":
        return competitive & close
    if tests.veto == "low_spread":
        return competitive & (best - points.lowest < tests.veto_spread)
    return competitive
