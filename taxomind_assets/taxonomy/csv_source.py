"""A taxonomy as CSV or TSV: one row per node and language."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import TextIO

from taxomind_assets.delimited import DelimitedFile
from taxomind_assets.inputs import RejectedRow
from taxomind_assets.taxonomy.columns import UNREAD, assign_columns, field_of
from taxomind_assets.taxonomy.problems import Problem
from taxomind_assets.taxonomy.rows import NodeRow, read_row
from taxomind_assets.taxonomy.sources import Source
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

REQUIRED = ("code", "label")


def read_csv(handle: TextIO, name: str, limits: LimitSettings) -> Source:
    """Take a CSV or TSV file apart. Rows are read while `Source.rows` is walked.

    Without a column `parent_code` every node is a top node; a level greater than 1 is then a problem.

    Args:
        handle: the file, opened with `newline=""`.
        name: its name, for messages.
        limits: longest cell and code.

    Raises:
        Fault: `missing_column`, `unreadable_file` or `too_large`.
    """
    file = DelimitedFile(handle, name, lambda column: field_of(column) is not None)
    columns, unread = assign_columns(file.header)
    unknown = [column for column in unread if field_of(column) not in UNREAD]
    missing = [column for column in REQUIRED if column not in columns]
    # A parent column under an unknown name must not turn a tree into a flat list without a word.
    if "parent_code" not in columns and any("parent" in column.casefold() for column in unknown):
        missing.append("parent_code")
    if missing:
        raise Fault(
            "missing_column",
            f"{name} has no column {' and no column '.join(map(repr, missing))}.",
            value=file.header[:50],
            allowed="code and label; parent_code unless the labels are a flat list; level, definition, examples, aliases, "
            "negative_examples, positive_examples and language as wanted",
        )
    warnings = [f"Columns that are not read: {', '.join(unknown[:20])}."] if unknown else []
    source = Source((), warnings=warnings)
    rows = _rows(file, columns, name, limits)
    source.rows = rows if "parent_code" in columns else _flat(rows, source.problems)
    return source


def _flat(rows: Iterator[NodeRow | RejectedRow], problems: list[Problem]) -> Iterator[NodeRow | RejectedRow]:
    """The rows of a file without parents; what claims to lie below the top is put into `problems`."""
    for row in rows:
        if isinstance(row, NodeRow) and row.level is not None and row.level > 1:
            problems.append(Problem("level_without_parent", row.code, row.line, f"level {row.level}"))
        yield row


def _rows(file: DelimitedFile, columns: dict[str, str], name: str, limits: LimitSettings) -> Iterator[NodeRow | RejectedRow]:
    fields = tuple(columns)
    pick = itemgetter(*(file.header.index(columns[field]) for field in fields))
    for record in file:
        if isinstance(record, RejectedRow):
            yield record
        else:
            line, cells = record
            yield read_row(name, line, dict(zip(fields, pick(cells), strict=True)), limits)
