"""The error report of labelled files."""

from __future__ import annotations

import pytest
from dagster import RunConfig

from taxomind_assets.pending import pending_report
from taxomind_assets.reports.assets import ReportConfig
from taxomind_assets.reports.checks import _calibration
from taxomind_resources.settings import load_settings

LABELLED = "text_id,text,language,code\nl1,a barking puppy,en,dog\nl2,purring kitten,en,cat\nl3,acorn tree,fr,oak\n"


@pytest.fixture
def built(animals):
    assert animals.run("build_taxonomy", "animals").success
    return animals


def test_labelled_texts_are_judged_and_measured(built, metadata):
    built.put("animals", "labelled", LABELLED)
    result = built.run("error_analysis", "animals")
    assert result.success
    rows = built.sql("SELECT text_id, target_code, leaf_code, leaf_right FROM reports.errors ORDER BY text_id")
    assert [(row["target_code"], row["leaf_code"], row["leaf_right"]) for row in rows] == [
        ("dog", "dog", True),
        ("cat", "cat", True),
        ("oak", "oak", True),
    ]
    measured = built.sql("SELECT value, n FROM reports.metrics WHERE metric = 'leaf_accuracy' AND slice = 'all'")
    assert measured == [{"value": 1.0, "n": 3}]
    assert {row["slice"] for row in built.sql("SELECT slice FROM reports.metrics")} >= {"language=fr", "language=en"}
    assert metadata(result, "error_report")["leaf_accuracy"] == 1.0


def test_figures_are_shown_and_lie_as_files(built, metadata):
    built.put("animals", "labelled", LABELLED)
    shown = metadata(built.run("error_analysis", "animals"), "error_report")
    assert shown["coverage and accuracy"].startswith("![coverage and accuracy](data:image/png;base64,")
    files = sorted((built.data / "outputs/reports/figures/taxonomy_key=animals").iterdir())
    assert len(files) == 6
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_no_labelled_texts_is_a_message_and_no_failure(built, metadata):
    result = built.run("error_analysis", "animals")
    assert result.success
    assert "inbox/animals/labelled" in metadata(result, "error_report")["note"]
    assert built.sql("SELECT * FROM reports.metrics") == []


def test_unknown_codes_and_broken_files_are_counted(built, metadata):
    built.put("animals", "labelled", LABELLED + "l4,a unicorn,en,unicorn\n")
    built.put("animals", "labelled", "no,columns\n1,2\n", "broken.csv")
    shown = metadata(built.run("error_analysis", "animals"), "error_report")
    assert shown["texts"] == 3
    assert shown["rows refused"] == 1
    assert "unknown\\_code: 1" in shown["refused"] or "unknown_code: 1" in shown["refused"]
    assert "broken.csv" in shown["refused"]


def test_refused_rows_are_in_a_table_with_line_and_reason(built, metadata):
    built.put("animals", "labelled", LABELLED + "l4,a unicorn,en,unicorn\nl5,,en,dog\n")
    built.put("animals", "labelled", "no,columns\n1,2\n", "broken.csv")
    shown = metadata(built.run("error_analysis", "animals"), "error_report")
    query = "SELECT source_file, line, reason_code FROM reports.rejected_rows WHERE taxonomy_key = 'animals' ORDER BY ALL"
    assert [tuple(row.values()) for row in built.sql(query)] == [
        ("broken.csv", 0, "file_refused"),
        ("texts.csv", 5, "unknown_code"),
        ("texts.csv", 6, "empty_text"),
    ]
    assert "texts.csv, line 5: The taxonomy 'animals' has no code 'unicorn'." in shown["first refused rows"]
    assert "| texts.csv | 3 | 2 | 0 |" in shown["labelled files"]
    built.put("animals", "labelled", LABELLED)
    built.put("animals", "labelled", LABELLED, "broken.csv")
    shown = metadata(built.run("error_analysis", "animals"), "error_report")
    assert built.sql(query.replace("ORDER BY ALL", "")) == []
    assert (shown["texts"], shown["rows with a known code"], shown["rows that repeat a text"]) == (3, 6, 3)


def test_exports_and_learn_documents_in_the_inbox_are_judged(built):
    built.put("animals", "labelled", "field:what,ANIMALS_1,ANIMALS_2\nbarking puppy,a,dog\n", "export.csv")
    sentence = '{"sentenceId": "s", "text": "acorn tree", "annotations": [{"level": 2, "nodeCode": "oak"}]}'
    built.put("animals", "labelled", f'{{"sentences": [{sentence}]}}', "learned.json")
    assert built.run("error_analysis", "animals").success
    rows = built.sql("SELECT dataset, text, target_code FROM reports.errors ORDER BY dataset")
    assert [tuple(row.values()) for row in rows] == [
        ("export.csv", "barking puppy", "dog"),
        ("learned.json", "acorn tree", "oak"),
    ]


