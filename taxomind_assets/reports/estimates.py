"""All measures of one set of judged texts, with their intervals.

Shares are counted. Everything else is a function of sums over texts: `Sums` collects the summands as columns, so that the
same function gives the estimate (from the plain sums) and its interval (from the sums of 500 resamples).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from taxomind_assets.reports import curves
from taxomind_assets.reports.definitions import OUTCOMES
from taxomind_assets.reports.intervals import RESAMPLES, bootstrap_sums, percentile_interval, wilson
from taxomind_assets.reports.judged import depths_of
from taxomind_assets.taxonomy.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from taxomind_assets.reports.judged import Judged
    from taxomind_assets.taxonomy.tree import Taxonomy

    Key = tuple[str, int | None]  # measure and level
    Share = tuple[NDArray[np.bool_], NDArray[np.bool_]]  # hits, texts that count
    ConfidenceKind = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]
    BlockSums = dict[str, NDArray[np.float64]]
    Statistic = Callable[[BlockSums], NDArray[np.float64]]
    Estimates = dict[Key, "Estimate"]

NO_COMMON_ANCESTOR_EDGES = 10
RECALL_PLACES = (5, 10, 20)
RECIPROCAL_RANK_PLACES = 10
_INTERVAL_GROUPS = 1000  # groups of equal confidence that a resample tells apart
_HIGHEST = {"hierarchical_distance": np.inf}


class Estimate(NamedTuple):
    """A measure with its interval; None where undefined. `resampled` is float64[resamples], or None."""

    value: float | None
    n: int
    low: float | None
    high: float | None
    resampled: NDArray[np.float64] | None = None


@dataclass
class Sums:
    """Columns to be summed over texts, in named blocks."""

    blocks: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, block: Any) -> None:
        """Add a block: a dense array [n, columns] or a sparse one."""
        from scipy.sparse import csr_array

        self.blocks[name] = csr_array(block)

    def plain(self) -> BlockSums:
        """Sums over the texts: float64[1, columns] per block."""
        return {name: np.asarray(block.sum(axis=0), np.float64).reshape(1, -1) for name, block in self.blocks.items()}

    def resampled(self, resamples: int, seed: int) -> BlockSums:
        """Sums over resampled texts: float64[resamples, columns] per block."""
        from scipy.sparse import csr_array, hstack

        widths = [block.shape[1] for block in self.blocks.values()]
        sums = bootstrap_sums(csr_array(hstack(list(self.blocks.values()), format="csr")), resamples=resamples, seed=seed)
        return dict(zip(self.blocks, np.split(sums, np.cumsum(widths)[:-1], axis=1), strict=True))


def estimate(tree: Taxonomy, judged: Judged, *, resamples: int = RESAMPLES, seed: int = 0, paired: bool = False) -> Estimates:
    """All measures of `judged`.

    Args:
        tree: the taxonomy.
        judged: n texts.
        resamples: resamples for the intervals; 0 = none (only shares have intervals then).
        seed: seed of the resamples. The same seed and n draw the same texts.
        paired: resample the shares too, so that two strategies can be compared text by text.

    Returns:
        estimates by (metric, level); the level is None for all but `level_accuracy`.
        Nothing for no texts; measures without a basis (such as recall without ranked candidates) may be missing.
    """
    if not len(judged):
        return {}
    shares = _shares(tree, judged)
    found: Estimates = {name: _share_estimate(hits, among) for name, (hits, among) in shares.items()}
    sums, statistics = _statistics(tree, judged)
    if paired:
        hits = np.column_stack([hit & among for hit, among in shares.values()])
        among_all = np.column_stack([among for _, among in shares.values()])
        sums.add("share_hits", hits.astype(np.float64))
        sums.add("share_among", among_all.astype(np.float64))
    n = len(judged)
    plain = sums.plain()
    again = sums.resampled(resamples, seed) if resamples and n > 1 else None
    for name, statistic in statistics.items():
        found[name, None] = _statistic_estimate(name, statistic, n, plain, again)
    found |= _confidence_estimates(judged, plain, again)
    if paired and again is not None:
        resampled = _ratio(again["share_hits"], again["share_among"])
        for column, key in enumerate(shares):
            found[key] = found[key]._replace(resampled=resampled[:, column])
    return found


def _shares(tree: Taxonomy, judged: Judged) -> dict[Key, Share]:
    """(hits, texts that count) per measure: bool[n] each."""
    everything = np.ones(len(judged), np.bool_)
    right, under, over, wrong, abstained = (judged.outcome == number for number in range(len(OUTCOMES)))
    ranked = everything & judged.has_leaf.any()
    levels = np.append(tree.levels, np.int32(0))
    shares: dict[str, Share] = {
        "exact": (right, everything),
        "safe": (right | under, everything),
        "kept_accuracy": (right | under, ~abstained),
        "under": (under, everything),
        "over": (over, everything),
        "wrong_branch": (wrong, everything),
        "right_branch": (right | under | over, everything),
        "abstained": (abstained, everything),
        "ambiguous": (judged.ambiguous, everything),
        "level_match": (levels[judged.answer] == levels[judged.target], everything),
        "root_accuracy": (judged.shared >= 1, everything),
        "leaf_accuracy": (judged.leaf_right, ranked),
    }
    # A text without ranked candidates counts with its answer as the only one.
    only_answer = ~judged.has_leaf & right
    for k in RECALL_PLACES:
        among_first = (judged.place >= 1) & (judged.place <= k)
        shares[f"recall_{k}"] = (among_first | only_answer, ranked)
    found: dict[Key, Share] = {(name, None): share for name, share in shares.items()}
    return found | {("level_accuracy", level): share for level, share in _level_shares(tree, judged).items()}


def _level_shares(tree: Taxonomy, judged: Judged) -> dict[int, Share]:
    """Right at each level, among targets that have an ancestor (or are themselves) at that level."""
    names = np.unique(tree.levels)
    at_level = np.full((len(tree) + 1, len(names)), ROOT, np.int32)
    rows, columns = np.nonzero(tree.paths != ROOT)
    nodes = tree.paths[rows, columns]
    at_level[rows, np.searchsorted(names, tree.levels[nodes])] = nodes
    target, answer = at_level[judged.target], at_level[judged.answer]
    return {int(level): (target[:, i] == answer[:, i], target[:, i] != ROOT) for i, level in enumerate(names)}


def _share_estimate(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
    n = int(among.sum())
    if not n:
        return Estimate(None, 0, None, None)
    count = int((hits & among).sum())
    low, high = wilson(count, n)
    return Estimate(count / n, n, float(low), float(high))


def _statistics(tree: Taxonomy, judged: Judged) -> tuple[Sums, dict[str, Statistic]]:
    """The columns to sum, and each measure as a function of the sums."""
    sums = Sums()
    target_depth, answer_depth = depths_of(tree, judged.target), depths_of(tree, judged.answer)
    sums.add("paths", np.column_stack([judged.shared, answer_depth, target_depth]).astype(np.float64))
    means = _means(tree, judged)
    sums.add("means", np.column_stack([*means.values(), np.ones(len(judged))]))
    _add_codes(sums, judged)
    for name, (confidence, hits, counted) in confidence_kinds(**judged.confidences()).items():
        _add_confidence(sums, name, confidence, hits, counted)
    statistics: dict[str, Statistic] = {name: _mean_of(i) for i, name in enumerate(means)}
    statistics |= {"hP": lambda s: _ratio(s["paths"][:, 0], s["paths"][:, 1])}
    statistics |= {"hR": lambda s: _ratio(s["paths"][:, 0], s["paths"][:, 2])}
    # 2PR / (P + R) with P = shared / predicted and R = shared / known.
    statistics |= {"hF1": lambda s: _ratio(2 * s["paths"][:, 0], s["paths"][:, 1] + s["paths"][:, 2])}
    statistics |= {"macro_f1": _macro_f1}
    if not judged.has_leaf.any():
        statistics.pop("mrr_10")
    return sums, statistics


def _mean_of(column: int) -> Statistic:
    return lambda sums: _ratio(sums["means"][:, column], sums["means"][:, -1])


def _means(tree: Taxonomy, judged: Judged) -> dict[str, NDArray[np.float64]]:
    """Measures that are a mean over texts: float64[n] each."""
    target_depth = depths_of(tree, judged.target).astype(np.float64)
    answer_depth = depths_of(tree, judged.answer).astype(np.float64)
    shared = judged.shared.astype(np.float64)
    edges = np.where(shared > 0, target_depth + answer_depth - 2 * shared, NO_COMMON_ANCESTOR_EDGES)
    place = np.where(judged.has_leaf, judged.place, (judged.answer == judged.target).astype(np.int32))
    reciprocal = np.where((place >= 1) & (place <= RECIPROCAL_RANK_PLACES), 1 / np.maximum(place, 1), 0.0)
    safe = judged.outcome <= OUTCOMES.index("under")
    all_leaves = np.log(max(int(tree.is_leaf.sum()), 2))
    leaves = np.append(tree.leaf_counts, 1)[judged.answer]
    return {
        "hP_macro": _ratio(shared, answer_depth),
        "hR_macro": _ratio(shared, target_depth),
        "hF1_macro": _ratio(2 * shared, target_depth + answer_depth),
        "hierarchical_distance": edges,
        "hierarchical_accuracy": 1 / (1 + edges),
        "depth": np.minimum(_ratio(answer_depth, target_depth), 1),
        "depth_right": _ratio(shared, target_depth),
        "information": np.where(safe, 1 - np.log(leaves) / all_leaves, 0.0),
        "mrr_10": reciprocal,
    }


def _add_codes(sums: Sums, judged: Judged) -> None:
    """Per known code: hits, known and answered texts, for macro F1."""
    codes, target = np.unique(judged.target, return_inverse=True)
    answer = np.searchsorted(codes, judged.answer).clip(0, len(codes) - 1)
    answered = codes[answer] == judged.answer
    width = len(codes)
    sums.add("hits", _one_hot(target, width, judged.target == judged.answer))
    sums.add("known", _one_hot(target, width))
    sums.add("answered", _one_hot(answer, width, answered))


def _macro_f1(sums: BlockSums) -> NDArray[np.float64]:
    known = sums["known"]
    f1 = _ratio(2 * sums["hits"], known + sums["answered"])
    return np.asarray(_ratio((f1 * (known > 0)).sum(axis=1), (known > 0).sum(axis=1)))


def confidence_kinds(
    outcome: NDArray[np.int8],
    confidence: NDArray[np.float64],
    leaf_confidence: NDArray[np.float64],
    has_leaf: NDArray[np.bool_],
    leaf_right: NDArray[np.bool_],
) -> dict[str, ConfidenceKind]:
    """(confidence, right, texts that it speaks of) per kind: [n] each. The arguments are those of `Judged`.

    `exact`: the answer's confidence against an exact answer, all texts (the public protocol).
    `answer`: the same confidence against what it promises, the right node or above it; answered texts.
    `leaf`: the best leaf's probability; texts with candidates.
    """
    safe = outcome <= OUTCOMES.index("under")
    return {
        "exact": (confidence, outcome == OUTCOMES.index("right"), np.ones(len(outcome), np.bool_)),
        "answer": (confidence, safe, outcome != OUTCOMES.index("abstained")),
        "leaf": (leaf_confidence, leaf_right, has_leaf),
    }


PREFIXES = {"exact": "", "answer": "safe_", "leaf": "leaf_"}


def _add_confidence(
    sums: Sums, name: str, confidence: NDArray[np.float64], hits: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> None:
    bins = curves.calibration_bin(confidence)
    gap = np.clip(confidence, 0, 1) - hits
    sums.add(f"{name}_gap", _one_hot(bins, curves.CALIBRATION_BINS, gap * counted))
    sums.add(f"{name}_counted", counted[:, None].astype(np.float64))
    group = np.zeros(len(confidence), np.int64)
    group[counted] = curves.confidence_groups(confidence[counted], _INTERVAL_GROUPS)
    width = int(group.max(initial=0)) + 1
    sums.add(f"{name}_texts", _one_hot(group, width, counted))
    sums.add(f"{name}_hits", _one_hot(group, width, counted & hits))


def _confidence_estimates(judged: Judged, plain: BlockSums, again: BlockSums | None) -> Estimates:
    found: Estimates = {}
    n = len(judged)
    for kind, (confidence, hits, counted) in confidence_kinds(**judged.confidences()).items():
        prefix, spoken_of = PREFIXES[kind], int(counted.sum())
        names = [f"{prefix}aurc", *(f"{prefix}cover_{target}" for target in curves.ACCURACY_TARGETS)]
        if not spoken_of:
            found |= {(name, None): Estimate(None, 0, None, None) for name in [*names, f"{prefix}ece"]}
            continue
        values = _curve_measures(*exact_curve(confidence[counted], hits[counted], n))
        resampled: list[Any] = [None] * len(names)
        if again is not None:
            curve = curves.risk_coverage(again[f"{kind}_texts"], again[f"{kind}_hits"], np.full(len(again["paths"]), n))
            resampled = _curve_measures(*curve)
        for name, value, samples in zip(names, values, resampled, strict=True):
            found[name, None] = _with_interval(name, float(value), n, samples)
        gaps = _statistic_estimate(f"{prefix}ece", _calibration_error(kind), spoken_of, plain, again)
        found[f"{prefix}ece", None] = gaps
    return found


def exact_curve(
    confidence: NDArray[np.float64], hits: NDArray[np.bool_], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(coverage, accuracy) at every distinct confidence, most confident first, of `n` texts in all."""
    group = curves.confidence_groups(confidence)
    return curves.risk_coverage(np.bincount(group), np.bincount(group, hits), np.int64(n))


