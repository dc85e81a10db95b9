"""Rows of an Excel workbook, found by the names of their columns.

The workbook is read as a stream (openpyxl, read-only mode) and the size that a sheet claims to have is not believed, so
that neither an empty million of rows nor one cell at the far end can fill the memory.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from taxomind_assets.taxonomy.columns import plain_name
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

#: A header is looked for in this many rows of each sheet: titles and notes may stand above it.
HEADER_ROWS: Final = 50
#: Most bytes of a workbook when unpacked; the published ones have some megabytes.
MAX_UNPACKED_BYTES: Final = 256 * 1024**2
#: Most rows of a sheet in Excel; a row number above it is forged, and openpyxl would count up to it.
MAX_ROWS: Final = 1_048_576
_ALLOWED: Final = "an Excel workbook (.xlsx)"

Cells = Sequence[Any]


@dataclass(frozen=True, slots=True)
class _Header:
    row: int
    columns: Mapping[str, int]


def read_sheet(path: Path, columns: Sequence[str], preferred: str, limits: LimitSettings) -> list[tuple[int, dict[str, Any]]]:
    """Rows below the header of the sheet that has `columns`, as (number of the row from 1, column -> value of the cell).

    Rows that are empty in all `columns` are passed over. Of a merged area only the first cell has a value, as in the file.

    Args:
        path: the workbook.
        columns: names of the columns, in any order and place, compared without case, spaces, '-' and '_'.
        preferred: when several sheets have the columns: one whose name contains this word, compared likewise.
        limits: bytes of the file; nodes, which bound the rows.

    Raises:
        Fault: `unreadable_file`, `unsupported_format`, `missing_column` or `too_large`.
    """
    _check_workbook(path, limits)
    with _opened(path) as workbook:
        sheets = sorted(workbook.worksheets, key=lambda sheet: preferred not in plain_name(sheet.title))
        sheet, header = _find_header(path, sheets, columns)
        found: list[tuple[int, dict[str, Any]]] = []
        for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
            row = {name: cells[at] if at < len(cells) else None for name, at in header.columns.items()}
            if number > header.row and any(_is_filled(value) for value in row.values()):
                found.append((number, row))
            if number > MAX_ROWS or len(found) > 2 * limits.max_nodes:
                allowed = f"at most {limits.max_nodes:,} nodes (limits.max_nodes)"
                raise Fault("too_large", f"The sheet {sheet.title!r} of {path.name} has too many rows.", allowed=allowed)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The workbook; whatever openpyxl raises, now or while rows are read, means that the file is broken."""
    import openpyxl

    try:
        with path.open("rb") as handle, warnings.catch_warnings():
            # openpyxl warns of styles and extensions that it does not know; no value of a cell depends on them.
            warnings.simplefilter("ignore")
            yield openpyxl.load_workbook(handle, read_only=True, data_only=True, keep_links=False)
    except Fault:
        raise
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise Fault(
            "unreadable_file", f"{path.name} is a broken workbook ({what}).", value=str(path), allowed=_ALLOWED
        ) from error


def _check_workbook(path: Path, limits: LimitSettings) -> None:
    try:
        if not path.is_file():
            raise Fault("unreadable_file", f"{path.name} is no file.", value=str(path), allowed="the path of an existing file")
        size = path.stat().st_size
        with path.open("rb") as handle:
            head = handle.read(8)
    except (OSError, ValueError) as error:
        raise Fault("unreadable_file", f"{path.name} cannot be opened: {error}.", value=str(path)) from error
    if size > limits.max_file_bytes:
        allowed = f"at most {limits.max_file_bytes:,} bytes (limits.max_file_bytes)"
        raise Fault("too_large", f"{path.name} has {size:,} bytes.", value=size, allowed=allowed)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        what, next_step = "an old or an encrypted workbook", "Open it in a spreadsheet and save it as .xlsx without a password."
        raise Fault("unsupported_format", f"{path.name} is {what}.", value=head, allowed=_ALLOWED, next_step=next_step)
    if not head.startswith(b"PK\x03\x04"):
        next_step = "Hand in the workbook itself, not a copy in another format."
        raise Fault("unsupported_format", f"{path.name} is no workbook.", value=head, allowed=_ALLOWED, next_step=next_step)
    _refuse_bomb(path)


def _refuse_bomb(path: Path) -> None:
    """Refuse a small archive that unpacks to something huge. Python's reader never unpacks more than an entry states."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Fault(
            "unreadable_file", f"{path.name} is a broken workbook ({error}).", value=str(path), allowed=_ALLOWED
        ) from error
    if unpacked > MAX_UNPACKED_BYTES:
        allowed = f"at most {MAX_UNPACKED_BYTES:,} bytes"
        raise Fault("too_large", f"{path.name} unpacks to {unpacked:,} bytes.", value=unpacked, allowed=allowed)


def _find_header(path: Path, sheets: Sequence[Any], columns: Sequence[str]) -> tuple[Any, _Header]:
    """The first sheet with a row that names all `columns`; the fault names what the best row lacks."""
    wanted = {plain_name(name): name for name in columns}
    best: tuple[int, Any, Mapping[str, int]] = (0, None, {})
    for sheet in sheets:
        sheet.reset_dimensions()
        for number, cells in enumerate(islice(sheet.iter_rows(values_only=True), HEADER_ROWS), 1):
            places = _places(cells, wanted)
            if len(places) == len(columns):
                return sheet, _Header(number, places)
            if len(places) > best[0]:
                best = (len(places), sheet, places)
    if best[0] >= 2:
        missing = [name for name in columns if name not in best[2]]
        raise Fault(
            "missing_column",
            f"The sheet {best[1].title!r} of {path.name} has no column {' and no column '.join(map(repr, missing))}.",
            value=missing,
            allowed=", ".join(columns),
        )
    raise Fault(
        "missing_column",
        f"No sheet of {path.name} has the columns of this classification.",
        value=[sheet.title for sheet in sheets],
        allowed=", ".join(columns),
        next_step="Check that this is the right file and its header row was not removed.",
    )


def _places(cells: Cells, wanted: Mapping[str, str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for at, value in enumerate(cells):
        name = wanted.get(plain_name("".join(value.split()))) if isinstance(value, str) else None
        if name is not None:
            places.setdefault(name, at)
    return places


def _is_filled(value: object) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))
