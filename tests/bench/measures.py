"""What is measured of the answers of one way to code texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.reports import curves
from taxomind_assets.reports.intervals import wilson
from taxomind_assets.reports.judged import depths_of, shared_depth
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Accuracies that an answer may promise.
PROMISES: Final = (0.90, 0.95)


@dataclass(frozen=True)
class Answered:
    """What one way says to b texts. Nodes are positions in the tree; `ROOT` (-1) = no answer.

    Attributes:
        leaves: int32[b], the best leaf.
        confidence: float64[b] for the leaf, in any unit that ranks; None = it has none.
        stops: for each promised accuracy int32[b], the node answered with (internal ones and none allowed).
        probability: whether the confidence claims to be a probability.
        ranked: int32[b, k], ranked leaves; None = only one is known.
        fit_s: seconds of processor time to learn from labelled texts.
        predict_us: microseconds of processor time for each text, embedding not counted.
        notes: anything else worth keeping, by name.
    """

    leaves: NDArray[np.int32]
    confidence: NDArray[np.float64] | None = None
    stops: dict[float, NDArray[np.int32]] = field(default_factory=dict)
    probability: bool = True
    ranked: NDArray[np.int32] | None = None
    fit_s: float = 0.0
    predict_us: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)


def nearest_gold(tree: Taxonomy, gold: Sequence[Sequence[int]], nodes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The known node that each answer agrees with longest, then the shallowest one; the first for no answer: int32[b]."""
    chosen = np.array([known[0] for known in gold], np.int32)
    for row in [row for row, known in enumerate(gold) if len(known) > 1 and nodes[row] != ROOT]:
        known = np.array(gold[row], np.int32)
        shared = shared_depth(tree, known, np.full(known.size, nodes[row], np.int32))
        chosen[row] = known[np.lexsort((tree.depths[known], -shared))[0]]
    return chosen


def measured(tree: Taxonomy, gold: Sequence[Sequence[int]], answered: Answered) -> dict[str, Any]:
    """All measures of b answers; what cannot be measured is left out.

    Args:
        gold: positions of the known nodes of each text; any of them counts as right.
    """
    right = is_known(gold, answered.leaves)
    low, high = wilson(right.sum(), right.size)
    found: dict[str, Any] = {
        "texts": int(right.size),
        "accuracy": float(right.mean()),
        "accuracy_low": float(low),
        "accuracy_high": float(high),
        "hierarchical_f1": hierarchical_f1(tree, gold, answered.leaves),
        "fit_s": round(answered.fit_s, 2),
        "predict_us": round(answered.predict_us, 1),
    }
    if answered.ranked is not None:
        found["recall_5"] = float(np.mean([not set(known).isdisjoint(row) for known, row in _pairs(gold, answered.ranked, 5)]))
    if answered.confidence is not None:
        found |= of_confidence(right, answered.confidence, probability=answered.probability)
    found |= {f"promise_{round(100 * promise)}": kept(tree, gold, nodes) for promise, nodes in answered.stops.items()}
    return found | answered.notes


def _pairs(gold: Sequence[Sequence[int]], ranked: NDArray[np.int32], k: int) -> list[tuple[Sequence[int], list[int]]]:
    return list(zip(gold, ranked[:, :k].tolist(), strict=True))


def is_known(gold: Sequence[Sequence[int]], nodes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """bool[b]: the node is one of the known ones."""
    return np.array([node in known for known, node in zip(gold, nodes.tolist(), strict=True)], np.bool_)


def hierarchical_f1(tree: Taxonomy, gold: Sequence[Sequence[int]], nodes: NDArray[np.int32]) -> float:
    """Micro averaged F1 over the nodes of the paths (Kiritchenko et al., 2005); the root does not count."""
    target = nearest_gold(tree, gold, nodes)
    shared = int(shared_depth(tree, target, nodes).sum())
    return 2 * shared / max(int(depths_of(tree, target).sum() + depths_of(tree, nodes).sum()), 1)


def of_confidence(right: NDArray[np.bool_], confidence: NDArray[np.float64], *, probability: bool) -> dict[str, float]:
    """Calibration error, area under the risk-coverage curve, and coverage at 90 and 95 % accuracy of the leaf."""
    group = curves.confidence_groups(confidence)
    coverage, accuracy = curves.risk_coverage(np.bincount(group), np.bincount(group, right), np.int64(right.size))
    found = {"aurc": float(curves.area_under_risk(coverage, accuracy))}
    found |= {
        f"cover_{target}": float(curves.coverage_at(coverage, accuracy, target / 100)) for target in curves.ACCURACY_TARGETS
    }
    return found | ({"ece": calibration_error(right, confidence)} if probability else {})


def calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    """Expected calibration error over 15 bins of equal width (Naeini et al., 2015)."""
    gap = np.bincount(curves.calibration_bin(confidence), np.clip(confidence, 0, 1) - right, curves.CALIBRATION_BINS)
    return float(np.abs(gap).sum() / right.size)


def kept(tree: Taxonomy, gold: Sequence[Sequence[int]], nodes: NDArray[np.int32]) -> dict[str, float | int | None]:
    """What became of a promised accuracy.

    Returns:
        `reached`: share of the answers that are a known node or above one, with its 95 % interval (None without answers);
        `answered`: share of the texts with an answer; `depth`: mean depth of the answer over that of the known node, at most 1
        for each text, no answer = 0; `information`: mean of 1 - log(leaves below the answer) / log(all leaves), right answers
        only.
    """
    target = nearest_gold(tree, gold, nodes)
    depth, full = depths_of(tree, nodes), depths_of(tree, target)
    safe = (nodes != ROOT) & (shared_depth(tree, target, nodes) == depth)
    answered = int((nodes != ROOT).sum())
    low, high = wilson(safe.sum(), answered)
    all_leaves = np.log(max(int(tree.is_leaf.sum()), 2))
    information = np.where(safe, 1 - np.log(np.append(tree.leaf_counts, 1)[nodes]) / all_leaves, 0.0)
    return {
        "answers": answered,
        "reached": int(safe.sum()) / answered if answered else None,
        "reached_low": float(low) if answered else None,
        "reached_high": float(high) if answered else None,
        "answered": answered / nodes.size,
        "depth": float(np.minimum(depth / full, 1).mean()),
        "information": float(information.mean()),
    }


def area_under_roc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """Probability that a text from inside scores higher than one from outside, ties counting half (Mann and Whitney, 1947)."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate((inside, outside)))[: inside.size]
    return float((ranks.sum() - inside.size * (inside.size + 1) / 2) / (inside.size * outside.size))