def _curve_measures(coverage: NDArray[np.float64], accuracy: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    at_targets = [curves.coverage_at(coverage, accuracy, target / 100) for target in curves.ACCURACY_TARGETS]
    return [curves.area_under_risk(coverage, accuracy), *at_targets]


def _calibration_error(kind: str) -> Statistic:
    return lambda sums: _ratio(np.abs(sums[f"{kind}_gap"]).sum(axis=1), sums[f"{kind}_counted"][:, 0])


def _statistic_estimate(name: str, statistic: Statistic, n: int, plain: BlockSums, again: BlockSums | None) -> Estimate:
    if not n:
        return Estimate(None, 0, None, None)
    return _with_interval(name, float(statistic(plain)[0]), n, None if again is None else statistic(again))


def _with_interval(name: str, value: float, n: int, resampled: NDArray[np.float64] | None) -> Estimate:
    if resampled is None or n < 2:
        return Estimate(value, n, None, None)
    low, high = percentile_interval(value, resampled, highest=_HIGHEST.get(name, 1.0))
    return Estimate(value, n, low, high, resampled)


def _one_hot(column: NDArray[np.int64], width: int, values: NDArray[Any] | None = None) -> Any:
    from scipy.sparse import csr_array

    n = len(column)
    data = np.ones(n) if values is None else np.asarray(values, np.float64)
    matrix = csr_array((data, (np.arange(n), column)), shape=(n, width))
    matrix.eliminate_zeros()
    return matrix


def _ratio(numerator: NDArray[np.float64], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """numerator / denominator, 0 where the denominator is 0."""
    bottom = np.asarray(denominator, np.float64)
    return np.divide(numerator, bottom, out=np.zeros(np.shape(bottom), np.float64), where=bottom != 0)
