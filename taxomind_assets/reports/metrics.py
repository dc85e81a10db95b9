"""The measures as tables: overall, per language, level, dataset, and apart for texts that stand in the taxonomy."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taxomind_assets.reports import curves
from taxomind_assets.reports.definitions import MEASURES
from taxomind_assets.reports.estimates import Estimate, confidence_kinds, estimate, exact_curve
from taxomind_assets.reports.intervals import RESAMPLES, percentile_interval
from taxomind_assets.reports.judged import Judged, confidences_of
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from taxomind_assets.reports.estimates import Estimates
    from taxomind_assets.taxonomy.tree import Taxonomy

COVERAGE_POINTS = 1000
UNKNOWN_LANGUAGE = "und"  # BCP 47: undetermined
COMPARISON = pa.schema(
    [
        ("metric", pa.string()),
        ("level", pa.int32()),
        ("strategy", pa.string()),
        ("value", pa.float64()),
        ("n", pa.int64()),
        ("interval_low", pa.float64()),
        ("interval_high", pa.float64()),
        ("difference", pa.float64()),
        ("difference_low", pa.float64()),
        ("difference_high", pa.float64()),
        ("best", pa.bool_()),
    ]
)


def report_id(errors: pa.Table) -> str:
    """16 hex digits over what was measured: texts, known codes, answers, confidences and index.

    Args:
        errors: `reports.errors`, in any order.
    """
    names = ["dataset", "text_id", "target_code", "code", "confidence", "leaf_confidence", "index_version"]
    rows = errors.select(names).sort_by([("dataset", "ascending"), ("text_id", "ascending")])
    digest = hashlib.sha256()
    for name in names:
        digest.update("\x1f".join(map(str, rows[name].to_pylist())).encode())
        digest.update(b"\x1e")
    return digest.hexdigest()[:16]


def measure(
    tree: Taxonomy,
    errors: pa.Table,
    *,
    slices: bool = True,
    strategy: str = "served",
    measured_at: datetime | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pa.Table:
    """Every measure of `definitions.MEASURES` with n and a 95 % interval.

    Shares have Wilson intervals, the others a bootstrap over texts. A level is the node's own level.

    Args:
        tree: the taxonomy that the texts were judged with.
        errors: `reports.errors` (`judging.judge`), one row per unique text.
        slices: also per dataset, language, level of the known code, and verbatim or not.
        strategy: name of what was measured.
        measured_at: time of the report (default: now, UTC).
        resamples: resamples of the bootstrap; 0 = only shares get intervals.
        seed: seed of the bootstrap.

    Returns:
        `reports.metrics`; value and interval are null where undefined, never NaN.

    Raises:
        Fault: `invalid_input` when a code is not in `tree`.
    """
    judged = Judged.from_table(tree, errors)
    everything = estimate(tree, judged, resamples=resamples, seed=seed)
    rows = _metric_rows("all", everything)
    for name, chosen in _slices(tree, errors, judged) if slices else ():
        part = everything
        if not chosen.all():
            part = estimate(tree, judged.take(chosen), resamples=resamples, seed=seed)
        rows += _metric_rows(name, part)
    shared = {
        "report_id": report_id(errors),
        "strategy": strategy,
        "measured_at": measured_at or datetime.now(UTC),
    }
    return pa.Table.from_pylist([row | shared for row in rows], BY_NAME["reports.metrics"].arrow)


def _slices(tree: Taxonomy, errors: pa.Table, judged: Judged) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    columns: dict[str, NDArray[Any]] = {
        "dataset": np.asarray(errors["dataset"], object),
        "language": np.asarray([language or UNKNOWN_LANGUAGE for language in errors["language"].to_pylist()], object),
        "level": tree.levels[judged.target],
        "verbatim": np.where(np.asarray(errors["verbatim"], np.bool_), "true", "false"),
    }
    for name, values in columns.items():
        for value in sorted(set(values.tolist())):
            yield f"{name}={value}", values == value


def _metric_rows(slice_name: str, estimates: Estimates) -> list[dict[str, Any]]:
    nothing = Estimate(None, 0, None, None)
    levels = sorted(level for metric, level in estimates if metric == "level_accuracy" and level is not None)
    keys = [(name, level) for name in MEASURES for level in (levels if name == "level_accuracy" else [None])]
    rows = []
    for metric, level in keys:
        found = estimates.get((metric, level), nothing)
        rows.append(
            {
                "slice": slice_name,
                "metric": metric,
                "level": level,
                "value": found.value,
                "n": found.n,
                "interval_low": found.low,
                "interval_high": found.high,
            }
        )
    return rows


def calibration_bins(errors: pa.Table) -> pa.Table:
    """Confidence against accuracy in 15 bins of equal width.

    Args:
        errors: `reports.errors`.

    Returns:
        `reports.calibration`: kind `answer` (right = the known node or above it, answered texts) and `leaf` (best leaf).
    """
    kinds = confidence_kinds(**confidences_of(errors))
    edges = np.arange(curves.CALIBRATION_BINS + 1) / curves.CALIBRATION_BINS
    parts = []
    for kind in ("answer", "leaf"):
        confidence, hits, counted = kinds[kind]
        bins = curves.calibration_bin(confidence[counted])
        n = np.bincount(bins, minlength=curves.CALIBRATION_BINS)
        mean = np.bincount(bins, np.clip(confidence[counted], 0, 1), curves.CALIBRATION_BINS) / np.maximum(n, 1)
        right = np.bincount(bins, hits[counted], curves.CALIBRATION_BINS) / np.maximum(n, 1)
        values = {
            "report_id": [report_id(errors)] * len(n),
            "kind": [kind] * len(n),
            "bin": np.arange(len(n)),
            "low": edges[:-1],
            "high": edges[1:],
            "n": n,
            "confidence": pa.array(mean, mask=n == 0),
            "accuracy": pa.array(right, mask=n == 0),
        }
        parts.append(pa.table(values).cast(BY_NAME["reports.calibration"].arrow))
    return pa.concat_tables(parts)


def coverage_curve(errors: pa.Table, *, points: int = COVERAGE_POINTS) -> pa.Table:
    """Share of texts that can be answered against the accuracy among them, most confident first.

    Args:
        errors: `reports.errors`.
        points: at most about this many points per kind, evenly spread over the coverage.

    Returns:
        `reports.coverage`: kinds `answer` and `leaf` as in `calibration_bins`, and `exact` (the answer is the known
        code; the public protocol). Coverage is a share of all texts.
    """
    schema = BY_NAME["reports.coverage"].arrow
    parts = [schema.empty_table()]
    for kind, (confidence, hits, counted) in confidence_kinds(**confidences_of(errors)).items():
        if not counted.any():
            continue
        coverage, accuracy = exact_curve(confidence[counted], hits[counted], len(errors))
        thresholds = -np.unique(-confidence[counted])
        kept = curves.thinned(coverage, points)
        values = {
            "report_id": [report_id(errors)] * len(kept),
            "kind": [kind] * len(kept),
            "threshold": thresholds[kept],
            "coverage": coverage[kept],
            "accuracy": accuracy[kept],
        }
        parts.append(pa.table(values).select(schema.names).cast(schema))
    return pa.concat_tables(parts)


def compare(
    tree: Taxonomy, answers_by_strategy: Mapping[str, pa.Table], *, resamples: int = RESAMPLES, seed: int = 0
) -> pa.Table:
    """Strategies side by side on the same texts; differences are to the first one.

    Args:
        tree: the taxonomy.
        answers_by_strategy: `reports.errors` of each strategy, all of the same texts.
        resamples: resamples of the bootstrap; each draws the same texts for all strategies.
        seed: seed of the bootstrap.

    Returns:
        One row per measure and strategy (schema `COMPARISON`): value, interval, paired difference to the first
        strategy with its interval (null for the first itself), and whether it is the best value.

    Raises:
        Fault: `invalid_input` when there is no strategy or their texts differ.
    """
    estimates = _paired_estimates(tree, answers_by_strategy, resamples, seed)
    first = next(iter(estimates.values()))
    rows: list[dict[str, Any]] = []
    for key in first:
        found = {strategy: part[key] for strategy, part in estimates.items() if key in part}
        best = _best_value(key[0], [item.value for item in found.values()])
        for strategy, item in found.items():
            row = {"metric": key[0], "level": key[1], "strategy": strategy, "value": item.value, "n": item.n}
            row |= {"interval_low": item.low, "interval_high": item.high}
            row |= {"best": None if best is None else item.value == best}
            rows.append(row | ({} if item is first[key] else _difference(first[key], item)))
    order = {name: place for place, name in enumerate(MEASURES)}
    rows.sort(key=lambda row: (order[row["metric"]], row["level"] or 0))
    return pa.Table.from_pylist(rows, COMPARISON)


def _paired_estimates(
    tree: Taxonomy, answers_by_strategy: Mapping[str, pa.Table], resamples: int, seed: int
) -> dict[str, Estimates]:
    if not answers_by_strategy:
        raise Fault("invalid_input", "There is nothing to compare.", allowed="at least one strategy with its judged texts")
    estimates: dict[str, Estimates] = {}
    texts: list[Any] | None = None
    for strategy, errors in answers_by_strategy.items():
        ordered = errors.sort_by([("dataset", "ascending"), ("text_id", "ascending")])
        own = ordered.select(["dataset", "text_id"]).to_pylist()
        if texts is not None and own != texts:
            raise Fault(
                "invalid_input",
                f"Strategy {strategy!r} was not measured on the same texts as {next(iter(estimates))!r}.",
                value=f"{len(own)} and {len(texts)} texts",
                allowed="the same texts for every strategy",
                next_step="Classify the same targets with each strategy.",
            )
        texts = own
        judged = Judged.from_table(tree, ordered)
        estimates[strategy] = estimate(tree, judged, resamples=resamples, seed=seed, paired=True)
    return estimates


def _best_value(metric: str, values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    direction = MEASURES[metric].better
    if not direction or not defined:
        return None
    return max(defined) if direction == "higher" else min(defined)


def _difference(first: Estimate, other: Estimate) -> dict[str, float | None]:
    if first.value is None or other.value is None:
        return {}
    difference = other.value - first.value
    if first.resampled is None or other.resampled is None:
        return {"difference": difference}
    low, high = percentile_interval(difference, other.resampled - first.resampled, lowest=-np.inf, highest=np.inf)
    return {"difference": difference, "difference_low": low, "difference_high": high}


def value_of(metrics: pa.Table, metric: str, *, slice_name: str = "all", level: int | None = None) -> dict[str, Any] | None:
    """The row of one measure in `reports.metrics` (one report, one strategy), or None."""
    chosen = pc.and_(pc.equal(metrics["metric"], metric), pc.equal(metrics["slice"], slice_name))
    rows = [row for row in metrics.filter(chosen).to_pylist() if row["level"] == level]
    return rows[0] if rows else None
