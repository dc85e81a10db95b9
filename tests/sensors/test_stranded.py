"""Runs whose process is gone are marked as failed; living ones are left alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus, build_sensor_context
from dagster._core.events import EngineEventData

from taxomind_sensors.maintenance import maintenance
from taxomind_sensors.stranded import STARTED_BY_TAG, lives_since, stranded_runs, worker_pid


@pytest.fixture
def instance(tmp_path):
    with DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def started_run(instance, pid, **tags):
    run = instance.create_run_for_job(maintenance, tags=tags)
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_START.value, run.job_name), run.run_id)
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.STARTED
    return run


def tick(instance):
    with build_sensor_context(instance=instance) as context:
        return stranded_runs(context).skip_message


def test_a_run_whose_process_is_gone_is_failed(instance, dead_pid):
    run = started_run(instance, dead_pid)
    assert worker_pid(instance, run.run_id) == dead_pid
    assert run.run_id[:8] in tick(instance)
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE


def test_a_run_that_is_working_is_left_alone(instance):
    run = started_run(instance, os.getpid())
    assert tick(instance) == "Every run under way has its process."
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.STARTED


@pytest.mark.parametrize(("is_shared", "status"), [(True, DagsterRunStatus.STARTED), (False, DagsterRunStatus.FAILURE)])
def test_runs_of_other_machines_are_left_to_those(instance, dead_pid, monkeypatch, is_shared, status):
    """Numbers of processes mean nothing elsewhere; the service looks after the runs of its workers."""
    monkeypatch.setattr("taxomind_sensors.stranded._is_on_this_machine", lambda instance: not is_shared)
    own = started_run(instance, dead_pid)
    theirs = started_run(instance, dead_pid, **{STARTED_BY_TAG: "service"})
    tick(instance)
    assert instance.get_run_by_id(own.run_id).status == DagsterRunStatus.FAILURE
    assert instance.get_run_by_id(theirs.run_id).status == status


def test_a_run_that_never_said_its_process_is_left_alone(instance):
    run = instance.create_run_for_job(maintenance)
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_START.value, run.job_name), run.run_id)
    tick(instance)
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.STARTED


@pytest.mark.parametrize(
    ("asked_s_ago", "server", "status"),
    [
        (5, "gone", DagsterRunStatus.STARTING),
        (100, "gone", DagsterRunStatus.FAILURE),
        (100, "never noted", DagsterRunStatus.FAILURE),
        (100, "listening", DagsterRunStatus.STARTING),
    ],
)
def test_a_run_that_nobody_starts_any_more_is_failed(instance, tmp_path, monkeypatch, asked_s_ago, server, status):
    """After a power cut neither the process of the run nor the code server that was asked for it is there."""
    path = str(tmp_path / "socket")
    tags = {} if server == "never noted" else {".dagster/grpc_info": json.dumps({"host": "localhost", "socket": path})}
    run = instance.create_run_for_job(maintenance, tags=tags)
    instance.report_dagster_event(DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, run.job_name), run.run_id)
    with socket.socket(socket.AF_UNIX) as listening:
        if server == "listening":
            listening.bind(path)
            listening.listen()
        now = time.time()
        monkeypatch.setattr("taxomind_sensors.stranded.time.time", lambda: now + asked_s_ago)
        tick(instance)
    assert instance.get_run_by_id(run.run_id).status == status


def test_a_run_whose_process_died_while_it_was_starting_is_failed(instance, dead_pid):
    run = instance.create_run_for_job(maintenance)
    instance.report_dagster_event(DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, run.job_name), run.run_id)
    instance.report_engine_event(f"Started process for run (pid: {dead_pid}).", run, EngineEventData.in_process(dead_pid))
    tick(instance)
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE


def test_a_number_that_another_process_took_over_is_not_the_run(dead_pid):
    assert lives_since(os.getpid(), time.time())
    assert not lives_since(os.getpid(), time.time() - 10 * 24 * 3600)
    assert not lives_since(dead_pid, time.time())
