"""After anything has died: no job lost, none done twice, none stuck. The workers are rows; the dead ones are real processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRunStatus

from taxomind_app.api.auth import Caller
from taxomind_app.api.jobs import INPUTS, Asked, Place, Service
from taxomind_app.api.reconcile import reconcile
from taxomind_app.api.worker import Lease, worker_row
from taxomind_resources.jobs import Job, WorkerRow
from taxomind_resources.settings import Settings

CALLER = Caller("t", ("local",), frozenset({"classify"}))
PLACE = Place("local", "K", "K")


@pytest.fixture
def service(tmp_path: Path) -> Service:
    settings = Settings.model_validate({"data": tmp_path, "service": {"attempts": 2}})
    return Service(settings, settings.service)


def submitted(service: Service, **values: Any) -> Job:
    own = {"rows": 2, "message": "m", "content": b'{"id": 1}\n', "in_inbox": True, **values}
    return service.submit(Asked(CALLER, os.urandom(8).hex()), "label", PLACE, **own)


@pytest.fixture(scope="module")
def dead() -> WorkerRow:
    """A worker of this machine that has ended without a word."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return WorkerRow("dead", platform.node(), process.pid, time.time(), time.time())


def claimed(service: Service, worker: WorkerRow) -> Job:
    service.jobs.worker_beat(worker)
    found = service.jobs.claim(worker.id)
    assert found is not None
    return found


def test_a_job_of_a_dead_worker_is_taken_up_until_it_died_too_often(service: Service, dead: WorkerRow) -> None:
    job = submitted(service)
    for attempt in (1, 2):
        assert claimed(service, dead).attempts == attempt
        reconcile(service)
        assert service.jobs.get(job.id).status == ("pending" if attempt == 1 else "failed")
    ended = service.jobs.get(job.id)
    assert (ended.error_code, ended.error) == ("worker_died", "The process that worked on the job died, 2 times.")
    assert not (service.data / job.input).exists()


def test_a_job_of_a_living_worker_is_left_alone(service: Service) -> None:
    submitted(service)
    job = claimed(service, worker_row(0))
    reconcile(service)
    assert service.jobs.get(job.id) == job


@pytest.mark.parametrize(("silent_s", "status"), [(10, "running"), (1000, "pending")])
def test_a_worker_elsewhere_is_known_by_its_silence(
    service: Service, silent_s: float, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(service)
    now = time.time()
    monkeypatch.setattr("taxomind_resources.job_store.time.time", lambda: now - silent_s)
    job = claimed(service, WorkerRow("far", "elsewhere", 1, now, now))
    monkeypatch.undo()
    reconcile(service)
    assert service.jobs.get(job.id).status == status


def test_a_pid_in_use_again_is_another_worker(service: Service) -> None:
    submitted(service)
    job = claimed(service, replace(worker_row(0), started_at=time.time() - 10 * 24 * 3600))
    reconcile(service)
    assert service.jobs.get(job.id).status == "pending"


def test_the_run_of_a_dead_worker_is_closed(service: Service, dead: WorkerRow) -> None:
    submitted(service)
    job = claimed(service, dead)
    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run(
            job_name="inference_batch",
            run_id=None,
            run_config={},
            status=DagsterRunStatus.STARTED,
            tags={},
            root_run_id=None,
            parent_run_id=None,
            step_keys_to_execute=None,
            execution_plan_snapshot=None,
            job_snapshot=None,
            parent_job_snapshot=None,
            asset_selection=None,
            asset_check_selection=None,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=None,
            job_code_origin=None,
            asset_graph=None,
        )
        service.jobs.started_run(job.id, dead.id, run.run_id)
        reconcile(service, instance)
        assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE


def test_a_request_that_died_before_its_job_leaves_no_text_for_long(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submitted(service)
    orphan = service.inbox.put("K", "requests", b"x", "nobody.jsonl").path
    other = service.data / INPUTS / "nobody.json"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    reconcile(service)
    assert orphan.exists()
    monkeypatch.setattr("taxomind_app.api.reconcile._ORPHAN_S", -1)
    reconcile(service)
    assert not orphan.exists()
    assert not other.exists()
    assert (service.data / job.input).exists()


def test_a_job_that_ended_while_its_worker_died_is_tidied_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submitted(service)
    service.jobs.fail(job.id, "e", "stopped")
    monkeypatch.setattr("taxomind_app.api.reconcile._SETTLED_S", -1)
    with DagsterInstance.ephemeral() as instance:
        reconcile(service, instance)
    assert not (service.data / job.input).exists()


def test_an_expired_job_takes_its_result_with_it(service: Service) -> None:
    job = submitted(service)
    service.jobs.claim("w")
    result = service.data / "service" / "results" / f"{job.id}.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    service.jobs.complete(job.id, "w", "m", str(result.relative_to(service.data)))
    reconcile(service)
    assert result.exists()
    service.service = service.service.model_copy(update={"keep_days": -1.0})
    reconcile(service)
    assert not result.exists()
    assert service.jobs.get(job.id).expired_at is not None


def lease(service: Service, job: Job, stopped: list[bool], **values: Any) -> Lease:
    own: dict[str, Any] = {"rows_done": lambda: 1, "stopped_elsewhere": lambda: False, "time_limit_s": 60.0, **values}
    return Lease(service.jobs, job, worker_row(0), stop=lambda: stopped.append(True), **own)


@pytest.mark.parametrize(
    ("values", "code"), [({"time_limit_s": -1.0}, "time_limit"), ({"stopped_elsewhere": lambda: True}, "stopped")]
)
def test_a_lease_ends_what_takes_too_long_or_was_stopped(
    service: Service, values: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taxomind_app.api.worker._BEAT_S", 0.01)
    submitted(service)
    job, stopped = claimed(service, worker_row(0)), []
    own = lease(service, job, stopped, **values)
    own.start()
    own.join(20)
    ended = service.jobs.get(job.id)
    assert (ended.status, ended.error_code, stopped) == ("failed", code, [True])


def test_a_lease_tells_progress_and_notices_a_cancellation(
    service: Service, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    monkeypatch.setattr("taxomind_app.api.worker._BEAT_S", 0.01)
    submitted(service)
    job, stopped = claimed(service, worker_row(0)), []
    own = lease(service, job, stopped)
    own.start()
    until(lambda: service.jobs.get(job.id).progress == 0.5)
    assert service.jobs.get(job.id).message == "1 of 2 processed."
    assert not stopped
    service.jobs.cancel(job.id)
    own.join(20)
    assert stopped == [True]
