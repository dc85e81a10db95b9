"""Scoped validation: is the routed answer supported by the best leaf among all candidates?

Routing decides level by level and can be led astray near the top. Validation looks once over all examined leaves: when
the best one lies elsewhere and leads clearly, it becomes the answer; when it leads a little, the answer stays but a
person should look. Scores are those of the routing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.descent import Hits
from taxomind_assets.classification.rules import beam, candidate_subgraph, route_by_rules
from taxomind_assets.taxonomy.tree import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.settings import RetrievalSettings, RoutingSettings

RETRY_FACTOR = 3
"""An answer without support is routed once more on this many times `retrieval_k` retrieved nodes."""


class Status(StrEnum):
    """What validation found. The first true condition counts, in this order (`DEEPER` refines `CONSISTENT`)."""

    INSUFFICIENT_NO_LEAVES = "INSUFFICIENT_NO_LEAVES"
    INSUFFICIENT_NO_SUBTREE = "INSUFFICIENT_NO_SUBTREE"
    INSUFFICIENT_NO_SUB_LEAVES = "INSUFFICIENT_NO_SUB_LEAVES"
    CONSISTENT = "CONSISTENT"
    DEEPER = "DEEPER"
    OVERRIDE = "OVERRIDE"
    CONFLICT = "CONFLICT"


_INSUFFICIENT = [status for status in Status if status.startswith("INSUFFICIENT")]
_AMBIGUOUS = [*_INSUFFICIENT, Status.CONFLICT]
_CHANGED = [Status.OVERRIDE, Status.DEEPER]


@dataclass(frozen=True, slots=True)
class LeafComparison:
    """Best examined leaves of b texts, overall and below a node.

    Attributes:
        best: int32[b], the best leaf, `ROOT` = there is none.
        best_score: float64[b], -inf where there is none (likewise below).
        second_score: float64[b], of the next leaf.
        below: int32[b], the best leaf at or below the node, `ROOT` = there is none.
        below_score: float64[b].
    """

    best: NDArray[np.int32]
    best_score: NDArray[np.float64]
    second_score: NDArray[np.float64]
    below: NDArray[np.int32]
    below_score: NDArray[np.float64]

    @property
    def agree(self) -> NDArray[np.bool_]:
        """bool[b]: the best leaf lies at or below the node (a tie counts as agreement)."""
        agreed: NDArray[np.bool_] = (self.below_score == self.best_score) & (self.below != ROOT)
        return agreed

    @property
    def margin(self) -> NDArray[np.float64]:
        """float64[b]: lead of the best leaf over the best one below the node, NaN where one of them is missing."""
        return _difference(self.best_score, self.below_score)

    @property
    def stability(self) -> NDArray[np.float64]:
        """float64[b]: lead of the best leaf over the next, NaN where there are fewer than two."""
        return _difference(self.best_score, self.second_score)


def compare_leaves(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    nodes: NDArray[np.int32],
    max_level: int | None,
) -> LeafComparison:
    """Compare the examined leaves of b texts.

    A leaf takes part when it and all its siblings are candidates; an inner node whose children were not examined never
    does. With `max_level` the tree is cut there: nodes whose children lie deeper count as leaves.

    Args:
        tree: the taxonomy, n nodes.
        scores: float32[b, n], finite where `candidates` holds.
        candidates: bool[b, n].
        nodes: int32[b], the nodes to look below; `ROOT` = the whole tree.
        max_level: deepest level of an answer, None = no limit.
    """
    leaves = np.flatnonzero(_leaves(tree, max_level))
    part = _siblings_examined(tree, candidates, leaves) & candidates[:, leaves]
    values = np.where(part, scores[:, leaves], -np.inf).astype(np.float64)
    first = np.where(nodes == ROOT, 0, nodes)
    end = np.where(nodes == ROOT, len(tree), tree.ends[nodes])
    inside = (leaves >= first[:, None]) & (leaves < end[:, None])
    below, below_score = _largest(leaves, np.where(inside, values, -np.inf))
    best, best_score = _largest(leaves, values)
    rows = np.flatnonzero(best != ROOT)
    values[rows, np.searchsorted(leaves, best[rows])] = -np.inf
    _, second_score = _largest(leaves, values)
    return LeafComparison(best, best_score, second_score, below, below_score)


def validate(
    *,
    tree: Taxonomy,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    decisions: Decisions,
    threshold: float,
    stability_margin: float | None,
    deepen_margin: float | None,
    max_level: int | None,
) -> Decisions:
    """Check routed answers of b texts against the examined leaves.

    Args:
        tree: the taxonomy, n nodes.
        scores: float32[b, n], those of the routing.
        candidates: bool[b, n].
        decisions: the routed answers.
        threshold: lead over the best leaf below the answer that lets a leaf elsewhere override.
        stability_margin: lead over the next leaf that it needs as well, None = no such test.
        deepen_margin: lead over the answer that moves it down to its best leaf, None = answers are never moved down.
        max_level: deepest level of an answer, None = no limit.

    Returns:
        Decisions. `OVERRIDE` and `DEEPER` change the answer, mark the reason and name the routed node as the first
        alternative; `CONFLICT` names the leaf elsewhere and, like `INSUFFICIENT_*`, sets ambiguous. `details` gain
        validation_status, validation_override_code (the new code of a changed answer), validation_margin and
        validation_stability_gap (null where undefined).
    """
    leaves = compare_leaves(tree, scores, candidates, decisions.nodes, max_level)
    status = _statuses(
        leaves,
        scores,
        candidates,
        decisions.nodes,
        threshold=threshold,
        stability_margin=stability_margin,
        deepen_margin=deepen_margin,
    )
    nodes, reasons, lead = decisions.nodes.copy(), decisions.reasons.copy(), np.full(len(scores), ROOT, np.int32)
    for changed, target, mark in ((Status.OVERRIDE, leaves.best, "override"), (Status.DEEPER, leaves.below, "deeper")):
        rows = np.flatnonzero(status == changed)
        nodes[rows], lead[rows] = target[rows], decisions.nodes[rows]
        reasons[rows] = reasons[rows] + f"|validation_{mark}"
    conflict = status == Status.CONFLICT
    lead[conflict] = leaves.best[conflict]
    moved = np.where(np.isin(status, _CHANGED), nodes, ROOT)
    return Decisions(
        nodes=nodes,
        reasons=reasons,
        ambiguous=decisions.ambiguous | np.isin(status, _AMBIGUOUS),
        alternatives=_put_first(decisions.alternatives, lead, moved),
        details=_details(tree, decisions, status, leaves, moved),
    )


def insufficient(decisions: Decisions) -> NDArray[np.bool_]:
    """bool[b]: validated answers that the retrieved candidates could not support."""
    details = decisions.details or [{}] * len(decisions.nodes)
    return np.array([detail.get("validation_status") in _INSUFFICIENT for detail in details], np.bool_)


def route_validated(
    tree: Taxonomy,
    scores: NDArray[np.float32],
    hits: Hits,
    retrieval: RetrievalSettings,
    routing: RoutingSettings,
    *,
    probabilities: NDArray[np.floating] | None = None,
    retrieve_more: Callable[[NDArray[np.int64]], Hits] | None = None,
) -> Decisions:
    """The whole stop rule `rules`: candidates, beam, routing, validation, and one more try where support is missing.

    Args:
        tree: the taxonomy, n nodes.
        scores: float32[b, n], finite.
        hits: retrieved nodes of the b texts.
        retrieval: beam settings.
        routing: thresholds and options.
        probabilities: [b, n], calibrated probability of the path to each node, or None.
        retrieve_more: hits of some texts (rows int64[r]) with `RETRY_FACTOR` * `retrieval_k` retrieved nodes; None = no
            second try.
    """

    def once(rows: NDArray[np.int64] | slice, hits: Hits) -> Decisions:
        candidates = candidate_subgraph(tree, hits)
        masses = None if probabilities is None else probabilities[rows]
        routed = route_by_rules(tree, scores[rows], candidates, beam(tree, hits, retrieval), routing, probabilities=masses)
        return validate(
            tree=tree,
            scores=scores[rows],
            candidates=candidates,
            decisions=routed,
            threshold=routing.validation_threshold,
            stability_margin=routing.validation_stability_margin,
            deepen_margin=routing.validation_deepen_margin if routing.validation_deepen else None,
            max_level=routing.max_depth,
        )

    decisions = once(slice(None), hits)
    rows = np.flatnonzero(insufficient(decisions))
    if retrieve_more is None or not len(rows):
        return decisions
    return _replaced(decisions, rows, once(rows, retrieve_more(rows)))


def _replaced(decisions: Decisions, rows: NDArray[np.int64], again: Decisions) -> Decisions:
    for name in ("nodes", "reasons", "ambiguous", "alternatives"):
        getattr(decisions, name)[rows] = getattr(again, name)
    details = list(decisions.details or [])
    for row, detail in zip(rows.tolist(), again.details or [], strict=True):
        details[row] = detail
    return replace(decisions, details=details)


def _difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    gaps = np.full(len(a), np.nan)
    np.subtract(a, b, out=gaps, where=np.isfinite(a) & np.isfinite(b))
    return gaps


def _leaves(tree: Taxonomy, max_level: int | None) -> NDArray[np.bool_]:
    """bool[n]: leaves of the tree cut below `max_level`."""
    if max_level is None:
        return tree.is_leaf
    within = tree.levels <= max_level
    inner = np.zeros(len(tree), np.bool_)
    inner[tree.parents[within & (tree.parents != ROOT)]] = True
    return within & ~inner


def _siblings_examined(tree: Taxonomy, candidates: NDArray[np.bool_], leaves: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool[b, l]: all siblings of each leaf are candidates."""
    starts, members = tree.children
    families = np.flatnonzero(np.diff(starts))
    if not len(families):
        return np.zeros((len(candidates), 0), np.bool_)
    complete = np.logical_and.reduceat(candidates[:, members], starts[families], axis=1)
    return complete[:, np.searchsorted(families, tree.parents[leaves] + 1)]


