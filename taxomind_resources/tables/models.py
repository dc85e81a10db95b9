"""Labelled texts, and the models trained on them: versions, figures and answers."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from taxomind_resources.tables.columns import BOOL, FLOAT, INT, REJECTED, TEXT, TIME, Table, column

_COUNT: Final = pa.int64()
_NUMBER: Final = pa.float64()
_VERSION: Final = column("version", INT, "version of the model")
_SPLIT: Final = column("split", TEXT, "validation or test")

TABLES: Final[tuple[Table, ...]] = (
    Table(
        "models",
        "labelled_texts",
        "a text that models are trained or judged on; each text once",
        (
            column("text_id", TEXT, "id of the text, as given in its file"),
            column("text", TEXT, "the text"),
            column("text_hash", TEXT, "16 hex digits; equal for texts that differ in case, width or white space only"),
            column("language", TEXT, "language as given, '' when not stated"),
            column("code", TEXT, "the known code"),
            column("split", TEXT, "train, validation or test"),
            column("split_said", BOOL, "the file named the split; else it was drawn"),
            column("source_file", TEXT, "file that held the text; `correction` = a correction"),
        ),
    ),
    Table("models", "rejected_rows", "a labelled row that was refused when models were prepared", REJECTED),
    Table(
        "models",
        "versions",
        "a version of a model, or a number that a training took",
        (
            column("version", INT, "number of the version"),
            column("state", TEXT, "training, ready or failed"),
            column("promoted", BOOL, "it is the one in use"),
            column("name", TEXT, "what it is made of"),
            column("started_at", TIME, "when its training began", null=True),
            column("finished_at", TIME, "when it ended", null=True),
            column("reason", TEXT, "why it failed, else ''"),
            column("taxonomy_version", TEXT, "taxonomy version that it was trained for", null=True),
            column("data_digest", TEXT, "hash of its labelled texts and their codes", null=True),
            column("training_texts", _COUNT, "labelled texts that it was trained on", null=True),
            column("validation_texts", _COUNT, "texts that training was stopped and calibrated by", null=True),
            column("codes", _COUNT, "codes that it decides between", null=True),
            column("accuracy", _NUMBER, "accuracy on the validation texts", null=True),
            column("macro_f1", _NUMBER, "macro F1 there", null=True),
            column("hF1", _NUMBER, "hierarchical F1 there", null=True),
            column("ece", _NUMBER, "calibration error there", null=True),
            column("training_seconds", _NUMBER, "seconds that training took", null=True),
            column("size_bytes", _COUNT, "bytes of its files", null=True),
            column("manifest", TEXT, "all that its manifest says, as JSON; '' = there is none"),
        ),
    ),
    Table(
        "models",
        "evaluations",
        "a measure of a version",
        (
            _VERSION,
            _SPLIT,
            column("data_digest", TEXT, "hash of the texts and codes; equal = measured on the same rows"),
            column("metric", TEXT, "name of the measure"),
            column("value", _NUMBER, "value; null = undefined", null=True),
            column("n", _COUNT, "texts it was measured on"),
            column("interval_low", _NUMBER, "lower end of the 95 % interval", null=True),
            column("interval_high", _NUMBER, "upper end of the 95 % interval", null=True),
            column("evaluated_at", TIME, "when"),
        ),
    ),
    Table(
        "models",
        "class_scores",
        "a code as a version answers it",
        (
            _VERSION,
            _SPLIT,
            column("code", TEXT, "code"),
            column("label", TEXT, "its label"),
            column("precision", _NUMBER, "share of its answers that are right"),
            column("recall", _NUMBER, "share of its texts that are found"),
            column("f1", _NUMBER, "harmonic mean of both"),
            column("support", _COUNT, "texts that have it"),
            column("answered", _COUNT, "texts that got it"),
        ),
    ),
    Table(
        "models",
        "confusions",
        "two codes that a version confuses",
        (
            _VERSION,
            _SPLIT,
            column("right_code", TEXT, "the known code"),
            column("wrong_code", TEXT, "the answer"),
            column("texts", _COUNT, "texts"),
        ),
    ),
    Table(
        "models",
        "answers",
        "the answer of a version to a text with a known code",
        (
            _VERSION,
            _SPLIT,
            column("text_id", TEXT, "id of the text"),
            column("text_hash", TEXT, "as in models.labelled_texts"),
            column("target_code", TEXT, "the known code"),
            column("code", TEXT, "the answer; null = none", null=True),
            column("confidence", FLOAT, "its probability (0..1)"),
        ),
    ),
    Table(
        "models",
        "trials",
        "a trial of a study that looks for the best plug-ins and parameters",
        (
            column("trial", INT, "number of the trial"),
            column("state", TEXT, "complete, pruned (ended early) or fail"),
            column("name", TEXT, "what the model is made of"),
            column("metric", TEXT, "what it is judged by, on validation texts"),
            column("value", _NUMBER, "that measure; of a trial that ended early the last one known", null=True),
            column("best", BOOL, "the best of the study"),
            column("parameters", TEXT, "what was drawn, as JSON"),
            column(
                "spec",
                TEXT,
                "the whole specification, as JSON; '' = none was made",
            ),
            column("seconds", _NUMBER, "seconds it took", null=True),
            column("reason", TEXT, "why it failed, else ''"),
        ),
    ),
    Table(
        "models",
        "exports",
        "a variant of a version, beside the version as it was trained",
        (
            _VERSION,
            column("variant", TEXT, "source (as it was trained), onnx, onnx-optimized or onnx-int8"),
            column("state", TEXT, "reference (the source), accepted (may be served), rejected or impossible"),
            column("reason", TEXT, "why it may not be served, else ''"),
            column("size_bytes", _COUNT, "bytes of the source, or of the graphs", null=True),
            column("latency_p50_ms", _NUMBER, "median milliseconds from one text to its probabilities", null=True),
            column("latency_p95_ms", _NUMBER, "95th percentile of them", null=True),
            column("texts_per_second", _NUMBER, "texts per second, all at once", null=True),
            column("max_logit_difference", _NUMBER, "largest difference of a logit from its reference", null=True),
            column("mean_probability_difference", _NUMBER, "largest difference of a probability, mean over texts", null=True),
            column("max_probability_difference", _NUMBER, "largest difference of a probability", null=True),
            column("agreement", _NUMBER, "share of the texts with the same answer, near ties left out", null=True),
            column("near_ties", _COUNT, "texts whose two best nodes are as good as equal", null=True),
            column("batch_difference", _NUMBER, "largest difference of a probability, alone and in a batch", null=True),
            column("accuracy", _NUMBER, "accuracy on validation texts", null=True),
            column("macro_f1", _NUMBER, "macro F1 on them", null=True),
            column("texts", _COUNT, "texts that it was compared on"),
            column("threads", INT, "threads"),
            column("machine", TEXT, "machine that it was measured on"),
            column("exported_at", TIME, "when"),
        ),
    ),
)
