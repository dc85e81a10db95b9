"""The error report of labelled files."""

from __future__ import annotations

import pytest

from taxomind_assets.reports.checks import _calibration

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
