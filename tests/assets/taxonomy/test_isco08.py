"""The workbook of ISCO-08 becomes a taxonomy (TX-15)."""

from __future__ import annotations

import datetime
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.chart import BarChart

from taxomind_assets.taxonomy.converters import TrainingRow, convert_isco08
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings
from tests.assets.taxonomy.classifications import (
    HEADER,
    OCCUPATIONS,
    SHEET,
    Rows,
    Workbook,
    fault_of,
    parents,
    row,
    save,
    text_of,
)

LIMITS = LimitSettings()  # type: ignore[call-arg]


# --- ISCO-08: codes and parents ------------------------------------------------------------------------------------------


def test_isco08_parents_come_from_the_code(workbook: Workbook) -> None:
    converted = convert_isco08(workbook())
    assert parents(converted) == {
        "0": None,
        "01": "0",
        "011": "01",
        "0110": "011",
        "1": None,
        "11": "1",
        "111": "11",
        "1111": "111",
    }
    assert [node.level for node in converted.taxonomy.nodes] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert converted.rejected == ()


def test_isco08_pads_a_unit_group_and_no_higher_group(workbook: Workbook) -> None:
    converted = convert_isco08(workbook())
    assert converted.taxonomy.codes == ["0", "01", "011", "0110", "1", "11", "111", "1111"]
    assert [warning for warning in converted.warnings if "zeros" in warning] == [
        "Leading zeros that the file had lost were put back, as the level says: 0110."
    ]


def test_isco08_codes_stored_as_numbers_throughout_lose_nothing(workbook: Workbook) -> None:
    rows = [row(1, 0, "Forces"), row(2, 1, "Officers"), row(3, 11, "Officers"), row(4, 110, "Officers")]
    rows += [row(1, 1, "Managers"), row(2, 11, "Executives")]
    converted = convert_isco08(workbook(rows))
    assert parents(converted) == {"0": None, "01": "0", "011": "01", "0110": "011", "1": None, "11": "1"}


def test_isco08_parent_is_the_longest_prefix_that_exists(workbook: Workbook) -> None:
    rows = [row for row in OCCUPATIONS if row[1] not in ("111", "0")]
    assert parents(convert_isco08(workbook(rows))) | {} == {
        "01": None,
        "011": "01",
        "0110": "011",
        "1": None,
        "11": "1",
        "1111": "11",
    }


