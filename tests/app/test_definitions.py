"""The whole code location: what is in it, and that none of it disappears unnoticed.

After a change that is meant: `pytest tests/app/test_definitions.py --snapshot-update`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from dagster import AssetKey, Definitions, in_process_executor

from taxomind_app.definitions import defs
from taxomind_assets.partitions import KEY_TAG, taxonomy_keys
from taxomind_resources.tables import BY_NAME
from taxomind_sensors.jobs import BUILD_ASSETS, GROWTH_ASSETS, LEARN_ASSETS, MODEL_ASSETS, TEXT_ASSETS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def graph():
    return defs.resolve_asset_graph()


@pytest.fixture(scope="module")
def specs():
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_the_definitions_load():
    Definitions.validate_loadable(defs)


def test_no_asset_changes_unnoticed(specs, graph, snapshot):
    described = {
        name: {
            "group": spec.group_name,
            "deps": sorted(dep.asset_key.to_user_string() for dep in spec.deps),
            "kinds": sorted(spec.kinds),
            "owners": sorted(spec.owners),
            "tags": {key: value for key, value in spec.tags.items() if not key.startswith("dagster/kind/")},
            "code_version": spec.code_version,
            "partitioned": spec.partitions_def == taxonomy_keys,
            "table": spec.metadata.get("dagster/table_name"),
            "checks": sorted(key.name for key in graph.asset_check_keys if key.asset_key == spec.key),
        }
        for name, spec in sorted(specs.items())
    }
    assert described == snapshot


def test_no_job_sensor_or_schedule_changes_unnoticed(snapshot):
    repository = defs.get_repository_def()
    jobs = {
        job.name: sorted(node.name for node in job.nodes) for job in repository.get_all_jobs() if not job.name.startswith("__")
    }
    sensors = {sensor.name: (sensor.default_status.value, sensor.minimum_interval_seconds) for sensor in repository.sensor_defs}
    schedules = {
        schedule.name: (schedule.default_status.value, schedule.cron_schedule) for schedule in repository.schedule_defs
    }
    assert {"jobs": jobs, "sensors": sensors, "schedules": schedules} == snapshot


def test_every_asset_is_described_owned_and_partitioned_by_taxonomy(specs):
    for name, spec in specs.items():
        assert spec.description, name
        assert list(spec.owners) == ["team:taxomind"], name
        assert spec.kinds, name
        assert spec.partitions_def == taxonomy_keys, name


def test_every_asset_with_a_table_shows_its_columns(specs):
    tables = {
        name: spec.metadata["dagster/table_name"] for name, spec in specs.items() if "dagster/table_name" in spec.metadata
    }
    assert len(tables) >= 5
    for name, table in tables.items():
        columns = [column.name for column in specs[name].metadata["dagster/column_schema"].columns]
        assert columns == ["taxonomy_key", *BY_NAME[table].arrow.names]


def test_column_lineage_names_columns_that_exist(specs):
    for name, spec in specs.items():
        lineage = spec.metadata.get("dagster/column_lineage")
        for column, deps in (lineage.deps_by_column if lineage else {}).items():
            own = spec.metadata.get("dagster/column_schema")
            assert own is None or column in [found.name for found in own.columns], (name, column)
            for dep in deps:
                other = specs[dep.asset_key.to_user_string()].metadata.get("dagster/column_schema")
                assert other is None or dep.column_name in [found.name for found in other.columns], (name, dep)
                assert AssetKey(dep.asset_key.path) in {edge.asset_key for edge in spec.deps}, (name, dep)


def test_the_lists_of_assets_are_those_that_can_be_materialised(graph):
    names = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert names == {*BUILD_ASSETS, *LEARN_ASSETS, *TEXT_ASSETS, *GROWTH_ASSETS, *MODEL_ASSETS}


def test_steps_run_in_one_process():
    assert defs.executor is in_process_executor


def test_one_run_of_a_taxonomy_at_a_time_and_retries_after_crashes_only():
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    limits = {limit["key"]: limit for limit in settings["concurrency"]["runs"]["tag_concurrency_limits"]}
    for tag in (KEY_TAG, "dagster/partition"):
        assert limits[tag]["limit"] == 1
        assert limits[tag]["value"] == {"applyLimitPerUniqueValue": True}
    assert settings["run_retries"]["enabled"] is True
    assert settings["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert settings["telemetry"] == {"enabled": False}
    assert settings["storage"]["sqlite"]["base_dir"] == "data/dagster"


def test_the_workspace_and_dg_load_these_definitions():
    import tomllib

    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    assert workspace["load_from"][0]["python_module"]["module_name"] == "taxomind_app.definitions"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert project["code_location_target_module"] == "taxomind_app.definitions"
