"""What happens by the clock, and what a failed run says."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from dagster import (
    Failure,
    MetadataValue,
    SkipReason,
    build_run_status_sensor_context,
    build_schedule_context,
    job,
    op,
)

from taxomind_resources.dagster_resources import resources
from taxomind_sensors.alerts import alert_lines
from taxomind_sensors.maintenance import MaintenanceConfig, current_tags, maintenance, remove_abandoned
from taxomind_sensors.schedules import nightly_error_reports, weekly_maintenance


@pytest.fixture
def tonight(house):
    def ask():
        given = {name: value for name, value in resources().items() if name in nightly_error_reports.required_resource_keys}
        with build_schedule_context(
            instance=house.instance, resources=given, scheduled_execution_time=datetime(2030, 1, 2, 2, tzinfo=UTC)
        ) as context:
            return nightly_error_reports(context)

    return ask


def test_reports_are_made_at_night_for_all_that_are_not_up_to_date(house, tonight):
    for key in ("current", "stale", "new", "bare"):
        house.put(key)
        house.build(key)
        if key != "bare":
            house.put(key, "labelled")
    house.report("current")
    house.report("stale", index="another-one")
    requests = tonight()
    assert [request.partition_key for request in requests] == ["new", "stale"]
    assert requests[0].run_key == "new:2030-01-02:nightly report"


def test_a_night_without_anything_to_do_says_so(tonight):
    assert isinstance(tonight(), SkipReason)


def test_both_schedules_are_on_by_default():
    assert {nightly_error_reports.default_status.value, weekly_maintenance.default_status.value} == {"RUNNING"}


def test_maintenance_keeps_what_the_current_index_stands_on(house):
    house.put("jobs")
    house.build("jobs")
    for number in range(4):
        house.indexes.publish("jobs", f"v{number}", lambda folder: (folder / "manifest.json").touch())
    stray = house.outputs.path("taxonomy.nodes", "jobs").with_name(".taxomind-00000000-1-000000000000.tmp")
    stray.touch()
    os.utime(stray, (1, 1))
    given = {name: value for name, value in resources().items() if name in {"settings", "outputs", "vectors", "indexes"}}
    config = {"ops": {"maintain": {"config": {"keep_indexes": 2}}}}
    assert maintenance.execute_in_process(instance=house.instance, resources=given, run_config=config).success
    assert house.indexes.versions("jobs")[0] == "v3"
    assert len(house.indexes.versions("jobs")) == 2
    assert not stray.exists()
    assert current_tags(["jobs"], house.outputs, house.indexes) == {"nodes-vvvvvvvvvvvv-cccccccccccc", "index-v3"}


def test_unfinished_batches_are_kept_while_somebody_may_go_on_with_them(tmp_path):
    for name, age in (("old", 1), ("young", None)):
        shard = tmp_path / "jobs" / name / "v" / "texts" / "00000.parquet"
        shard.parent.mkdir(parents=True)
        shard.touch()
        if age:
            for path in [shard, *list(shard.parents)[:3]]:
                os.utime(path, (age, age))
    assert remove_abandoned(tmp_path, 3600) == 1
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["young"]


def test_the_limits_of_maintenance_have_lower_ends():
    with pytest.raises(ValueError, match="keep_indexes"):
        MaintenanceConfig(keep_indexes=0)


def _failed(house, error):
    @op
    def step():
        raise error

    @job(name="whole_job", tags={"taxomind/taxonomy_key": "jobs"})
    def failing():
        step()

    result = failing.execute_in_process(instance=house.instance, raise_on_error=False)
    event = next(event for event in result.all_events if event.is_job_failure)
    return build_run_status_sensor_context(
        "failure_alerts", event, house.instance, house.instance.get_run_by_id(result.run_id)
    ).for_run_failure()


def test_an_alert_carries_the_code_of_the_fault_the_taxonomy_and_the_step(house):
    error = Failure("The tree is broken.\n  next: repair it", metadata={"fault code": MetadataValue.text("invalid_taxonomy")})
    lines = alert_lines(_failed(house, error))
    assert len(lines) == 1
    assert lines[0].startswith("[invalid_taxonomy] jobs: whole_job ")
    assert lines[0].endswith("step step: The tree is broken. next: repair it")


def test_an_alert_about_an_unexpected_error_says_so(house):
    assert alert_lines(_failed(house, ZeroDivisionError("division by zero")))[0].startswith("[unexpected] jobs: ")
