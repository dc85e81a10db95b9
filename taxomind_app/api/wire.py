"""Jobs as the contract's answers: each kind in its own spelling."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from taxomind_resources.faults import Fault
from taxomind_resources.jobs import Job
from taxomind_resources.keys import LOCAL_TENANT

CAMEL: Final = ("learn", "classify")
#: Kinds whose status carries a result.
WITH_RESULT: Final = ("label", "learn", "classify", "error-analysis")
EXPIRED: Final = "Job expired"
ACCEPTED: Final = 202
_JSON: Final = "application/json"


def utc(moment: float | None) -> str | None:
    """A time as ISO 8601 in UTC, whole seconds."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_key(job: Job) -> str:
    """The taxonomy key with its tenant before it, as answers show it."""
    if job.tenant == LOCAL_TENANT or job.taxonomy.startswith(f"{job.tenant}_"):
        return job.taxonomy
    return f"{job.tenant}_{job.taxonomy}"


def accepted(job: Job) -> JSONResponse:
    """What a request that starts work is answered with."""
    own: dict[str, Any] = {"job_id": job.id, "jobId": job.id}
    if job.kind == "label":
        own["batch_id"] = job.batch_id
    own |= {"status": "failed" if job.expired_at else job.status, "message": job.message}
    if job.kind in CAMEL:
        own |= {"taxonomyKey": shown_key(job), "createdAt": utc(job.created_at)}
    else:
        own["created_at"] = utc(job.created_at)
    return JSONResponse(own, ACCEPTED)


def status(job: Job, data: Path) -> Response:
    """What a job's status is answered with; the result comes from its file as it is."""
    own = status_document(job)
    if job.kind not in WITH_RESULT:
        return JSONResponse(own)
    result = _result(job, data) if job.status == "completed" and not job.expired_at else b"null"
    head = json.dumps(own, ensure_ascii=True).encode()
    return Response(head[:-1] + b', "result": ' + result + b"}", media_type=_JSON)


def status_document(job: Job) -> dict[str, Any]:
    """The status of a job without its result."""
    failed = job.status == "failed" or job.expired_at is not None
    own: dict[str, Any] = {
        "job_id": job.id,
        "jobId": job.id,
        **({"batch_id": job.batch_id} if job.kind == "label" else {}),
        "status": "failed" if job.expired_at else job.status,
        "terminal": job.is_terminal,
        **({"taxonomyKey": shown_key(job)} if job.kind in CAMEL else {}),
        "message": EXPIRED + "." if job.expired_at else job.message,
        "progress": job.progress,
        "error": EXPIRED if job.expired_at else job.error,
        "error_code": "job_expired" if job.expired_at else job.error_code,
    }
    ended = job.completed_at or job.failed_at or job.canceled_at
    moments: Mapping[str, float | None] = {
        "created": job.created_at,
        "started": job.started_at,
        "updated": job.expired_at or job.updated_at,
        "completed": (job.completed_at or job.canceled_at) if job.kind in CAMEL else ended,
        "failed": (job.failed_at or ended) if failed else None,
        "canceled": job.canceled_at,
    }
    name = "{}At" if job.kind in CAMEL else "{}_at"
    return own | {name.format(moment): utc(value) for moment, value in moments.items()}


def _result(job: Job, data: Path) -> bytes:
    if job.result is None:
        return b"null"
    try:
        return (data / job.result).read_bytes()
    except OSError as error:
        raise Fault("storage_failed", "The result of the job cannot be read.", value=job.id) from error
