"""The sensor of growth asks for one run when there is something new to observe, and waits for what comes first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from dagster import DagsterRunStatus

from taxomind_assets.partitions import KEY_TAG
from taxomind_assets.pending import growth_state
from taxomind_resources.settings import load_settings
from taxomind_resources.tables import BY_NAME
from taxomind_sensors.growth import growth_watch

RESULTS, CANDIDATES = "classification.results", "growth.candidates"


@pytest.fixture
def answered(house):
    """A built taxonomy with stored answers."""
    house.put("jobs")
    house.build("jobs")
    house.outputs.write(RESULTS, "jobs", BY_NAME[RESULTS].arrow.empty_table())
    return house


def grow(house):
    """Leave what a finished run leaves."""
    today = datetime.now(UTC).date().isoformat()
    state = growth_state("jobs", load_settings(), house.inbox, house.outputs, house.indexes, today=today)
    house.outputs.write(CANDIDATES, "jobs", BY_NAME[CANDIDATES].arrow.empty_table(), digest=state)


def test_answers_ask_for_one_run_of_their_taxonomy(answered):
    (request,) = answered.requested(growth_watch)
    assert (request.partition_key, request.tags[KEY_TAG]) == ("jobs", "jobs")
    answered.submit(request, DagsterRunStatus.SUCCESS, job="growth_pipe")
    assert answered.requested(growth_watch) == []
    grow(answered)
    assert answered.requested(growth_watch) == []


def test_without_anything_to_observe_nothing_is_asked_for(house):
    house.put("jobs")
    house.build("jobs")
    assert house.requested(growth_watch) == []


@pytest.mark.parametrize("kind", ["observations", "decisions"])
def test_remarks_and_decisions_ask_for_candidates_anew(answered, kind):
    grow(answered)
    answered.put("jobs", kind, name="one.jsonl")
    assert len(answered.requested(growth_watch)) == 1


def test_new_answers_ask_for_candidates_anew(answered):
    grow(answered)
    answered.outputs.write(RESULTS, "jobs", BY_NAME[RESULTS].arrow.empty_table(), part="more")
    assert len(answered.requested(growth_watch)) == 1


def test_growth_waits_for_corrections_and_for_runs_that_are_under_way(answered):
    answered.put("jobs", "corrections")
    assert "growth waits" in answered.skipped(growth_watch)


def test_candidates_of_another_day_are_made_anew(answered):
    today = datetime.now(UTC).date().isoformat()
    state = growth_state("jobs", load_settings(), answered.inbox, answered.outputs, answered.indexes, today="2020-01-01")
    answered.outputs.write(CANDIDATES, "jobs", BY_NAME[CANDIDATES].arrow.empty_table(), digest=state)
    (request,) = answered.requested(growth_watch)
    assert request.run_key.endswith(f"{today}:growth")
