"""Observations, candidates, decisions, and nodes that nothing uses."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from taxomind_resources.tables.columns import BOOL, FLOAT, INT, TEXT, TEXTS, TIME, Table, column

NEAREST: Final = pa.list_(pa.struct([("code", TEXT), ("label", TEXT), ("similarity", FLOAT)]))

TABLES: Final[tuple[Table, ...]] = (
    Table(
        "growth",
        "observations",
        "an answer, a correction or a remark, and the label that the text should have had",
        (
            column("observed_at", TIME, "when; null when not stated", null=True),
            column("text_id", TEXT, "id of the text as given, else 16 hex digits of the text"),
            column("title", TEXT, "its first line, at most 120 characters"),
            column("text", TEXT, "the text, '' when texts are not kept"),
            column("primary_code", TEXT, "node that it was given; null = none", null=True),
            column("primary_label", TEXT, "label of that node, '' = none"),
            column("proposed_label", TEXT, "ideal label; that of the node when nobody wants another, '' when none is known"),
            column("source", TEXT, "who proposes: llm, user or model; '' = nobody"),
            column(
                "misfit",
                TEXT,
                "why the text does not fit: abstained, low_confidence, above_leaves, catch_all, outlier; '' = it does",
            ),
            column("confidence", FLOAT, "of the answer (0..1); null when not stated", null=True),
            column("language", TEXT, "language as given, '' when not stated"),
            column("taxonomy_version", TEXT, "taxonomy version of the answer, '' when not stated"),
            column("rerun", BOOL, "true for answers of a retag run: they add no span"),
        ),
    ),
    Table(
        "growth",
        "candidates",
        "a node that the texts ask for, to be decided by a person",
        (
            column("key", TEXT, "comparison key of the label"),
            column("label", TEXT, "the spelling that is used most"),
            column(
                "kind", TEXT, "label: somebody proposed it; cluster: a group of texts that do not fit, named by their words"
            ),
            column("status", TEXT, "pending, or skipped until `hidden_until`"),
            column("hidden_until", TIME, "end of the cool-down after a skip; null = shown", null=True),
            column("code", TEXT, "code that the node would get"),
            column("parent_code", TEXT, "parent that it would get; null = top node", null=True),
            column("parent_label", TEXT, "its label; of a parent that does not exist, the name that is proposed"),
            column("parent_exists", BOOL, "false: proposes a new top node, or a parent that is missing"),
            column("parent_rule", TEXT, "why this parent: written, key, texts, root or missing"),
            column("count", INT, "distinct texts"),
            column("day_span", INT, "whole days between the first and the last"),
            column("first_seen", TIME, "first time; null when not stated", null=True),
            column("last_seen", TIME, "last time; null when not stated", null=True),
            column("window", TEXT, "window that found it: short or long"),
            column("share", FLOAT, "share of all texts of that window (0..1)"),
            column("mean_confidence", FLOAT, "mean confidence of the answers (0..1); null = unknown", null=True),
            column("sources", TEXTS, "who proposes: llm, user, model, cluster"),
            column("languages", TEXTS, "languages of the texts, as given"),
            column("titles", TEXTS, "first three distinct titles"),
            column("texts", TEXTS, "its texts, at most 200"),
            column("text_ids", TEXTS, "ids of all its texts"),
            column("nearest", NEAREST, "existing nodes that its texts are nearest to (cosine)"),
            column("similar", TEXTS, "labels of other candidates of nearly the same meaning"),
            column("trial", TEXT, "what adding it would change, as JSON; '' = not tried"),
        ),
    ),
    Table(
        "growth",
        "decisions",
        "a decision of a person about growth",
        (
            column("decision_id", TEXT, "identity, for `taxomind growth undo`"),
            column("decided_at", TIME, "when"),
            column("decided_by", TEXT, "who"),
            column("action", TEXT, "add, alias, reject, reject_unattended, name_as_different, skip, unreject or undo"),
            column("label", TEXT, "label of the candidate"),
            column("key", TEXT, "its comparison key"),
            column("state", TEXT, "in_effect, undone, or not_done when the process ended before the taxonomy was written"),
            column("code", TEXT, "node that was added or got an alias; null = none", null=True),
            column("before_version", TEXT, "taxonomy version before"),
            column("after_version", TEXT, "taxonomy version after"),
            column("undoes", TEXT, "decision that it takes back; null = none", null=True),
            column("details", TEXT, "further facts (count, span, preferred form, reason), as JSON"),
        ),
    ),
    Table(
        "growth",
        "zero_usage",
        "a node that no stored answer uses, neither itself nor below it; a flag, nothing is removed",
        (
            column("code", TEXT, "node"),
            column("label", TEXT, "its label"),
            column("is_leaf", BOOL, "true when it has no children"),
            column("answers", pa.int64(), "answers that were counted for the whole taxonomy"),
        ),
    ),
)
