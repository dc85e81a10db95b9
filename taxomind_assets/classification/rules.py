"""Routing by rules (stop rule `rules`): from the root sentinel down, sibling set by sibling set, with an explicit stop.

The candidates are the retrieved nodes with everything that they must be compared with. The tests at the root decide
whether there is an answer at all; then each start (the best top node and the beam) is followed to its stop, and the
starts are compared by the probability of their final node, never by raw scores of different depths where it is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.descent import (
    Hits,
    PathEnds,
    Points,
    Stop,
    StopTests,
    descend,
    examine,
    is_doubt,
    places_within,
    reason_texts,
)
from taxomind_assets.taxonomy.tree import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.settings import RetrievalSettings, RoutingSettings

_TOP_HITS = 3


def candidate_subgraph(tree: Taxonomy, hits: Hits) -> NDArray[np.bool_]:
    """Nodes that take part: retrieved nodes, their ancestors, all siblings of these, their children, all top nodes.

    A node is a candidate exactly when its parent is a retrieved node, an ancestor of one, or the root sentinel.

    Args:
        tree: the taxonomy.
        hits: retrieved nodes of b texts (see `Hits`).

    Returns:
        bool[b, n].
    """
    nodes, _ = hits
    paths = np.vstack([tree.paths, np.full((1, tree.paths.shape[1]), ROOT, np.int32)])
    opened = np.zeros((len(nodes), len(tree) + 1), np.bool_)
    # The last column is the root sentinel: `ROOT` (-1) finds it, as padding and as the parent of the top nodes.
    opened[:, ROOT] = True
    opened[np.arange(len(nodes))[:, None, None], paths[nodes]] = True
    return opened[:, tree.parents]


def beam(tree: Taxonomy, hits: Hits, settings: RetrievalSettings) -> NDArray[np.int32]:
    """Top nodes to follow, best first; a ranking for recall, never a filter (see `route_by_rules`).

    Args:
        tree: the taxonomy.
        hits: retrieved nodes of b texts (see `Hits`).
        settings: `beam_rank` ranks the top nodes by the scores of their hits (`top3`: mean of the best three, missing
            places filled with the lowest score retrieved for the text); `beam_count` of those with hits are kept.
            With `enable_beam_selection` false all top nodes are followed.

    Returns:
        int32[b, w], padded with `ROOT`. Ties: tree order.
    """
    nodes, scores = hits
    tops = tree.children_of(ROOT)
    if not settings.enable_beam_selection:
        return np.tile(tops, (len(nodes), 1))
    row, column = np.nonzero(nodes != ROOT)
    top = tree.paths[nodes[row, column], 0]
    score = scores[row, column].astype(np.float64)
    order, _ = places_within(row, (top, -score))
    row, top, score = row[order], top[order], score[order]
    first = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(top, prepend=-1) != 0))
    chosen = np.full((len(nodes), min(settings.beam_count, len(tops))), ROOT, np.int32)
    if not len(first):
        return chosen
    lowest = np.full(len(nodes), np.inf)
    np.minimum.at(lowest, row, score)
    ranks = _beam_ranks(score, first, lowest[row[first]], settings.beam_rank)
    order, place = places_within(row[first], (-ranks, top[first]))
    kept = place < chosen.shape[1]
    chosen[row[first][order][kept], place[kept]] = top[first][order][kept]
    return chosen


def route_by_rules(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    beams: NDArray[np.int32],
    settings: RoutingSettings,
    *,
    probabilities: NDArray[np.floating] | None = None,
) -> Decisions:
    """Route b texts with the tests of the settings.

    Args:
        tree: the taxonomy, n nodes.
        scores: float32[b, n], fused similarity, finite where `candidates` holds.
        candidates: bool[b, n] (see `candidate_subgraph`).
        beams: int32[b, w], top nodes to follow beside the best one (see `beam`), padded with `ROOT`.
        settings: thresholds and options.
        probabilities: [b, n], calibrated probability of the path to each node (mass of its subtree). Without it, starts
            are compared by (final score, not ambiguous, level).

    Returns:
        Decisions; a stop at the root is no answer.
    """
    return route(tree, scores, candidates, beams, StopTests.from_settings(settings), probabilities=probabilities)


def route(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    beams: NDArray[np.int32],
    tests: StopTests,
    *,
    probabilities: NDArray[np.floating] | None = None,
    record: list[Points] | None = None,
) -> Decisions:
    """`route_by_rules` with any tests; `record` takes the judged points of every step."""
    root = _examine_root(tree, scores, candidates, tests)
    if record is not None:
        record.append(root)
    rows, starts = _starts(tree, candidates, beams, tests, root)
    ends = descend(tree, scores, candidates, rows, starts, tests=tests, record=record)
    order, place = places_within(rows, _preferences(tree, scores, rows, ends, probabilities))
    best = order[place == 0]
    nodes = np.full(len(scores), ROOT, np.int32)
    stops = root.stops.copy()
    alternatives = root.alternatives(tests.alternatives)
    nodes[rows[best]] = ends.nodes[best]
    stops[rows[best]] = ends.stops[best]
    alternatives[rows[best]] = ends.alternatives[best]
    return Decisions(nodes, reason_texts(stops, tests.max_level), is_doubt(stops), alternatives)


def decision_points(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    beams: NDArray[np.int32],
    settings: RoutingSettings,
) -> dict[str, NDArray[Any]]:
    """Every decision point of b texts as columns of one table: the features of a stop gate.

    Returns:
        Columns of equal length: text, parent (position, `ROOT` for the root sentinel), level (of the parent, 0 = root),
        children, candidates, best (position or `ROOT`), parent_score, top1, top2, gap, parent_gap, spread (float64, NaN
        where undefined), decision (`descend` or the stopping reason).
    """
    record: list[Points] = []
    tests = StopTests.from_settings(settings)
    route(tree, scores, candidates, beams, tests, record=record)
    parents = np.concatenate([points.nodes for points in record])
    ranked = np.concatenate([points.ranked[:, :1] for points in record])[:, 0]
    best, second = np.concatenate([points.ranked_scores[:, :2] for points in record]).T
    lowest = np.concatenate([points.lowest for points in record])
    own = np.where(parents == ROOT, np.nan, np.concatenate([points.own for points in record]))
    stops = np.concatenate([points.stops for points in record])
    top1 = np.where(np.isfinite(best), best, np.nan)
    top2 = np.where(np.isfinite(second), second, np.nan)
    return {
        "text": np.concatenate([points.texts for points in record]),
        "parent": parents,
        "level": np.where(parents == ROOT, 0, tree.levels[parents]),
        "children": np.concatenate([points.children for points in record]),
        "candidates": np.concatenate([points.candidates for points in record]),
        "best": ranked,
        "parent_score": own,
        "top1": top1,
        "top2": top2,
        "gap": top1 - top2,
        "parent_gap": top1 - own,
        "spread": top1 - np.where(np.isfinite(lowest), lowest, np.nan),
        "decision": reason_texts(stops, tests.max_level),
    }


def trace_rules(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    beams: NDArray[np.int32],
    settings: RoutingSettings,
    *,
    probabilities: NDArray[np.floating] | None = None,
    notes: Callable[[int], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """How one text was routed, as values that JSON can hold (undefined figures are null).

    Args:
        tree: the taxonomy.
        scores: float32[n] of the text.
        candidates: bool[n] of the text.
        beams: int32[w] of the text.
        settings: thresholds and options.
        probabilities: [n] of the text, or None.
        notes: what else to say about a node (position), for example its deciding view and nearest evidence texts; added
            to the best and the second child of each step.

    Returns:
        answer (code or null), stopping_reason, ambiguous, root (step), starts: one mapping per followed top node with
        code, final_code, probability, score, chosen and steps. A step has level, parent, children, candidates, scores
        (code to score), best, second, gap, parent_score, parent_gap, spread and decision.
    """
    record: list[Points] = []
    tests = StopTests.from_settings(settings)
    masses = None if probabilities is None else probabilities[None]
    decisions = route(tree, scores[None], candidates[None], beams[None], tests, probabilities=masses, record=record)
    root, *walked = record
    paths: dict[int, list[tuple[Points, int]]] = {}
    for points in walked:
        for i, path in enumerate(points.rows.tolist()):
            paths.setdefault(path, []).append((points, i))

    def step(points: Points, i: int) -> dict[str, Any]:
        return _step(tree, scores, candidates, points, i, tests=tests, notes=notes)

    answer = int(decisions.nodes[0])
    starts = []
    for steps in paths.values():
        start, final = (int(points.nodes[i]) for points, i in (steps[0], steps[-1]))
        starts.append(
            {
                "code": tree.codes[start],
                "final_code": tree.codes[final],
                "probability": None if probabilities is None else float(probabilities[final]),
                "score": float(scores[final]),
                "chosen": final == answer,
                "steps": [step(points, i) for points, i in steps],
            }
        )
    return {
        "answer": _code(tree, answer),
        "stopping_reason": decisions.reasons[0],
        "ambiguous": bool(decisions.ambiguous[0]),
        "root": step(root, 0),
        "starts": starts,
    }


def _examine_root(tree: Taxonomy, scores: NDArray[np.float32], candidates: NDArray[np.bool_], tests: StopTests) -> Points:
    texts = np.arange(len(scores))
    return examine(tree, scores, candidates, texts, np.full(len(scores), ROOT, np.int32), tests=tests)


def _starts(
    tree: Taxonomy, candidates: NDArray[np.bool_], beams: NDArray[np.int32], tests: StopTests, root: Points
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Top nodes to follow: the best one, then the beam; none where the root stops. (rows int64[m], nodes int32[m])."""
    starts = np.column_stack([root.ranked[:, 0], beams]).astype(np.int32)
    wanted = (starts != ROOT) & (root.stops == Stop.DESCEND)[:, None]
    wanted[:, 1:] &= starts[:, 1:] != starts[:, :1]
    wanted &= candidates[np.arange(len(starts))[:, None], starts]
    if tests.max_level is not None:
        wanted &= tree.levels[starts] <= tests.max_level
    rows, columns = np.nonzero(wanted)
    return rows, starts[rows, columns]


