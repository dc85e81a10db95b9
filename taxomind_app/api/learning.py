"""Jobs that learn: sentences with annotations become a file of corrections, and the graph makes evidence of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.api.executor import Executor
    from taxomind_assets.learning.rows import CorrectionRows
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.job_store import Job

#: Reasons of refused rows that have a counter of their own.
_COUNTERS: Final[Mapping[str, str]] = {
    "empty_code": "noAnnotation",
    "undecided_code": "noAnnotation",
    "empty_text": "emptyText",
    "machine_label": "machineLabel",
}
_BAD: Final = "badRow"
Held = tuple[str, str, str]


@dataclass
class Taught:
    """What the sentences of a job came to, before anything is learned.

    Attributes:
        lines: usable sentences, as lines of a file of corrections.
        candidates: sentences that were looked at; `valid`: those with a code that the taxonomy has.
        invalid_codes: codes that it does not have, those for 'undecided' among them.
        skipped: sentences that were left out, by reason.
        ids: ids of the corrections.
    """

    lines: list[bytes] = field(default_factory=list)
    candidates: int = 0
    valid: int = 0
    invalid_codes: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)


def learn(executor: Executor, job: Job) -> tuple[str, dict[str, Any]]:
    """Do such a job; returns its message and result.

    Raises:
        Fault: `index_missing`, what an asset raised, what fetching training data raises.
        KeyboardInterrupt: the job was taken away.
    """
    from taxomind_app.api.executor import LEARN, Run
    from taxomind_app.api.restoring import corrections_name

    service, key = executor.service, job.stored_key
    if service.indexes.current(key) is None:
        raise Fault("index_missing", f"The taxonomy {job.taxonomy!r} has no index: its build did not succeed.")
    sentences = service.read_input(job)["sentences"]
    taught = sort_out(executor, job, sentences)
    before = _held(executor, key)
    if taught.lines:
        service.inbox.put(key, "corrections", b"\n".join(taught.lines) + b"\n", corrections_name(job))
        executor.run(job, Run("learning_pipe", LEARN))
    after = _held(executor, key)
    applied = {held for held in after - before if held[0] in taught.ids}
    nodes = {code for _, code, _ in before ^ after}
    message = f"{len(applied):,} texts learned, {len(nodes):,} nodes touched."
    return message, _result(executor, job, taught, len(applied), len(nodes))


def sort_out(executor: Executor, job: Job, sentences: Iterable[Any]) -> Taught:
    """Tell sentences that teach something from those that do not.

    Raises:
        Fault: `storage_failed`.
    """
    from taxomind_app.api.results import tree_of
    from taxomind_app.api.wire import utc
    from taxomind_assets.learning.rows import CorrectionRows

    service = executor.service
    tree = tree_of(service.indexes.folder(job.stored_key))
    rows = CorrectionRows("sentences", service.settings.for_taxonomy(job.stored_key))
    taught = Taught()
    for sentence in sentences:
        taught.candidates += 1
        if isinstance(sentence, Mapping):
            _sort_one(taught, rows, tree, _as_correction(sentence, utc(job.created_at)))
        else:
            taught.skipped[_BAD] += 1
    return taught


def _sort_one(taught: Taught, rows: CorrectionRows, tree: Taxonomy, own: Mapping[str, Any]) -> None:
    from taxomind_assets.learning.rows import CorrectionText

    codes = [str(code).strip() for code in _codes(own["annotations"])]
    taught.invalid_codes += sum(code not in tree.position for code in codes)
    found = next(iter(rows.of_object(taught.candidates, taught.candidates, own)))
    if not isinstance(found, CorrectionText):
        taught.skipped[_COUNTERS.get(getattr(found, "reason_code", ""), _BAD)] += 1
        return
    taught.lines.append(json.dumps(own, ensure_ascii=True).encode())
    taught.ids.add(found.correction.correction_id)
    taught.valid += any(code in tree.position for code in found.correction.codes)


def _as_correction(sentence: Mapping[str, Any], moment: str | None) -> dict[str, Any]:
    """A sentence as an object of a file of corrections; annotations whose level is none are left out."""
    annotations = sentence.get("annotations")
    usable = [item for item in annotations if _has_level(item)] if isinstance(annotations, list) else []
    fields = sentence.get("fields")
    own: dict[str, Any] = {
        "sentenceId": sentence.get("sentenceId", sentence.get("sentence_id")),
        "fields": fields if isinstance(fields, Mapping) else {},
        "annotations": sorted(usable, key=lambda item: float(item["level"])),
    }
    for name in ("source", "language", "annotator", "proposedLabel"):
        if sentence.get(name) is not None:
            own[name] = sentence[name]
    return own | {"correctedAt": moment}


def _has_level(item: Any) -> bool:
    if not isinstance(item, Mapping) or isinstance(item.get("level"), bool):
        return False
    try:
        level = float(item["level"])
    except (KeyError, TypeError, ValueError):
        return False
    return 1 <= level < 1e6


def _codes(annotations: Iterable[object]) -> list[object]:
    from taxomind_assets.reports.sources import annotated_codes

    return annotated_codes(annotations)


def _held(executor: Executor, key: str) -> set[Held]:
    """What counts as evidence now: (correction id, code, text)."""
    from taxomind_assets.learning.gathering import stored_corrections

    applied = stored_corrections(executor.service.outputs, key, status="applied")
    return {(found.correction_id, found.code or "", found.text) for found in applied}


def _result(executor: Executor, job: Job, taught: Taught, applied: int, nodes: int) -> dict[str, Any]:
    service = executor.service
    log = service.outputs.read("learning.evidence_versions", job.stored_key, columns=["number"])["number"].to_pylist()
    spec = _spec(executor, job.stored_key)
    skipped = {name: taught.skipped[name] for name in ("noAnnotation", "emptyText", _BAD, "machineLabel")}
    stats = {
        "taxonomyKey": job.taxonomy,
        "candidateUpdates": taught.candidates,
        "validUpdates": taught.valid,
        "invalidCodes": taught.invalid_codes,
        "updatesApplied": applied,
        "nodesTouched": nodes,
        "duplicates": max(taught.valid - applied, 0),
        "waiting": len(taught.lines) - taught.valid,
        "skipped": skipped,
        "modelName": spec.get("model", ""),
        "embeddingDim": spec.get("dimensions", 0),
        "evidenceVersion": max(log, default=0),
    }
    metrics = {"totalLevels": 0, "levelsSummary": {}}
    return {"modelVersion": "evidence_only", "trainingMetrics": metrics, "trainingDataStats": stats}


def _spec(executor: Executor, key: str) -> Mapping[str, Any]:
    manifest = executor.service.indexes.folder(key) / "manifest.json"
    spec: Mapping[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))["spec"]
    return spec
