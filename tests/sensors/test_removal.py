"""A taxonomy whose folder has left the inbox leaves nothing behind, and may come back."""

from __future__ import annotations

import shutil

import pytest
from dagster import AssetKey, AssetMaterialization, DagsterEvent, DagsterEventType, DagsterRunStatus, RunConfig
from dagster._core.events import StepMaterializationData

from taxomind_assets.partitions import KEY_TAG
from taxomind_sensors.inbox import taxonomy_inbox
from taxomind_sensors.maintenance import maintenance
from taxomind_sensors.removal import RemovalConfig, remove_taxonomy, removed_taxonomies


@pytest.fixture
def two(house):
    for key in ("jobs", "news"):
        house.put(key)
        house.submit(house.requested(taxonomy_inbox)[0], DagsterRunStatus.SUCCESS)
        house.build(key)
    return house


def leave(house, key):
    shutil.rmtree(house.data / "inbox" / key)


def remove(house, key):
    from taxomind_resources.dagster_resources import resources

    given = {name: value for name, value in resources().items() if name not in {"embedding", "engine"}}
    config = RunConfig(ops={"remove_outputs": RemovalConfig(taxonomy_key=key)})
    return remove_taxonomy.execute_in_process(run_config=config, instance=house.instance, resources=given, tags={KEY_TAG: key})


def test_a_taxonomy_that_left_is_removed_and_the_others_stay(two):
    leave(two, "jobs")
    requests = two.requested(removed_taxonomies)
    assert [request.tags[KEY_TAG] for request in requests] == ["jobs"]
    assert requests[0].run_config["ops"]["remove_outputs"]["config"] == {"taxonomy_key": "jobs"}
    assert remove(two, "jobs").success
    assert two.outputs.keys("taxonomy.nodes") == ["news"]
    assert two.indexes.current("jobs") is None
    assert two.instance.get_dynamic_partitions("taxonomy_key") == ["news"]
    assert two.requested(removed_taxonomies) == []


def test_the_history_of_a_removed_taxonomy_goes_with_it(two):
    run = two.instance.create_run_for_job(maintenance, tags={"dagster/partition": "jobs"})
    event = AssetMaterialization(AssetKey("raw_taxonomy"), partition="jobs")
    two.instance.report_runless_asset_event(AssetMaterialization(AssetKey("raw_taxonomy"), partition="news"))
    written = DagsterEvent(
        DagsterEventType.ASSET_MATERIALIZATION.value, "raw", event_specific_data=StepMaterializationData(event)
    )
    two.instance.report_dagster_event(written, run.run_id)
    two.instance.report_run_failed(run)
    assert two.instance.get_materialized_partitions(AssetKey("raw_taxonomy")) == {"jobs", "news"}
    leave(two, "jobs")
    remove(two, "jobs")
    assert two.instance.get_materialized_partitions(AssetKey("raw_taxonomy")) == {"news"}


def test_a_taxonomy_that_comes_back_with_the_same_file_is_built_again(two):
    leave(two, "jobs")
    remove(two, "jobs")
    two.put("jobs")
    assert [request.partition_key for request in two.requested(taxonomy_inbox)] == ["jobs"]


def test_a_second_removal_is_another_request(two):
    leave(two, "jobs")
    first = two.requested(removed_taxonomies)[0]
    remove(two, "jobs")
    two.put("jobs")
    two.build("jobs")
    leave(two, "jobs")
    assert two.requested(removed_taxonomies)[0].run_key != first.run_key


def test_a_removal_is_requested_once(two):
    leave(two, "jobs")
    two.submit(two.requested(removed_taxonomies)[0], DagsterRunStatus.FAILURE, job="remove_taxonomy")
    assert two.requested(removed_taxonomies) == []


def test_a_folder_that_is_back_when_the_removal_starts_is_kept(two):
    leave(two, "jobs")
    two.put("jobs")
    assert remove(two, "jobs").success
    assert two.outputs.keys("taxonomy.nodes") == ["jobs", "news"]


def test_an_empty_folder_is_no_removal(two):
    (two.data / "inbox/jobs/taxonomy.csv").unlink()
    assert two.requested(removed_taxonomies) == []


@pytest.mark.parametrize("root_too", [False, True])
def test_an_inbox_that_lost_everything_is_taken_for_a_missing_disk(two, root_too):
    leave(two, "jobs")
    leave(two, "news")
    if root_too:
        shutil.rmtree(two.data / "inbox")
    assert "not mounted" in two.skipped(removed_taxonomies)


def test_the_last_taxonomy_can_be_removed(house):
    house.put("jobs")
    house.build("jobs")
    leave(house, "jobs")
    assert len(house.requested(removed_taxonomies)) == 1
