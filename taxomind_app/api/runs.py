"""Runs of Dagster that nobody asked for over HTTP: those of sensors, schedules and the command line, shown beside the jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taxomind_resources.jobs import JOB_TAG, Job, Status
from taxomind_resources.keys import LOCAL_TENANT, tenant_of

if TYPE_CHECKING:
    from pathlib import Path

    from dagster import DagsterInstance, DagsterRunStatus
    from dagster._core.storage.dagster_run import RunRecord

_SENSOR: Final = "dagster/sensor_name"
_SCHEDULE: Final = "dagster/schedule_name"
#: Runs that are looked at for each that is shown: those of other tenants are left out.
_LOOKED_AT: Final = 5


@dataclass(frozen=True)
class Row:
    """A job or a run. Times are seconds since 1970 in UTC; `started_by`: who asked for it."""

    id: str
    kind: str
    started_by: str
    status: Status
    tenant: str
    taxonomy: str
    message: str
    error: str | None
    error_code: str | None
    progress: float
    rows: int | None
    run_id: str | None
    created_at: float
    started_at: float | None
    ended_at: float | None


def row_of(job: Job) -> Row:
    """A job of the service as a row."""
    return Row(
        job.id,
        job.kind,
        "service",
        job.status,
        job.tenant,
        job.taxonomy,
        job.message,
        job.error,
        job.error_code,
        job.progress,
        job.rows,
        job.run_id,
        job.created_at,
        job.started_at,
        job.completed_at or job.failed_at or job.canceled_at,
    )


class Runs:
    """Reads the instance of a data root, which is opened when it is first needed.

    Args:
        data: data root.
        instance: read this one instead.
    """

    def __init__(self, data: Path, instance: DagsterInstance | None = None) -> None:
        self._data = data
        self._instance = instance
        self._opened = ExitStack()
        self._lock = threading.Lock()

    def latest(self, tenant: str, limit: int, *, key: str | None = None, status: Status | None = None) -> list[Row]:
        """Runs of a tenant's taxonomies, the latest first.

        Args:
            tenant: slug; what belongs to no taxonomy belongs to the tenant `local`.
            limit: most of them.
            key: only those of the taxonomy with this stored key.
            status: only those in this state.

        Raises:
            Fault: `storage_failed`.
        """
        from dagster import RunsFilter

        from taxomind_assets.partitions import KEY_TAG

        statuses = None if status is None else [own for own, word in _status_words().items() if word == status]
        found: dict[str, RunRecord] = {}
        for tag, values in self._starters():
            tags: dict[str, str | Sequence[str]] = {tag: values, **({} if key is None else {KEY_TAG: key})}
            wanted = RunsFilter(tags=tags, statuses=statuses)
            records = self._open().get_run_records(wanted, limit=_LOOKED_AT * limit)
            found |= {record.dagster_run.run_id: record for record in records}
        rows = [self._row(record) for record in found.values() if _place(record)[0] == tenant]
        return sorted(rows, key=lambda row: row.created_at, reverse=True)[:limit]

    def find(self, run_id: str) -> Row | None:
        """One run by its id; None when there is none, or it is that of a job.

        Raises:
            Fault: `storage_failed`.
        """
        from dagster import RunsFilter

        records = self._open().get_run_records(RunsFilter(run_ids=[run_id]), limit=1)
        return self._row(records[0]) if records and JOB_TAG not in records[0].dagster_run.tags else None

    def close(self) -> None:
        """Close what was opened."""
        self._opened.close()

    def _open(self) -> DagsterInstance:
        from taxomind_app.cli.instance import open_instance

        with self._lock:
            if self._instance is None:
                self._instance = self._opened.enter_context(open_instance(self._data))
            return self._instance

    @staticmethod
    def _starters() -> Iterator[tuple[str, list[str]]]:
        """Tags of runs that are shown, with their values: Dagster finds no tag without one."""
        from taxomind_app.cli.graph import STARTED_BY
        from taxomind_app.definitions import defs
        from taxomind_sensors.stranded import STARTED_BY_TAG

        yield _SENSOR, [sensor.name for sensor in defs.sensors or ()]
        yield _SCHEDULE, [schedule.name for schedule in defs.schedules or ()]
        yield STARTED_BY_TAG, [STARTED_BY]

    def _row(self, record: RunRecord) -> Row:
        run = record.dagster_run
        status = _status_words()[run.status]
        code, error = self._failure(run.run_id) if status == "failed" else (None, None)
        tenant, taxonomy = _place(record)
        return Row(
            run.run_id,
            run.job_name,
            _started_by(run.tags),
            status,
            tenant,
            taxonomy,
            {"pending": "Waits.", "running": "Running."}.get(status, f"{status.capitalize()}."),
            error,
            code,
            1.0 if status == "completed" else 0.0,
            None,
            run.run_id,
            record.create_timestamp.timestamp(),
            record.start_time,
            record.end_time,
        )

    def _failure(self, run_id: str) -> tuple[str, str]:
        from dagster import DagsterEventType

        from taxomind_sensors.alerts import cause_of

        storage = self._open().event_log_storage
        for entry in storage.get_logs_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE, limit=1):
            if entry.dagster_event is not None:
                return cause_of(entry.dagster_event.step_failure_data)
        return "run_failed", "The run ended without a failed step: its process died, or it was stopped."


def _status_words() -> dict[DagsterRunStatus, Status]:
    from dagster import DagsterRunStatus

    words: dict[str, Status] = {
        "STARTED": "running",
        "CANCELING": "running",
        "SUCCESS": "completed",
        "FAILURE": "failed",
        "CANCELED": "canceled",
    }
    return {status: words.get(status.name, "pending") for status in DagsterRunStatus}


def _place(record: RunRecord) -> tuple[str, str]:
    from taxomind_assets.partitions import KEY_TAG
    from taxomind_sensors.requests import PARTITION_TAG

    tags = record.dagster_run.tags
    stored = tags.get(KEY_TAG) or tags.get(PARTITION_TAG)
    return tenant_of(stored) if stored else (LOCAL_TENANT, "")


def _started_by(tags: Mapping[str, str]) -> str:
    from taxomind_sensors.stranded import STARTED_BY_TAG

    for kind, tag in (("sensor", _SENSOR), ("schedule", _SCHEDULE)):
        if tag in tags:
            return f"{kind} {tags[tag]}"
    return tags.get(STARTED_BY_TAG, "Dagster")
