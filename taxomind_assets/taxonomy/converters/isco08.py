"""ISCO-08, the International Standard Classification of Occupations, from the workbook that the ILO publishes.

Source: International Labour Organization, "ISCO-08 EN Structure and definitions.xlsx". A code has as many digits as its level:
1 major group, 2 sub-major group, 3 minor group, 4 unit group.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from taxomind_assets.inputs import RejectedRow, rejected_row
from taxomind_assets.taxonomy.assemble import listed
from taxomind_assets.taxonomy.converters.converted import Converted, assemble_converted, longest_prefix
from taxomind_assets.taxonomy.converters.workbook import read_sheet
from taxomind_assets.taxonomy.rows import NodeRow, read_row, unique
from taxomind_resources.settings import LimitSettings

DEEPEST_LEVEL: Final = 4
_LEVEL, _CODE, _TITLE = "Level", "ISCO 08 Code", "Title EN"
_DEFINITION, _INCLUDED = "Definition", "Included occupations"
_COLUMNS: Final = (_LEVEL, _CODE, _TITLE, _DEFINITION, _INCLUDED)

_DIGITS: Final = re.compile(r"[0-9]+")
_LETTER: Final = r"\((?:[a-z]|[ivx]{2,4})\)"
#: Bullets and '(a)', '(b)', ... '(ii)' at the beginning of a line.
_BULLETS: Final = re.compile(rf"(?:[-‐‑–—•·▪◦●*\uf0b7]\s*|{_LETTER}\s*)+")
#: '(a)' inside a line, standing alone: not the plural in 'director(s)' and not a word in brackets.
_MARKER: Final = re.compile(rf"(?<!\S){_LETTER}(?:\s+|$)")
#: Headings under which a line is no example: the groups below, and occupations that belong elsewhere.
_NO_EXAMPLES: Final = re.compile(r"classified (?:into|elsewhere)|excluded", re.IGNORECASE)
#: How Excel stores a carriage return inside a cell.
_CARRIAGE_RETURN: Final = "_x000D_"


def convert_isco08(path: Path, limits: LimitSettings | None = None) -> Converted:
    """Convert the ILO workbook with the structure and definitions of ISCO-08.

    Read are the columns Level, ISCO 08 Code, Title EN, Definition and Included occupations, in any order, of any sheet that
    has them ("... Struct..." first). Parents are the longest existing proper prefixes, so the order of rows does not matter.
    A code that a spreadsheet has stored as a number gets the zeros back that its level says are missing: level 4, 110 -> 0110.

    Args:
        path: the workbook (.xlsx).
        limits: bytes of the file, characters of a cell, nodes; the defaults when None.

    Raises:
        Fault: `unreadable_file`, `unsupported_format`, `missing_column`, `too_large` or `invalid_taxonomy`.
    """
    limits = limits or LimitSettings()  # type: ignore[call-arg]
    padded: list[str] = []
    rows = [_node(path.name, number, cells, limits, padded) for number, cells in read_sheet(path, _COLUMNS, "struct", limits)]
    nodes = [row for row in rows if isinstance(row, NodeRow)]
    codes = {node.code for node in nodes}
    for node in nodes:
        node.parent_code = longest_prefix(node.code, codes)
    return assemble_converted(path.name, "isco08", rows, limits, [*_padding_note(padded), *_missing_note(nodes)])


def _node(name: str, number: int, cells: Mapping[str, Any], limits: LimitSettings, padded: list[str]) -> NodeRow | RejectedRow:
    values = {
        "code": cells[_CODE],
        "level": cells[_LEVEL],
        "label": _cleaned(cells[_TITLE]),
        "definition": _cleaned(cells[_DEFINITION]),
        "examples": _examples(cells[_INCLUDED]),
        "language": "en",
    }
    row = read_row(name, number, values, limits)
    if isinstance(row, RejectedRow):
        return row
    reason = _misplaced(row)
    if reason is not None:
        return rejected_row(name, number, *reason, values)
    if row.level is not None and len(row.code) < row.level:
        row.code = row.code.zfill(row.level)
        padded.append(row.code)
    return row


def _misplaced(row: NodeRow) -> tuple[str, str] | None:
    """Code and words of the reason why code and level do not belong together; None when they do."""
    if _DIGITS.fullmatch(row.code) is None:
        return "bad_code", f"{row.code!r} is no ISCO-08 code: 1 to {DEEPEST_LEVEL} digits are expected."
    if row.level is None:
        return "bad_level", f"{row.code!r} has no level (a merged cell counts for its first row only)."
    if row.level > DEEPEST_LEVEL:
        return "bad_level", f"{row.code!r} has level {row.level}: ISCO-08 has the levels 1 to {DEEPEST_LEVEL}."
    if len(row.code) > row.level:
        return "bad_level", f"{row.code!r} has {len(row.code)} digits but level {row.level}."
    return None


def _cleaned(value: object) -> object:
    """A text in one paragraph without bullets and '(a)' markers; what is no text stays as it is."""
    if not isinstance(value, str):
        return value
    lines = (_without_markers(line) for line in _lines(value))
    return " ".join(line for line in lines if line)


def _examples(value: object) -> object:
    """Lines that begin with a bullet or an '(a)' marker, one per line; none from below a heading of other things."""
    if not isinstance(value, str):
        return value
    texts: list[str] = []
    wanted = True
    for line in _lines(value):
        if _BULLETS.match(line):
            if wanted:
                # In a taxonomy file '|' separates the examples of one cell, so it does here.
                texts += [part.strip(" ;") for part in _without_markers(line).split("|")]
        else:
            wanted = _NO_EXAMPLES.search(line) is None
    return "\n".join(unique(texts))


def _lines(text: str) -> list[str]:
    return [line for line in (" ".join(part.split()) for part in text.replace(_CARRIAGE_RETURN, "\n").splitlines()) if line]


def _without_markers(line: str) -> str:
    bullets = _BULLETS.match(line)
    return _MARKER.sub("", line[bullets.end() :] if bullets else line).strip()


def _padding_note(padded: list[str]) -> list[str]:
    if not padded:
        return []
    return [f"Leading zeros that the file had lost were put back, as the level says: {listed(sorted(padded))}."]


def _missing_note(nodes: list[NodeRow]) -> list[str]:
    bare = sorted(node.code for node in nodes if node.level == DEEPEST_LEVEL and not node.text.examples)
    return [f"Unit groups without an example (a line with a bullet in {_INCLUDED!r}): {listed(bare)}."] if bare else []
