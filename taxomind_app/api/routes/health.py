"""GET /health and GET /: whether the service lives, and whether it can work."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter

from taxomind_app.api.deps import CurrentService
from taxomind_app.api.reconcile import is_dead
from taxomind_app.api.schemas import Health
from taxomind_resources.faults import Fault

router = APIRouter(tags=["health"])
_SILENT_S = 120.0


@router.get("/", response_model=Health, operation_id="root", include_in_schema=False)
@router.get("/health", response_model=Health, operation_id="health")
def health(service: CurrentService) -> dict[str, Any]:
    """Always 200 while the process lives; `degraded` when no worker does, or the storage cannot be read."""
    problems: list[str] = []
    living = 0
    try:
        busy = {job.worker for job in service.jobs.open_jobs() if job.status == "running"}
        now = time.time()
        living = sum(
            not is_dead(worker, service.service.stale_s) and (worker.id in busy or now - worker.heartbeat_at < _SILENT_S)
            for worker in service.jobs.workers()
        )
        if not living:
            problems.append("No worker has sent a heartbeat: jobs wait.")
    except Fault as fault:
        problems.append(fault.kind.title)
    return {
        "status": "degraded" if problems else "healthy",
        "service": "taxomind-api",
        "version": version("taxomind"),
        "task_backend": "dagster",
        "workers": living,
        "problems": problems,
    }
