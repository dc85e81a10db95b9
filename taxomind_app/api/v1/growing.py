"""Growth: candidates with their trials, and what a person makes of them, by the functions of `taxomind growth`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Path, Query

from taxomind_app.api.bodies import ContractRoute
from taxomind_app.api.v1.deps import Called, Deciding, Key, Reading, problems
from taxomind_app.api.v1.growth_models import Candidates, DecisionAnswer, DecisionBody, Decisions, TrialResult
from taxomind_app.cli.growth_place import GrowthPlace
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.api.jobs import Place
    from taxomind_assets.growth.review import Outcome, Review
    from taxomind_assets.growth.trial import Trial

router = APIRouter(prefix="/taxonomies/{key}", tags=["v1: growth"], route_class=ContractRoute)
_TABLE: Final = "growth.candidates"
_SHOWN_TEXTS: Final = 20
_NAMES: Final = (
    *("key", "label", "kind", "status", "hidden_until", "code", "parent_code", "parent_label", "parent_exists", "parent_rule"),
    *("count", "day_span", "first_seen", "last_seen", "share", "sources", "titles", "nearest", "similar"),
)


@router.get("/candidates", operation_id="v1_candidates", response_model=Candidates, responses=problems(404, 409))
def candidates(
    key: Key,
    called: Reading,
    include_skipped: Annotated[bool, Query(description="also those that were skipped lately")] = False,
) -> dict[str, Any]:
    """Nodes that the texts ask for, and how growth has gone so far. What was decided since they were found is left out."""
    own = growth_of(called, called.place(key))
    rows = [candidate_of(row) for row in open_candidates(own, include_skipped=include_skipped)]
    return {"candidates": rows, "thresholds": own.thresholds(), "figures": json.loads(json.dumps(own.figures(), default=str))}


@router.get(
    "/candidates/{candidate}/trial",
    operation_id="v1_trial",
    response_model=TrialResult,
    responses=problems(404, 409),
)
def trial(key: Key, candidate: Annotated[str, Path(min_length=1, max_length=500)], called: Reading) -> dict[str, Any]:
    """Try a candidate out now: which texts its node would take, and how placed texts fare. Nothing is written."""
    own = growth_of(called, called.place(key))
    return trial_of(own.trial(own.candidate(candidate, candidate)))


@router.post("/decisions", operation_id="v1_decide", response_model=DecisionAnswer, responses=problems(404, 409))
def decide(key: Key, body: DecisionBody, called: Deciding) -> dict[str, Any]:
    """Decide about a candidate: make it a node, give it another name, make it an alias, reject it for good, or skip it."""
    place = called.place(key)
    own = growth_of(called, place)
    row = own.candidate(body.key, body.key)
    outcome = _carried_out(own.review(called.name), row, body)
    return _decided(called, place, outcome)


@router.delete(
    "/decisions/{decision_id}",
    operation_id="v1_undecide",
    response_model=DecisionAnswer,
    responses=problems(404, 409),
)
def undecide(key: Key, decision_id: Annotated[str, Path(min_length=1, max_length=100)], called: Deciding) -> dict[str, Any]:
    """Take a decision back; what was before it is restored exactly."""
    place = called.place(key)
    return _decided(called, place, growth_of(called, place).review(called.name).undo(decision_id))


@router.get("/decisions", operation_id="v1_decisions", response_model=Decisions, responses=problems(404, 409))
def decisions(key: Key, called: Reading, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """All decisions, the latest first, as they stand now."""
    return {"decisions": growth_of(called, called.place(key)).history()[:limit]}


def growth_of(called: Called, place: Place) -> GrowthPlace:
    """Growth of a taxonomy.

    Raises:
        Fault: `index_missing`.
    """
    service = called.service
    service.indexes.folder(place.stored)
    return GrowthPlace(place.stored, service.settings, service.inbox, service.outputs, service.indexes)


def open_candidates(own: GrowthPlace, *, include_skipped: bool = False) -> list[dict[str, Any]]:
    """Rows of `growth.candidates` that nobody has decided about since they were found."""
    from taxomind_assets.growth.decisions import Standing, read_decisions

    found_at = 0.0
    with suppress(FileNotFoundError):
        found_at = own.outputs.path(_TABLE, own.key).stat().st_mtime
    made = read_decisions(own.inbox, own.key)
    undone = Standing.of(made).undone
    decided = {
        one.key
        for one in made
        if one.at.timestamp() > found_at and one.action not in {"undo", "unreject"} and one.decision_id not in undone
    }
    return [row for row in own.candidates(include_skipped=include_skipped) if row["key"] not in decided]


def candidate_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """`models.Candidate` of a row of `growth.candidates`."""
    from taxomind_assets.growth.trial import Trial

    found = {name: row[name] for name in _NAMES}
    tried = trial_of(Trial.from_json(row["trial"])) if row["trial"] else None
    return {**found, "texts": row["texts"][:_SHOWN_TEXTS], "trial": tried}


def trial_of(found: Trial) -> dict[str, Any]:
    """`models.TrialResult` of a trial."""
    return {**asdict(found), "sentence": found.sentence()}


def _carried_out(review: Review, row: Mapping[str, Any], body: DecisionBody) -> Outcome:
    from taxomind_assets.growth.review import Proposal

    proposal = Proposal.of_row(row)
    if body.action == "reject":
        return review.reject(proposal, reason=body.reason)
    if body.action == "skip":
        return review.skip(proposal)
    if body.action == "alias":
        return review.alias(proposal, _needed(body.code, "code", body.action))
    parent = None if body.at_top else body.parent_code or row["parent_code"]
    if body.action == "name":
        preferred = _needed(body.preferred, "preferred", body.action)
        return review.name(proposal, preferred, parent_code=parent, evidence=body.evidence)
    moved = parent != row["parent_code"]
    code = body.code or (None if moved else row["code"])
    return review.add(proposal, parent_code=parent, code=code, evidence=body.evidence, seen_version=body.seen_version)


def _needed(value: str | None, name: str, action: str) -> str:
    if value is None:
        raise Fault("invalid_input", f"The action {action!r} needs {name!r}.", allowed=f"a text in {name!r}")
    return value


def _decided(called: Called, place: Place, outcome: Outcome) -> dict[str, Any]:
    job = None
    if outcome.is_revised:
        message = f"{outcome.message}: build of {place.key!r} accepted."
        job = called.service.submit(called.asked, "build", place, rows=1, message=message)
    return {
        "decision_id": outcome.decision.decision_id,
        "action": outcome.decision.action,
        "message": outcome.message,
        "code": outcome.decision.code,
        "is_revised": outcome.is_revised,
        "job_id": job.id if job else None,
    }
