"""Small published classifications, and what the tests of converters ask about them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from taxomind_assets.taxonomy.converters import Converted
from taxomind_resources.faults import Fault

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


def row(level: object, code: object, title: object, definition: object = None, included: object = None) -> list[object]:
    return [level, code, title, definition, "Tasks include (a) much", included, "- Elsewhere - 9999", None]


OCCUPATIONS = [
    row(
        1,
        "0",
        "Armed Forces",
        "All jobs in the forces.",
        "Occupations are classified into the following groups:\n- 01 Officers",
    ),
    row(2, "01", "Officers", "Those with a commission."),
    row(3, "011", "Commissioned Officers", "They lead."),
    row(4, 110, "Commissioned Officers", "They (a) lead and (b) manage.", "Examples here:\n- Admiral\n- Captain (navy)"),
    row(1, "1", "Managers", "They plan."),
    row(2, "11", "Chief Executives", "They decide."),
    row(3, "111", "Legislators and Senior Officials", "They make laws."),
    row(4, 1111.0, "Legislators", "They vote.", "Examples of the occupations classified here:\n- Mayor\n- Senator"),
]


def save(path: Path, rows: Rows, header: Sequence[object] | None = HEADER, sheet: str = SHEET, above: int = 0) -> Path:
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


def lines_of(rows: Sequence[tuple[str, str]]) -> str:
    target = io.StringIO()
    csv.writer(target, quoting=csv.QUOTE_ALL).writerows(rows)
    return target.getvalue()


def parents(converted: Converted) -> dict[str, str | None]:
    return {node.code: node.parent_code for node in converted.taxonomy.nodes}


def text_of(converted: Converted, code: str) -> Any:
    return converted.taxonomy.nodes[converted.taxonomy.position[code]].texts[0]


def fault_of(code: str, call: Callable[[], object]) -> Fault:
    with pytest.raises(Fault) as caught:
        call()
    assert caught.value.code == code, caught.value.render()
    return caught.value