@settings(max_examples=15, deadline=None)
@given(rows=st.permutations(OCCUPATIONS), columns=st.permutations(range(len(HEADER))))
def test_isco08_order_of_rows_and_columns_does_not_matter(rows: Rows, columns: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected = convert_isco08(save(Path(folder) / "ordered.xlsx", OCCUPATIONS))
        shuffled = [[row[at] for at in columns] for row in rows]
        found = convert_isco08(save(Path(folder) / "shuffled.xlsx", shuffled, header=[HEADER[at] for at in columns]))
        assert found == expected
        assert found.write(Path(folder) / "b").taxonomy.read_bytes() == expected.write(Path(folder) / "a").taxonomy.read_bytes()


# --- ISCO-08: texts ------------------------------------------------------------------------------------------------------


def test_isco08_definition_has_no_markers(workbook: Workbook) -> None:
    definition = "They:\n(a)  lead units;\n(b) advise the director(s) (army);_x000D_\n - plan,\n(ii) and report."
    text = text_of(convert_isco08(workbook([row(4, "0110", "Officers", definition)])), "0110")
    assert text.definition == "They: lead units; advise the director(s) (army); plan, and report."


@pytest.mark.parametrize(
    ("included", "examples"),
    [
        ("Examples of the occupations classified here:\n- Mayor\n- Secretary of State", ("Mayor", "Secretary of State")),
        ("Examples:\r\n•\tMayor\r\n–Senator;\r\n* Mayor", ("Mayor", "Senator")),
        ("(a) Mayor\n(b)Senator\n- (c) Clerk (law)", ("Mayor", "Senator", "Clerk (law)")),
        ("- Mayor_x000D_\n-  Vice\xa0 mayor ", ("Mayor", "Vice mayor")),
        ("- Mayor | Senator", ("Mayor", "Senator")),
        ("Occupations in this minor group are classified into the following unit groups:\n- 1111 Legislators", ()),
        ("Examples:\n- Mayor\nSome related occupations classified elsewhere:\n- Chief - 1120", ("Mayor",)),
        ("Some occupations classified elsewhere:\n- Chief\nExamples of the occupations classified here:\n- Mayor", ("Mayor",)),
        ("A sentence.\n-\n- ", ()),
        (None, ()),
    ],
)
def test_isco08_examples_are_the_lines_with_a_bullet(workbook: Workbook, included: str, examples: tuple[str, ...]) -> None:
    converted = convert_isco08(workbook([row(4, "1111", "Legislators", "They vote.", included)]))
    assert text_of(converted, "1111").examples == examples
    assert any("without an example" in warning for warning in converted.warnings) is not bool(examples)


def test_training_rows_are_definitions_and_examples(workbook: Workbook) -> None:
    rows = convert_isco08(workbook()).training_rows
    assert [row for row in rows if row.code == "0110"] == [
        TrainingRow("They lead and manage.", "Commissioned Officers", "0110", 4),
        TrainingRow("Admiral", "Commissioned Officers", "0110", 4),
        TrainingRow("Captain (navy)", "Commissioned Officers", "0110", 4),
    ]
    assert [row.text for row in rows if row.code == "0"] == ["All jobs in the forces."]


# --- ISCO-08: sheets and columns -----------------------------------------------------------------------------------------


def test_isco08_finds_its_sheet_among_others_and_its_header_below_a_title(tmp_path: Path) -> None:
    path = save(tmp_path / "isco.xlsx", OCCUPATIONS, sheet="Structure and definitions", above=3)
    book = openpyxl.load_workbook(path)
    book["Structure and definitions"].merge_cells("A1:H1")
    older = book.create_sheet("Draft", 0)
    older.append(HEADER)
    older.append(row(1, "9", "Draft"))
    book.create_chartsheet("Chart", 0).add_chart(BarChart())
    book.save(path)
    assert len(convert_isco08(path).taxonomy) == 8


def test_isco08_column_names_are_compared_without_case_and_spaces(workbook: Workbook) -> None:
    header = [" LEVEL", "ISCO-08\nCode ", "title  en", "DEFINITION", "x", "Included  Occupations", None, 7]
    assert len(convert_isco08(workbook(header=header)).taxonomy) == 8


def test_isco08_missing_columns_are_named(workbook: Workbook) -> None:
    header = [name if name not in ("Level", "Definition") else None for name in HEADER]
    fault = fault_of("missing_column", lambda: convert_isco08(workbook(header=header)))
    assert "'Level' and no column 'Definition'" in fault.what
    assert SHEET in fault.what


@pytest.mark.parametrize("rows", [[], [["Code", "Label"], ["1", "Managers"]], OCCUPATIONS])
def test_isco08_workbook_without_the_sheet_is_refused(workbook: Workbook, rows: Rows) -> None:
    path = workbook(rows, header=None, sheet="Sheet1")
    fault = fault_of("missing_column", lambda: convert_isco08(path))
    assert "Sheet1" in str(fault.value)
    assert "ISCO 08 Code" in str(fault.allowed)


def test_isco08_sheet_without_rows_is_refused(workbook: Workbook) -> None:
    assert "no nodes" in fault_of("invalid_taxonomy", lambda: convert_isco08(workbook([]))).what


# --- ISCO-08: odd cells --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (row(None, "112", "Directors"), "bad_level"),
        (row("four", "1112", "Directors"), "bad_level"),
        (row(5, "1112", "Directors"), "bad_level"),
        (row(3, "1112", "Directors"), "bad_level"),
        (row(4, None, "Directors"), "empty_code"),
        (row(4, "11x2", "Directors"), "bad_code"),
        (row(4, 111.5, "Directors"), "bad_code"),
        (row(4, True, "Directors"), "bad_code"),
        (row(4, datetime.datetime(2012, 1, 1), "Directors"), "bad_code"),
        (row(4, "-9", "Undecided"), "undecided_code"),
        (row(4, "1112", None), "empty_label"),
        (row(4, "1112", " \n- "), "empty_label"),
        (row(4, "1112", datetime.date(2012, 1, 1)), "bad_type"),
        (row(4, "1112", "Directors", "x" * 20_001), "cell_too_long"),
        (row(4, "1112", "Directors", None, "\n".join(f"- {n:06}" for n in range(3000))), "cell_too_long"),
    ],
)
def test_isco08_row_that_is_bad_by_itself_is_refused_with_its_reason(
    workbook: Workbook, cells: list[object], reason: str
) -> None:
    converted = convert_isco08(workbook([*OCCUPATIONS[4:], cells]))
    assert converted.taxonomy.codes == ["1", "11", "111", "1111"]
    (row,) = converted.rejected
    assert (row.reason_code, row.line, row.source_file) == (reason, 6, "isco.xlsx")
    assert row.reason
    json.loads(row.raw if len(row.raw) < 2000 else "{}")


