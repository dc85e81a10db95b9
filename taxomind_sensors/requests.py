"""Requests that were not made before, a bounded number at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRequest, RunsFilter

FINISHED: Final = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
#: Submitting a run takes up to a second; what is left over stays pending and comes with the next ticks.
MOST_REQUESTS: Final = 50
#: Tag that Dagster gives every run of one partition, whoever started it.
PARTITION_TAG: Final = "dagster/partition"
UNDER_WAY: Final = tuple(status for status in DagsterRunStatus if status not in FINISHED)
_RUN_KEY_TAG: Final = "dagster/run_key"


def run_of(instance: DagsterInstance, run_key: str) -> DagsterRun | None:
    """The newest run that was requested with this run key."""
    runs = instance.get_runs(RunsFilter(tags={_RUN_KEY_TAG: run_key}), limit=1)
    return runs[0] if runs else None


def new_requests(instance: DagsterInstance, requests: Iterable[RunRequest], most: int = MOST_REQUESTS) -> list[RunRequest]:
    """The first requests whose run keys have not been used.

    The daemon drops used run keys by itself. They are dropped here as well, because inputs that failed stay pending and would
    fill the places of those behind them.
    """
    found: list[RunRequest] = []
    for request in requests:
        if len(found) == most:
            break
        if request.run_key is None or run_of(instance, request.run_key) is None:
            found.append(request)
    return found
