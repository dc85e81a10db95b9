"""Answers, what explains and calibrates them, and the views that join them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from taxomind_resources.tables.columns import BOOL, FLOAT, INT, REJECTED, RESULT_COLUMNS, TEXT, TEXTS, TIME, Table, View, column

TABLES: Final[tuple[Table, ...]] = (
    Table("classification", "results", "a text's answer", RESULT_COLUMNS),
    Table(
        "classification",
        "explanations",
        "a level of a text's path, explained (when a run was asked to)",
        (
            column("batch_id", TEXT, "as in classification.results"),
            column("text_id", TEXT, "as in classification.results"),
            column("level", INT, "level of the chosen node"),
            column("chosen_code", TEXT, "node on the path to the answer, or below it to the best leaf"),
            column("chosen_confidence", FLOAT, "its probability (0..1)"),
            column("runner_up_code", TEXT, "most probable sibling; null = it has none", null=True),
            column("runner_up_confidence", FLOAT, "its probability (0..1)", null=True),
            column("deciding_view", TEXT, "view that set the two apart most; null = no sibling", null=True),
            column("nearest_text", TEXT, "text of the chosen node that is nearest to the text"),
            column("nearest_correction", TEXT, "nearest corrected text at or below the chosen node", null=True),
            column("views", TEXT, "part of each view in the difference of the two, as JSON"),
        ),
    ),
    Table(
        "classification",
        "calibrations",
        "a calibration that labelled texts have made",
        (
            column("calibration_version", TEXT, "hash of the numbers"),
            column("index_version", TEXT, "node index that it belongs to"),
            column("labelled_texts", pa.int64(), "unique texts with known codes it was made from, corrected ones included"),
            column("corrected_texts", pa.int64(), "corrections among them"),
            column("temperature_untrusted", pa.float64(), "divides the logits of texts that the encoder is not trusted with"),
            column("temperature_trusted", pa.float64(), "divides the logits of all other texts"),
            column("threshold", pa.float64(), "probability that a node must reach; null = none is proven", null=True),
            column("accuracy_target", pa.float64(), "accuracy that the threshold keeps; null = none is proven", null=True),
            column("proven", BOOL, "labels have shown the threshold, with 90 % confidence"),
            column("numbers", TEXT, "all numbers, as JSON"),
            column("weights", TEXT, "fusion weights, as JSON; null = the shipped ones", null=True),
            column("voters_version", TEXT, "voters that belong to it, in classification.voters; null = none", null=True),
            column("fitted_at", TIME, "when"),
        ),
    ),
    Table(
        "classification",
        "voters",
        "an array of the voters that corrections have trained; one part for each version",
        (
            column("name", TEXT, "name of the array"),
            column("dtype", TEXT, "type of its numbers"),
            column("shape", pa.list_(pa.int64()), "its shape"),
            column("numbers", pa.binary(), "its numbers, row by row, little-endian"),
        ),
    ),
    Table(
        "classification",
        "batches",
        "an input file that was classified",
        (
            column("batch_id", TEXT, "16 hex digits: hash of the content of the input file"),
            column("source_file", TEXT, "name of the input file when it was first seen"),
            column("rows", pa.int64(), "texts answered"),
            column("rejected", pa.int64(), "rows refused"),
            column("abstained", pa.int64(), "texts without an answer"),
            column("index_version", TEXT, "node index version"),
            column("seconds", pa.float64(), "wall time in seconds"),
            column("finished_at", TIME, "when"),
        ),
    ),
    Table(
        "classification",
        "stale_batches",
        "an input file whose answers are older than what they depend on; `taxomind classify --stale` answers it again",
        (
            column("batch_id", TEXT, "as in classification.results"),
            column("source_file", TEXT, "name of the input file"),
            column("texts", pa.int64(), "answers"),
            column("because", TEXTS, "what is newer: index, evidence, calibration or settings"),
            column("evidence_version", TEXT, "evidence that the answers were made with, '' = none"),
            column("current_evidence_version", TEXT, "evidence when this was noted"),
        ),
    ),
    Table(
        "classification",
        "rejected_rows",
        "a text row, or a whole file, that was refused",
        (column("batch_id", TEXT, "batch of the file, as in classification.batches"), *REJECTED),
    ),
)

VIEWS: Final[tuple[View, ...]] = (
    View(
        "classification",
        "current_results",
        "a text's answer as it stands now: that of the last retag run that was applied, else the stored one",
        (*RESULT_COLUMNS, column("retag_run", TEXT, "the retag run; null = none", null=True)),
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
            *RESULT_COLUMNS,
            column("retag_run", TEXT, "the retag run that gave the answer; null = none", null=True),
            column("given_edition", INT, "edition that the answer was given in; `code` is one of its codes"),
            column("edition", INT, "edition that is asked for"),
            column("edition_code", TEXT, "the answer in the codes of `edition`; null = it has no counterpart", null=True),
            column("relation", TEXT, "same, recoded, merged, split, regrouped or gone"),
            column("targets", INT, "codes that it became; more than 1: one row for each of them"),
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
