"""Texts of the inbox, answered once each, whatever happens on the way."""

from __future__ import annotations

import pytest
from dagster import RunConfig

from taxomind_assets.classification.assets import ClassificationConfig
from tests.resources.llm.chat_server import serving

TEXTS = "text_id,text,language\nt1,a barking puppy,en\nt2,purring kitten,en\nt3,thorny flower,\n"


@pytest.fixture
def built(animals):
    assert animals.run("build_taxonomy", "animals").success
    return animals


def reclassify(how):
    return RunConfig(ops={"classification_results": ClassificationConfig(reclassify=how)})


def counts(project):
    return project.sql("SELECT text_id, count(*) AS n FROM classification.results GROUP BY text_id ORDER BY text_id")


def test_texts_get_answers_with_everything_they_depend_on(built):
    built.put("animals", "texts", TEXTS)
    assert built.run("inference", "animals").success
    rows = built.sql("SELECT * FROM classification.results ORDER BY row")
    assert [row["text_id"] for row in rows] == ["t1", "t2", "t3"]
    assert [row["top_codes"][0] for row in rows] == ["dog", "cat", "rose"]
    assert {row["index_version"] for row in rows} == {built.indexes.current("animals")}
    assert all(row["calibration_version"] and row["settings_version"] and row["stop_reason"] for row in rows)
    assert [row["language"] for row in rows] == ["en", "en", ""]


def test_a_batch_is_classified_once(built, metadata):
    built.put("animals", "texts", TEXTS)
    built.run("inference", "animals")
    first = built.sql("SELECT classified_at FROM classification.results")
    result = built.run("inference", "animals")
    assert metadata(result, "classification_results")["batches of this run"] == 0
    assert metadata(result, "classification_results")["dagster/partition_row_count"] == 3
    assert built.sql("SELECT classified_at FROM classification.results") == first


def test_the_same_content_under_two_names_is_one_batch(built):
    built.put("animals", "texts", TEXTS, "one.csv")
    built.put("animals", "texts", TEXTS, "two.csv")
    built.run("inference", "animals")
    assert counts(built) == [{"text_id": f"t{i}", "n": 1} for i in (1, 2, 3)]


def test_a_new_file_is_added_to_the_answers_that_are_there(built, metadata):
    built.put("animals", "texts", TEXTS)
    built.run("inference", "animals")
    built.put("animals", "texts", "text\nacorn tree\n", "more.csv")
    result = built.run("inference", "animals")
    assert metadata(result, "classification_results")["texts of this run"] == 1
    assert len(built.sql("SELECT * FROM classification.results")) == 4
    assert len(built.sql("SELECT * FROM classification.batches")) == 2


def test_bad_rows_and_broken_files_are_noted_and_stop_nothing(built, metadata):
    built.put("animals", "texts", "text_id,text\nt1,a barking puppy\nt2,\n", "a.csv")
    built.put("animals", "texts", b"PAR1 this is no parquet file", "b.parquet")
    built.put("animals", "texts", "text_id,text\nt3,purring kitten\n", "c.csv")
    result = built.run("inference", "animals")
    assert result.success
    refused = built.sql("SELECT source_file, reason_code FROM classification.rejected_rows ORDER BY source_file")
    assert refused == [
        {"source_file": "a.csv", "reason_code": "empty_text"},
        {"source_file": "b.parquet", "reason_code": "file_refused"},
    ]
    assert [row["text_id"] for row in counts(built)] == ["t1", "t3"]
    assert "b.parquet" in metadata(result, "classification_results")["refused files"]
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())


def test_a_new_index_leaves_answers_alone_until_they_are_asked_for_again(built):
    built.put("animals", "texts", TEXTS)
    built.run("inference", "animals")
    text = (built.data / "inbox/animals/taxonomy.csv").read_text()
    built.put("animals", "taxonomy", text.replace("Rose,", "Rosebush,"))
    built.run("build_taxonomy", "animals")
    former = built.sql("SELECT DISTINCT index_version AS v FROM classification.results")[0]["v"]
    built.run("inference", "animals")
    assert built.sql("SELECT DISTINCT index_version AS v FROM classification.results") == [{"v": former}]
    built.run("inference", "animals", config=reclassify("stale"))
    assert built.sql("SELECT DISTINCT index_version AS v FROM classification.results") == [
        {"v": built.indexes.current("animals")}
    ]
    assert counts(built) == [{"text_id": f"t{i}", "n": 1} for i in (1, 2, 3)]