def _preferences(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    texts: NDArray[np.int64],
    ends: PathEnds,
    probabilities: NDArray[np.floating] | None,
) -> list[NDArray[Any]]:
    """Sort keys that put the better path first."""
    keys: list[NDArray[Any]] = [-scores[texts, ends.nodes], is_doubt(ends.stops), -tree.levels[ends.nodes]]
    return keys if probabilities is None else [-probabilities[texts, ends.nodes], *keys]


def _beam_ranks(
    scores: NDArray[np.float64], first: NDArray[np.int64], lowest: NDArray[np.float64], how: str
) -> NDArray[np.float64]:
    """float64[g]: rank of each group of hits; groups start at `first`, best hit first; `lowest` per group's text."""
    counts = np.diff(first, append=len(scores))
    ranks: NDArray[np.float64]
    if how == "max":
        return scores[first]
    if how == "top3":
        within = np.arange(len(scores)) - np.repeat(first, counts)
        best = np.add.reduceat(np.where(within < _TOP_HITS, scores, 0.0), first)
        ranks = (best + lowest * np.maximum(_TOP_HITS - counts, 0)) / _TOP_HITS
        return ranks
    total = np.add.reduceat(scores, first)
    ranks = total if how == "sum" else total / counts
    return ranks


def _code(tree: Taxonomy, node: int) -> str | None:
    return None if node == ROOT else tree.codes[node]


