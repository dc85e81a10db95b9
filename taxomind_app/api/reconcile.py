"""Bringing jobs and the world together again after anything has died: nothing is lost, done twice or stuck.

All that is looked at is on the disk: the rows of the jobs, the processes that they name, the files that they left. So whoever
is alive may do it, as often as it likes, at the same time as others.
"""

from __future__ import annotations

import logging
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taxomind_app.api.jobs import INPUTS, Service
from taxomind_resources.files import remove_tree
from taxomind_resources.jobs import BUILDS, Job, WorkerRow

if TYPE_CHECKING:
    from dagster import DagsterInstance

_LOG: Final = logging.getLogger("taxomind.jobs")
_DAY_S: Final = 24 * 3600.0
#: Seconds after which files without a job, and jobs that ended with their input still there, are tidied away.
_SETTLED_S: Final = 60.0
_ORPHAN_S: Final = 3600.0
_REQUEST_TABLES: Final = ("classification.results", "classification.batches", "classification.rejected_rows")


def reconcile(service: Service, instance: DagsterInstance | None = None) -> None:
    """Take up jobs whose worker died, tidy up after those that were stopped, let old ones expire.

    Args:
        service: the stores.
        instance: the Dagster instance; without it the runs of dead workers are left to others.

    Raises:
        Fault: `storage_failed`.
    """
    take_up_abandoned(service, instance)
    for worker in service.jobs.workers():
        if is_dead(worker, service.service.stale_s):
            service.jobs.worker_gone(worker.id)
    _tidy_inputs(service, instance)
    expire(service)


def take_up_abandoned(service: Service, instance: DagsterInstance | None = None) -> None:
    """Give jobs whose worker died to others; after too many attempts they end as failed.

    Raises:
        Fault: `storage_failed`.
    """
    workers = {worker.id: worker for worker in service.jobs.workers()}
    for job in service.jobs.open_jobs():
        if job.status == "running" and is_abandoned(job, workers.get(job.worker or ""), service.service.stale_s):
            _take_up(service, instance, job)


def is_dead(worker: WorkerRow, stale_s: float) -> bool:
    """Whether a worker's process is gone: known at once on this machine, by its silence on another.

    Silence counts here as well: in a container that was started again its number may be that of another process.
    """
    from taxomind_sensors.stranded import lives_since

    is_gone = worker.host == platform.node() and not lives_since(worker.pid, worker.started_at)
    return is_gone or time.time() - worker.heartbeat_at > stale_s


def is_abandoned(job: Job, worker: WorkerRow | None, stale_s: float) -> bool:
    """Whether nobody works on a running job any more."""
    if worker is not None and worker.host == platform.node():
        return is_dead(worker, stale_s)
    # A worker that has said goodbye works on nothing; between its row and its job there is a moment.
    silence = time.time() - (job.heartbeat_at or job.updated_at)
    return silence > (stale_s if worker is not None else min(stale_s, 10.0))


def _take_up(service: Service, instance: DagsterInstance | None, job: Job) -> None:
    _LOG.warning("the worker of job %s is gone (attempt %d)", job.id, job.attempts)
    close_run(instance, job, "The worker that executed the run is gone.")
    if job.attempts < service.service.attempts:
        service.jobs.release(job.id, job.worker or "")
        return
    error = f"The process that worked on the job died, {job.attempts} times."
    if service.jobs.fail(job.id, error, "worker_died", worker=job.worker):
        undo_effects(service, instance, job)


def close_run(instance: DagsterInstance | None, job: Job, why: str) -> None:
    """Say in Dagster that a job's run is over, when nobody is left to say so."""
    if instance is None or job.run_id is None:
        return
    run = instance.get_run_by_id(job.run_id)
    if run is None or run.is_finished:
        return
    if job.status == "canceled":
        instance.report_run_canceled(run, why)
    else:
        instance.report_run_failed(run, why)


def undo_effects(service: Service, instance: DagsterInstance | None, job: Job) -> None:
    """Take back what a job that did not succeed left behind; does nothing the second time.

    Raises:
        Fault: `storage_failed`.
    """
    from taxomind_app.api import restoring

    close_run(instance, job, "The job was stopped.")
    if job.kind in {"label", "classify"}:
        remove_batch(service, job)
    elif job.kind == "learn":
        restoring.forget_corrections(service, job, instance)
    elif job.kind in BUILDS:
        restoring.put_back_taxonomy(service, job, instance)
    remove_input(service, job)


def remove_batch(service: Service, job: Job) -> None:
    """Remove the answers that a job has written."""
    from taxomind_assets.classification.batches import staging_folder

    batch = str(job.parameters.get("batch", ""))
    if not batch:
        return
    remove_tree(staging_folder(service.data, job.stored_key) / batch)
    for table in _REQUEST_TABLES:
        for part in service.outputs.parts(table, job.stored_key):
            if part == batch or part.startswith(f"{batch}-"):
                service.outputs.delete_part(table, job.stored_key, part)


def remove_input(service: Service, job: Job) -> None:
    """Remove what a job was asked."""
    if job.input is not None:
        (service.data / job.input).unlink(missing_ok=True)


def expire(service: Service) -> None:
    """Remove results that are older than is kept, and ids that expired long ago.

    Raises:
        Fault: `storage_failed`.
    """
    now = time.time()
    for job in service.jobs.expire(now - service.service.keep_days * _DAY_S):
        if job.result is not None:
            (service.data / job.result).unlink(missing_ok=True)
        remove_input(service, job)
        if job.kind in {"label", "classify"}:
            remove_batch(service, job)
    service.jobs.forget(now - service.service.keep_ids_days * _DAY_S)


def _tidy_inputs(service: Service, instance: DagsterInstance | None) -> None:
    """An input whose job has ended was not tidied away by its worker; one without a job was left by a request that died."""
    now = time.time()
    for path in _inputs(service):
        job = service.jobs.get(path.stem)
        if job is None:
            if now - path.stat().st_ctime > _ORPHAN_S:
                path.unlink(missing_ok=True)
        elif job.is_terminal and now - job.updated_at > _SETTLED_S:
            if job.status == "completed":
                remove_input(service, job)
            elif instance is not None:
                undo_effects(service, instance, job)


def _inputs(service: Service) -> list[Path]:
    folders = [service.data / INPUTS, *service.inbox.root.glob("*/requests")]
    return [path for folder in folders if folder.is_dir() for path in folder.iterdir() if not path.name.startswith(".")]
