"""Corrections, evidence and reviews."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from taxomind_resources.tables.columns import EVIDENCE, FLOAT, REJECTED, TEXT, TEXTS, TIME, Table, column

TABLES: Final[tuple[Table, ...]] = (
    Table(
        "learning",
        "correction_files",
        "a file of corrections as it was read",
        (
            column("source_file", TEXT, "name of the file"),
            column("file_id", TEXT, "16 hex digits over name, size, time and the settings that it was read with"),
            column("rows", pa.int64(), "rows accepted"),
            column("rejected", pa.int64(), "rows refused"),
            column("columns", TEXT, "which of its columns were used"),
            column("problem", TEXT, "why the file, or the rest of it, could not be read; '' = it was read to its end"),
        ),
    ),
    Table(
        "learning",
        "correction_rows",
        "a row of a file of corrections, as it was accepted",
        (
            column("file_id", TEXT, "as in learning.correction_files"),
            column("source_file", TEXT, "name of the file"),
            column("line", pa.int64(), "line of the file (CSV, JSONL), else the number of the row, from 1"),
            column("correction_id", TEXT, "id as given, else made of text, codes and annotator"),
            column("action", TEXT, "correct, confirm, withdraw or restore"),
            column("text_id", TEXT, "id of the text, '' when not stated"),
            column("text", TEXT, "the text, '' when the row only names a correction"),
            column("language", TEXT, "language as given, '' when not stated"),
            column("codes", TEXTS, "codes as given, from the top down"),
            column("source", TEXT, "where the row comes from, as given, '' when not stated"),
            column("annotator", TEXT, "who gave it, '' when not stated"),
            column("corrected_at", TIME, "when, as given; null when not stated", null=True),
            column("proposed_label", TEXT, "label that the text should have had, '' when not stated", added=""),
        ),
    ),
    Table("learning", "rejected_rows", "a row of corrections, or a whole file, that was refused", REJECTED),
    Table(
        "learning",
        "corrections",
        "a correction as people have left it",
        (
            column("correction_id", TEXT, "identity; the same id twice is one correction"),
            column("text_id", TEXT, "id of the text, '' when not stated"),
            column("text", TEXT, "the text"),
            column("language", TEXT, "language as given, '' when not stated"),
            column("code", TEXT, "deepest code that the taxonomy has; null = it has none of them", null=True),
            column("given_codes", TEXTS, "codes as given, from the top down"),
            column("action", TEXT, "correct: the answer was wrong; confirm: it was right"),
            column("source", TEXT, "where it comes from, as given"),
            column("annotator", TEXT, "who gave it, '' when not stated"),
            column("corrected_at", TIME, "when, as given; null when not stated", null=True),
            column("proposed_label", TEXT, "label that the text should have had, '' when not stated", added=""),
            column("status", TEXT, "applied, duplicate, superseded, unknown_code or withdrawn"),
            column("reason", TEXT, "why it does not count, '' when it does"),
            column("source_file", TEXT, "first file by name that holds it"),
            column("rows", pa.int64(), "input rows that say exactly this"),
        ),
    ),
    Table(
        "learning",
        "evidence",
        "a correction that counts, with its vector",
        (
            column("correction_id", TEXT, "as in learning.corrections"),
            column("code", TEXT, "node that it speaks for"),
            column("text", TEXT, "the text that was embedded"),
            column("vector", pa.list_(FLOAT), "its unit vector"),
        ),
    ),
    Table(
        "learning",
        "centroids",
        "a node's evidence",
        (
            column("code", TEXT, "node"),
            column("count", pa.int64(), "corrections that speak for it"),
            column("vector_sum", pa.list_(pa.float64()), "plain sum of their unit vectors; scaled to length 1: the centroid"),
            column("updated_at", TIME, "when the node's evidence last changed"),
            column("evidence_version", TEXT, "version of the evidence of all nodes"),
        ),
    ),
    Table(
        "learning",
        "evidence_versions",
        "a version of the evidence, as the change that made it",
        (
            column("number", pa.int64(), "place in time, from 1"),
            column(
                "evidence_version",
                TEXT,
                "hash of texts and codes, '' = no evidence; what returns has its version back",
            ),
            column("parent_version", TEXT, "version before it"),
            column("made_at", TIME, "when"),
            column("corrections", pa.int64(), "corrections that count"),
            column("nodes", pa.int64(), "nodes with evidence"),
            column("added", EVIDENCE, "what began to count"),
            column("removed", EVIDENCE, "what ceased to count"),
        ),
    ),
    Table(
        "learning",
        "reviews",
        "a correction that a person should look at",
        (
            column("correction_id", TEXT, "as in learning.corrections"),
            column("text", TEXT, "the text"),
            column("code", TEXT, "node that it speaks for"),
            column("annotator", TEXT, "who gave it, '' when not stated"),
            column(
                "kind",
                TEXT,
                "contradiction: the same text is placed elsewhere; outlier: nearer to a sibling's evidence",
            ),
            column("other_codes", TEXTS, "where else the text is placed, or whose evidence is nearer"),
            column("difference", FLOAT, "outlier: how much nearer, as a difference of cosines; else null", null=True),
            column("reason", TEXT, "in words"),
        ),
    ),
)