def _figure(value: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None


def _step(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    points: Points,
    i: int,
    *,
    tests: StopTests,
    notes: Callable[[int], dict[str, Any]] | None,
) -> dict[str, Any]:
    parent = int(points.nodes[i])
    best, second = points.ranked_scores[i, :2].tolist()
    children = [child for child in tree.children_of(parent).tolist() if candidates[child]]

    def named(place: int) -> dict[str, Any] | None:
        child = int(points.ranked[i, place])
        if child == ROOT:
            return None
        extra = notes(child) if notes else {}
        return {"code": tree.codes[child], "label": tree.nodes[child].label, "score": float(scores[child]), **extra}

    return {
        "level": 0 if parent == ROOT else tree.nodes[parent].level,
        "parent": _code(tree, parent),
        "children": int(points.children[i]),
        "candidates": int(points.candidates[i]),
        "scores": {tree.codes[child]: _figure(scores[child]) for child in children},
        "best": named(0),
        "second": named(1),
        "gap": _figure(best - second),
        "parent_score": None if parent == ROOT else float(points.own[i]),
        "parent_gap": None if parent == ROOT else _figure(best - points.own[i]),
        "spread": _figure(best - points.lowest[i]),
        "decision": str(reason_texts(points.stops[i : i + 1], tests.max_level)[0]),
    }