def test_isco08_numbers_and_empty_rows_are_read(workbook: Workbook) -> None:
    rows = [[], row("1.0", 1.0, 7, 8.5), [None] * 8, ["", " "]]
    converted = convert_isco08(workbook(rows))
    assert converted.taxonomy.codes == ["1"]
    assert (text_of(converted, "1").label, text_of(converted, "1").definition) == ("7", "8.5")
    assert converted.rejected == ()


def test_isco08_merged_level_counts_for_its_first_row_only(tmp_path: Path) -> None:
    path = save(tmp_path / "isco.xlsx", [*OCCUPATIONS[4:], row(4, "1112", "Officials")])
    book = openpyxl.load_workbook(path)
    book[SHEET].merge_cells("A5:A6")
    book.save(path)
    converted = convert_isco08(path)
    assert converted.taxonomy.codes == ["1", "11", "111", "1111"]
    assert [(row.line, row.reason_code) for row in converted.rejected] == [(6, "bad_level")]
    assert "merged" in converted.rejected[0].reason


def test_isco08_code_that_occurs_twice_refuses_the_file(workbook: Workbook) -> None:
    fault = fault_of("invalid_taxonomy", lambda: convert_isco08(workbook([*OCCUPATIONS, row(4, "0110", "Again")])))
    assert [(detail["kind"], detail["codes"]) for detail in fault.details] == [("duplicate_code", ["0110"])]


# --- ISCO-08: what is no workbook ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "unsupported_format"),
        (b"Level,ISCO 08 Code,Title EN\n1,1,Managers\n", "unsupported_format"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "unsupported_format"),
        (b"PK\x03\x04 and no archive", "unreadable_file"),
    ],
)
def test_isco08_other_files_are_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "isco.xlsx"
    path.write_bytes(content)
    assert ".xlsx" in str(fault_of(code, lambda: convert_isco08(path)).allowed)


def test_isco08_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "isco.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "broken workbook" in fault_of("unreadable_file", lambda: convert_isco08(path)).what


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_isco08_damaged_workbook_is_refused_or_read(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "isco.xlsx", OCCUPATIONS)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content[: data.draw(st.integers(at, len(content)))])
        try:
            assert convert_isco08(path).taxonomy.codes
        except Fault as fault:
            assert fault.code in {"unreadable_file", "unsupported_format", "missing_column", "invalid_taxonomy", "too_large"}  # noqa: PT017


def _rewritten(path: Path, part: str, change: Callable[[str], str]) -> Path:
    """Change one part of a workbook."""
    parts = {}
    with zipfile.ZipFile(path) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    assert change(parts[part].decode()) != parts[part].decode()
    parts[part] = change(parts[part].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in parts.items():
            archive.writestr(entry, content)
    return path


def test_isco08_size_that_a_sheet_claims_is_not_believed(workbook: Workbook) -> None:
    path = _rewritten(workbook(), "xl/worksheets/sheet1.xml", lambda xml: xml.replace('ref="A1:H9"', 'ref="A1:XFD1048576"', 1))
    assert len(convert_isco08(path).taxonomy) == 8


def test_isco08_forged_row_number_is_refused(workbook: Workbook) -> None:
    path = _rewritten(workbook(), "xl/worksheets/sheet1.xml", lambda xml: xml.replace('<row r="9"', '<row r="999999999999"', 1))
    fault_of("too_large", lambda: convert_isco08(path))


def test_isco08_archive_that_unpacks_to_too_much_is_refused(workbook: Workbook) -> None:
    path = workbook()
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/bomb", "w") as part:
        for _ in range(257):
            part.write(bytes(1024**2))
    assert path.stat().st_size < 1024**2
    assert "unpacks to" in fault_of("too_large", lambda: convert_isco08(path)).what
