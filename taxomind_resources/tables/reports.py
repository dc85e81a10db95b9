"""Measures and errors on texts with a known code."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from taxomind_resources.tables.columns import ALTERNATIVES, BOOL, FLOAT, INT, REJECTED, TEXT, TEXTS, TIME, Table, column

TABLES: Final[tuple[Table, ...]] = (
    Table(
        "reports",
        "errors",
        "a text with a known code, judged",
        (
            column("dataset", TEXT, "file that held the text and its code"),
            column("text_id", TEXT, "id of the text"),
            column("text", TEXT, "the text"),
            column("language", TEXT, "language as given"),
            column("target_code", TEXT, "the known code that the answer is judged against"),
            column("target_path", TEXTS, "its path"),
            column("target_codes", TEXTS, "all known codes of the text"),
            column("code", TEXT, "answer; null = abstained", null=True),
            column("path", TEXTS, "path of the answer"),
            column("outcome", TEXT, "right, under, over, wrong_branch or abstained"),
            column("confidence", FLOAT, "confidence of the answer (0..1)"),
            column("leaf_code", TEXT, "best leaf", null=True),
            column("leaf_confidence", FLOAT, "probability of the best leaf (0..1)"),
            column("leaf_right", BOOL, "the best leaf is one of the known codes"),
            column("rank", INT, "place of the target among the ranked leaves, from 1; null = not among them", null=True),
            column("shared_depth", INT, "leading path nodes in common"),
            column("divergence_level", INT, "first level where the paths part; null = none", null=True),
            column("divergence_parent", TEXT, "last common node; null = root or none", null=True),
            column("chosen_child", TEXT, "node taken there", null=True),
            column("correct_child", TEXT, "node that was right there", null=True),
            column("siblings", ALTERNATIVES, "best nodes at the divergence"),
            column("stop_reason", TEXT, "why the answer's path ends where it ends"),
            column("ambiguous", BOOL, "flag of the answer"),
            column("verbatim", BOOL, "the text stands word for word in the taxonomy"),
            column("index_version", TEXT, "node index version"),
        ),
    ),
    Table(
        "reports",
        "metrics",
        "a measure",
        (
            column("report_id", TEXT, "hash of what was measured: texts, index and settings"),
            column("slice", TEXT, "all, language=fr, level=4, verbatim=false ...; compared = texts of all strategies"),
            column("strategy", TEXT, "the strategy measured (served = the one in use)"),
            column("metric", TEXT, "name of the measure"),
            column("level", INT, "level of the taxonomy it concerns; null = none", null=True),
            column("value", pa.float64(), "value; null = undefined", null=True),
            column("n", pa.int64(), "texts it was measured on"),
            column("interval_low", pa.float64(), "lower end of the 95 % interval", null=True),
            column("interval_high", pa.float64(), "upper end of the 95 % interval", null=True),
            column("difference", pa.float64(), "compared: value less that of `served`; else null", null=True),
            column("difference_low", pa.float64(), "lower end of its 95 % interval, over the same texts", null=True),
            column("difference_high", pa.float64(), "upper end of its 95 % interval", null=True),
            column("measured_at", TIME, "when"),
        ),
    ),
    Table(
        "reports",
        "calibration",
        "a bin of confidences",
        (
            column("report_id", TEXT, "as in reports.metrics"),
            column("kind", TEXT, "leaf or answer"),
            column("bin", INT, "number of the bin, from 0"),
            column("low", pa.float64(), "lower edge of the bin"),
            column("high", pa.float64(), "upper edge of the bin"),
            column("n", pa.int64(), "texts in the bin"),
            column("confidence", pa.float64(), "mean confidence in the bin", null=True),
            column("accuracy", pa.float64(), "share right in the bin", null=True),
        ),
    ),
    Table(
        "reports",
        "coverage",
        "a point of the coverage-accuracy curve",
        (
            column("report_id", TEXT, "as in reports.metrics"),
            column("kind", TEXT, "leaf, answer (right = the known node or above it) or exact (right = the known node)"),
            column("threshold", pa.float64(), "confidence from which texts are answered"),
            column("coverage", pa.float64(), "share of texts answered"),
            column("accuracy", pa.float64(), "share right among them"),
        ),
    ),
    Table(
        "reports",
        "learning",
        "a measure of what corrections have taught, on corrected texts that are answered by the corrections of the others",
        (
            column("measured_at", TIME, "when"),
            column("evidence_version", TEXT, "version of the evidence, '' = none"),
            column("index_version", TEXT, "node index version"),
            column("calibration_version", TEXT, "version of the calibration"),
            column("stage", TEXT, "before: without any evidence; after: with it"),
            column("metric", TEXT, "name of the measure, as in reports.metrics"),
            column("value", pa.float64(), "value; null = undefined", null=True),
            column("n", pa.int64(), "texts it was measured on"),
            column("interval_low", pa.float64(), "lower end of the 95 % interval", null=True),
            column("interval_high", pa.float64(), "upper end of the 95 % interval", null=True),
            column("promised", pa.float64(), "accuracy that the stop rule promises (kept_accuracy), else null", null=True),
        ),
    ),
    Table(
        "reports",
        "confusions",
        "two nodes that were confused on corrected texts, before or after learning",
        (
            column("wrong_code", TEXT, "best leaf that was wrong, '' = there was none"),
            column("right_code", TEXT, "node that people said"),
            column("wrong_label", TEXT, "label of the former"),
            column("right_label", TEXT, "label of the latter"),
            column("repaired", pa.int64(), "texts that learning has put right"),
            column("broken", pa.int64(), "texts that learning has put wrong"),
            column("example", TEXT, "one of the texts"),
        ),
    ),
    Table("reports", "rejected_rows", "a row with a known code that was refused", REJECTED),
)