def test_answers_can_be_made_again_on_request(built):
    built.put("animals", "texts", TEXTS)
    built.run("inference", "animals")
    first = built.sql("SELECT min(classified_at) AS t FROM classification.results")[0]["t"]
    built.run("inference", "animals", config=reclassify("all"))
    assert built.sql("SELECT min(classified_at) AS t FROM classification.results")[0]["t"] > first
    assert len(built.sql("SELECT * FROM classification.results")) == 3


def test_answers_are_explained_on_request(built, metadata):
    built.put("animals", "texts", TEXTS)
    config = RunConfig(ops={"classification_results": ClassificationConfig(explain=True)})
    result = built.run("inference", "animals", config=config)
    assert result.success
    assert metadata(result, "classification_results")["texts explained in this run"] == 3
    rows = built.sql("SELECT * FROM classification.explanations ORDER BY text_id, level")
    assert [(row["text_id"], row["chosen_code"]) for row in rows] == [
        *(("t1", "a"), ("t1", "dog")),
        *(("t2", "a"), ("t2", "cat")),
        *(("t3", "p"), ("t3", "rose")),
    ]
    assert [row["runner_up_code"] for row in rows] == ["p", "cat", "p", "dog", "a", "oak"]
    joined = "SELECT count(*) AS n FROM classification.explanations JOIN classification.results USING (batch_id, text_id)"
    assert built.sql(joined) == [{"n": 6}]


def test_without_an_index_the_failure_says_what_to_do(project):
    project.put("animals", "texts", TEXTS)
    result = project.run("inference", "animals")
    failure = result.failure_data_for_node("classification_results").user_failure_data
    assert failure.metadata["fault code"].value == "index_missing"
    assert "taxonomy add" in failure.description


def test_without_texts_the_result_says_where_to_put_them(built, metadata):
    result = built.run("inference", "animals")
    assert "inbox/animals/texts" in metadata(result, "classification_results")["note"]


def test_the_answers_are_shown_and_counted(built, metadata):
    built.put("animals", "texts", TEXTS)
    shown = metadata(built.run("inference", "animals"), "classification_results")
    assert "purring kitten" in shown["answers"]
    assert 0 <= shown["share answered"] <= 1
    assert shown["texts of this run"] == 3


def test_lost_answers_fail_the_check(built):
    built.put("animals", "texts", TEXTS)
    built.run("inference", "animals")
    part = next(part for part in built.outputs.parts("classification.results", "animals"))
    built.outputs.write(
        "classification.results", "animals", built.outputs.read("classification.results", "animals").slice(1), part=part
    )
    evaluation = built.run("inference", "animals").get_asset_check_evaluations()[0]
    assert not evaluation.passed
    assert "3 answers were written, 2 are there" in evaluation.metadata["problems"].value


def test_what_a_judge_costs_is_told_before_and_after(animals, metadata, monkeypatch):
    with serving(lambda document: '{"choice": 0}') as server:
        monkeypatch.setenv("TAXOMIND_JUDGE__ENABLED", "true")
        for name, value in {"MODEL": "m", "BASE_URL": server.url, "INPUT_PRICE": "1000000", "OUTPUT_PRICE": "0"}.items():
            monkeypatch.setenv(f"TAXOMIND_LLM__{name}", value)
        monkeypatch.setenv("TAXOMIND_ROUTING__ACCURACY_TARGET", "0.999")
        animals.put("animals", "texts", "text\nsomething\nsomething else\n")
        result = animals.run("whole_job", "animals")
        shown = metadata(result, "classification_results")
        assert len(server.requests) == 2
    assert "at most: 2 questions" in shown["second opinions, before"]
    assert shown["judge, spent"].startswith("2 questions")
    assert 0 < shown["judge, US dollars spent"] <= shown["judge, US dollars expected at most"]


def test_nothing_is_told_of_second_opinions_that_are_off(animals, metadata):
    animals.put("animals", "texts", "text\npoodle\n")
    shown = metadata(animals.run("whole_job", "animals"), "classification_results")
    assert not [name for name in shown if "judge" in name or "opinion" in name]


def test_refused_rows_name_the_batch_of_their_file(built):
    built.put("animals", "texts", "text_id,text\n1,poodle\n2,\n")
    built.put("animals", "texts", b"\xff\xfe no text", "broken.csv")
    assert built.run("inference", "animals").success
    joined = built.sql(
        "SELECT source_file, reason_code FROM classification.rejected_rows JOIN classification.batches"
        " USING (taxonomy_key, batch_id, source_file) ORDER BY source_file"
    )
    assert [tuple(row.values()) for row in joined] == [("broken.csv", "file_refused"), ("texts.csv", "empty_text")]
