"""The tables people query: their names, columns and meaning. Every output is written with one of these schemas.

The docs, the DuckDB views, the zero-row files and the Dagster column metadata are all made from this one module.
Each table is partitioned by `taxonomy_key`, which is the name of a folder and therefore no column of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

_TIME = pa.timestamp("us", tz="UTC")
_TEXTS = pa.list_(pa.string())


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `meaning` states what it holds, with units."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One table `schema.name`; `row` says what one row is."""

    schema: str
    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def full_name(self) -> str:
        """Name in SQL, for example `taxonomy.nodes`."""
        return f"{self.schema}.{self.name}"

    @property
    def arrow(self) -> pa.Schema:
        """The schema of its parquet files (without `taxonomy_key`)."""
        return pa.schema([pa.field(c.name, c.type, c.nullable) for c in self.columns])


@dataclass(frozen=True, slots=True)
class View:
    """A view `schema.name` that joins tables; it has no files. `sources`: tables and views that `sql` reads."""

    schema: str
    name: str
    row: str
    columns: tuple[Column, ...]
    sources: tuple[str, ...]
    sql: str

    @property
    def full_name(self) -> str:
        """Name in SQL."""
        return f"{self.schema}.{self.name}"


def _column(name: str, type_: pa.DataType, meaning: str, *, null: bool = False) -> Column:
    return Column(name, type_, meaning, null)


_text, _int, _float, _bool = pa.string(), pa.int32(), pa.float32(), pa.bool_()

_NODE_COLUMNS = (
    _column("code", _text, "identity of the node inside its taxonomy"),
    _column("parent_code", _text, "code of the parent; null for a top node", null=True),
    _column("level", _int, "the level given for the node (1 = top); levels may be skipped"),
    _column("path", _TEXTS, "codes from the top node to the node itself"),
    _column("is_leaf", _bool, "true when the node has no children"),
    _column("label", _text, "label in the primary language"),
    _column("definition", _text, "definition in the primary language, '' when there is none"),
    _column("examples", _TEXTS, "example texts in the primary language"),
    _column("aliases", _TEXTS, "other names in the primary language"),
    _column("negative_examples", _TEXTS, "texts that look right and belong elsewhere"),
    _column("language", _text, "primary language (BCP 47), '' when not stated"),
    _column(
        "translations",
        pa.list_(
            pa.struct(
                [
                    ("language", _text),
                    ("label", _text),
                    ("definition", _text),
                    ("examples", _TEXTS),
                    ("aliases", _TEXTS),
                    ("negative_examples", _TEXTS),
                ]
            )
        ),
        "texts in further languages",
    ),
    _column("node_id", _text, "16 hex digits: hash of (taxonomy key, code); a rebuild does not change it"),
    _column("version", _text, "taxonomy version: hash of the content"),
)

_ADDED = _column(
    "added",
    pa.list_(pa.struct([("language", _text), ("definition", _text), ("examples", _TEXTS), ("negative_examples", _TEXTS)])),
    "texts that a language model wrote, per language; none of them stands in the file",
)

_REJECTED = (
    _column("source_file", _text, "name of the input file"),
    _column("line", pa.int64(), "line of the file (CSV, JSONL), else the number of the row, from 1"),
    _column("reason_code", _text, "stable code of the reason"),
    _column("reason", _text, "what was wrong and what is allowed"),
    _column("raw", _text, "the row as it was read, as JSON, cut to 2,000 characters"),
)

_EVIDENCE = pa.list_(pa.struct([("correction_id", _text), ("code", _text), ("text", _text)]))
_NEAREST = pa.list_(pa.struct([("code", _text), ("label", _text), ("similarity", _float)]))
_ALTERNATIVES = pa.list_(pa.struct([("code", _text), ("label", _text), ("confidence", _float)]))

