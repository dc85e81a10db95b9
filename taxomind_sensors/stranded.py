"""Runs whose process is gone: a power cut or a killed service leaves them 'started' for ever, and their taxonomy blocked."""

import json
import math
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRecord,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

_INTERVAL_S: Final = 15
#: Runs that were executed where they were asked for carry it.
STARTED_BY_TAG: Final = "taxomind/started_by"
_SLACK_S: Final = 60.0
_UNDER_WAY: Final = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
#: A process that was asked for says its number within this time.
_START_S: Final = 45.0
#: Where Dagster notes the code server that was asked to start a run.
_LAUNCHER_TAG: Final = ".dagster/grpc_info"


@sensor(
    minimum_interval_seconds=_INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Marks runs as failed whose process is gone, so that they are retried and their taxonomy is free again.",
)
def stranded_runs(context: SensorEvaluationContext) -> SkipReason:
    """With a storage that machines share it looks after what this one has launched: runs of sensors, schedules and the UI.

    Others look after theirs: the service after the runs of its jobs, which lie in processes of its workers.
    """
    is_shared = not _is_on_this_machine(context.instance)
    failed = []
    for record in context.instance.get_run_records(RunsFilter(statuses=_UNDER_WAY)):
        run = record.dagster_run
        if is_shared and STARTED_BY_TAG in run.tags:
            continue
        if reason := _why_stranded(context.instance, record):
            context.instance.report_run_failed(run, reason)
            failed.append(f"{run.job_name} {run.run_id[:8]}")
    return SkipReason(f"Marked as failed: {', '.join(failed)}." if failed else "Every run under way has its process.")


def _why_stranded(instance: DagsterInstance, record: RunRecord) -> str:
    """Why nobody works on a run; '' = somebody does, as far as is known."""
    run = record.dagster_run
    pid = worker_pid(instance, run.run_id)
    if pid is not None:
        # A run that is starting has no time to compare the process with.
        started = math.inf if record.start_time is None else record.start_time
        return "" if lives_since(pid, started) else f"The process of the run ({pid}) is gone."
    if run.status != DagsterRunStatus.STARTING or time.time() - record.update_timestamp.timestamp() < _START_S:
        return ""
    # The code server that was asked reports it when the process ends early, unless it is gone as well: after a power cut.
    return "" if _launcher_answers(run) else "The code server that was asked to start the run is gone."


def _launcher_answers(run: DagsterRun) -> bool:
    """Whether something listens where the run was asked for."""
    try:
        found = json.loads(run.tags.get(_LAUNCHER_TAG, "{}"))
    except ValueError:
        return True
    if not found:
        return False
    with suppress(OSError):
        if path := found.get("socket"):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(path)
                return True
        with socket.create_connection((found.get("host") or "localhost", int(found["port"])), 1):
            return True
    return False


def worker_pid(instance: DagsterInstance, run_id: str) -> int | None:
    """Process that executes a run, as it said itself; None before it did."""
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        metadata = event.engine_event_data.metadata if event else {}
        if "pid" in metadata:
            return int(str(metadata["pid"].value))
    return None


def lives_since(pid: int, started: float) -> bool:
    """Whether the process exists and is the one that was there at `started` (seconds since 1970).

    After a restart of the machine its number may belong to another process; where `/proc` tells when a process began, one that
    began more than a minute later is another one.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return False  # Not ours: runs are processes of the same user.
    began = _began(pid)
    return began is None or began <= started + _SLACK_S


def _began(pid: int) -> float | None:
    """When a process began, in seconds since 1970 (Linux: proc(5), `stat` field 22); None where it is not known."""
    with suppress(OSError, ValueError, IndexError):
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
        return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    return None


def _is_on_this_machine(instance: DagsterInstance) -> bool:
    from dagster._core.storage.runs.sqlite import SqliteRunStorage

    return isinstance(instance.run_storage, SqliteRunStorage)
