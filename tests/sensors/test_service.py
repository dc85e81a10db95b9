"""Sensors leave to the service what it has in hand, as long as its workers live."""

from __future__ import annotations

import time

import pytest

from taxomind_resources.job_store import JobStore
from taxomind_resources.jobs import Job, WorkerRow, new_job_id
from taxomind_sensors.corrections import corrections_inbox
from taxomind_sensors.inbox import taxonomy_inbox

CASES = [("taxonomies", True, []), ("learn", True, []), ("taxonomies", False, ["jobs"]), ("label", True, ["jobs"])]


def in_hand(house, kind, alive):
    store = JobStore(house.data)
    store.add(Job(new_job_id(), kind, "local", "jobs", "jobs", "t", "m", 1, "h"))
    if alive:
        store.worker_beat(WorkerRow("w", "h", 1, time.time(), time.time()))


@pytest.mark.parametrize(("kind", "alive", "asked"), CASES)
def test_a_taxonomy_that_the_service_builds_is_not_built_twice(house, kind, alive, asked):
    house.put("jobs")
    in_hand(house, kind, alive)
    assert [request.partition_key for request in house.requested(taxonomy_inbox)] == asked


@pytest.mark.parametrize(("kind", "alive", "asked"), CASES)
def test_corrections_that_the_service_learns_are_not_learned_twice(house, kind, alive, asked):
    house.put("jobs")
    house.build("jobs")
    house.put("jobs", "corrections")
    in_hand(house, kind, alive)
    assert [request.partition_key for request in house.requested(corrections_inbox)] == asked
