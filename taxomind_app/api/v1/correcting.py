"""Corrections: taken, in effect at once, taken back; and what a person should look at among answers and corrections."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from taxomind_app.api.bodies import ContractRoute
from taxomind_app.api.resident import Ready, Taught
from taxomind_app.api.v1.classifying import check_texts
from taxomind_app.api.v1.deps import Key, Learning, Reading, problems
from taxomind_app.api.v1.models import Contradictions, CorrectionBody, CorrectionRows, CorrectionsBody, LearnAnswer, QueueAnswer
from taxomind_app.api.v1.shapes import answer_of, ref, rounded
from taxomind_assets.learning.corrections import CorrectionRow, Status
from taxomind_assets.learning.decisions import now_moment, taken_back, taught
from taxomind_assets.learning.rows import derived_id
from taxomind_assets.views.texts import clean
from taxomind_resources.faults import Fault

router = APIRouter(prefix="/taxonomies/{key}", route_class=ContractRoute)
_LEARNING: Final = "v1: learning"
_SOURCE: Final = "service"
_MOST_QUEUED: Final = 200
_MOST_ROWS: Final = 1000
_CorrectionId = Annotated[str, Path(min_length=1, max_length=500, description="id of a correction")]


@router.post(
    "/corrections",
    operation_id="v1_correct",
    tags=[_LEARNING],
    response_model=LearnAnswer,
    responses=problems(404, 409, 413),
)
def correct(key: Key, body: CorrectionsBody, called: Learning) -> dict[str, Any]:
    """Say where texts belong. It is on the disk and in effect when this answers; the same correction again changes nothing."""
    check_texts([item.text for item in body.corrections], called.service)
    resident = called.resident(called.place(key))
    with resident.locked():
        ready = resident.ready()
        _check_codes(ready, body.corrections)
        ledger = resident.ledger()
        own: list[CorrectionRow] = []
        for item in body.corrections:
            annotator = " ".join((body.annotator or called.name).split())
            text = clean(item.text)
            if not text:
                raise Fault("invalid_input", "There is no text to learn.", value=item.text, allowed="a text and its code")
            confirm = item.action == "confirm"
            about = ledger.about(derived_id(text, (item.code,), annotator), annotator, text)
            row = taught([*about, *own], text, item.code, annotator, confirm=confirm, now=now_moment())
            own.append(row._replace(source=_SOURCE))
        return _learned(resident.teach(own, "service"), [row.correction_id for row in own])


@router.delete(
    "/corrections/{correction_id}",
    operation_id="v1_withdraw",
    tags=[_LEARNING],
    response_model=LearnAnswer,
    responses=problems(404, 409),
)
def withdraw(key: Key, correction_id: _CorrectionId, called: Learning) -> dict[str, Any]:
    """Take a correction back; what was before it is restored exactly."""
    resident = called.resident(called.place(key))
    with resident.locked():
        if not resident.ledger().corrections.get(correction_id):
            next_step = f"GET /v1/taxonomies/{key}/corrections lists them."
            raise Fault("unknown_correction", "There is no such correction.", value=correction_id, next_step=next_step)
        about = resident.ledger().rows.get(correction_id, ())
        rows = taken_back(about, {correction_id}, called.name, now=now_moment())
        return _learned(resident.teach([row._replace(source=_SOURCE) for row in rows], "withdrawn"), [correction_id])


@router.get(
    "/corrections",
    operation_id="v1_corrections",
    tags=[_LEARNING],
    response_model=CorrectionRows,
    responses=problems(404, 409),
)
def corrections(
    key: Key,
    called: Reading,
    status: Annotated[Status | None, Query(description="only those with this status")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST_ROWS)] = 100,
) -> dict[str, Any]:
    """Corrections as they stand, the latest first."""
    from taxomind_assets.learning.reading import times_of
    from taxomind_assets.learning.standing import latest_first

    found = called.resident(called.place(key)).ready().standing.settled.corrections
    kept = latest_first([own for own in found if status is None or own.status == status])
    names = ("correction_id", "text", "code", "annotator", "action", "status", "reason", "source")
    rows = [
        {name: getattr(own, name) for name in names}
        | {"given_codes": list(own.given_codes), "corrected_at": times_of([own.corrected_at])[0]}
        for own in kept[:limit]
    ]
    return {"total": len(kept), "corrections": rows}


@router.get("/queue", operation_id="v1_queue", tags=[_LEARNING], response_model=QueueAnswer, responses=problems(404, 409))
def queue(key: Key, called: Reading, limit: Annotated[int, Query(ge=1, le=_MOST_QUEUED)] = 50) -> dict[str, Any]:
    """Stored answers that are unsure now, in the order in which labels are worth most; placed texts are left out."""
    from taxomind_assets.learning.unsure import unsure_texts

    ready = called.resident(called.place(key)).ready()
    found = unsure_texts(ready.classifier, called.service.outputs, ready.standing.texts, limit)
    names = ("text", "text_id", "batch_id", "language", "answers")
    items = [
        {name: getattr(item, name) for name in names}
        | {name: rounded(getattr(item.rank, name)) for name in ("value", "uncertainty", "density")}
        | {"answer": answer_of(ready.classifier.tree, item.answer)}
        for item in found
    ]
    return {"items": items}


@router.get(
    "/contradictions",
    operation_id="v1_contradictions",
    tags=[_LEARNING],
    response_model=Contradictions,
    responses=problems(404, 409),
)
def contradictions(key: Key, called: Reading) -> dict[str, Any]:
    """Corrections of one text that disagree, as they stand now, and those that looked out of place when they were learned."""
    from taxomind_assets.learning.reviews import REVIEWS
    from taxomind_assets.learning.reviews import contradictions as disagreeing

    place = called.place(key)
    ready = called.resident(place).ready()
    tree, applied = ready.classifier.tree, ready.standing.applied
    standing = {found.correction_id for found in applied}
    stored = called.service.outputs.read(REVIEWS, place.stored).to_pylist()
    odd = [row for row in stored if row["kind"] == "outlier" and row["correction_id"] in standing]
    known = tree.position
    rows = [
        {
            "kind": row["kind"],
            "correction_id": row["correction_id"],
            "text": row["text"],
            "code": row["code"],
            "label": ref(tree, row["code"])["label"] if row["code"] in known else "",
            "annotator": row["annotator"],
            "others": [ref(tree, code) for code in row["other_codes"] if code in known],
            "reason": row["reason"],
        }
        for row in [*disagreeing(tree, applied), *odd]
    ]
    return {"contradictions": rows}


def _check_codes(ready: Ready, given: Sequence[CorrectionBody]) -> None:
    tree = ready.classifier.tree
    unknown = [item.code for item in given if item.code not in tree.position]
    if not unknown:
        return
    near = difflib.get_close_matches(unknown[0], tree.codes, 3)
    labels = ", ".join(f"{found} ({ref(tree, found)['label']})" for found in near)
    next_step = f"Did you mean {labels}?" if near else f"GET /v1/taxonomies/{tree.key}/search?q= finds nodes."
    raise Fault("unknown_code", f"The taxonomy {tree.key!r} has no such code.", value=unknown[0], next_step=next_step)


def _learned(found: Taught, ids: list[str]) -> dict[str, Any]:
    return {
        "file": found.file,
        "correction_ids": ids,
        "learned": [item._asdict() for item in found.learned],
        "taken_back": [item._asdict() for item in found.taken_back],
        "evidence_version": found.ready.classifier.versions["evidence_version"],
    }
