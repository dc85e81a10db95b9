"""Why the texts of a batch got their answers, as a table: one row per level of each answer's path."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from taxomind_assets.classification.batches import BATCHES
from taxomind_assets.classification.shards import RESULTS, shared_classifier
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from taxomind_assets.classification.batches import BatchRunner
    from taxomind_assets.classification.classifier import Classifier

TABLE: Final = "classification.explanations"
#: Texts of a batch that are explained, its first ones: each is scored by itself, which takes far longer than an answer.
MOST_TEXTS: Final = 1_000
#: Texts whose rows are held in memory together.
_BLOCK: Final = 100


def explain_batches(runner: BatchRunner, *, wanted: bool) -> dict[str, Any]:
    """Store explanations for the complete batches whose answers are those of today, and drop those of former answers.

    What is explained already stays as it is, so a run that was killed goes on at the first batch without explanations.

    Args:
        runner: gives the classifier, and says which batches are current.
        wanted: False = only drop what no longer explains the answers that are there.

    Returns:
        Metadata: how many texts were explained, and of how many in all when there were too many.

    Raises:
        Fault: what the classifier or the storage raises.
    """
    outputs, key = runner.outputs, runner.key
    for batch_id in outputs.parts(TABLE, key):
        if outputs.digest(TABLE, key, batch_id) != outputs.digest(BATCHES, key, batch_id):
            outputs.delete_part(TABLE, key, batch_id)
    if not wanted:
        return {}
    explained = total = 0
    cut = False
    for batch_id in outputs.parts(BATCHES, key):
        if not runner.is_current(batch_id) or outputs.exists(TABLE, key, batch_id):
            continue
        of_batch, in_batch = _explain_batch(runner, batch_id)
        explained, total, cut = explained + of_batch, total + in_batch, cut or of_batch < in_batch
    metadata: dict[str, Any] = {"texts explained in this run": explained}
    if cut:
        metadata["explanations"] = f"{explained:,} of {total:,} texts: the first {MOST_TEXTS:,} of each batch are explained."
    return metadata


def explanation_rows(batch_id: str, text_id: str, explanation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of `classification.explanations` for one text, top level first.

    Args:
        batch_id: batch of the text.
        text_id: its id.
        explanation: what `Classifier.explain` gives.
    """
    rows = []
    for step in explanation["levels"]:
        rival = step["runner_up"] or {"code": None, "confidence": None}
        rows.append(
            {
                "batch_id": batch_id,
                "text_id": text_id,
                "level": step["level"],
                "chosen_code": step["chosen"]["code"],
                "chosen_confidence": step["chosen"]["confidence"],
                "runner_up_code": rival["code"],
                "runner_up_confidence": rival["confidence"],
                "deciding_view": step["deciding_view"],
                "nearest_text": step["nearest_text"]["text"],
                "nearest_correction": step["nearest_correction"]["text"] if step["nearest_correction"] else None,
                "views": json.dumps(step["views"], ensure_ascii=False, allow_nan=False),
            }
        )
    return rows


def _explain_batch(runner: BatchRunner, batch_id: str) -> tuple[int, int]:
    """(texts explained, texts of the batch)."""
    texts, total = _first_texts(runner, batch_id)
    if not total:
        return 0, 0
    classifier = shared_classifier(runner.config)
    with runner.outputs.writer(TABLE, runner.key, batch_id, runner.version) as writer:
        for rows in _row_blocks(classifier, batch_id, texts):
            writer.write(pa.Table.from_pylist(rows, schema=BY_NAME[TABLE].arrow))
    runner.log(f"batch {batch_id}: {len(texts):,} of {total:,} texts are explained")
    return len(texts), total


def _row_blocks(classifier: Classifier, batch_id: str, texts: list[tuple[str, str]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(texts), _BLOCK):
        yield [
            row
            for text_id, text in texts[start : start + _BLOCK]
            for row in explanation_rows(batch_id, text_id, classifier.explain(text))
        ]


def _first_texts(runner: BatchRunner, batch_id: str) -> tuple[list[tuple[str, str]], int]:
    """(text_id, text) of the first texts of a batch in the order of its file, and the number of all."""
    outputs, key = runner.outputs, runner.key
    texts: list[tuple[str, str]] = []
    for part in outputs.parts(RESULTS, key):  # by name: the shards of a batch in order
        if not part.startswith(f"{batch_id}-") or len(texts) == MOST_TEXTS:
            continue
        rows = outputs.read(RESULTS, key, columns=["row", "text_id", "text"], parts=[part]).sort_by("row")
        rows = rows.slice(0, MOST_TEXTS - len(texts))
        texts += zip(rows["text_id"].to_pylist(), rows["text"].to_pylist(), strict=True)
    counts = outputs.read(BATCHES, key, columns=["rows"], parts=[batch_id])["rows"].to_pylist()
    return texts, sum(counts)
