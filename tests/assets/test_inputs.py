"""What all readers of input files share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.inputs import (
    RAW_CHARACTERS,
    check_file,
    has_unstorable,
    is_undecided,
    rejected_file,
    rejected_row,
    storable,
)
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings


def test_a_refused_row_holds_json_that_can_be_stored() -> None:
    row = rejected_row("f.csv", 3, "empty_code", "no \ud800 code", {"label": "é\ud800", "n": [1, None]})
    assert json.loads(row.raw.replace("\\ud800", "")) == {"label": "é", "n": [1, None]}
    assert row.raw.encode()
    assert row.reason.encode()
    assert len(rejected_row("f", 1, "empty_code", "x", "y" * 9000).raw) <= RAW_CHARACTERS


def test_an_unknown_reason_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        rejected_row("f.csv", 1, "no_such_reason", "x", {})


def test_a_refused_file_gives_one_row_per_problem_or_one_for_all() -> None:
    details = [{"kind": "cycle", "what": "1 circle", "lines": [7, 9]}, {"kind": "bad_value", "what": "maxDepth"}]
    rows = rejected_file(Path("/somewhere/f.csv"), Fault("invalid_taxonomy", "2 problems", details=details))
    assert [(row.source_file, row.line, row.reason) for row in rows] == [("f.csv", 7, "1 circle"), ("f.csv", 0, "maxDepth")]
    (row,) = rejected_file(Path("f.csv"), Fault("unreadable_file", "f.csv is empty."))
    assert (row.line, row.reason) == (0, "f.csv is empty.")


@pytest.mark.parametrize(
    ("code", "undecided"), [("-9", True), ("-9999", True), ("9", False), ("-", False), ("-98", False), ("--9", False)]
)
def test_undecided_codes(code: str, undecided: bool) -> None:
    assert is_undecided(code) == undecided


@given(st.text(st.characters(), max_size=20))
def test_storable_text_can_be_written(text: str) -> None:
    assert storable(text).encode().decode() == storable(text)
    if not has_unstorable(text):
        assert storable(text) == text


@pytest.mark.parametrize("name", ["texts.xlsx", "texts.xls", "texts.ods"])
def test_a_workbook_is_refused_with_the_way_to_save_it(tmp_path, name):
    path = tmp_path / name
    path.write_bytes((b"\xd0\xcf\x11\xe0" if name.endswith("xls") else b"PK\x03\x04") + b"\0" * 50)
    with pytest.raises(Fault) as fault:
        check_file(path, LimitSettings())
    assert fault.value.code == "unsupported_format"
    assert "CSV UTF-8" in fault.value.next_step
    assert "workbook" in fault.value.what
