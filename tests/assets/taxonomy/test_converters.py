"""Published classifications become taxonomy files and training rows (TX-15)."""

from __future__ import annotations

import csv
import datetime
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.chart import BarChart

from taxomind_assets.classification.text_readers import read_texts
from taxomind_assets.taxonomy.converters import CONVERTERS, Converted, TrainingRow, convert, convert_isco08, convert_isic4
from taxomind_assets.taxonomy.converters.isic4 import SECTIONS
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings, TextSettings

LIMITS = LimitSettings()  # type: ignore[call-arg]
SHEET = "ISCO-08 EN Struct and defin"
HEADER = (
    "Level",
    "ISCO 08 Code",
    "Title EN",
    "Definition",
    "Tasks include",
    "Included occupations",
    "Excluded occupations",
    "Notes",
)

Rows = Sequence[Sequence[Any]]
Workbook = Callable[..., Path]


def _row(level: object, code: object, title: object, definition: object = None, included: object = None) -> list[object]:
    return [level, code, title, definition, "Tasks include (a) much", included, "- Elsewhere - 9999", None]


OCCUPATIONS = [
    _row(
        1,
        "0",
        "Armed Forces",
        "All jobs in the forces.",
        "Occupations are classified into the following groups:\n- 01 Officers",
    ),
    _row(2, "01", "Officers", "Those with a commission."),
    _row(3, "011", "Commissioned Officers", "They lead."),
    _row(4, 110, "Commissioned Officers", "They (a) lead and (b) manage.", "Examples here:\n- Admiral\n- Captain (navy)"),
    _row(1, "1", "Managers", "They plan."),
    _row(2, "11", "Chief Executives", "They decide."),
    _row(3, "111", "Legislators and Senior Officials", "They make laws."),
    _row(4, 1111.0, "Legislators", "They vote.", "Examples of the occupations classified here:\n- Mayor\n- Senator"),
]


def _save(path: Path, rows: Rows, header: Sequence[object] | None = HEADER, sheet: str = SHEET, above: int = 0) -> Path:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for _ in range(above):
        page.append(["International Labour Organization"])
    for row in ([header] if header else []) + list(rows):
        page.append(row)
    book.save(path)
    return path


@pytest.fixture
def workbook(tmp_path: Path) -> Workbook:
    """Write a small ILO workbook."""
    return lambda rows=OCCUPATIONS, **options: _save(tmp_path / "isco.xlsx", rows, **options)


@pytest.fixture
def structure(tmp_path: Path) -> Callable[[str], Path]:
    """Write a small UN structure file below the header of the real one."""

    def write(lines: str, header: str = '"Code","Description"\n') -> Path:
        path = tmp_path / "isic.csv"
        path.write_text(header + lines, encoding="utf-8")
        return path

    return write


def _parents(converted: Converted) -> dict[str, str | None]:
    return {node.code: node.parent_code for node in converted.taxonomy.nodes}


def _text(converted: Converted, code: str) -> Any:
    return converted.taxonomy.nodes[converted.taxonomy.position[code]].texts[0]


def _fault(code: str, call: Callable[[], object]) -> Fault:
    with pytest.raises(Fault) as caught:
        call()
    assert caught.value.code == code, caught.value.render()
    return caught.value


# --- ISCO-08: codes and parents ------------------------------------------------------------------------------------------


