"""An error report: texts with known codes answered by the classifier that serves, judged, measured, compared and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taxomind_assets.classification.own_labels import Unseen
from taxomind_assets.reports.comparison import COMPARED_TEXTS, as_metrics, compared, strategy_names
from taxomind_assets.reports.judging import judge
from taxomind_assets.reports.metrics import calibration_bins, coverage_curve, measure
from taxomind_assets.reports.promise import Promise, promise_of
from taxomind_assets.reports.siblings import fill_siblings
from taxomind_assets.reports.sources import BLOCK_ROWS

if TYPE_CHECKING:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.taxonomy.tree import Taxonomy


@dataclass(frozen=True)
class Report:
    """The tables of a report, and what was promised.

    Attributes:
        errors: `reports.errors`.
        metrics: `reports.metrics` of the served answers.
        calibration: `reports.calibration`.
        coverage: `reports.coverage`.
        comparison: `metrics.COMPARISON`; no rows when nothing was compared.
        promise: promised and reached accuracy.
    """

    errors: pa.Table
    metrics: pa.Table
    calibration: pa.Table
    coverage: pa.Table
    comparison: pa.Table
    promise: Promise

    @property
    def report_id(self) -> str:
        """Hash of what was measured."""
        return str(self.metrics["report_id"][0].as_py())

    def tables(self) -> dict[str, pa.Table]:
        """Full table names and rows; the one that says that the report is complete comes last."""
        tables = {f"reports.{name}": getattr(self, name) for name in ("errors", "calibration", "coverage")}
        others = as_metrics(self.comparison, self.report_id, self.metrics["measured_at"][0].as_py())
        return tables | {"reports.metrics": pa.concat_tables([self.metrics, others])}


def make_report(
    classifier: Classifier, targets: pa.Table, strategies: Sequence[str] = (), *, compared_texts: int = COMPARED_TEXTS
) -> Report:
    """Answer the texts as serving would, judge and measure the answers.

    Args:
        classifier: what is measured.
        targets: `targets.TARGETS`, at least one row.
        strategies: what the served answers are compared with (`comparison.strategy_names`).
        compared_texts: texts that strategies are compared on, at most.

    Raises:
        Fault: `invalid_input` when there is no such strategy; what the classifier raises.
    """
    strategies = strategy_names(strategies)
    texts, codes = targets["text"].to_pylist(), targets["codes"].to_pylist()
    unseen = Unseen.of(classifier, texts, codes)  # no answer is helped by a label of the same text
    judged = judge(classifier.tree, targets, unseen.classify(texts).append_column("text_id", targets["text_id"]))
    errors = with_siblings(classifier, judged)
    metrics = measure(classifier.tree, errors, measured_at=datetime.now(UTC))
    comparison = compared(classifier, targets, errors, strategies, most=compared_texts, unseen=unseen)
    promise = promise_of(classifier, errors, metrics)
    return Report(errors, metrics, calibration_bins(errors), coverage_curve(errors), comparison, promise)


def with_siblings(classifier: Classifier, errors: pa.Table) -> pa.Table:
    """Answers in a wrong branch with the best siblings at the fork, by their real probabilities.

    Args:
        classifier: the one that gave the answers.
        errors: `reports.errors`.
    """
    parts = [errors.slice(start, BLOCK_ROWS) for start in range(0, len(errors), BLOCK_ROWS)]
    for place, part in enumerate(parts):
        wrong = np.flatnonzero(np.asarray(pc.equal(part["outcome"], "wrong_branch"), np.bool_))
        for start in range(0, len(wrong), classifier.block_size):
            rows = part.take(pa.array(wrong[start : start + classifier.block_size]))
            probabilities = classifier.probabilities(rows["text"].to_pylist()).matrix()
            parts[place] = fill_siblings(classifier.tree, parts[place], rows["text_id"].combine_chunks(), probabilities)
    return pa.concat_tables(parts) if parts else errors


def draw_figures(tree: Taxonomy, report: Report) -> dict[str, bytes]:
    """The figures that people look at, by title: PNG files."""
    from taxomind_assets.reports import figures

    return {
        "what became of the texts": figures.outcome_shares(report.metrics),
        "coverage and accuracy": figures.coverage_accuracy(report.coverage, report.metrics),
        "reliability of answers": figures.reliability(report.calibration, "answer"),
        "reliability of best leaves": figures.reliability(report.calibration, "leaf"),
        "accuracy by level": figures.accuracy_by_level(report.metrics),
        "wrong branches": figures.wrong_branches(tree, report.errors),
    }
