"""The structure of ISIC Rev.4 becomes a taxonomy (TX-15)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.taxonomy.converters import convert_isic4
from taxomind_assets.taxonomy.converters.isic4 import SECTIONS
from taxomind_resources.settings import LimitSettings
from tests.assets.taxonomy.classifications import (
    INDUSTRIES,
    Workbook,
    fault_of,
    lines_of,
    parents,
    text_of,
)

LIMITS = LimitSettings()  # type: ignore[call-arg]


def test_isic4_parents_come_from_the_code_and_the_published_ranges(structure: Callable[[str], Path]) -> None:
    converted = convert_isic4(structure(lines_of(INDUSTRIES)))
    assert parents(converted) == {
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
    assert text_of(converted, "0111").label == 'Growing of cereals (except rice), "leguminous" crops'
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
    found = parents(convert_isic4(structure(lines_of(rows))))
    assert [code for code, parent in found.items() if parent == section] == divisions.split()


def test_isic4_has_21_sections_and_88_divisions(structure: Callable[[str], Path]) -> None:
    rows = [(f"{n:02}", f"Division {n}") for n in range(100)] + [(letter, f"Section {letter}") for letter in SECTIONS]
    converted = convert_isic4(structure(lines_of(rows)))
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
            path.write_text("Code,Description\n" + lines_of(listed), encoding="utf-8")
            found.append(convert_isic4(path))
        assert found[0] == found[1]


def test_isic4_columns_may_change_places_and_delimiter(structure: Callable[..., Path]) -> None:
    path = structure("x;Agriculture;a\ny;Crops;01\n", header="Note;DESCRIPTION; code\n")
    assert parents(convert_isic4(path)) == {"A": None, "01": "A"}


@pytest.mark.parametrize("code", ["V", "AA", "04", "34", "0444", "00", "01111", "01.1", "A01", "é", "²", "-1", "4", "0"])
def test_isic4_unpublished_codes_are_refused_one_by_one(structure: Callable[[str], Path], code: str) -> None:
    converted = convert_isic4(structure(lines_of([*INDUSTRIES, (code, "Something")])))
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
    converted = convert_isic4(structure(lines_of(rows)))
    assert parents(converted) == {
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
        path.write_text("Code,Description\n" + lines_of(rows), encoding="utf-8")
        fault = fault_of("invalid_taxonomy", lambda: convert_isic4(path))
    (detail,) = fault.details
    assert (detail["kind"], sorted(detail["codes"])) == ("ambiguous_code", ["11", "111", "35"])
    assert "division 11 or group 011" in detail["what"]
    assert "group 111 or class 0111" in detail["what"]
    assert "Code as text" in fault.next_step


def test_isic4_one_stray_digit_does_not_make_intact_codes_doubtful(structure: Callable[[str], Path]) -> None:
    converted = convert_isic4(structure(lines_of([*INDUSTRIES, ("1", "Stray")])))
    assert len(converted.taxonomy) == len(INDUSTRIES)
    assert [row.reason_code for row in converted.rejected] == ["bad_code"]


@pytest.mark.parametrize("header", ["Code;Title\n", "x,y\n", "Description\n"])
def test_isic4_missing_columns_are_named(structure: Callable[..., Path], header: str) -> None:
    fault = fault_of("missing_column", lambda: convert_isic4(structure("A,b\n", header=header)))
    assert fault.allowed == "Code, Description"


def test_isic4_workbook_in_its_place_is_refused(workbook: Workbook) -> None:
    fault_of("unsupported_format", lambda: convert_isic4(workbook()))


def test_isic4_text_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "isic.csv"
    path.write_bytes(b"Code,Description\nA,Caf\xe9\n")
    assert "0xe9" in fault_of("unreadable_file", lambda: convert_isic4(path)).what
