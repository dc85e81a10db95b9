"""Going back to what was before a job that changed a taxonomy or its evidence and was stopped half way."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from taxomind_resources.files import replace_bytes

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from taxomind_app.api.jobs import Service
    from taxomind_resources.jobs import Job

_LOG: Final = logging.getLogger("taxomind.jobs")
_FORMER: Final = Path("service") / "former"
#: Stands for a taxonomy that was new.
_NONE: Final = ".none"
STOPPED: Final = frozenset({"stopped", "time_limit", "worker_died"})


def corrections_name(job: Job) -> str:
    """Name of the file of corrections that a job puts into the inbox."""
    return f"service-{job.id}.jsonl"


def keep_former(service: Service, job: Job) -> None:
    """Keep the taxonomy file that a job is going to replace, until the job has ended.

    Raises:
        Fault: `storage_failed`.
    """
    folder = service.data / _FORMER
    if any(folder.glob(f"{job.id}.*")):
        return  # A second attempt: what is in the inbox is the new one already.
    file = service.inbox.taxonomy_file(job.stored_key)
    content, suffix = (file.path.read_bytes(), file.path.suffix) if file else (b"", _NONE)
    replace_bytes(folder / f"{job.id}{suffix}", content)


def drop_former(service: Service, job: Job) -> None:
    """The job has ended well, or is undone."""
    for path in (service.data / _FORMER).glob(f"{job.id}.*"):
        path.unlink(missing_ok=True)


def put_back_taxonomy(service: Service, job: Job, instance: DagsterInstance | None) -> None:
    """Put the former taxonomy back after a job was stopped. What failed by itself stays: the last good version serves.

    Raises:
        Fault: `storage_failed`.
    """
    from taxomind_assets.pending import pending_build

    former = next(iter((service.data / _FORMER).glob(f"{job.id}.*")), None)
    if former is None:
        return
    if job.status == "canceled" or job.error_code in STOPPED:
        key = job.stored_key
        if former.suffix == _NONE:
            file = service.inbox.taxonomy_file(key)
            if file is not None:
                file.path.unlink(missing_ok=True)
            service.indexes.remove(key)
            service.outputs.remove_key(key)
        else:
            service.inbox.put(key, "taxonomy", former, f"taxonomy{former.suffix}")
            if pending_build(key, service.settings, service.inbox, service.outputs)[0]:
                from taxomind_app.api.executor import BUILD

                _materialise(instance, key, "build_taxonomy", BUILD)
    drop_former(service, job)


def forget_corrections(service: Service, job: Job, instance: DagsterInstance | None) -> None:
    """Take back what a job has taught: its file goes, and evidence is made of the others.

    Raises:
        Fault: `storage_failed`.
    """
    from taxomind_assets.pending import pending_corrections

    key = job.stored_key
    names = [file for file in service.inbox.files(key, "corrections") if file.name == corrections_name(job)]
    for file in names:
        file.path.unlink(missing_ok=True)
    if names and pending_corrections(key, service.inbox, service.outputs, service.indexes):
        from taxomind_app.api.executor import LEARN

        _materialise(instance, key, "learning_pipe", LEARN)


def _materialise(instance: DagsterInstance | None, key: str, job_name: str, assets: Sequence[str]) -> None:
    """Run assets to restore a former state; what fails is left to the sensors, which see that it is pending."""
    from dagster import AssetKey, Failure

    from taxomind_app.definitions import defs
    from taxomind_assets.partitions import KEY_TAG

    if instance is None:
        return
    try:
        defs.resolve_job_def(job_name).execute_in_process(
            instance=instance,
            partition_key=key,
            asset_selection=[AssetKey(name) for name in assets],
            run_id=str(uuid4()),
            tags={KEY_TAG: key, "taxomind/started_by": "service", "dagster/max_retries": "0"},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    except Failure as failure:
        _LOG.error("%s could not be restored: %s", key, failure.description)