def test_isco08_parents_come_from_the_code(workbook: Workbook) -> None:
    converted = convert_isco08(workbook())
    assert _parents(converted) == {
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
    rows = [_row(1, 0, "Forces"), _row(2, 1, "Officers"), _row(3, 11, "Officers"), _row(4, 110, "Officers")]
    rows += [_row(1, 1, "Managers"), _row(2, 11, "Executives")]
    converted = convert_isco08(workbook(rows))
    assert _parents(converted) == {"0": None, "01": "0", "011": "01", "0110": "011", "1": None, "11": "1"}


def test_isco08_parent_is_the_longest_prefix_that_exists(workbook: Workbook) -> None:
    rows = [row for row in OCCUPATIONS if row[1] not in ("111", "0")]
    assert _parents(convert_isco08(workbook(rows))) | {} == {
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
        expected = convert_isco08(_save(Path(folder) / "ordered.xlsx", OCCUPATIONS))
        shuffled = [[row[at] for at in columns] for row in rows]
        found = convert_isco08(_save(Path(folder) / "shuffled.xlsx", shuffled, header=[HEADER[at] for at in columns]))
        assert found == expected
        assert found.write(Path(folder) / "b").taxonomy.read_bytes() == expected.write(Path(folder) / "a").taxonomy.read_bytes()


# --- ISCO-08: texts ------------------------------------------------------------------------------------------------------


def test_isco08_definition_has_no_markers(workbook: Workbook) -> None:
    definition = "They:\n(a)  lead units;\n(b) advise the director(s) (army);_x000D_\n - plan,\n(ii) and report."
    text = _text(convert_isco08(workbook([_row(4, "0110", "Officers", definition)])), "0110")
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
    converted = convert_isco08(workbook([_row(4, "1111", "Legislators", "They vote.", included)]))
    assert _text(converted, "1111").examples == examples
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
    path = _save(tmp_path / "isco.xlsx", OCCUPATIONS, sheet="Structure and definitions", above=3)
    book = openpyxl.load_workbook(path)
    book["Structure and definitions"].merge_cells("A1:H1")
    older = book.create_sheet("Draft", 0)
    older.append(HEADER)
    older.append(_row(1, "9", "Draft"))
    book.create_chartsheet("Chart", 0).add_chart(BarChart())
    book.save(path)
    assert len(convert_isco08(path).taxonomy) == 8


def test_isco08_column_names_are_compared_without_case_and_spaces(workbook: Workbook) -> None:
    header = [" LEVEL", "ISCO-08\nCode ", "title  en", "DEFINITION", "x", "Included  Occupations", None, 7]
    assert len(convert_isco08(workbook(header=header)).taxonomy) == 8


def test_isco08_missing_columns_are_named(workbook: Workbook) -> None:
    header = [name if name not in ("Level", "Definition") else None for name in HEADER]
    fault = _fault("missing_column", lambda: convert_isco08(workbook(header=header)))
    assert "'Level' and no column 'Definition'" in fault.what
    assert SHEET in fault.what


@pytest.mark.parametrize("rows", [[], [["Code", "Label"], ["1", "Managers"]], OCCUPATIONS])
def test_isco08_workbook_without_the_sheet_is_refused(workbook: Workbook, rows: Rows) -> None:
    path = workbook(rows, header=None, sheet="Sheet1")
    fault = _fault("missing_column", lambda: convert_isco08(path))
    assert "Sheet1" in str(fault.value)
    assert "ISCO 08 Code" in str(fault.allowed)


def test_isco08_sheet_without_rows_is_refused(workbook: Workbook) -> None:
    assert "no nodes" in _fault("invalid_taxonomy", lambda: convert_isco08(workbook([]))).what


# --- ISCO-08: odd cells --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (_row(None, "112", "Directors"), "bad_level"),
        (_row("four", "1112", "Directors"), "bad_level"),
        (_row(5, "1112", "Directors"), "bad_level"),
        (_row(3, "1112", "Directors"), "bad_level"),
        (_row(4, None, "Directors"), "empty_code"),
        (_row(4, "11x2", "Directors"), "bad_code"),
        (_row(4, 111.5, "Directors"), "bad_code"),
        (_row(4, True, "Directors"), "bad_code"),
        (_row(4, datetime.datetime(2012, 1, 1), "Directors"), "bad_code"),
        (_row(4, "-9", "Undecided"), "undecided_code"),
        (_row(4, "1112", None), "empty_label"),
        (_row(4, "1112", " \n- "), "empty_label"),
        (_row(4, "1112", datetime.date(2012, 1, 1)), "bad_type"),
        (_row(4, "1112", "Directors", "x" * 20_001), "cell_too_long"),
        (_row(4, "1112", "Directors", None, "\n".join(f"- {n:06}" for n in range(3000))), "cell_too_long"),
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
    rows = [[], _row("1.0", 1.0, 7, 8.5), [None] * 8, ["", " "]]
    converted = convert_isco08(workbook(rows))
    assert converted.taxonomy.codes == ["1"]
    assert (_text(converted, "1").label, _text(converted, "1").definition) == ("7", "8.5")
    assert converted.rejected == ()


def test_isco08_merged_level_counts_for_its_first_row_only(tmp_path: Path) -> None:
    path = _save(tmp_path / "isco.xlsx", [*OCCUPATIONS[4:], _row(4, "1112", "Officials")])
    book = openpyxl.load_workbook(path)
    book[SHEET].merge_cells("A5:A6")
    book.save(path)
    converted = convert_isco08(path)
    assert converted.taxonomy.codes == ["1", "11", "111", "1111"]
    assert [(row.line, row.reason_code) for row in converted.rejected] == [(6, "bad_level")]
    assert "merged" in converted.rejected[0].reason


def test_isco08_code_that_occurs_twice_refuses_the_file(workbook: Workbook) -> None:
    fault = _fault("invalid_taxonomy", lambda: convert_isco08(workbook([*OCCUPATIONS, _row(4, "0110", "Again")])))
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
    assert ".xlsx" in str(_fault(code, lambda: convert_isco08(path)).allowed)


def test_isco08_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "isco.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "broken workbook" in _fault("unreadable_file", lambda: convert_isco08(path)).what


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_isco08_damaged_workbook_is_refused_or_read(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = _save(Path(folder) / "isco.xlsx", OCCUPATIONS)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content[: data.draw(st.integers(at, len(content)))])
        try:
            assert convert_isco08(path).taxonomy.codes
        except Fault as fault:
            assert fault.code in {"unreadable_file", "unsupported_format", "missing_column", "invalid_taxonomy", "too_large"}  # noqa: PT017


@pytest.mark.parametrize("path", ["", "absent.xlsx"])
def test_absent_file_is_refused(tmp_path: Path, path: str) -> None:
    for converter in CONVERTERS.values():
        _fault("unreadable_file", lambda converter=converter: converter.convert(tmp_path / path))  # type: ignore[misc]


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
    _fault("too_large", lambda: convert_isco08(path))


def test_isco08_archive_that_unpacks_to_too_much_is_refused(workbook: Workbook) -> None:
    path = workbook()
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/bomb", "w") as part:
        for _ in range(257):
            part.write(bytes(1024**2))
    assert path.stat().st_size < 1024**2
    assert "unpacks to" in _fault("too_large", lambda: convert_isco08(path)).what


def test_limits_are_kept(workbook: Workbook, structure: Callable[[str], Path]) -> None:
    small = LIMITS.model_copy(update={"max_nodes": 2})
    _fault("too_large", lambda: convert_isco08(workbook(), small))
    _fault("too_large", lambda: convert_isic4(structure('"A","x"\n"B","y"\n"C","z"\n'), small))
    bytes_ = LIMITS.model_copy(update={"max_file_bytes": 10})
    _fault("too_large", lambda: convert_isco08(workbook(), bytes_))


# --- ISIC Rev.4 ----------------------------------------------------------------------------------------------------------

INDUSTRIES = [
    ("A", "Agriculture, forestry and fishing"),
    ("01", "Crop and animal production"),
    ("011", "Growing of non-perennial crops"),
    ("0111", 'Growing of cereals (except rice), "leguminous" crops'),
    ("C", "Manufacturing"),
    ("10", "Manufacture of food products"),
    ("11", "Manufacture of beverages"),
    ("110", "Manufacture of beverages"),
    ("1101", "Distilling"),
    ("U", "Extraterritorial organizations"),
    ("9900", "Activities of extraterritorial organizations"),
]


def _lines(rows: Sequence[tuple[str, str]]) -> str:
    target = io.StringIO()
    csv.writer(target, quoting=csv.QUOTE_ALL).writerows(rows)
    return target.getvalue()


def test_isic4_parents_come_from_the_code_and_the_published_ranges(structure: Callable[[str], Path]) -> None:
    converted = convert_isic4(structure(_lines(INDUSTRIES)))
    assert _parents(converted) == {
        "A": None,
        "01": "A",
        "011": "01",
        "0111": "011",
        "C": None,
        "10": "C",
        "11": "C",
        "110": "11",
        "1101": "110",
        "U": None,
        "9900": "U",
    }
    assert {node.code: node.level for node in converted.taxonomy.nodes if node.code in {"A", "10", "110", "9900"}} == {
        "A": 1,
        "10": 2,
        "110": 3,
        "9900": 4,
    }
    assert _text(converted, "0111").label == 'Growing of cereals (except rice), "leguminous" crops'
    assert converted.rejected == ()
    assert converted.training_rows == []


@pytest.mark.parametrize(
    ("section", "divisions"),
    {
        "A": "01 02 03",
        "B": "05 06 07 08 09",
        "C": "10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33",
        "D": "35",
        "E": "36 37 38 39",
        "F": "41 42 43",
        "G": "45 46 47",
        "H": "49 50 51 52 53",
        "I": "55 56",
        "J": "58 59 60 61 62 63",
        "K": "64 65 66",
        "L": "68",
        "M": "69 70 71 72 73 74 75",
        "N": "77 78 79 80 81 82",
        "O": "84",
        "P": "85",
        "Q": "86 87 88",
        "R": "90 91 92 93",
        "S": "94 95 96",
        "T": "97 98",
        "U": "99",
    }.items(),
)
def test_isic4_every_division_finds_its_section(structure: Callable[[str], Path], section: str, divisions: str) -> None:
    rows = [(f"{n:02}", f"Division {n}") for n in range(100)] + [(letter, f"Section {letter}") for letter in SECTIONS]
    parents = _parents(convert_isic4(structure(_lines(rows))))
    assert [code for code, parent in parents.items() if parent == section] == divisions.split()


def test_isic4_has_21_sections_and_88_divisions(structure: Callable[[str], Path]) -> None:
    rows = [(f"{n:02}", f"Division {n}") for n in range(100)] + [(letter, f"Section {letter}") for letter in SECTIONS]
    converted = convert_isic4(structure(_lines(rows)))
    assert [node.level for node in converted.taxonomy.nodes].count(1) == 21
    assert [node.level for node in converted.taxonomy.nodes].count(2) == 88
    assert {row.reason_code for row in converted.rejected} == {"bad_code"}
    assert len(converted.rejected) == 12


@settings(max_examples=50, deadline=None)
@given(rows=st.permutations(INDUSTRIES))
def test_isic4_order_of_rows_does_not_matter(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name, listed in (("a", INDUSTRIES), ("b", rows)):
            path = Path(folder) / f"{name}.csv"
            path.write_text("Code,Description\n" + _lines(listed), encoding="utf-8")
            found.append(convert_isic4(path))
        assert found[0] == found[1]


def test_isic4_columns_may_change_places_and_delimiter(structure: Callable[..., Path]) -> None:
    path = structure("x;Agriculture;a\ny;Crops;01\n", header="Note;DESCRIPTION; code\n")
    assert _parents(convert_isic4(path)) == {"A": None, "01": "A"}


@pytest.mark.parametrize("code", ["V", "AA", "04", "34", "0444", "00", "01111", "01.1", "A01", "é", "²", "-1", "4", "0"])
def test_isic4_unpublished_codes_are_refused_one_by_one(structure: Callable[[str], Path], code: str) -> None:
    converted = convert_isic4(structure(_lines([*INDUSTRIES, (code, "Something")])))
    assert [(row.reason_code, row.line) for row in converted.rejected] == [("bad_code", 13)]
    assert len(converted.taxonomy) == len(INDUSTRIES)


def test_isic4_rows_without_code_or_label_are_refused(structure: Callable[[str], Path]) -> None:
    converted = convert_isic4(structure('"A","Agriculture"\n"","Nothing"\n"01",""\n"C","x","y"\n"D","broken"quote\n'))
    assert [(row.reason_code, row.line) for row in converted.rejected] == [
        ("empty_code", 3),
        ("empty_label", 4),
        ("wrong_column_count", 5),
        ("malformed_row", 6),
    ]


def test_isic4_zeros_come_back_where_there_is_one_reading(structure: Callable[[str], Path]) -> None:
    rows = [("A", "Agriculture"), ("1", "Crops"), ("B", "Mining"), ("5", "Coal"), ("F", "Construction"), ("41", "Buildings")]
    rows += [("410", "Buildings"), ("4100", "Buildings")]
    converted = convert_isic4(structure(_lines(rows)))
    assert _parents(converted) == {
        "A": None,
        "01": "A",
        "B": None,
        "05": "B",
        "F": None,
        "41": "F",
        "410": "41",
        "4100": "410",
    }
    assert "Leading zeros that the file had lost were put back: 01, 05." in converted.warnings


@settings(max_examples=25, deadline=None)
@given(
    rows=st.permutations(
        [("A", "x"), ("1", "Crops"), ("11", "Crops or beverages"), ("111", "Cereals"), ("C", "y"), ("35", "z")]
    )
)
def test_isic4_codes_with_two_readings_refuse_the_file(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "isic.csv"
        path.write_text("Code,Description\n" + _lines(rows), encoding="utf-8")
        fault = _fault("invalid_taxonomy", lambda: convert_isic4(path))
    (detail,) = fault.details
    assert (detail["kind"], sorted(detail["codes"])) == ("ambiguous_code", ["11", "111", "35"])
    assert "division 11 or group 011" in detail["what"]
    assert "group 111 or class 0111" in detail["what"]
    assert "Code as text" in fault.next_step


def test_isic4_one_stray_digit_does_not_make_intact_codes_doubtful(structure: Callable[[str], Path]) -> None:
    converted = convert_isic4(structure(_lines([*INDUSTRIES, ("1", "Stray")])))
    assert len(converted.taxonomy) == len(INDUSTRIES)
    assert [row.reason_code for row in converted.rejected] == ["bad_code"]


@pytest.mark.parametrize("header", ["Code;Title\n", "x,y\n", "Description\n"])
def test_isic4_missing_columns_are_named(structure: Callable[..., Path], header: str) -> None:
    fault = _fault("missing_column", lambda: convert_isic4(structure("A,b\n", header=header)))
    assert fault.allowed == "Code, Description"


def test_isic4_workbook_in_its_place_is_refused(workbook: Workbook) -> None:
    _fault("unsupported_format", lambda: convert_isic4(workbook()))


def test_isic4_text_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "isic.csv"
    path.write_bytes(b"Code,Description\nA,Caf\xe9\n")
    assert "0xe9" in _fault("unreadable_file", lambda: convert_isic4(path)).what


# --- what is written -----------------------------------------------------------------------------------------------------


def test_written_taxonomy_is_read_back_as_it_was(workbook: Workbook, structure: Callable[[str], Path], tmp_path: Path) -> None:
    for converted in (convert_isco08(workbook()), convert_isic4(structure(_lines(INDUSTRIES)))):
        folder = tmp_path / "new" / converted.taxonomy.key
        written = converted.write(folder)
        assert sorted(path.name for path in folder.iterdir()) == ["taxonomy.csv", "training.csv"]
        file = read_taxonomy(written.taxonomy, converted.taxonomy.key, LIMITS)
        assert file.taxonomy == converted.taxonomy
        assert file.rejected == ()


_CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="_"), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(title=_CELLS, definition=_CELLS, examples=st.lists(_CELLS, max_size=4))
def test_any_text_is_read_back_as_it_was_converted(title: str, definition: str, examples: list[str]) -> None:
    included = "\n".join(f"- {example}" for example in examples)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = _save(folder / "isco.xlsx", [_row(1, "1", "Managers"), _row(2, "11", title, definition, included)])
        converted = convert_isco08(path)
        written = converted.write(folder)
        file = read_taxonomy(written.taxonomy, "isco08", LIMITS)
    assert file.taxonomy == converted.taxonomy
    assert not file.rejected


def test_every_cell_is_quoted_and_training_rows_have_their_columns(workbook: Workbook, tmp_path: Path) -> None:
    written = convert_isco08(workbook()).write(tmp_path)
    assert written.taxonomy.read_text(encoding="utf-8").splitlines()[:2] == [
        '"code","parent_code","level","label","definition","examples","language"',
        '"0","","1","Armed Forces","All jobs in the forces.","","en"',
    ]
    assert '"Admiral","Commissioned Officers","0110","4"' in written.training.read_text(encoding="utf-8").splitlines()
    assert written.training.read_text(encoding="utf-8").startswith('"text","label","code","level"\n')


def test_training_file_is_read_as_labelled_texts(workbook: Workbook, tmp_path: Path) -> None:
    converted = convert_isco08(workbook())
    written = converted.write(tmp_path)
    blocks = list(read_texts(written.training, TextSettings(), LIMITS, labelled=True))  # type: ignore[call-arg]
    found = [row for block in blocks for row in zip(block.text, block.code, strict=True)]
    assert found == [(row.text, row.code) for row in converted.training_rows]


def test_writing_replaces_former_files_and_leaves_nothing_else(workbook: Workbook, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    convert_isco08(workbook()).write(folder)
    first = (folder / "taxonomy.csv").read_bytes()
    convert_isco08(workbook(OCCUPATIONS[:1])).write(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["taxonomy.csv", "training.csv"]
    assert (folder / "taxonomy.csv").read_bytes() != first


def test_folder_that_is_a_file_is_a_storage_fault(workbook: Workbook, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    _fault("storage_failed", lambda: convert_isco08(workbook()).write(tmp_path / "file"))


# --- names of converters -------------------------------------------------------------------------------------------------


def test_converters_are_found_by_name(workbook: Workbook, structure: Callable[[str], Path]) -> None:
    assert len(convert("isco08", workbook()).taxonomy) == 8
    assert len(convert("isic4", structure(_lines(INDUSTRIES))).taxonomy) == len(INDUSTRIES)
    assert all(converter.description.endswith(".") for converter in CONVERTERS.values())


@pytest.mark.parametrize(("name", "near"), [("isco", "isco08"), ("ISIC-4", "isic4"), ("", "is"), ("zzz", "is")])
def test_unknown_converter_names_the_nearest(tmp_path: Path, name: str, near: str) -> None:
    fault = _fault("invalid_input", lambda: convert(name, tmp_path / "x"))
    assert fault.allowed == "isco08, isic4"
    assert near in fault.next_step