def _largest(columns: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """(column with the largest value, `ROOT` where all are -inf; that value). Ties: the first."""
    if not len(columns):
        return np.full(len(values), ROOT, np.int32), np.full(len(values), -np.inf)
    at = values.argmax(axis=1)
    score = values[np.arange(len(values)), at]
    return np.where(np.isfinite(score), columns[at], ROOT).astype(np.int32), score


def _statuses(
    leaves: LeafComparison,
    scores: NDArray[np.float32],
    candidates: NDArray[np.bool_],
    nodes: NDArray[np.int32],
    *,
    threshold: float,
    stability_margin: float | None,
    deepen_margin: float | None,
) -> NDArray[np.str_]:
    rows = np.arange(len(nodes))
    at_root = nodes == ROOT
    own = scores[rows, nodes].astype(np.float64)
    stable = np.ones(len(nodes), np.bool_) if stability_margin is None else leaves.stability >= stability_margin
    deeper = leaves.agree & (leaves.below != nodes)
    deeper &= False if deepen_margin is None else leaves.below_score >= own + deepen_margin
    conditions = [
        (leaves.best == ROOT, Status.INSUFFICIENT_NO_LEAVES),
        (at_root, Status.CONSISTENT),
        (~candidates[rows, nodes], Status.INSUFFICIENT_NO_SUBTREE),
        (leaves.below == ROOT, Status.INSUFFICIENT_NO_SUB_LEAVES),
        (deeper, Status.DEEPER),
        (leaves.agree, Status.CONSISTENT),
        ((leaves.margin >= threshold) & stable, Status.OVERRIDE),
    ]
    return np.select(
        [condition for condition, _ in conditions], [str(status) for _, status in conditions], str(Status.CONFLICT)
    )


def _put_first(alternatives: NDArray[np.int32], lead: NDArray[np.int32], answers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Alternatives with `lead` (where not `ROOT`) in front, without repeats and without changed `answers`."""
    rest = np.where((alternatives == lead[:, None]) | (alternatives == answers[:, None]), ROOT, alternatives)
    joined = np.column_stack([lead, rest])
    order = np.argsort(joined == ROOT, axis=1, kind="stable")
    return np.take_along_axis(joined, order, axis=1)[:, : alternatives.shape[1]]


def _details(
    tree: Taxonomy, decisions: Decisions, status: NDArray[np.str_], leaves: LeafComparison, moved: NDArray[np.int32]
) -> list[dict[str, Any]]:
    margins = np.where(decisions.nodes == ROOT, np.nan, leaves.margin).tolist()
    columns = zip(
        decisions.details or [{}] * len(status),
        status.tolist(),
        moved.tolist(),
        margins,
        leaves.stability.tolist(),
        strict=True,
    )
    return [
        {
            **known,
            "validation_status": name,
            "validation_override_code": None if code == ROOT else tree.codes[code],
            "validation_margin": None if np.isnan(margin) else margin,
            "validation_stability_gap": None if np.isnan(gap) else gap,
        }
        for known, name, code, margin, gap in columns
    ]
