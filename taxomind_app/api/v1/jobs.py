"""GET /v1/jobs: what is done and was done for a tenant, whoever asked for it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from starlette.requests import Request

from taxomind_app.api.bodies import ContractRoute
from taxomind_app.api.runs import Row, Runs, row_of
from taxomind_app.api.v1.deps import Called, Reading, problems
from taxomind_app.api.v1.report_models import JobRow, JobRows
from taxomind_resources.faults import Fault
from taxomind_resources.jobs import Status

router = APIRouter(prefix="/jobs", tags=["v1: jobs"], route_class=ContractRoute)
_MOST: Final = 200
_LONGEST: Final = 64


@router.get("", operation_id="v1_jobs", response_model=JobRows, responses=problems(404))
def jobs(
    called: Reading,
    taxonomy: Annotated[str, Query(max_length=200, description="only those of this taxonomy")] = "",
    status: Annotated[Status | None, Query(description="only those in this state")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
) -> dict[str, Any]:
    """Jobs of the service, and runs of sensors, schedules and the command line, the latest first."""
    place = called.place(taxonomy) if taxonomy else None
    tenant = place.tenant if place else called.asked.tenant(called.tenant)
    key = place.stored if place else None
    own = called.service.jobs.latest(tenant=tenant, limit=limit, key=key, status=status)
    others = runs_of(called.request).latest(tenant, limit, key=key, status=status)
    rows = sorted([*map(row_of, own), *others], key=lambda row: row.created_at, reverse=True)
    return {"tenant": tenant, "jobs": [shown(row) for row in rows[:limit]]}


@router.get("/{job_id}", operation_id="v1_job", response_model=JobRow, responses=problems(404))
def job(called: Reading, job_id: Annotated[str, Path(min_length=1, max_length=500, description="id of a job or run")]) -> Any:
    """One job or run."""
    found = _found(called, job_id) if len(job_id) <= _LONGEST else None
    if found is None or not called.caller.may_see(found.tenant):
        raise Fault("unknown_job", "There is no such job.", value=job_id, next_step="GET /v1/jobs lists them.")
    return shown(found)


def _found(called: Called, job_id: str) -> Row | None:
    own = called.service.jobs.get(job_id) if job_id.isalnum() else None
    return row_of(own) if own is not None else runs_of(called.request).find(job_id)


def runs_of(request: Request) -> Runs:
    """The runs of the application."""
    found: Runs = request.app.state.runs
    return found


def shown(row: Row) -> dict[str, Any]:
    """`models.JobRow` of a job or run."""
    values = asdict(row)
    for name in ("created_at", "started_at", "ended_at"):
        values[name] = None if values[name] is None else datetime.fromtimestamp(values[name], UTC)
    return values
