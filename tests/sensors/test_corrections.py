"""The sensor of corrections asks for one run when files came, changed or went, and for none otherwise."""

from __future__ import annotations

import os

import pytest
from dagster import DagsterRunStatus

from taxomind_assets.partitions import KEY_TAG
from taxomind_assets.pending import EvidenceState, corrections_digest
from taxomind_resources.tables import BY_NAME
from taxomind_sensors.corrections import corrections_inbox
from taxomind_sensors.inbox import taxonomy_inbox, texts_inbox

CENTROIDS = "learning.centroids"


@pytest.fixture
def taught(house):
    """A built taxonomy with a file of corrections."""
    house.put("jobs")
    house.build("jobs")
    house.put("jobs", "corrections")
    return house


def learn(house, version="v" * 12, vector_class="c" * 32):
    """Leave what finished learning leaves."""
    state = EvidenceState(corrections_digest("jobs", house.inbox), version, vector_class)
    house.outputs.write(CENTROIDS, "jobs", BY_NAME[CENTROIDS].arrow.empty_table(), digest=state.digest())


def test_a_file_of_corrections_asks_for_one_run_of_its_taxonomy(taught):
    (request,) = taught.requested(corrections_inbox)
    assert (request.partition_key, request.tags[KEY_TAG]) == ("jobs", "jobs")
    taught.submit(request, job="learning_pipe")
    assert taught.requested(corrections_inbox) == []


def test_what_is_learned_is_left_alone_until_a_file_comes_changes_or_goes(taught):
    learn(taught)
    assert taught.requested(corrections_inbox) == []
    path = taught.put("jobs", "corrections", name="more.csv")
    assert len(taught.requested(corrections_inbox)) == 1
    learn(taught)
    os.utime(path, (1, 1))
    assert len(taught.requested(corrections_inbox)) == 1
    learn(taught)
    path.unlink()
    assert len(taught.requested(corrections_inbox)) == 1


def test_a_file_that_comes_and_goes_and_comes_again_is_learned_each_time(taught):
    keys = []
    for _ in range(3):
        learn(taught)
        path = taught.put("jobs", "corrections", name="more.csv")
        for _ in range(2):
            (request,) = taught.requested(corrections_inbox)
            taught.submit(request, DagsterRunStatus.SUCCESS, job="learning_pipe")
            learn(taught)
            keys.append(request.run_key)
            path.unlink(missing_ok=True)
        learn(taught)
    assert len(set(keys)) == 6


def test_a_run_that_failed_is_not_asked_for_again_until_something_changes(taught):
    (request,) = taught.requested(corrections_inbox)
    taught.submit(request, DagsterRunStatus.FAILURE, job="learning_pipe")
    assert taught.requested(corrections_inbox) == []
    taught.put("jobs", "corrections", content="other")
    assert len(taught.requested(corrections_inbox)) == 1


def test_another_taxonomy_or_another_model_asks_for_the_evidence_anew(taught):
    learn(taught, version="w" * 12)
    assert len(taught.requested(corrections_inbox)) == 1
    learn(taught, vector_class="d" * 32)
    assert len(taught.requested(corrections_inbox)) == 1


def test_corrections_wait_for_their_taxonomy_and_for_runs_that_are_under_way(taught, house):
    house.put("other", "corrections")
    taught.submit(taught.requested(corrections_inbox)[0])
    taught.put("jobs", "corrections", content="other")
    said = taught.skipped(corrections_inbox)
    assert "jobs: corrections wait for a run that is under way." in said
    assert "other: corrections wait until its taxonomy is built." in said


def test_corrections_that_came_with_their_taxonomy_are_part_of_its_build(house):
    house.put("jobs")
    house.put("jobs", "corrections")
    (request,) = house.requested(taxonomy_inbox)
    asked = {key.to_user_string() for key in request.asset_selection}
    assert {"corrections", "evidence_centroids", "stop_calibration", "node_index"} <= asked
    assert house.requested(corrections_inbox) == []


def test_texts_wait_for_corrections_that_came_with_them_but_not_for_those_that_cannot_be_used(taught):
    taught.put("jobs", "texts")
    assert "texts wait for its corrections" in taught.skipped(texts_inbox)
    taught.submit(taught.requested(corrections_inbox)[0], DagsterRunStatus.FAILURE, job="learning_pipe")
    assert len(taught.requested(texts_inbox)) == 1


def test_a_taxonomy_without_corrections_asks_for_nothing(house):
    house.put("jobs")
    house.build("jobs")
    assert house.requested(corrections_inbox) == []
    assert house.skipped(corrections_inbox) == "Every correction is learned."
