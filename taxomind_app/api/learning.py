"""Jobs that learn: sentences with annotations become a file of corrections, and the graph makes evidence of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault
from taxomind_resources.files import remove_tree, storage_faults

if TYPE_CHECKING:
    from taxomind_app.api.executor import Executor
    from taxomind_assets.learning.rows import CorrectionRows
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.jobs import Job

#: Reasons of refused rows that have a counter of their own.
_COUNTERS: Final[Mapping[str, str]] = {
    "empty_code": "noAnnotation",
    "undecided_code": "noAnnotation",
    "empty_text": "emptyText",
    "machine_label": "machineLabel",
}
_BAD: Final = "badRow"
#: Reasons that are no fault of a file: a person was undecided, or a model gave the code.
_NO_FAULT: Final = frozenset({"undecided_code", "machine_label"})
_SHOWN: Final = 20
Held = tuple[str, str, str]


@dataclass
class Taught:
    """What the sentences of a job came to, before anything is learned.

    Attributes:
        usable: sentences that were written to the file of corrections.
        candidates: sentences that were looked at; `valid`: those with a code that the taxonomy has.
        invalid_codes: codes that it does not have, those for 'undecided' among them.
        skipped: sentences that were left out, by reason.
        bad: the first rows that are no usable sentence, with their lines; `bad_rows`: how many there are.
        ids: ids of the corrections.
    """

    usable: int = 0
    candidates: int = 0
    valid: int = 0
    invalid_codes: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    bad: list[dict[str, Any]] = field(default_factory=list)
    bad_rows: int = 0
    ids: set[str] = field(default_factory=set)

    def refuse(self, line: int, reason_code: str, reason: str) -> None:
        """Leave a row out."""
        self.skipped[_COUNTERS.get(reason_code, _BAD)] += 1
        if reason_code not in _NO_FAULT:
            self.bad_rows += 1
            if len(self.bad) < _SHOWN:
                self.bad.append({"line": line, "reason": reason})


def learn(executor: Executor, job: Job) -> tuple[str, dict[str, Any]]:
    """Do such a job; returns its message and result.

    Raises:
        Fault: `index_missing`, `bad_row` (a file of which more than half cannot be used), what an asset raised, what fetching
            training data raises.
        KeyboardInterrupt: the job was taken away.
    """
    from taxomind_app.api.executor import LEARN, Run
    from taxomind_app.api.inbox_learning import INBOX
    from taxomind_app.api.restoring import corrections_name

    service, key = executor.service, job.stored_key
    if service.indexes.current(key) is None:
        raise Fault("index_missing", f"The taxonomy {job.taxonomy!r} has no index: its build did not succeed.")
    before = _held(executor, key)
    is_inbox = bool(job.parameters.get(INBOX))
    taught = Taught()
    if not is_inbox:
        with _scratch(executor, job) as folder:
            file = folder / corrections_name(job)
            taught = _sorted_out(executor, job, file)
            if taught.usable:
                service.inbox.put(key, "corrections", file)
    if taught.usable or is_inbox:
        executor.run(job, Run("learning_pipe", LEARN))
    after = _held(executor, key)
    applied = {held for held in after - before if is_inbox or held[0] in taught.ids}
    nodes = {code for _, code, _ in before ^ after}
    message = f"{len(applied):,} texts learned, {len(nodes):,} nodes touched."
    return message, _result(executor, job, taught, len(applied), len(nodes))


@contextmanager
def _scratch(executor: Executor, job: Job) -> Iterator[Path]:
    """A folder of this job that is gone afterwards; what a killed attempt left in it goes first."""
    folder = executor.service.data / "service" / "scratch" / job.id
    remove_tree(folder)
    with storage_faults(folder):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        remove_tree(folder)


def _sorted_out(executor: Executor, job: Job, file: Path) -> Taught:
    """The sentences of a job, from its body or from the file that it names; usable ones are written to `file`."""
    url = job.parameters.get("url")
    if url is None:
        return sort_out(executor, job, enumerate(executor.service.read_input(job)["sentences"], 1), file)
    from taxomind_app.api.training_files import read_training
    from taxomind_app.api.training_url import fetch

    fetched = fetch(str(url), file.with_name("download"), executor.service.service)
    taught = sort_out(executor, job, read_training(fetched), file)
    if 2 * taught.bad_rows > taught.candidates:
        details = [{"what": f"line {row['line']}: {row['reason']}"} for row in taught.bad]
        what = f"{taught.bad_rows:,} of {taught.candidates:,} rows of the training data cannot be used; nothing was learned."
        raise Fault("bad_row", what, details=details)
    return taught


def sort_out(executor: Executor, job: Job, sentences: Iterable[tuple[int, Any]], file: Path) -> Taught:
    """Tell sentences that teach something from those that do not.

    Args:
        sentences: (line, sentence).
        file: where the usable ones are written, as a file of corrections.

    Raises:
        Fault: `storage_failed`, and what reading the sentences raises.
    """
    from taxomind_app.api.results import tree_of
    from taxomind_app.api.training_files import BadRow
    from taxomind_app.api.wire import utc
    from taxomind_assets.learning.rows import CorrectionRows

    service, moment = executor.service, utc(job.created_at)
    sorter = _Sorter(
        tree_of(service.indexes.folder(job.stored_key)),
        CorrectionRows("sentences", service.settings.for_taxonomy(job.stored_key)),
        Taught(),
    )
    with storage_faults(file), file.open("wb") as lines:
        for line, sentence in sentences:
            sorter.taught.candidates += 1
            if isinstance(sentence, BadRow):
                sorter.taught.refuse(line, _BAD, sentence.reason)
            elif isinstance(sentence, Mapping):
                lines.write(sorter.usable(line, _as_correction(sentence, moment)))
            else:
                sorter.taught.refuse(line, _BAD, "an object with fields and annotations is expected")
    return sorter.taught


@dataclass
class _Sorter:
    """Looks at one sentence after the other."""

    tree: Taxonomy
    rows: CorrectionRows
    taught: Taught

    def usable(self, line: int, own: Mapping[str, Any]) -> bytes:
        """The sentence as a line of a file of corrections; nothing when it teaches nothing."""
        from taxomind_assets.learning.rows import CorrectionText

        taught, known = self.taught, self.tree.position
        taught.invalid_codes += sum(str(code).strip() not in known for code in _codes(own["annotations"]))
        found = next(iter(self.rows.of_object(line, line, own)))
        if not isinstance(found, CorrectionText):
            taught.refuse(line, getattr(found, "reason_code", _BAD), getattr(found, "reason", "it cannot be used"))
            return b""
        taught.usable += 1
        taught.ids.add(found.correction.correction_id)
        taught.valid += any(code in known for code in found.correction.codes)
        return json.dumps(own, ensure_ascii=True).encode() + b"\n"


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
    from taxomind_assets.reports.documents import annotated_codes

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
        "waiting": taught.usable - taught.valid,
        "skipped": skipped,
        "badRows": taught.bad,
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
