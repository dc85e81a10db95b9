"""ISIC Rev.4, the International Standard Industrial Classification, from the structure file of the United Nations.

Source: United Nations Statistics Division, "ISIC Rev.4", Statistical Papers Series M No. 4/Rev.4 (2008). Levels: 1 section
(a letter), 2 division (2 digits), 3 group (3 digits), 4 class (4 digits). Which section a division belongs to cannot be seen
from its digits; the publication lists it as ranges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from taxomind_assets.delimited import DelimitedFile
from taxomind_assets.inputs import RejectedRow, check_file, open_utf8, refuse_binary, rejected_row
from taxomind_assets.taxonomy.assemble import listed
from taxomind_assets.taxonomy.columns import plain_name
from taxomind_assets.taxonomy.converters.converted import Converted, assemble_converted, longest_prefix
from taxomind_assets.taxonomy.problems import SHOWN
from taxomind_assets.taxonomy.rows import NodeRow, read_row
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

DEEPEST_LEVEL: Final = 4
#: section -> its first and last division; the numbers in between that no section has are not used.
SECTIONS: Final[Mapping[str, tuple[int, int]]] = {
    "A": (1, 3),
    "B": (5, 9),
    "C": (10, 33),
    "D": (35, 35),
    "E": (36, 39),
    "F": (41, 43),
    "G": (45, 47),
    "H": (49, 53),
    "I": (55, 56),
    "J": (58, 63),
    "K": (64, 66),
    "L": (68, 68),
    "M": (69, 75),
    "N": (77, 82),
    "O": (84, 84),
    "P": (85, 85),
    "Q": (86, 88),
    "R": (90, 93),
    "S": (94, 96),
    "T": (97, 98),
    "U": (99, 99),
}
_SECTION_OF: Final = {
    f"{division:02}": section for section, (first, last) in SECTIONS.items() for division in range(first, last + 1)
}
_COLUMNS: Final = ("code", "description")
_LEVEL_NAMES: Final = {2: "division", 3: "group", 4: "class"}
_DIGITS: Final = re.compile(r"[0-9]{1,4}")


def convert_isic4(path: Path, limits: LimitSettings | None = None) -> Converted:
    """Convert the UN structure file of ISIC Rev.4: CSV with the columns Code and Description, in any order.

    The parent of a group or class is its longest existing proper prefix, that of a division its section by the published
    ranges, so the order of rows does not matter. Where a spreadsheet has cut leading zeros (1 for division 01), those codes
    get theirs back that can be read in one way only; the file is refused when a code can be read in two (11: division 11 or
    group 011). The file has neither definitions nor examples, so there are no training rows.

    Args:
        path: the file (CSV or TSV in UTF-8).
        limits: bytes of the file, characters of a cell, nodes; the defaults when None.

    Raises:
        Fault: `unreadable_file`, `unsupported_format`, `missing_column`, `too_large` or `invalid_taxonomy`.
    """
    limits = limits or LimitSettings()  # type: ignore[call-arg]
    refuse_binary(path, check_file(path, limits))
    with open_utf8(path) as handle:
        file = DelimitedFile(handle, path.name, lambda column: plain_name(column) in _COLUMNS)
        read = list(_read(file, path.name, limits))
    warnings = _restore_zeros(path.name, [row for row in read if isinstance(row, NodeRow)])
    rows = [_placed(path.name, row) if isinstance(row, NodeRow) else row for row in read]
    nodes = [row for row in rows if isinstance(row, NodeRow)]
    codes = {node.code for node in nodes}
    for node in nodes:
        node.parent_code = longest_prefix(node.code, codes) or _section(node.code, codes)
    return assemble_converted(path.name, "isic4", rows, limits, warnings)


def _read(file: DelimitedFile, name: str, limits: LimitSettings) -> Iterator[NodeRow | RejectedRow]:
    places = {plain_name(column): at for at, column in reversed(list(enumerate(file.header)))}
    missing = [column.title() for column in _COLUMNS if column not in places]
    if missing:
        raise Fault(
            "missing_column",
            f"{name} has no column {' and no column '.join(map(repr, missing))}.",
            value=file.header[:50],
            allowed="Code, Description",
        )
    for record in file:
        if isinstance(record, RejectedRow):
            yield record
        else:
            line, cells = record
            values = {"code": cells[places["code"]], "label": cells[places["description"]], "language": "en"}
            yield read_row(name, line, values, limits)


def _restore_zeros(name: str, rows: list[NodeRow]) -> list[str]:
    """Put leading zeros back, in place, when the file has lost them; returns the remarks.

    The proof is a code of one digit beside which its division does not stand: sections are letters, divisions have two digits.

    Raises:
        Fault: `invalid_taxonomy` naming the codes that can be read in two ways.
    """
    written = {row.code for row in rows}
    if not any(f"0{code}" in _SECTION_OF and f"0{code}" not in written for code in written):
        return []
    restored: list[str] = []
    ambiguous: list[tuple[NodeRow, str]] = []
    for row in rows:
        readings = _readings(row.code, written)
        if len(readings) == 2:
            ambiguous.append((row, " or ".join(f"{_LEVEL_NAMES[len(code)]} {code}" for code in readings)))
        elif readings and readings[0] != row.code:
            row.code = readings[0]
            restored.append(row.code)
    if ambiguous:
        raise _ambiguity(name, ambiguous)
    return [f"Leading zeros that the file had lost were put back: {listed(sorted(restored))}."] if restored else []


def _readings(code: str, written: set[str]) -> list[str]:
    """What `code` can mean when zeros may be lost: itself, or with one zero in front; only published divisions count."""
    if _DIGITS.fullmatch(code) is None or len(code) == DEEPEST_LEVEL or code.startswith("0"):
        return [code]
    with_zero = f"0{code}"
    # No ISIC code begins with two zeros, so at most one is lost; a code that is there in full has lost none.
    possible = [code] if len(code) > 1 else []
    if with_zero not in written:
        possible.append(with_zero)
    return [reading for reading in possible if reading[:2] in _SECTION_OF]


def _ambiguity(name: str, ambiguous: list[tuple[NodeRow, str]]) -> Fault:
    shown = sorted(ambiguous, key=lambda found: (found[0].line, found[0].code))[:SHOWN]
    places = "; ".join(f"{row.code} in line {row.line} ({readings})" for row, readings in shown)
    more = f" and {len(ambiguous) - len(shown):,} more" if len(ambiguous) > len(shown) else ""
    detail = {
        "kind": "ambiguous_code",
        "count": len(ambiguous),
        "codes": [row.code for row, _ in shown],
        "lines": [row.line for row, _ in shown],
        "what": f"{len(ambiguous):,} codes can be read in two ways: {places}{more}",
    }
    return Fault(
        "invalid_taxonomy",
        f"{name} has lost the leading zeros of its codes, as spreadsheets do, and not all can be told.",
        allowed="codes as text: 01, 011, 0111",
        next_step="Download the file again, or import its column Code as text, and convert that.",
        details=[detail],
    )


def _placed(name: str, row: NodeRow) -> NodeRow | RejectedRow:
    """The row with its level, which the form of the code says; refused when the code is none of ISIC Rev.4."""
    code = row.code.upper()
    if code in SECTIONS:
        return replace(row, code=code, level=1)
    raw = {"code": row.code, "description": row.text.label}
    if _DIGITS.fullmatch(code) is None or len(code) == 1:
        reason = f"{row.code!r} is no ISIC Rev.4 code: a letter from A to U or 2 to {DEEPEST_LEVEL} digits are expected."
        return rejected_row(name, row.line, "bad_code", reason, raw)
    if code[:2] not in _SECTION_OF:
        return rejected_row(name, row.line, "bad_code", f"{row.code!r}: ISIC Rev.4 has no division {code[:2]}.", raw)
    return replace(row, code=code, level=len(code))


def _section(code: str, codes: set[str]) -> str:
    """The section of a division, group or class when the file has it; '' for a section itself."""
    section = _SECTION_OF.get(code[:2], "")
    return section if section in codes else ""