_RESULT_COLUMNS = (
    _column("batch_id", _text, "16 hex digits: hash of the content of the input file"),
    _column("source_file", _text, "name of the input file"),
    _column("row", pa.int64(), "number of the text in its file, from 1"),
    _column("text_id", _text, "id of the text as given, or its row number"),
    _column("text", _text, "the text that was classified"),
    _column("language", _text, "language as given, '' when not stated"),
    _column("code", _text, "answer; null = abstained", null=True),
    _column("label", _text, "label of the answer", null=True),
    _column("level", _int, "the answer's own level; 0 = abstained"),
    _column("path", _TEXTS, "codes from the top node to the answer"),
    _column("confidence", _float, "probability that the answer is the right node or above it (0..1)"),
    _column("level_confidences", pa.list_(_float), "the same for each node of the path; never rising with depth"),
    _column("stop_reason", _text, "why the path ends where it ends"),
    _column("ambiguous", _bool, "true when a person should look"),
    _column("alternatives", _ALTERNATIVES, "the next best nodes at the stop"),
    _column("top_codes", _TEXTS, "ranked leaf candidates, best first"),
    _column("leaf_confidence", _float, "probability of the best leaf (0..1)"),
    _column("validation_status", _text, "scoped validation of the older rules; null = not used", null=True),
    _column("validation_override_code", _text, "code that the validation put in place", null=True),
    _column("validation_margin", _float, "lead of the best leaf over the best leaf below the answer", null=True),
    _column("validation_stability_gap", _float, "lead of the best leaf over the next", null=True),
    _column("error_code", _text, "code of a fault that concerns this text alone", null=True),
    _column("error", _text, "the fault in words", null=True),
    _column("taxonomy_version", _text, "taxonomy version"),
    _column("index_version", _text, "node index version"),
    _column("evidence_version", _text, "version of the learned evidence, '' = none"),
    _column("calibration_version", _text, "version of the calibration"),
    _column("settings_version", _text, "hash of the settings that decide"),
    _column("classified_at", _TIME, "when"),
)

_RETAG_COLUMNS = (
    _column("run", _text, "retag run that made the answer"),
    _column("why", _text, "why the text was classified again: split, gone, added, abstained or under"),
    _column("outcome", _text, "same, moved, deeper, shallower, abstained, unsure, human or error"),
    _column("old_code", _text, "answer before; null = abstained", null=True),
    _column("old_confidence", _float, "its confidence (0..1)"),
    _column("old_version", _text, "taxonomy version of the answer before"),
)

