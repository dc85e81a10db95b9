"""The taxonomy, what enrichment added, its versions and revisions, and retag runs."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from taxomind_resources.tables.columns import BOOL, FLOAT, INT, REJECTED, RESULT_COLUMNS, TEXT, TEXTS, TIME, Table, column

NODE_COLUMNS: Final = (
    column("code", TEXT, "identity of the node inside its taxonomy"),
    column("parent_code", TEXT, "code of the parent; null for a top node", null=True),
    column("level", INT, "the level given for the node (1 = top); levels may be skipped"),
    column("path", TEXTS, "codes from the top node to the node itself"),
    column("is_leaf", BOOL, "true when the node has no children"),
    column("label", TEXT, "label in the primary language"),
    column("definition", TEXT, "definition in the primary language, '' when there is none"),
    column("examples", TEXTS, "example texts in the primary language"),
    column("aliases", TEXTS, "other names in the primary language"),
    column("negative_examples", TEXTS, "texts that look right and belong elsewhere"),
    column("language", TEXT, "primary language (BCP 47), '' when not stated"),
    column(
        "translations",
        pa.list_(
            pa.struct(
                [
                    ("language", TEXT),
                    ("label", TEXT),
                    ("definition", TEXT),
                    ("examples", TEXTS),
                    ("aliases", TEXTS),
                    ("negative_examples", TEXTS),
                ]
            )
        ),
        "texts in further languages",
    ),
    column("node_id", TEXT, "16 hex digits: hash of (taxonomy key, code); a rebuild does not change it"),
    column("version", TEXT, "taxonomy version: hash of the content"),
)

ADDED: Final = column(
    "added",
    pa.list_(pa.struct([("language", TEXT), ("definition", TEXT), ("examples", TEXTS), ("negative_examples", TEXTS)])),
    "texts that a language model wrote, per language; none of them stands in the file",
)

RETAG_COLUMNS: Final = (
    column("run", TEXT, "retag run that made the answer"),
    column("why", TEXT, "why the text was classified again: split, gone, added, abstained or under"),
    column("outcome", TEXT, "same, moved, deeper, shallower, abstained, unsure, human or error"),
    column("old_code", TEXT, "answer before; null = abstained", null=True),
    column("old_confidence", FLOAT, "its confidence (0..1)"),
    column("old_version", TEXT, "taxonomy version of the answer before"),
)

TABLES: Final[tuple[Table, ...]] = (
    Table("taxonomy", "nodes", "a node of the current version", NODE_COLUMNS),
    Table("taxonomy", "enriched_nodes", "a node of the current version with what enrichment added", (*NODE_COLUMNS, ADDED)),
    Table(
        "taxonomy",
        "enrichment",
        "a text that a language model wrote for a node, or a question that it was asked",
        (
            column("code", TEXT, "node"),
            column("language", TEXT, "language of the text, '' when not stated"),
            column("kind", TEXT, "definition, example, positive, negative; question = the question itself, with its cost"),
            column("text", TEXT, "the text; '' for a question"),
            column("status", TEXT, "accepted, refused, or cleaned by rules; of a question: answered or failed"),
            column("reason", TEXT, "why it was refused or has failed", null=True),
            column("model", TEXT, "model that wrote it; rules = no model"),
            column("prompt_version", TEXT, "version of the instructions and of the numbers asked for"),
            column("content", TEXT, "16 hex digits: hash of the node's own texts and path that it was written for"),
            column("input_tokens", pa.int64(), "tokens read for a question, 0 = known from disk; null for a text", null=True),
            column("output_tokens", pa.int64(), "tokens written, likewise", null=True),
            column("cost", pa.float64(), "US dollars; null for a text, and when the price is not known", null=True),
            column("created_at", TIME, "when"),
        ),
    ),
    Table(
        "taxonomy",
        "enrichment_runs",
        "a time that a language model was asked to enrich a taxonomy",
        (
            column("run_at", TIME, "when it began"),
            column("model", TEXT, "model asked"),
            column("prompt_version", TEXT, "as in taxonomy.enrichment"),
            column("questions", pa.int64(), "questions of this run"),
            column("cached", pa.int64(), "of these, answered from disk"),
            column("failed", pa.int64(), "of these, without a usable answer"),
            column("accepted", pa.int64(), "texts accepted"),
            column("refused", pa.int64(), "texts refused"),
            column("left", pa.int64(), "questions that were not asked"),
            column("stopped", TEXT, "why questions are left; null = none is", null=True),
            column("input_tokens", pa.int64(), "tokens read by the model"),
            column("output_tokens", pa.int64(), "tokens written by it"),
            column("cost", pa.float64(), "US dollars; null = the price is not known", null=True),
            column("estimated_cost", pa.float64(), "what had been estimated before", null=True),
            column("seconds", pa.float64(), "wall time in seconds"),
        ),
    ),
    Table("taxonomy", "node_history", "a node of any version that was ever current", NODE_COLUMNS),
    Table(
        "taxonomy",
        "versions",
        "a version of a taxonomy",
        (
            column("version", TEXT, "hash of the content"),
            column("edition", INT, "0 = the first edition, n = the one that revision n made; codes mean the same within one"),
            column("follows", TEXT, "version that was in force before it was first read; null = none", null=True),
            column("created_at", TIME, "when this version was first read"),
            column("source_file", TEXT, "file it was read from"),
            column("display_name", TEXT, "name for people"),
            column("level_names", pa.list_(pa.struct([("level", INT), ("name", TEXT)])), "names of levels, as far as stated"),
            column("nodes", INT, "number of nodes"),
            column("leaves", INT, "number of leaves"),
            column("depth", INT, "longest path in nodes"),
            column("languages", TEXTS, "languages of the texts, primary first"),
            column("warnings", TEXTS, "what was accepted with a remark"),
        ),
    ),
    Table(
        "taxonomy",
        "changes",
        "a change that a version brought",
        (
            column("version", TEXT, "the version that has it"),
            column("follows", TEXT, "the version that it is compared with"),
            column("kind", TEXT, "added, removed, recoded, split, merged, regrouped, renamed, moved or edited"),
            column("old_codes", TEXTS, "codes of the former version that it concerns"),
            column("new_codes", TEXTS, "codes of the version that has it"),
            column("old", TEXT, "former labels; for moved, code of the former parent"),
            column("new", TEXT, "new labels; for moved, code of the new parent"),
            column("confidence", FLOAT, "how sure a guess is (0..1); null = codes or a crosswalk say so", null=True),
        ),
    ),
    Table(
        "taxonomy",
        "revisions",
        "a record of the log of revisions",
        (
            column("number", INT, "place in the log, from 1; of a revision also the edition that it made"),
            column("kind", TEXT, "revise = a new edition with a crosswalk, undo = a former one was put back"),
            column("made_at", TIME, "when"),
            column("made_by", TEXT, "who"),
            column("note", TEXT, "what the person said about it"),
            column("follows", INT, "edition that was in force"),
            column("before_version", TEXT, "version that was in force"),
            column("after_version", TEXT, "version that followed"),
            column("undoes", INT, "number of the revision that was taken back; null = none", null=True),
            column("links", INT, "rows of its crosswalk"),
        ),
    ),
    Table(
        "taxonomy",
        "crosswalk",
        "a code of one edition, and a code of another that holds something of it",
        (
            column("from_edition", INT, "edition of `old_code` (taxonomy.versions.edition)"),
            column("to_edition", INT, "edition of `new_code`; every pair of editions is there, in both directions"),
            column("old_code", TEXT, "code in the one edition"),
            column("new_code", TEXT, "code in the other; null = it has no counterpart", null=True),
            column("relation", TEXT, "same, recoded, merged, split, regrouped or gone: what became of `old_code`"),
            column("targets", INT, "codes that `old_code` leads to: rows with it"),
        ),
    ),
    Table(
        "taxonomy",
        "reassignments",
        "a correction whose node was split, and where it belongs now",
        (
            column("correction_id", TEXT, "as in learning.corrections"),
            column("text", TEXT, "the text"),
            column("old_code", TEXT, "code as given"),
            column("to_edition", INT, "edition that the options are of"),
            column("options", TEXTS, "codes that the node became, in the order of the crosswalk"),
            column("code", TEXT, "the one that the classifier prefers"),
            column("confidence", FLOAT, "its probability among the options (0..1)"),
            column(
                "status",
                TEXT,
                "moved = it is sure; unsure = a person should look: it counts there meanwhile if the confidence is above 0.5",
            ),
            column("index_version", TEXT, "node index that decided"),
        ),
    ),
    Table(
        "taxonomy",
        "retag_runs",
        "a retag run",
        (
            column("run", TEXT, "identity: number of the run"),
            column("state", TEXT, "planned, running, paused_cost, completed, canceled or failed"),
            column("applied", BOOL, "its answers stand in the place of the stored ones"),
            column("taxonomy_version", TEXT, "version that the texts are classified with"),
            column("index_version", TEXT, "node index that they are classified with"),
            column("strategy", TEXT, "router = the classifier; llm = with second opinions of the language model"),
            column("selection", TEXT, "which stored answers were chosen, as JSON"),
            column("texts", pa.int64(), "texts to classify"),
            column("questions", pa.int64(), "calls of the language model that were expected"),
            column("tokens", pa.int64(), "tokens that were expected, read and written"),
            column("cost", pa.float64(), "US dollars that were expected; null = the price is not known", null=True),
            column("spent", pa.float64(), "US dollars spent; null = the price is not known", null=True),
            column(
                "history",
                pa.list_(pa.struct([("at", TIME), ("by", TEXT), ("what", TEXT)])),
                "what happened to the run, in order",
            ),
        ),
    ),
    Table("taxonomy", "retag_texts", "a text that a retag run classified again", (*RETAG_COLUMNS, *RESULT_COLUMNS)),
    Table(
        "taxonomy",
        "retag_plans",
        "a stored answer that a retag run has to look at again",
        (
            column("run", TEXT, "the retag run"),
            column("why", TEXT, "as in taxonomy.retag_texts"),
            column("options", TEXTS, "codes that a split node became: only they can be the answer; else none"),
            column("batch_id", TEXT, "as in classification.results"),
            column("source_file", TEXT, "name of the input file"),
            column("row", pa.int64(), "number of the text in its file, from 1"),
            column("text_id", TEXT, "id of the text"),
            column("text", TEXT, "the text"),
            column("language", TEXT, "language as given"),
            column("old_code", TEXT, "answer before; null = abstained", null=True),
            column("old_path", TEXTS, "its path"),
            column("old_confidence", FLOAT, "its confidence (0..1)"),
            column("old_level_confidences", pa.list_(FLOAT), "the same for each node of the path"),
            column("old_version", TEXT, "taxonomy version of the answer before"),
            column("human", BOOL, "a person has placed the text: it is not classified again"),
        ),
    ),
    Table(
        "taxonomy",
        "retagged",
        "an answer of a retag run that was applied: it stands in the place of the stored one",
        (column("applied_at", TIME, "when"), *RETAG_COLUMNS, *RESULT_COLUMNS),
    ),
    Table("taxonomy", "rejected_rows", "a taxonomy row, or a whole file, that was refused", REJECTED),
)