def test_few_texts_and_an_unproven_threshold_are_said(built, metadata):
    built.put("animals", "labelled", LABELLED)
    shown = metadata(built.run("error_analysis", "animals"), "error_report")
    assert shown["promise"].startswith("Only 3 texts")
    assert shown["promise kept"] == "cannot be told"
    assert shown["threshold"].startswith("unproven default threshold")
    assert (shown["promised accuracy"], 0 <= shown["share answered"] <= 1) == (0.8, True)


def test_strategies_are_measured_side_by_side(built, metadata):
    built.put("animals", "labelled", LABELLED)
    config = RunConfig({"error_report": ReportConfig(strategies=["flat", "veto_fixed"], compared_texts=2)})
    shown = metadata(built.run("error_analysis", "animals", config=config), "error_report")
    rows = built.sql(
        "SELECT DISTINCT slice, strategy, n FROM reports.metrics WHERE metric = 'exact' AND slice IN ('all', 'compared')"
    )
    assert {tuple(row.values()) for row in rows} == {
        ("all", "served", 3),
        ("compared", "served", 2),
        ("compared", "flat", 2),
        ("compared", "veto_fixed", 2),
    }
    assert shown["strategies"].startswith("2 of 3 texts, chosen by a hash with seed 7")
    assert "| measure | n | served | flat | veto\\_fixed |" in shown["strategies"]


def test_no_strategies_leave_the_comparison_out(built, metadata):
    built.put("animals", "labelled", LABELLED)
    config = RunConfig({"error_report": ReportConfig(strategies=[])})
    assert "strategies" not in metadata(built.run("error_analysis", "animals", config=config), "error_report")
    assert built.sql("SELECT * FROM reports.metrics WHERE slice = 'compared'") == []


def test_an_unknown_strategy_is_told_and_leaves_the_last_report(built):
    built.put("animals", "labelled", LABELLED)
    built.run("error_analysis", "animals")
    before = built.sql("SELECT count(*) AS n FROM reports.metrics")
    result = built.run("error_analysis", "animals", config=RunConfig({"error_report": ReportConfig(strategies=["flatt"])}))
    assert not result.success
    assert "did you mean 'flat'" in result.failure_data_for_node("error_report").user_failure_data.description
    assert built.sql("SELECT count(*) AS n FROM reports.metrics") == before


def test_only_unusable_labelled_texts_is_a_message_too(built, metadata):
    built.put("animals", "labelled", "text,code\nhorn,unicorn\n")
    result = built.run("error_analysis", "animals")
    assert result.success
    assert metadata(result, "error_report")["rows refused"] == 1


def test_the_report_says_what_it_was_made_from(built):
    built.put("animals", "labelled", LABELLED)
    built.run("error_analysis", "animals")
    digest = built.outputs.digest("reports.metrics", "animals")
    assert digest.startswith(f"{built.inbox.digest('animals', 'labelled')}:{built.indexes.current('animals')}:")


def _metrics(value, n):
    import pyarrow as pa

    from taxomind_resources.tables import BY_NAME

    schema = BY_NAME["reports.metrics"].arrow
    row = dict.fromkeys(schema.names) | {"slice": "all", "metric": "leaf_ece", "value": value, "n": n}
    return pa.table({name: pa.array([row[name]], schema.field(name).type) for name in schema.names})


@pytest.mark.parametrize(("value", "n", "problems"), [(0.3, 500, 1), (0.05, 500, 0), (0.3, 20, 0)])
def test_untrue_confidences_are_a_warning_when_there_are_enough_texts(value, n, problems):
    checked = _calibration(_metrics(value, n))
    assert len(checked.problems) == problems
    assert checked.metadata["calibration error of best leaves"] == value


def test_a_report_on_files_that_are_gone_is_emptied(built, metadata):
    file = built.put("animals", "labelled", LABELLED)
    assert built.run("error_analysis", "animals").success
    file.unlink()
    settings = load_settings()
    wanted = pending_report("animals", settings, built.inbox, built.outputs, built.indexes)
    assert wanted[0].endswith("-removed")
    result = built.run("error_analysis", "animals")
    assert result.success
    assert "inbox/animals/labelled" in metadata(result, "error_report")["note"]
    for table in ("errors", "metrics", "calibration", "coverage", "rejected_rows"):
        assert built.sql(f"SELECT * FROM reports.{table}") == []
    assert not (built.data / "outputs/reports/figures/taxonomy_key=animals").exists()
    assert pending_report("animals", settings, built.inbox, built.outputs, built.indexes) == ("", "")
    built.put("animals", "labelled", LABELLED)
    assert pending_report("animals", settings, built.inbox, built.outputs, built.indexes)[0]


def test_a_report_goes_when_no_text_can_be_used_any_more(built):
    built.put("animals", "labelled", LABELLED)
    assert built.run("error_analysis", "animals").success
    built.put("animals", "labelled", "text,code\na unicorn,unicorn\n")
    assert built.run("error_analysis", "animals").success
    assert built.sql("SELECT * FROM reports.errors") == []
    assert [row["reason_code"] for row in built.sql("SELECT reason_code FROM reports.rejected_rows")] == ["unknown_code"]
    assert pending_report("animals", load_settings(), built.inbox, built.outputs, built.indexes) == ("", "")
