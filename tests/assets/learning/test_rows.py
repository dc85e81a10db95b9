"""Rows of files of corrections: which columns hold what, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taxomind_assets.classification.text_readers import read_items
from taxomind_assets.inputs import RejectedRow
from taxomind_assets.learning.corrections import NEVER
from taxomind_assets.learning.rows import CorrectionRows, as_moment, derived_id
from taxomind_resources.faults import Fault
from taxomind_resources.settings import Settings

SETTINGS = Settings()


def read(path: Path, settings: Settings = SETTINGS):
    """(accepted corrections, reasons of refusal) of a file."""
    items = list(read_items(path, CorrectionRows(path.name, settings), settings.limits))
    refused = [(item.line, item.reason_code) for item in items if isinstance(item, RejectedRow)]
    return [item.correction for item in items if not isinstance(item, RejectedRow)], refused


@pytest.fixture
def file(tmp_path):
    def write(content: str, name: str = "given.csv") -> Path:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_a_table_with_all_columns(file):
    rows, refused = read(
        file(
            "correction_id,text,code,annotator,corrected_at,action,language\n"
            "c1,  my   pet ,dog,anna,2026-03-01T10:00:00+01:00,,en\n"
            "c2,a tree,oak,bo,2026-03-01,confirm,\n"
            "c1,,,,2026-03-02,withdraw,\n"
        )
    )
    assert refused == []
    assert [(r.correction_id, r.action, r.text, r.codes, r.annotator) for r in rows] == [
        ("c1", "correct", "my pet", ("dog",), "anna"),
        ("c2", "confirm", "a tree", ("oak",), "bo"),
        ("c1", "withdraw", "", (), ""),
    ]
    assert rows[0].corrected_at == as_moment(datetime(2026, 3, 1, 9, tzinfo=UTC))
    assert rows[0].language == "en"


def test_a_table_separated_by_tabs(file):
    rows, refused = read(file("text\tcode\nmy pet, a dog\tdog\n", "given.tsv"))
    assert ([(row.text, row.codes) for row in rows], refused) == ([("my pet, a dog", ("dog",))], [])


def test_an_id_that_is_not_given_is_made_of_text_codes_and_annotator(file):
    rows, _ = read(file("text,code,annotator\nmy pet,dog,anna\nmy  pet,dog,anna\nmy pet,dog,bo\n"))
    assert rows[0].correction_id == rows[1].correction_id == derived_id("my pet", ["dog"], "anna")
    assert rows[2].correction_id != rows[0].correction_id


def test_a_sentence_of_the_learn_route_is_identified_by_its_id(file):
    sentence = {
        "sentenceId": "s-4",
        "fields": {"Job": "sells things"},
        "annotations": [{"level": 1, "nodeCode": "5"}, {"level": 2, "nodeCode": 52}, {"level": 3, "nodeCode": "-999"}],
    }
    rows, refused = read(
        file(json.dumps({"taxonomyKey": "k", "sentences": [sentence, {"sentenceId": "s-5"}]}) + "\n", "s.jsonl")
    )
    assert [(r.correction_id, r.text, r.codes) for r in rows] == [("s-4", "sells things", ("5", "52"))]
    assert refused == [(1, "empty_text")]


def test_codes_per_level_and_named_fields(file):
    rows, _ = read(file("field:title,field:sector,ISCO_1,ISCO_2,annotator\nnurse,health,2,22,anna\nclerk,,4,-99,anna\n"))
    assert [(r.text, r.codes) for r in rows] == [("health nurse", ("2", "22")), ("clerk", ("4",))]


def test_columns_that_say_something_else_are_no_fields_of_the_text(file):
    rows, _ = read(file("job,code,annotator,corrected_at,action,source\nnurse,22,anna,2026-01-01,confirm,review\n"))
    assert [(r.text, r.action, r.source) for r in rows] == [("nurse", "confirm", "review")]


def test_parquet_with_times_and_numbers(tmp_path):
    table = pa.table(
        {
            "text": ["nurse", "clerk"],
            "code": [22, 41],
            "corrected_at": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("us", tz="UTC")),
        }
    )
    pq.write_table(table, tmp_path / "given.parquet")
    rows, refused = read(tmp_path / "given.parquet")
    assert refused == []
    assert [(r.codes, r.corrected_at) for r in rows] == [(("22",), as_moment("2026-01-01T00:00:00Z")), (("41",), NEVER)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",dog,,", "empty_text"),
        ("pet,,,", "empty_code"),
        ("pet,-9,,", "undecided_code"),
        ("pet,-99,,", "undecided_code"),
        ("pet,dog,yesterday,", "bad_time"),
        ("pet,dog,1969-12-31,", "bad_time"),
        ("pet,dog,,destroy", "bad_action"),
        ("pet,dog", "wrong_column_count"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_line_and_reason(file, line, reason):
    rows, refused = read(file(f"text,code,corrected_at,action\ngood,cat,,\n{line}\n"))
    assert [r.text for r in rows] == ["good"]
    assert refused == [(3, reason)]


def test_what_a_model_said_teaches_nothing(file):
    assert read(file("text,code,source\npet,dog,AI\npet,dog,user\n"))[1] == [(2, "machine_label")]


def test_a_file_that_says_nothing_about_corrections_is_refused_with_what_is_needed(file):
    with pytest.raises(Fault) as caught:
        read(file("name,colour\nrex,brown\n"))
    assert caught.value.code == "missing_column"
    assert "code" in str(caught.value.allowed)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (None, NEVER),
        ("", NEVER),
        (float("nan"), NEVER),
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T01:00:01+01:00", 1_000_000),
        ("1970-01-01 00:00:01", 1_000_000),
        (1, 1_000_000),
        ("1.5", 1_500_000),
        (1_700_000_000_000, 1_700_000_000_000_000),
        ("soon", None),
        (True, None),
        ("99999-01-01", None),
        (1e300, None),
        (-5, None),
    ],
)
def test_times_in_the_forms_that_programs_write(value, moment):
    assert as_moment(value) == moment


@pytest.mark.parametrize("column", ["proposed_label", "proposedLabel"])
def test_a_proposed_label_is_read_beside_the_code_from_every_format(file, tmp_path, column):
    """TL-SIG-4."""
    table = tmp_path / "given.parquet"
    pq.write_table(pa.table({"text": ["my pet"], "code": ["dog"], column: [" Robot  dogs "]}), table)
    line = json.dumps({"text": "my pet", "code": "dog", column: "Robot dogs"})
    paths = [file(f"text,code,{column}\nmy pet,dog,Robot dogs\n"), file(line + "\n", "given.jsonl"), table]
    for path in paths:
        rows, refused = read(path)
        assert [(row.text, row.codes, row.proposed_label) for row in rows] == [("my pet", ("dog",), "Robot dogs")]
        assert refused == []


def test_a_proposed_label_that_is_no_label_is_refused(file):
    rows, refused = read(file(f"text,code,proposed_label\nmy pet,dog,{'x' * 201}\n"))
    assert rows == []
    assert refused == [(2, "bad_label")]
