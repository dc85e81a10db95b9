"""Answers of the asset graph as the results of jobs: each sentence of a request in exactly one place, in its order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs

RESULTS: Final = "classification.results"
REJECTED: Final = "classification.rejected_rows"
NOTHING: Final = "Insufficient information to choose a node."
EMPTY: Final = "Empty text after joining the fields."
NO_PATH: Final = "Empty predicted path."
_MISSING: Final = "No answer was written for this text [storage_failed]."
_COLUMNS: Final = (
    *("row", "text", "code", "path", "confidence", "level_confidences", "stop_reason", "ambiguous", "alternatives"),
    *("error_code", "error", "index_version", "evidence_version"),
)


@dataclass(frozen=True)
class Answered:
    """What the graph made of a request.

    Attributes:
        ids: ids of the sentences as they were given, in order.
        answers: row (from 1) -> its row of `classification.results`.
        refused: row -> (reason code, reason).
        tree: the taxonomy that answered; None when nothing was answered.
    """

    ids: list[Any]
    answers: Mapping[int, Mapping[str, Any]]
    refused: Mapping[int, tuple[str, str]]
    tree: Taxonomy | None

    def problem(self, row: int) -> str | None:
        """Why a sentence has no label; None when it has one."""
        if row in self.refused:
            code, reason = self.refused[row]
            return EMPTY if code == "empty_text" else f"{reason} [{code}]"
        answer = self.answers.get(row)
        if answer is None:
            return _MISSING
        if answer["error"]:
            return EMPTY if answer["error_code"] == "empty_text" else f"{answer['error']} [{answer['error_code']}]"
        if answer["code"] is None:
            return NOTHING
        return None if answer["path"] else NO_PATH


def request_lines(sentences: Any) -> bytes:
    """Sentences of a request as a file of texts; `sentences` have `sentence_id` and `fields`.

    The number of the line is the identity of a text: ids may repeat, and come back exactly as they were given.
    """
    from taxomind_resources.jobs import new_job_id

    # Equal requests at different times are different questions: what was learned in between counts.
    mark = new_job_id()
    lines = []
    for number, sentence in enumerate(sentences, 1):
        text_id = sentence.sentence_id
        own = text_id if isinstance(text_id, str) and 0 < len(text_id) <= 200 and text_id.isprintable() else str(number)
        row = {"text_id": own, "fields": sentence.fields, "batchId": mark, "id": text_id}
        lines.append(json.dumps(row, ensure_ascii=True))
    return ("\n".join(lines) + "\n").encode()


def gather(outputs: Outputs, indexes: IndexStore, key: str, batch_id: str, request: Path) -> Answered:
    """Read what a batch came to.

    Args:
        key: the key under which the taxonomy is stored.
        batch_id: the batch.
        request: the file that `request_lines` made.

    Raises:
        Fault: `storage_failed`.
    """
    try:
        with request.open(encoding="utf-8") as lines:
            ids = [json.loads(line)["id"] for line in lines]
    except (OSError, ValueError, KeyError) as error:
        raise Fault("storage_failed", "The texts of the request cannot be read.", value=request.name) from error
    parts = [part for part in outputs.parts(RESULTS, key) if part.startswith(f"{batch_id}-")]
    rows = outputs.read(RESULTS, key, columns=list(_COLUMNS), parts=parts).to_pylist() if parts else []
    refused = outputs.read(REJECTED, key, columns=["line", "reason_code", "reason"], parts=[batch_id]).to_pylist()
    tree = tree_of(indexes.folder(key, rows[0]["index_version"])) if rows else None
    return Answered(
        ids, {row["row"]: row for row in rows}, {row["line"]: (row["reason_code"], row["reason"]) for row in refused}, tree
    )


@lru_cache(maxsize=8)
def tree_of(index: Path) -> Taxonomy:
    """The taxonomy of an index version; versions never change.

    Raises:
        Fault: `storage_failed`.
    """
    import pyarrow.parquet as pq

    from taxomind_assets.taxonomy.records import taxonomy_from_table

    try:
        key = json.loads((index / "manifest.json").read_text(encoding="utf-8"))["key"]
        return taxonomy_from_table(pq.ParquetFile(index / "nodes.parquet").read(), key)
    except (OSError, LookupError, ValueError) as error:
        raise Fault("storage_failed", "The node index is damaged.", value=index.name) from error


def confidences(answer: Mapping[str, Any]) -> list[float]:
    """Probabilities along the path, four decimals, never rising."""
    found, least = [], 1.0
    for value in answer["level_confidences"]:
        least = min(least, max(0.0, round(float(value), 4)))
        found.append(least)
    return found


def label_result(answered: Answered, batch_id: str) -> tuple[str, dict[str, Any]]:
    """Message and result of a labelling job: every sentence in one of the two lists."""
    suggestions, errors = [], []
    for row, sentence_id in enumerate(answered.ids, 1):
        problem = answered.problem(row)
        if problem is not None:
            errors.append({"sentenceId": sentence_id, "error": problem})
            continue
        answer = answered.answers[row]
        levels = _levels(answered, answer["path"])
        annotations = [
            {"level": level, "nodeCode": code, "confidence": confidence}
            for level, code, confidence in zip(levels, answer["path"], confidences(answer), strict=True)
        ]
        suggestions.append({"sentenceId": sentence_id, "annotations": annotations})
    message = f"{len(suggestions):,} labelled, {len(errors):,} without a label."
    return message, {"batchId": batch_id, "suggestions": suggestions, "errors": errors}


def classify_result(answered: Answered, shown_key: str, traces: Mapping[int, Any]) -> tuple[str, dict[str, Any]]:
    """Message and result of a classification job: every sentence in the order of the request."""
    results = [_classified(answered, row, sentence_id) for row, sentence_id in enumerate(answered.ids, 1)]
    for row, trace in traces.items():
        results[row - 1]["trace"] = trace
    placed = sum(bool(result["codes"]) for result in results)
    message = f"{placed:,} classified, {len(results) - placed:,} without an answer."
    return message, {"taxonomyKey": shown_key, "results": results}


def _classified(answered: Answered, row: int, sentence_id: Any) -> dict[str, Any]:
    answer = answered.answers.get(row)
    problem = answered.problem(row)
    own: dict[str, Any] = {"sentence_id": sentence_id, "text": answer["text"] if answer else ""}
    path = answer["path"] if answer and problem is None else []
    levels = _levels(answered, path)
    labels = [answered.tree.nodes[answered.tree.position[code]].label for code in path] if answered.tree else []
    return own | {
        "predictions": {str(level): label for level, label in zip(levels, labels, strict=True)},
        "codes": {str(level): code for level, code in zip(levels, path, strict=True)},
        "confidence": confidences(answer)[-1] if path and answer else 0.0,
        "ambiguous": bool(answer["ambiguous"]) if answer else True,
        "stoppingReason": answer["stop_reason"] if answer else "empty_text",
        "alternatives": _alternatives(answer),
        "error": problem,
    }


def _alternatives(answer: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    found = (answer["alternatives"] if answer else None) or []
    return [
        {"nodeCode": item["code"], "label": item["label"], "confidence": round(float(item["confidence"]), 4)} for item in found
    ]


def _levels(answered: Answered, path: list[str]) -> list[int]:
    tree = answered.tree
    return [int(tree.levels[tree.position[code]]) for code in path] if tree is not None else []


def texts_of(answered: Answered) -> Iterator[tuple[int, str]]:
    """(row, text) of the sentences that have an answer, in order."""
    return ((row, answered.answers[row]["text"]) for row in sorted(answered.answers) if answered.problem(row) is None)