TABLES: Final[tuple[Table, ...]] = (
    Table("taxonomy", "nodes", "a node of the current version", _NODE_COLUMNS),
    Table("taxonomy", "enriched_nodes", "a node of the current version with what enrichment added", (*_NODE_COLUMNS, _ADDED)),
    Table(
        "taxonomy",
        "enrichment",
        "a text that a language model wrote for a node, or a question that it was asked",
        (
            _column("code", _text, "node"),
            _column("language", _text, "language of the text, '' when not stated"),
            _column("kind", _text, "definition, example, positive, negative; question = the question itself, with its cost"),
            _column("text", _text, "the text; '' for a question"),
            _column("status", _text, "accepted, refused, or cleaned by rules; of a question: answered or failed"),
            _column("reason", _text, "why it was refused or has failed", null=True),
            _column("model", _text, "model that wrote it; rules = no model"),
            _column("prompt_version", _text, "version of the instructions and of the numbers asked for"),
            _column("content", _text, "16 hex digits: hash of the node's own texts and path that it was written for"),
            _column("input_tokens", pa.int64(), "tokens read for a question, 0 = known from disk; null for a text", null=True),
            _column("output_tokens", pa.int64(), "tokens written, likewise", null=True),
            _column("cost", pa.float64(), "US dollars; null for a text, and when the price is not known", null=True),
            _column("created_at", _TIME, "when"),
        ),
    ),
    Table(
        "taxonomy",
        "enrichment_runs",
        "a time that a language model was asked to enrich a taxonomy",
        (
            _column("run_at", _TIME, "when it began"),
            _column("model", _text, "model asked"),
            _column("prompt_version", _text, "as in taxonomy.enrichment"),
            _column("questions", pa.int64(), "questions of this run"),
            _column("cached", pa.int64(), "of these, answered from disk"),
            _column("failed", pa.int64(), "of these, without a usable answer"),
            _column("accepted", pa.int64(), "texts accepted"),
            _column("refused", pa.int64(), "texts refused"),
            _column("left", pa.int64(), "questions that were not asked"),
            _column("stopped", _text, "why questions are left; null = none is", null=True),
            _column("input_tokens", pa.int64(), "tokens read by the model"),
            _column("output_tokens", pa.int64(), "tokens written by it"),
            _column("cost", pa.float64(), "US dollars; null = the price is not known", null=True),
            _column("estimated_cost", pa.float64(), "what had been estimated before", null=True),
            _column("seconds", pa.float64(), "wall time in seconds"),
        ),
    ),
    Table("taxonomy", "node_history", "a node of any version that was ever current", _NODE_COLUMNS),
    Table(
        "taxonomy",
        "versions",
        "a version of a taxonomy",
        (
            _column("version", _text, "hash of the content"),
            _column("edition", _int, "0 = the first edition, n = the one that revision n made; codes mean the same within one"),
            _column("follows", _text, "version that was in force before it was first read; null = none", null=True),
            _column("created_at", _TIME, "when this version was first read"),
            _column("source_file", _text, "file it was read from"),
            _column("display_name", _text, "name for people"),
            _column(
                "level_names", pa.list_(pa.struct([("level", _int), ("name", _text)])), "names of levels, as far as stated"
            ),
            _column("nodes", _int, "number of nodes"),
            _column("leaves", _int, "number of leaves"),
            _column("depth", _int, "longest path in nodes"),
            _column("languages", _TEXTS, "languages of the texts, primary first"),
            _column("warnings", _TEXTS, "what was accepted with a remark"),
        ),
    ),
    Table(
        "taxonomy",
        "changes",
        "a change that a version brought",
        (
            _column("version", _text, "the version that has it"),
            _column("follows", _text, "the version that it is compared with"),
            _column("kind", _text, "added, removed, recoded, split, merged, regrouped, renamed, moved or edited"),
            _column("old_codes", _TEXTS, "codes of the former version that it concerns"),
            _column("new_codes", _TEXTS, "codes of the version that has it"),
            _column("old", _text, "former labels; for moved, code of the former parent"),
            _column("new", _text, "new labels; for moved, code of the new parent"),
            _column("confidence", _float, "how sure a guess is (0..1); null = codes or a crosswalk say so", null=True),
        ),
    ),
    Table(
        "taxonomy",
        "revisions",
        "a record of the log of revisions",
        (
            _column("number", _int, "place in the log, from 1; of a revision also the edition that it made"),
            _column("kind", _text, "revise = a new edition with a crosswalk, undo = a former one was put back"),
            _column("made_at", _TIME, "when"),
            _column("made_by", _text, "who"),
            _column("note", _text, "what the person said about it"),
            _column("follows", _int, "edition that was in force"),
            _column("before_version", _text, "version that was in force"),
            _column("after_version", _text, "version that followed"),
            _column("undoes", _int, "number of the revision that was taken back; null = none", null=True),
            _column("links", _int, "rows of its crosswalk"),
        ),
    ),
    Table(
        "taxonomy",
        "crosswalk",
        "a code of one edition, and a code of another that holds something of it",
        (
            _column("from_edition", _int, "edition of `old_code` (taxonomy.versions.edition)"),
            _column("to_edition", _int, "edition of `new_code`; every pair of editions is there, in both directions"),
            _column("old_code", _text, "code in the one edition"),
            _column("new_code", _text, "code in the other; null = it has no counterpart", null=True),
            _column("relation", _text, "same, recoded, merged, split, regrouped or gone: what became of `old_code`"),
            _column("targets", _int, "codes that `old_code` leads to: rows with it"),
        ),
    ),
    Table(
        "taxonomy",
        "reassignments",
        "a correction whose node was split, and where it belongs now",
        (
            _column("correction_id", _text, "as in learning.corrections"),
            _column("text", _text, "the text"),
            _column("old_code", _text, "code as given"),
            _column("to_edition", _int, "edition that the options are of"),
            _column("options", _TEXTS, "codes that the node became, in the order of the crosswalk"),
            _column("code", _text, "the one that the classifier prefers"),
            _column("confidence", _float, "its probability among the options (0..1)"),
            _column("status", _text, "moved = it counts there; unsure = it counts nowhere until a person corrects the text"),
            _column("index_version", _text, "node index that decided"),
        ),
    ),
    Table(
        "taxonomy",
        "retag_runs",
        "a retag run",
        (
            _column("run", _text, "identity: number of the run"),
            _column("state", _text, "planned, running, paused_cost, completed, canceled or failed"),
            _column("applied", _bool, "its answers stand in the place of the stored ones"),
            _column("taxonomy_version", _text, "version that the texts are classified with"),
            _column("index_version", _text, "node index that they are classified with"),
            _column("strategy", _text, "router = the classifier; llm = with second opinions of the language model"),
            _column("selection", _text, "which stored answers were chosen, as JSON"),
            _column("texts", pa.int64(), "texts to classify"),
            _column("questions", pa.int64(), "calls of the language model that were expected"),
            _column("tokens", pa.int64(), "tokens that were expected, read and written"),
            _column("cost", pa.float64(), "US dollars that were expected; null = the price is not known", null=True),
            _column("spent", pa.float64(), "US dollars spent; null = the price is not known", null=True),
            _column(
                "history",
                pa.list_(pa.struct([("at", _TIME), ("by", _text), ("what", _text)])),
                "what happened to the run, in order",
            ),
        ),
    ),
    Table("taxonomy", "retag_texts", "a text that a retag run classified again", (*_RETAG_COLUMNS, *_RESULT_COLUMNS)),
    Table(
        "taxonomy",
        "retag_plans",
        "a stored answer that a retag run has to look at again",
        (
            _column("run", _text, "the retag run"),
            _column("why", _text, "as in taxonomy.retag_texts"),
            _column("options", _TEXTS, "codes that a split node became: only they can be the answer; else none"),
            _column("batch_id", _text, "as in classification.results"),
            _column("source_file", _text, "name of the input file"),
            _column("row", pa.int64(), "number of the text in its file, from 1"),
            _column("text_id", _text, "id of the text"),
            _column("text", _text, "the text"),
            _column("language", _text, "language as given"),
            _column("old_code", _text, "answer before; null = abstained", null=True),
            _column("old_path", _TEXTS, "its path"),
            _column("old_confidence", _float, "its confidence (0..1)"),
            _column("old_level_confidences", pa.list_(_float), "the same for each node of the path"),
            _column("old_version", _text, "taxonomy version of the answer before"),
            _column("human", _bool, "a person has placed the text: it is not classified again"),
        ),
    ),
    Table(
        "taxonomy",
        "retagged",
        "an answer of a retag run that was applied: it stands in the place of the stored one",
        (_column("applied_at", _TIME, "when"), *_RETAG_COLUMNS, *_RESULT_COLUMNS),
    ),
    Table("taxonomy", "rejected_rows", "a taxonomy row, or a whole file, that was refused", _REJECTED),
    Table(
        "views",
        "node_vectors",
        "an embedded text of a node (the vectors themselves are in LanceDB)",
        (
            _column("code", _text, "node"),
            _column("view", _text, "label, definition, example, or negative for a text that belongs elsewhere"),
            _column("language", _text, "language of the text, '' when not stated"),
            _column("text", _text, "the text that was embedded"),
            _column("text_hash", _text, "16 hex digits of the text's SHA-256"),
            _column("lance_version", pa.int64(), "version of the LanceDB table that holds the vector"),
        ),
    ),
    Table(
        "views",
        "index_versions",
        "a built node index",
        (
            _column("index_version", _text, "hash of everything that the index depends on"),
            _column("taxonomy_version", _text, "taxonomy version it was built from"),
            _column("model", _text, "embedding model and revision"),
            _column("vector_class", _text, "hash of everything that changes a vector"),
            _column("dimensions", _int, "length of a vector"),
            _column("vectors", _int, "number of vectors"),
            _column("built_at", _TIME, "when it was built"),
            _column("settings", _text, "settings that shaped it, as JSON"),
            _column("libraries", _text, "library versions, as JSON"),
        ),
    ),
    Table("classification", "results", "a text's answer", _RESULT_COLUMNS),
    Table(
        "classification",
        "explanations",
        "a level of a text's path, explained (when a run was asked to)",
        (
            _column("batch_id", _text, "as in classification.results"),
            _column("text_id", _text, "as in classification.results"),
            _column("level", _int, "level of the chosen node"),
            _column("chosen_code", _text, "node on the path to the answer, or below it to the best leaf"),
            _column("chosen_confidence", _float, "its probability (0..1)"),
            _column("runner_up_code", _text, "most probable sibling; null = it has none", null=True),
            _column("runner_up_confidence", _float, "its probability (0..1)", null=True),
            _column("deciding_view", _text, "view that set the two apart most; null = no sibling", null=True),
            _column("nearest_text", _text, "text of the chosen node that is nearest to the text"),
            _column("nearest_correction", _text, "nearest corrected text at or below the chosen node", null=True),
            _column("views", _text, "part of each view in the difference of the two, as JSON"),
        ),
    ),
    Table(
        "classification",
        "calibrations",
        "a calibration that labelled texts have made",
        (
            _column("calibration_version", _text, "hash of the numbers"),
            _column("index_version", _text, "node index that it belongs to"),
            _column("labelled_texts", pa.int64(), "unique texts with known codes it was made from, corrected ones included"),
            _column("corrected_texts", pa.int64(), "corrections among them"),
            _column("temperature_untrusted", pa.float64(), "divides the logits of texts that the encoder is not trusted with"),
            _column("temperature_trusted", pa.float64(), "divides the logits of all other texts"),
            _column("threshold", pa.float64(), "probability that a node must reach; null = none is proven", null=True),
            _column("accuracy_target", pa.float64(), "accuracy that the threshold keeps; null = none is proven", null=True),
            _column("proven", _bool, "labels have shown the threshold, with 90 % confidence"),
            _column("numbers", _text, "all numbers, as JSON"),
            _column("weights", _text, "fusion weights, as JSON; null = the shipped ones", null=True),
            _column("voters_version", _text, "voters that belong to it, in classification.voters; null = none", null=True),
            _column("fitted_at", _TIME, "when"),
        ),
    ),
    Table(
        "classification",
        "voters",
        "an array of the voters that corrections have trained; one part for each version",
        (
            _column("name", _text, "name of the array"),
            _column("dtype", _text, "type of its numbers"),
            _column("shape", pa.list_(pa.int64()), "its shape"),
            _column("numbers", pa.binary(), "its numbers, row by row, little-endian"),
        ),
    ),
    Table(
        "classification",
        "batches",
        "an input file that was classified",
        (
            _column("batch_id", _text, "16 hex digits: hash of the content of the input file"),
            _column("source_file", _text, "name of the input file when it was first seen"),
            _column("rows", pa.int64(), "texts answered"),
            _column("rejected", pa.int64(), "rows refused"),
            _column("abstained", pa.int64(), "texts without an answer"),
            _column("index_version", _text, "node index version"),
            _column("seconds", pa.float64(), "wall time in seconds"),
            _column("finished_at", _TIME, "when"),
        ),
    ),
    Table(
        "classification",
        "stale_batches",
        "an input file whose answers are older than what they depend on; `taxomind classify --stale` answers it again",
        (
            _column("batch_id", _text, "as in classification.results"),
            _column("source_file", _text, "name of the input file"),
            _column("texts", pa.int64(), "answers"),
            _column("because", _TEXTS, "what is newer: index, evidence, calibration or settings"),
            _column("evidence_version", _text, "evidence that the answers were made with, '' = none"),
            _column("current_evidence_version", _text, "evidence when this was noted"),
        ),
    ),
    Table(
        "classification",
        "rejected_rows",
        "a text row, or a whole file, that was refused",
        (_column("batch_id", _text, "batch of the file, as in classification.batches"), *_REJECTED),
    ),
    Table(
        "learning",
        "correction_files",
        "a file of corrections as it was read",
        (
            _column("source_file", _text, "name of the file"),
            _column("file_id", _text, "16 hex digits over name, size, time and the settings that it was read with"),
            _column("rows", pa.int64(), "rows accepted"),
            _column("rejected", pa.int64(), "rows refused"),
            _column("columns", _text, "which of its columns were used"),
            _column("problem", _text, "why the file, or the rest of it, could not be read; '' = it was read to its end"),
        ),
    ),
    Table(
        "learning",
        "correction_rows",
        "a row of a file of corrections, as it was accepted",
        (
            _column("file_id", _text, "as in learning.correction_files"),
            _column("source_file", _text, "name of the file"),
            _column("line", pa.int64(), "line of the file (CSV, JSONL), else the number of the row, from 1"),
            _column("correction_id", _text, "id as given, else made of text, codes and annotator"),
            _column("action", _text, "correct, confirm, withdraw or restore"),
            _column("text_id", _text, "id of the text, '' when not stated"),
            _column("text", _text, "the text, '' when the row only names a correction"),
            _column("language", _text, "language as given, '' when not stated"),
            _column("codes", _TEXTS, "codes as given, from the top down"),
            _column("source", _text, "where the row comes from, as given, '' when not stated"),
            _column("annotator", _text, "who gave it, '' when not stated"),
            _column("corrected_at", _TIME, "when, as given; null when not stated", null=True),
        ),
    ),
    Table("learning", "rejected_rows", "a row of corrections, or a whole file, that was refused", _REJECTED),
    Table(
        "learning",
        "corrections",
        "a correction as people have left it",
        (
            _column("correction_id", _text, "identity; the same id twice is one correction"),
            _column("text_id", _text, "id of the text, '' when not stated"),
            _column("text", _text, "the text"),
            _column("language", _text, "language as given, '' when not stated"),
            _column("code", _text, "deepest code that the taxonomy has; null = it has none of them", null=True),
            _column("given_codes", _TEXTS, "codes as given, from the top down"),
            _column("action", _text, "correct: the answer was wrong; confirm: it was right"),
            _column("source", _text, "where it comes from, as given"),
            _column("annotator", _text, "who gave it, '' when not stated"),
            _column("corrected_at", _TIME, "when, as given; null when not stated", null=True),
            _column("status", _text, "applied, duplicate, superseded, unknown_code or withdrawn"),
            _column("reason", _text, "why it does not count, '' when it does"),
            _column("source_file", _text, "first file by name that holds it"),
            _column("rows", pa.int64(), "input rows that say exactly this"),
        ),
    ),
    Table(
        "learning",
        "evidence",
        "a correction that counts, with its vector",
        (
            _column("correction_id", _text, "as in learning.corrections"),
            _column("code", _text, "node that it speaks for"),
            _column("text", _text, "the text that was embedded"),
            _column("vector", pa.list_(_float), "its unit vector"),
        ),
    ),
    Table(
        "learning",
        "centroids",
        "a node's evidence",
        (
            _column("code", _text, "node"),
            _column("count", pa.int64(), "corrections that speak for it"),
            _column("vector_sum", pa.list_(pa.float64()), "plain sum of their unit vectors; scaled to length 1: the centroid"),
            _column("updated_at", _TIME, "when the node's evidence last changed"),
            _column("evidence_version", _text, "version of the evidence of all nodes"),
        ),
    ),
    Table(
        "learning",
        "evidence_versions",
        "a version of the evidence, as the change that made it",
        (
            _column("number", pa.int64(), "place in time, from 1"),
            _column(
                "evidence_version",
                _text,
                "hash of texts and codes, '' = no evidence; what returns has its version back",
            ),
            _column("parent_version", _text, "version before it"),
            _column("made_at", _TIME, "when"),
            _column("corrections", pa.int64(), "corrections that count"),
            _column("nodes", pa.int64(), "nodes with evidence"),
            _column("added", _EVIDENCE, "what began to count"),
            _column("removed", _EVIDENCE, "what ceased to count"),
        ),
    ),
    Table(
        "learning",
        "reviews",
        "a correction that a person should look at",
        (
            _column("correction_id", _text, "as in learning.corrections"),
            _column("text", _text, "the text"),
            _column("code", _text, "node that it speaks for"),
            _column("annotator", _text, "who gave it, '' when not stated"),
            _column(
                "kind",
                _text,
                "contradiction: the same text is placed elsewhere; outlier: nearer to a sibling's evidence",
            ),
            _column("other_codes", _TEXTS, "where else the text is placed, or whose evidence is nearer"),
            _column("difference", _float, "outlier: how much nearer, as a difference of cosines; else null", null=True),
            _column("reason", _text, "in words"),
        ),
    ),
    Table(
        "growth",
        "observations",
        "an answer, a correction or a remark, and the label that the text should have had",
        (
            _column("observed_at", _TIME, "when; null when not stated", null=True),
            _column("text_id", _text, "id of the text as given, else 16 hex digits of the text"),
            _column("title", _text, "its first line, at most 120 characters"),
            _column("text", _text, "the text, '' when it fits and nobody proposes a label"),
            _column("primary_code", _text, "node that it was given; null = none", null=True),
            _column("primary_label", _text, "label of that node, '' = none"),
            _column("proposed_label", _text, "ideal label; that of the node when nobody wants another, '' when none is known"),
            _column("source", _text, "who proposes: llm, user or model; '' = nobody"),
            _column(
                "misfit", _text, "why the text does not fit: abstained, low_confidence, above_leaves, catch_all; '' = it does"
            ),
            _column("confidence", _float, "of the answer (0..1); null when not stated", null=True),
            _column("language", _text, "language as given, '' when not stated"),
            _column("taxonomy_version", _text, "taxonomy version of the answer, '' when not stated"),
            _column("rerun", _bool, "true for answers of a retag run: they add no span"),
        ),
    ),
    Table(
        "growth",
        "candidates",
        "a node that the texts ask for, to be decided by a person",
        (
            _column("key", _text, "comparison key of the label"),
            _column("label", _text, "the spelling that is used most"),
            _column(
                "kind", _text, "label: somebody proposed it; cluster: a group of texts that do not fit, named by their words"
            ),
            _column("status", _text, "pending, or skipped until `hidden_until`"),
            _column("hidden_until", _TIME, "end of the cool-down after a skip; null = shown", null=True),
            _column("code", _text, "code that the node would get"),
            _column("parent_code", _text, "parent that it would get; null = top node", null=True),
            _column("parent_label", _text, "its label; of a parent that does not exist, the name that is proposed"),
            _column("parent_exists", _bool, "false: proposes a new top node, or a parent that is missing"),
            _column("parent_rule", _text, "why this parent: written, key, texts, root or missing"),
            _column("count", _int, "distinct texts"),
            _column("day_span", _int, "whole days between the first and the last"),
            _column("first_seen", _TIME, "first time; null when not stated", null=True),
            _column("last_seen", _TIME, "last time; null when not stated", null=True),
            _column("window", _text, "window that found it: short or long"),
            _column("share", _float, "share of all texts of that window (0..1)"),
            _column("mean_confidence", _float, "mean confidence of the answers (0..1); null = unknown", null=True),
            _column("sources", _TEXTS, "who proposes: llm, user, model, cluster"),
            _column("languages", _TEXTS, "languages of the texts, as given"),
            _column("titles", _TEXTS, "first three distinct titles"),
            _column("texts", _TEXTS, "its texts, at most 200"),
            _column("text_ids", _TEXTS, "ids of all its texts"),
            _column("nearest", _NEAREST, "existing nodes that its texts are nearest to (cosine)"),
            _column("similar", _TEXTS, "labels of other candidates of nearly the same meaning"),
            _column("trial", _text, "what adding it would change, as JSON; '' = not tried"),
        ),
    ),
    Table(
        "growth",
        "decisions",
        "a decision of a person about growth",
        (
            _column("decision_id", _text, "identity, for `taxomind growth undo`"),
            _column("decided_at", _TIME, "when"),
            _column("decided_by", _text, "who"),
            _column("action", _text, "add, alias, reject, reject_unattended, name_as_different, skip, unreject or undo"),
            _column("label", _text, "label of the candidate"),
            _column("key", _text, "its comparison key"),
            _column("state", _text, "in_effect, undone, or not_done when the process ended before the taxonomy was written"),
            _column("code", _text, "node that was added or got an alias; null = none", null=True),
            _column("before_version", _text, "taxonomy version before"),
            _column("after_version", _text, "taxonomy version after"),
            _column("undoes", _text, "decision that it takes back; null = none", null=True),
            _column("details", _text, "further facts (count, span, preferred form, reason), as JSON"),
        ),
    ),
    Table(
        "growth",
        "zero_usage",
        "a node that no stored answer uses, neither itself nor below it; a flag, nothing is removed",
        (
            _column("code", _text, "node"),
            _column("label", _text, "its label"),
            _column("is_leaf", _bool, "true when it has no children"),
            _column("answers", pa.int64(), "answers that were counted for the whole taxonomy"),
        ),
    ),
    Table(
        "reports",
        "errors",
        "a text with a known code, judged",
        (
            _column("dataset", _text, "file that held the text and its code"),
            _column("text_id", _text, "id of the text"),
            _column("text", _text, "the text"),
            _column("language", _text, "language as given"),
            _column("target_code", _text, "the known code that the answer is judged against"),
            _column("target_path", _TEXTS, "its path"),
            _column("target_codes", _TEXTS, "all known codes of the text"),
            _column("code", _text, "answer; null = abstained", null=True),
            _column("path", _TEXTS, "path of the answer"),
            _column("outcome", _text, "right, under, over, wrong_branch or abstained"),
            _column("confidence", _float, "confidence of the answer (0..1)"),
            _column("leaf_code", _text, "best leaf", null=True),
            _column("leaf_confidence", _float, "probability of the best leaf (0..1)"),
            _column("leaf_right", _bool, "the best leaf is one of the known codes"),
            _column("rank", _int, "place of the target among the ranked leaves, from 1; null = not among them", null=True),
            _column("shared_depth", _int, "leading path nodes in common"),
            _column("divergence_level", _int, "first level where the paths part; null = none", null=True),
            _column("divergence_parent", _text, "last common node; null = root or none", null=True),
            _column("chosen_child", _text, "node taken there", null=True),
            _column("correct_child", _text, "node that was right there", null=True),
            _column("siblings", _ALTERNATIVES, "best nodes at the divergence"),
            _column("stop_reason", _text, "why the answer's path ends where it ends"),
            _column("ambiguous", _bool, "flag of the answer"),
            _column("verbatim", _bool, "the text stands word for word in the taxonomy"),
            _column("index_version", _text, "node index version"),
        ),
    ),
    Table(
        "reports",
        "metrics",
        "a measure",
        (
            _column("report_id", _text, "hash of what was measured: texts, index and settings"),
            _column("slice", _text, "all, language=fr, level=4, verbatim=false ...; compared = texts of all strategies"),
            _column("strategy", _text, "the strategy measured (served = the one in use)"),
            _column("metric", _text, "name of the measure"),
            _column("level", _int, "level of the taxonomy it concerns; null = none", null=True),
            _column("value", pa.float64(), "value; null = undefined", null=True),
            _column("n", pa.int64(), "texts it was measured on"),
            _column("interval_low", pa.float64(), "lower end of the 95 % interval", null=True),
            _column("interval_high", pa.float64(), "upper end of the 95 % interval", null=True),
            _column("difference", pa.float64(), "compared: value less that of `served`; else null", null=True),
            _column("difference_low", pa.float64(), "lower end of its 95 % interval, over the same texts", null=True),
            _column("difference_high", pa.float64(), "upper end of its 95 % interval", null=True),
            _column("measured_at", _TIME, "when"),
        ),
    ),
    Table(
        "reports",
        "calibration",
        "a bin of confidences",
        (
            _column("report_id", _text, "as in reports.metrics"),
            _column("kind", _text, "leaf or answer"),
            _column("bin", _int, "number of the bin, from 0"),
            _column("low", pa.float64(), "lower edge of the bin"),
            _column("high", pa.float64(), "upper edge of the bin"),
            _column("n", pa.int64(), "texts in the bin"),
            _column("confidence", pa.float64(), "mean confidence in the bin", null=True),
            _column("accuracy", pa.float64(), "share right in the bin", null=True),
        ),
    ),
    Table(
        "reports",
        "coverage",
        "a point of the coverage-accuracy curve",
        (
            _column("report_id", _text, "as in reports.metrics"),
            _column("kind", _text, "leaf, answer (right = the known node or above it) or exact (right = the known node)"),
            _column("threshold", pa.float64(), "confidence from which texts are answered"),
            _column("coverage", pa.float64(), "share of texts answered"),
            _column("accuracy", pa.float64(), "share right among them"),
        ),
    ),
    Table(
        "reports",
        "learning",
        "a measure of what corrections have taught, on corrected texts that are answered by the corrections of the others",
        (
            _column("measured_at", _TIME, "when"),
            _column("evidence_version", _text, "version of the evidence, '' = none"),
            _column("index_version", _text, "node index version"),
            _column("calibration_version", _text, "version of the calibration"),
            _column("stage", _text, "before: without any evidence; after: with it"),
            _column("metric", _text, "name of the measure, as in reports.metrics"),
            _column("value", pa.float64(), "value; null = undefined", null=True),
            _column("n", pa.int64(), "texts it was measured on"),
            _column("interval_low", pa.float64(), "lower end of the 95 % interval", null=True),
            _column("interval_high", pa.float64(), "upper end of the 95 % interval", null=True),
            _column("promised", pa.float64(), "accuracy that the stop rule promises (kept_accuracy), else null", null=True),
        ),
    ),
    Table(
        "reports",
        "confusions",
        "two nodes that were confused on corrected texts, before or after learning",
        (
            _column("wrong_code", _text, "best leaf that was wrong, '' = there was none"),
            _column("right_code", _text, "node that people said"),
            _column("wrong_label", _text, "label of the former"),
            _column("right_label", _text, "label of the latter"),
            _column("repaired", pa.int64(), "texts that learning has put right"),
            _column("broken", pa.int64(), "texts that learning has put wrong"),
            _column("example", _text, "one of the texts"),
        ),
    ),
    Table("reports", "rejected_rows", "a row with a known code that was refused", _REJECTED),
)

