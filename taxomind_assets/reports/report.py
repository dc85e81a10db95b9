"""An error report: labelled files read, answered by the classifier that serves, judged, measured and drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from taxomind_assets.classification.text_readers import read_texts
from taxomind_assets.reports.judging import judge
from taxomind_assets.reports.metrics import calibration_bins, coverage_curve, measure
from taxomind_assets.reports.targets import ColumnMapping, LabelledRows, collect, read_rows
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import InboxFile
    from taxomind_resources.settings import Settings

BLOCK_ROWS: Final = 5_000


@dataclass(frozen=True)
class Labelled:
    """Texts with known codes.

    Attributes:
        targets: `targets.TARGETS`, one row per unique text.
        refused: rows that could not be used, by reason.
        problems: files that could not be read, one sentence each.
    """

    targets: pa.Table
    refused: Mapping[str, int]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """The tables of a report, by their names in the schema `reports`."""

    errors: pa.Table
    metrics: pa.Table
    calibration: pa.Table
    coverage: pa.Table

    def tables(self) -> dict[str, pa.Table]:
        """Full table names and rows; the one that says that the report is complete comes last."""
        names = ("errors", "calibration", "coverage", "metrics")
        return {f"reports.{name}": getattr(self, name) for name in names}


def read_labelled(tree: Taxonomy, files: Iterable[InboxFile], settings: Settings) -> Labelled:
    """All labelled files of a taxonomy. A file that cannot be read does not stop the others.

    Args:
        tree: the taxonomy.
        files: CSV, JSONL or Parquet with a column `code`.
        settings: settings of this taxonomy.
    """
    parts: list[LabelledRows] = []
    refused: Counter[str] = Counter()
    problems = []
    for file in files:
        try:
            parts.append(read_rows(tree, _rows(file, settings, refused), file.name, ColumnMapping()))
            refused.update(parts[-1].refused)
        except Fault as fault:
            problems.append(f"{file.name}: {fault.what}")
    return Labelled(collect(tree, parts), dict(refused), tuple(problems))


def make_report(classifier: Classifier, targets: pa.Table) -> Report:
    """Answer the texts as serving would, judge and measure the answers.

    Args:
        classifier: what is measured.
        targets: `targets.TARGETS`, at least one row.

    Raises:
        Fault: what the classifier raises.
    """
    errors = judge(classifier.tree, targets, _answers(classifier, targets))
    return Report(errors, measure(classifier.tree, errors), calibration_bins(errors), coverage_curve(errors))


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


def _rows(file: InboxFile, settings: Settings, refused: Counter[str]) -> Iterator[dict[str, Any]]:
    blocks = read_texts(file.path, settings.text, settings.limits, labelled=True, block_rows=BLOCK_ROWS)
    for block in blocks:
        refused.update(row.reason_code for row in block.rejected)
        columns = zip(block.text_id, block.text, block.language, block.code, strict=True)
        yield from (dict(zip(("text_id", "text", "language", "code"), row, strict=True)) for row in columns)


def _answers(classifier: Classifier, targets: pa.Table) -> pa.Table:
    parts = []
    for start in range(0, targets.num_rows, BLOCK_ROWS):
        block = targets.slice(start, BLOCK_ROWS)
        answers = classifier.classify(block["text"].to_pylist())
        parts.append(answers.append_column("text_id", block["text_id"]))
    return pa.concat_tables(parts)
