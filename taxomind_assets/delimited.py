"""CSV and TSV, record by record, with the line where each record begins.

Python's `csv` does the parsing (strict: RFC 4180). This module adds what it lacks: the choice of the delimiter, true line
numbers, and a way on after a broken record: reading resumes at the next line, so one stray quote costs one row.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from taxomind_assets.inputs import MAX_RECORD_CHARACTERS, RejectedRow, rejected_row
from taxomind_resources.faults import Fault

MAX_COLUMNS: Final = 1000
DELIMITERS: Final = (",", ";", "\t")


class RecordTooLong(Exception):
    """A record is over `MAX_RECORD_CHARACTERS`."""


class LineFeed:
    """Lines of a text file, counted, with a way back to the second line of the current record."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle
        self._waiting: deque[str] = deque()
        self.taken: list[str] = []
        self.number = 0
        self._size = 0

    def begin(self) -> int:
        """Begin a record; returns the number of its first line."""
        self.taken = []
        self._size = 0
        return self.number + 1

    def __iter__(self) -> LineFeed:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else self._handle.readline(MAX_RECORD_CHARACTERS)
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        self._size += len(line)
        if self._size >= MAX_RECORD_CHARACTERS:
            self._skip_rest(line)
            raise RecordTooLong
        return line

    def _skip_rest(self, line: str) -> None:
        while line and line[-1] not in "\r\n":
            line = self._handle.readline(MAX_RECORD_CHARACTERS)

    def back_to_second_line(self) -> None:
        """Give all lines of the current record but the first back."""
        rest = self.taken[1:]
        self._waiting.extendleft(reversed(rest))
        self.number -= len(rest)


class DelimitedFile:
    """Header and records of a CSV or TSV file.

    Args:
        handle: the file, opened with `newline=""`.
        source_file: its name for messages.
        known: says of a column name whether it is one that the reader looks for; decides the delimiter.

    Attributes:
        header: column names, trimmed.
        delimiter: one of `DELIMITERS`.

    Raises:
        Fault: `unreadable_file` (no header, a name twice) or `too_large` (columns).
    """

    def __init__(self, handle: TextIO, source_file: str, known: Callable[[str], bool]) -> None:
        self._source = source_file
        self._feed = LineFeed(handle)
        # The csv module's own limit of 131,072 characters is global; it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_CHARACTERS))
        self.delimiter = ","
        self.header = self._read_header(known)

    def _read_header(self, known: Callable[[str], bool]) -> list[str]:
        try:
            first = next((line for line in self._feed if line.strip()), "")
            self.delimiter = max(DELIMITERS, key=lambda delimiter: _fit(first, delimiter, known))
            self._feed.begin()
            self._feed.taken = ["", first]
            self._feed.back_to_second_line()
            cells = next(csv.reader(self._feed, delimiter=self.delimiter, strict=True))
        except (csv.Error, RecordTooLong, StopIteration) as error:
            raise Fault(
                "unreadable_file",
                f"{self._source} has no readable header line.",
                value=self._feed.taken[0][:200] if self._feed.taken else None,
                allowed="a first line with column names",
            ) from error
        header = [cell.strip() for cell in cells]
        if len(header) > MAX_COLUMNS:
            raise Fault(
                "too_large",
                f"{self._source} has {len(header):,} columns.",
                value=len(header),
                allowed=f"at most {MAX_COLUMNS:,}",
            )
        twice = sorted({name for name in header if name and header.count(name) > 1})
        if twice:
            raise Fault(
                "unreadable_file", f"{self._source} names the column {twice[0]!r} twice.", value=twice, allowed="each name once"
            )
        return header

    def __iter__(self) -> Iterator[tuple[int, list[str]] | RejectedRow]:
        """Records as (line, cells), one cell per column; a broken one as a `RejectedRow`. Empty ones are passed over."""
        width = len(self.header)
        feed = self._feed
        reader = csv.reader(feed, delimiter=self.delimiter, strict=True)
        while True:
            line = feed.begin()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except (csv.Error, RecordTooLong) as error:
                yield self._broken(line, error)
                feed.back_to_second_line()
                continue
            if len(cells) == width:
                if any(cells):
                    yield line, cells
            elif any(cell.strip() for cell in cells):
                yield self._fitted(line, cells, width)

    def _fitted(self, line: int, cells: list[str], width: int) -> tuple[int, list[str]] | RejectedRow:
        """Empty cells behind the last column are what spreadsheets write; any other difference is an error."""
        if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
            return line, cells[:width]
        reason = (
            f"The row has {len(cells)} cells, the header {width}. A cell with {self.delimiter!r} or a line end needs quotes."
        )
        return rejected_row(self._source, line, "wrong_column_count", reason, cells[: 2 * width])

    def _broken(self, line: int, error: Exception) -> RejectedRow:
        what = f"over {MAX_RECORD_CHARACTERS:,} characters" if isinstance(error, RecordTooLong) else str(error)
        reason = f"The row cannot be read: {what}. A quote inside a quoted cell is written twice."
        return rejected_row(self._source, line, "malformed_row", reason, self._feed.taken[0][:4000])


def _fit(line: str, delimiter: str, known: Callable[[str], bool]) -> tuple[int, int]:
    try:
        names = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return 0, 0
    return sum(known(name.strip()) for name in names), len(names)
