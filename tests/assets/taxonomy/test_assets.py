"""From a taxonomy file in the inbox to nodes, and what happens to files that are not good."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from dagster import AssetKey

from taxomind_assets.taxonomy.stored import stored_taxonomy

BROKEN = "code,parent_code,label\na,zz,A\nb,c,B\nc,b,C\n"


@pytest.fixture
def built(animals):
    assert animals.run("build_taxonomy", "animals").success
    return animals


def test_a_file_becomes_nodes_that_can_be_queried(built):
    rows = built.sql("SELECT code, array_to_string(path, '/') AS path, level, is_leaf FROM taxonomy.nodes ORDER BY path")
    assert [row["path"] for row in rows] == ["a", "a/cat", "a/dog", "p", "p/oak", "p/rose"]
    assert [row["is_leaf"] for row in rows] == [False, True, True, False, True, True]
    assert built.outputs.digest("taxonomy.nodes", "animals") == built.inbox.digest("animals", "taxonomy")


def test_a_version_is_kept_with_what_is_known_about_it(built):
    version = built.sql("SELECT * FROM taxonomy.versions")
    assert [(row["nodes"], row["leaves"], row["depth"], row["source_file"]) for row in version] == [(6, 4, 2, "taxonomy.csv")]
    assert isinstance(version[0]["created_at"], datetime)


def test_a_changed_file_keeps_the_nodes_of_the_former_version(built, metadata):
    first = built.sql("SELECT DISTINCT version FROM taxonomy.nodes")[0]["version"]
    text = (built.data / "inbox/animals/taxonomy.csv").read_text()
    built.put("animals", "taxonomy", text + "ant,a,Ant,,\n")
    result = built.run("build_taxonomy", "animals")
    assert metadata(result, "raw_taxonomy")["nodes"] == 7
    history = built.sql("SELECT version, count(*) AS nodes FROM taxonomy.node_history GROUP BY version ORDER BY nodes")
    assert [row["nodes"] for row in history] == [6, 7]
    assert history[0]["version"] == first
    assert len(built.sql("SELECT * FROM taxonomy.versions")) == 2


def test_a_broken_tree_is_refused_as_a_whole_and_the_last_good_version_stays(built):
    built.put("animals", "taxonomy", BROKEN)
    result = built.run("build_taxonomy", "animals")
    assert not result.success
    failure = result.failure_data_for_node("raw_taxonomy").user_failure_data
    assert "[invalid_taxonomy]" in failure.description
    assert failure.metadata["fault code"].value == "invalid_taxonomy"
    assert "zz" in failure.metadata["problems"].value
    assert len(built.sql("SELECT * FROM taxonomy.nodes")) == 6
    refused = built.sql("SELECT reason_code, reason FROM taxonomy.rejected_rows")
    assert {row["reason_code"] for row in refused} == {"file_refused"}
    assert any("circle" in row["reason"] for row in refused)


def test_a_good_file_after_a_refused_one_clears_the_refusal(built):
    good = (built.data / "inbox/animals/taxonomy.csv").read_text()
    built.put("animals", "taxonomy", BROKEN)
    built.run("build_taxonomy", "animals")
    built.put("animals", "taxonomy", good)
    assert built.run("build_taxonomy", "animals").success
    assert built.sql("SELECT * FROM taxonomy.rejected_rows") == []


def test_a_bad_row_is_set_aside_and_the_rest_goes_on(animals, metadata):
    text = (animals.data / "inbox/animals/taxonomy.csv").read_text()
    animals.put("animals", "taxonomy", text + ",a,No code,,\n")
    result = animals.run("build_taxonomy", "animals")
    assert metadata(result, "raw_taxonomy")["rejected rows"] == 1
    assert animals.sql("SELECT reason_code, line FROM taxonomy.rejected_rows") == [{"reason_code": "empty_code", "line": 9}]


def test_a_key_without_a_file_fails_with_what_to_do(project):
    result = project.run("build_taxonomy", "nothing")
    assert "[unknown_taxonomy]" in result.failure_data_for_node("raw_taxonomy").user_failure_data.description


def test_nodes_pass_through_when_no_language_model_is_configured(built, metadata):
    assert built.sql("SELECT * EXCLUDE added FROM taxonomy.enriched_nodes") == built.sql("SELECT * FROM taxonomy.nodes")
    assert built.sql("SELECT DISTINCT added FROM taxonomy.enriched_nodes") == [{"added": []}]
    result = built.run("build_taxonomy", "animals")
    assert metadata(result, "enriched_definitions")["enrichment"].startswith("none")


def test_equal_content_has_an_equal_data_version(built):
    def versions():
        records = built.instance.fetch_materializations(AssetKey("raw_taxonomy"), limit=10).records
        return [record.asset_materialization.tags["dagster/data_version"] for record in records]

    built.run("build_taxonomy", "animals")
    assert len(versions()) == 2
    assert len(set(versions())) == 1


def test_one_run_builds_many_taxonomies_with_metadata_of_their_own(project, metadata):
    project.put("first", "taxonomy", "code,parent_code,label\na,,A\n")
    project.put("second", "taxonomy", "code,parent_code,label\na,,A\nb,a,B\n")
    result = project.run("build_taxonomy", "first", "second")
    assert result.success
    assert metadata(result, "raw_taxonomy", "first")["nodes"] == 1
    assert metadata(result, "raw_taxonomy", "second")["nodes"] == 2
    assert project.sql("SELECT taxonomy_key, count(*) AS n FROM views.node_vectors GROUP BY ALL ORDER BY ALL") == [
        {"taxonomy_key": "first", "n": 1},
        {"taxonomy_key": "second", "n": 2},
    ]


def test_of_many_taxonomies_the_good_ones_are_written_and_the_bad_one_is_named(project):
    project.put("bad", "taxonomy", BROKEN)
    project.put("good", "taxonomy", "code,parent_code,label\na,,A\n")
    result = project.run("build_taxonomy", "bad", "good")
    description = result.failure_data_for_node("raw_taxonomy").user_failure_data.description
    assert "bad: The taxonomy is not a valid tree" in description
    assert "1 other taxonomies of this run have been written" in description
    assert project.outputs.keys("taxonomy.nodes") == ["good"]


def test_damaged_nodes_fail_the_check_and_stop_what_comes_after(animals, monkeypatch):
    from taxomind_assets.taxonomy import stored

    write = stored.taxonomy_to_table
    monkeypatch.setattr(stored, "taxonomy_to_table", lambda tree: write(tree).slice(1))
    result = animals.run("build_taxonomy", "animals")
    checks = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert not checks["nodes_form_a_tree"].passed
    assert "parent" in checks["nodes_form_a_tree"].metadata["problems"].value
    assert animals.indexes.current("animals") is None


def test_the_duckdb_file_is_published_by_the_first_run(built):
    assert (built.data / "taxomind.duckdb").is_file()
    assert (built.data / "taxomind.sql").is_file()


def test_names_of_levels_are_kept_with_the_version(project):
    folder = project.data / "inbox" / "things"
    folder.mkdir(parents=True)
    nodes = [{"code": "a", "label": "Animals"}, {"code": "d", "parentCode": "a", "label": "Dog"}]
    (folder / "taxonomy.json").write_text(json.dumps({"levelNames": {"1": "Kingdom", "2": "Kind"}, "nodes": nodes}))
    assert project.run("build_taxonomy", "things").success
    named = project.sql("SELECT named.level, named.name FROM (SELECT unnest(level_names) AS named FROM taxonomy.versions)")
    assert named == [{"level": 1, "name": "Kingdom"}, {"level": 2, "name": "Kind"}]
    assert stored_taxonomy(project.outputs, "things").level_names == {1: "Kingdom", 2: "Kind"}
