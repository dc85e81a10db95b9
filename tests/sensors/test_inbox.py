"""The sensors of the inbox request what is missing, once, and leave alone what is done."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest
from dagster import DagsterRunStatus

from taxomind_assets import pending
from taxomind_assets.partitions import KEY_TAG
from taxomind_sensors.inbox import labelled_inbox, taxonomy_inbox, texts_inbox

HEAVY = ("torch", "lancedb", "openvino", "onnxruntime", "sentence_transformers", "sklearn", "matplotlib", "pandas")


def assets(request):
    return {key.to_user_string() for key in request.asset_selection}


def test_a_new_taxonomy_becomes_a_partition_and_a_run_in_one_tick(house):
    house.put("jobs")
    requests = house.requested(taxonomy_inbox)
    assert [request.partition_key for request in requests] == ["jobs"]
    assert requests[0].tags[KEY_TAG] == "jobs"
    assert requests[0].job_name in (None, "whole_job")
    assert assets(requests[0]) == {
        *("raw_taxonomy", "enriched_definitions", "label_view", "definition_view", "example_view", "node_index")
    }
    assert house.instance.get_dynamic_partitions("taxonomy_key") == ["jobs"]


def test_texts_and_labelled_files_that_came_along_are_part_of_the_run(house):
    house.put("jobs")
    house.put("jobs", "texts")
    house.put("jobs", "labelled")
    assert assets(house.requested(taxonomy_inbox)[0]) >= {"classification_results", "error_report"}
    assert house.requested(texts_inbox) == []


def test_a_request_is_made_once_for_one_state_of_the_file(house):
    house.put("jobs")
    request = house.requested(taxonomy_inbox)[0]
    assert house.requested(taxonomy_inbox)[0].run_key == request.run_key
    house.submit(request)
    assert house.requested(taxonomy_inbox) == []


def test_a_built_taxonomy_is_left_alone_until_its_file_changes(house):
    house.put("jobs")
    house.build("jobs")
    assert house.requested(taxonomy_inbox) == []
    house.put("jobs", content="other")
    assert len(house.requested(taxonomy_inbox)) == 1


def test_another_model_in_the_settings_asks_for_a_build(house):
    house.put("jobs")
    house.build("jobs")
    (house.data / "settings.toml").write_text('[embedding]\nmodel = "multilingual-e5-small"\n')
    assert len(house.requested(taxonomy_inbox)) == 1


def test_an_index_of_another_format_asks_for_a_build(house, monkeypatch):
    house.put("jobs")
    house.build("jobs")
    assert house.requested(taxonomy_inbox) == []
    monkeypatch.setattr(pending, "INDEX_FORMAT", pending.INDEX_FORMAT + 1)
    assert len(house.requested(taxonomy_inbox)) == 1


def test_a_refused_file_is_named_and_not_requested_again(house):
    house.put("jobs")
    house.refuse("jobs")
    assert house.requested(taxonomy_inbox) == []
    assert "jobs: taxonomy.csv was refused" in house.skipped(taxonomy_inbox)


def test_a_half_written_file_is_not_looked_at(house):
    path = house.put("jobs")
    path.touch()
    assert house.requested(taxonomy_inbox) == []


def test_many_taxonomies_are_requested_fifty_at_a_time_and_none_is_forgotten(house):
    for number in range(120):
        house.put(f"key{number:03d}")
    seen = []
    for _ in range(3):
        requests = house.requested(taxonomy_inbox)
        assert len(requests) <= 50
        for request in requests:
            house.submit(request, DagsterRunStatus.FAILURE)
        seen += [request.partition_key for request in requests]
    assert sorted(seen) == [f"key{number:03d}" for number in range(120)]
    assert house.requested(taxonomy_inbox) == []


def test_texts_wait_for_their_taxonomy(house):
    house.put("jobs", "texts")
    assert house.requested(texts_inbox) == []
    assert "wait until its taxonomy is built" in house.skipped(texts_inbox)
    house.put("jobs")
    house.build("jobs")
    assert [request.partition_key for request in house.requested(texts_inbox)] == ["jobs"]


def test_answered_texts_are_left_alone_until_a_file_is_added(house):
    house.put("jobs")
    house.build("jobs")
    house.put("jobs", "texts")
    house.answer("jobs")
    assert house.requested(texts_inbox) == []
    house.put("jobs", "texts", name="more.csv")
    assert len(house.requested(texts_inbox)) == 1


def test_texts_wait_while_a_run_of_their_taxonomy_is_under_way(house):
    house.put("jobs")
    build = house.requested(taxonomy_inbox)[0]
    run_id = house.submit(build, DagsterRunStatus.STARTED)
    house.build("jobs")
    house.put("jobs", "texts")
    assert house.requested(texts_inbox) == []
    house.instance.report_run_failed(house.instance.get_run_by_id(run_id))
    assert len(house.requested(texts_inbox)) == 1


def test_texts_wait_for_a_build_that_is_wanted_and_not_yet_requested(house):
    house.put("jobs")
    house.build("jobs")
    house.put("jobs", "texts")
    house.put("jobs", content="a newer taxonomy")
    assert house.requested(texts_inbox) == []
    build = house.requested(taxonomy_inbox)[0]
    house.submit(build, DagsterRunStatus.FAILURE)
    assert len(house.requested(texts_inbox)) == 1


def test_labelled_files_ask_for_a_report_when_they_are_new(house):
    house.put("jobs")
    house.put("jobs", "labelled")
    assert house.requested(labelled_inbox) == []
    house.build("jobs")
    assert [request.partition_key for request in house.requested(labelled_inbox)] == ["jobs"]
    house.report("jobs")
    assert house.requested(labelled_inbox) == []
    house.report("jobs", index="another-one")
    assert house.requested(labelled_inbox) == []


def test_a_folder_that_is_no_key_does_not_stop_the_others(house):
    house.put("__none__")
    house.put("jobs")
    assert [request.partition_key for request in house.requested(taxonomy_inbox)] == ["jobs"]


def test_a_damaged_output_of_one_taxonomy_does_not_stop_the_others(house):
    for key in ("bad", "good"):
        house.put(key)
        house.build(key)
        house.put(key, content="changed")
    house.outputs.path("views.node_vectors", "bad").write_bytes(b"no parquet")
    assert [request.partition_key for request in house.requested(taxonomy_inbox)] == ["good"]


def test_keys_that_folders_encode_are_requested_by_their_own_name(house):
    house.put("acme%20jobs")
    assert [request.partition_key for request in house.requested(taxonomy_inbox)] == ["acme jobs"]


def test_a_thousand_taxonomies_are_compared_in_a_fraction_of_the_interval(house):
    house.put("first")
    house.put("first", "texts")
    house.build("first")
    house.answer("first")
    partitions = [path for path in house.data.rglob("*") if path.is_dir() and path.name in {"first", "taxonomy_key=first"}]
    for number in range(999):
        for folder in partitions:
            shutil.copytree(folder, folder.with_name(folder.name.replace("first", f"key{number:03d}")))
    assert len(house.inbox.keys()) == 1000
    started = time.process_time()
    assert house.requested(texts_inbox) == []
    assert time.process_time() - started < 3


def test_loading_the_definitions_imports_nothing_heavy():
    # duckdb may be there: dagster_duckdb brings it, and it costs some hundredths of a second.
    code = f"import sys; import taxomind_app.definitions; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("sensor", [taxonomy_inbox, texts_inbox, labelled_inbox])
def test_the_sensors_are_on_by_default(sensor):
    assert sensor.default_status.value == "RUNNING"