VIEWS: Final[tuple[View, ...]] = (
    View(
        "classification",
        "current_results",
        "a text's answer as it stands now: that of the last retag run that was applied, else the stored one",
        (*_RESULT_COLUMNS, _column("retag_run", _text, "the retag run; null = none", null=True)),
        ("classification.results", "taxonomy.retagged"),
        """
        WITH applied AS (
            SELECT * FROM taxonomy.retagged
            QUALIFY row_number() OVER (PARTITION BY taxonomy_key, batch_id, row ORDER BY applied_at DESC) = 1
        )
        SELECT *, NULL::VARCHAR AS retag_run FROM classification.results AS r ANTI JOIN applied AS a
            ON a.taxonomy_key = r.taxonomy_key AND a.batch_id = r.batch_id AND a.row = r.row
            AND a.classified_at > r.classified_at
        UNION ALL BY NAME
        SELECT * EXCLUDE (applied_at, run, why, outcome, old_code, old_confidence, old_version), run AS retag_run
            FROM applied AS a SEMI JOIN classification.results AS r
            ON a.taxonomy_key = r.taxonomy_key AND a.batch_id = r.batch_id AND a.row = r.row
            AND a.classified_at > r.classified_at
        """,
    ),
    View(
        "classification",
        "results_by_edition",
        "a text's answer, in the codes of one edition of the taxonomy",
        (
            *_RESULT_COLUMNS,
            _column("retag_run", _text, "the retag run that gave the answer; null = none", null=True),
            _column("given_edition", _int, "edition that the answer was given in; `code` is one of its codes"),
            _column("edition", _int, "edition that is asked for"),
            _column("edition_code", _text, "the answer in the codes of `edition`; null = it has no counterpart", null=True),
            _column("relation", _text, "same, recoded, merged, split, regrouped or gone"),
            _column("targets", _int, "codes that it became; more than 1: one row for each of them"),
        ),
        ("classification.current_results", "taxonomy.versions", "taxonomy.crosswalk"),
        """
        SELECT r.*, v.edition AS given_edition, x.to_edition AS edition, x.new_code AS edition_code, x.relation, x.targets
        FROM classification.current_results AS r
        JOIN taxonomy.versions AS v ON v.taxonomy_key = r.taxonomy_key AND v.version = r.taxonomy_version
        JOIN taxonomy.crosswalk AS x
            ON x.taxonomy_key = r.taxonomy_key AND x.from_edition = v.edition AND x.old_code = r.code
        """,
    ),
)

BY_NAME: Final[Mapping[str, Table]] = {table.full_name: table for table in TABLES}
