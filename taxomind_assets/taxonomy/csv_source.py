"""A taxonomy as CSV or TSV: one row per node and language."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import TextIO

from taxomind_assets.delimited import DelimitedFile
from taxomind_assets.inputs import RejectedRow
from taxomind_assets.taxonomy.columns import UNREAD, assign_columns, field_of
from taxomind_assets.taxonomy.rows import NodeRow, read_row
from taxomind_assets.taxonomy.sources import Source
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

REQUIRED = ("code", "parent_code", "label")


def read_csv(handle: TextIO, name: str, limits: LimitSettings) -> Source:
    """Take a CSV or TSV file apart. Rows are read while `Source.rows` is walked.

    Args:
        handle: the file, opened with `newline=""`.
        name: its name, for messages.
        limits: longest cell and code.

    Raises:
        Fault: `missing_column`, `unreadable_file` or `too_large`.
    """
    file = DelimitedFile(handle, name, lambda column: field_of(column) is not None)
    columns, unread = assign_columns(file.header)
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise Fault(
            "missing_column",
            f"{name} has no column {' and no column '.join(map(repr, missing))}.",
            value=file.header[:50],
            allowed="code, parent_code and label; level, definition, examples, aliases, negative_examples, "
            "positive_examples and language as wanted",
        )
    unknown = [column for column in unread if field_of(column) not in UNREAD]
    warnings = [f"Columns that are not read: {', '.join(unknown[:20])}."] if unknown else []
    return Source(_rows(file, columns, name, limits), warnings=warnings)


def _rows(file: DelimitedFile, columns: dict[str, str], name: str, limits: LimitSettings) -> Iterator[NodeRow | RejectedRow]:
    fields = tuple(columns)
    pick = itemgetter(*(file.header.index(columns[field]) for field in fields))
    for record in file:
        if isinstance(record, RejectedRow):
            yield record
        else:
            line, cells = record
            yield read_row(name, line, dict(zip(fields, pick(cells), strict=True)), limits)
