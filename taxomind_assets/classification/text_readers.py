"""Reading texts to classify or to learn from: CSV, TSV, JSONL and Parquet, block by block, in flat memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from taxomind_assets.classification.text_rows import RowMaker, TextRow, is_known
from taxomind_assets.delimited import DelimitedFile, LineFeed, RecordTooLong
from taxomind_assets.inputs import RejectedRow, check_file, open_utf8, refuse_binary, rejected_row
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings, TextSettings

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["delimited", "jsonl", "parquet"]
Items = Iterator[TextRow | RejectedRow]

_SUFFIXES: Final[Mapping[str, Format]] = {
    ".csv": "delimited",
    ".tsv": "delimited",
    ".tab": "delimited",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
#: Suffixes of the text files that are looked for in an inbox.
SUFFIXES: Final = tuple(_SUFFIXES)
_PARQUET_ROWS: Final = 4096


@dataclass
class TextBlock:
    """Some rows of a file as columns of equal length, and the rows between them that were refused.

    Attributes:
        row: numbers in the file, from 1; refused rows are counted too.
        text_id: id as given, else the row's number.
        text: the text, or the canonical text of its fields; trimmed, never empty.
        language: as given, '' when not stated.
        code: known answers of labelled texts, else None.
        rejected: rows that were refused.
    """

    row: list[int] = field(default_factory=list)
    text_id: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    language: list[str] = field(default_factory=list)
    code: list[str | None] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.row)

    def add(self, item: TextRow | RejectedRow) -> None:
        """Append a text or a refused row."""
        if isinstance(item, RejectedRow):
            self.rejected.append(item)
            return
        self.row.append(item.row)
        self.text_id.append(item.text_id)
        self.text.append(item.text)
        self.language.append(item.language)
        self.code.append(item.code)


def read_texts(
    path: Path,
    text_settings: TextSettings,
    limits: LimitSettings,
    *,
    labelled: bool = False,
    block_rows: int = 10_000,
    maker: RowMaker | None = None,
) -> Iterator[TextBlock]:
    """Read a file of texts block by block. Bad rows are refused one by one; nothing is read before the first `next`.

    The text of a row is the first of these that the file has: its fields (columns `field:<name>`; in JSON also the object
    `fields`), joined by `text` as one more field; the column `text`; all columns that are no id, language, code or split.

    Args:
        path: CSV (',', ';' or tab), TSV, JSONL (one object or string per line) or Parquet.
        text_settings: how fields become one text.
        limits: bytes of the file, characters of a cell and of a code.
        labelled: each row must have a `code`; otherwise codes are not read.
        block_rows: texts and refused rows in one block.
        maker: turns values into rows in its own way; `labelled` and the settings are then its own.

    Yields:
        Blocks of `block_rows` rows; the last may be shorter.

    Raises:
        Fault: `unreadable_file`, `unsupported_format`, `missing_column` or `too_large`.
    """
    block = TextBlock()
    empty = True
    for item in read_items(path, maker or RowMaker(path.name, text_settings, limits, labelled), limits):
        block.add(item)
        if len(block) + len(block.rejected) >= block_rows:
            yield block
            block, empty = TextBlock(), False
    if block.row or block.rejected:
        yield block
    elif empty:
        raise Fault("unreadable_file", f"{path.name} has no rows.", value=str(path), allowed="at least one text")


def detect_text_format(path: Path, head: bytes) -> Format:
    """The format by the suffix, else by the first bytes of the file.

    Raises:
        Fault: `unsupported_format`.
    """
    known = _SUFFIXES.get(path.suffix.lower())
    if known is None and path.suffix.lower() in {"", ".txt", ".json"}:
        known = "parquet" if head.startswith(b"PAR1") else "jsonl" if head.lstrip()[:1] in {b"{", b"[", b'"'} else "delimited"
    if known is None:
        raise Fault(
            "unsupported_format", f"{path.name} has an unknown format.", value=path.suffix, allowed="CSV, TSV, JSONL or Parquet"
        )
    if known == "jsonl" and head.lstrip()[:1] == b"[":
        raise Fault(
            "unsupported_format",
            f"{path.name} is a JSON list.",
            allowed="one JSON object per line",
            next_step="Convert it, for example with `jq -c '.[]' texts.json > texts.jsonl`.",
        )
    return known


def read_items(path: Path, rows: RowMaker, limits: LimitSettings) -> Items:
    """The rows of a file one by one, as `rows` makes them, and those that are refused.

    Raises:
        Fault: as `read_texts`.
    """
    head = check_file(path, limits)
    kind = detect_text_format(path, head)
    if kind == "parquet":
        return _parquet_items(path, rows)
    refuse_binary(path, head)
    return _delimited_items(path, rows) if kind == "delimited" else _json_items(path, rows)


def _delimited_items(path: Path, rows: RowMaker) -> Items:
    with open_utf8(path) as handle:
        file = DelimitedFile(handle, path.name, is_known)
        columns = rows.columns(file.header)
        for number, record in enumerate(file, 1):
            if isinstance(record, RejectedRow):
                yield record
            else:
                yield rows.make(number, record[0], columns.parts(record[1]), record[1])


def _json_items(path: Path, rows: RowMaker) -> Items:
    with open_utf8(path) as handle:
        feed = LineFeed(handle)
        number = 0
        while True:
            line = feed.begin()
            try:
                text = next(feed, None)
            except RecordTooLong:
                text = "{ (longer than a line may be)"
            if text is None:
                return
            if text.strip():
                number += 1
                yield from _json_items_of_line(path.name, rows, number, line, text)


def _json_items_of_line(name: str, rows: RowMaker, number: int, line: int, text: str) -> Items:
    try:
        yield from rows.of_object(number, line, json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        yield rejected_row(
            name, line, "invalid_json", f"The line is no JSON object that can be read: {what}.", text[:4000].rstrip()
        )


def _parquet_items(path: Path, rows: RowMaker) -> Items:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            schema: pa.Schema = file.schema_arrow
            columns = rows.columns(schema.names, _readable(schema))
            names = [schema.names[place] for place in columns.used]
            _refuse_bytes(path.name, schema, names)
            number = 0
            for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=names, use_threads=False):
                read = {name: batch.column(name).to_pylist() for name in names}
                nothing: list[Any] = [None] * batch.num_rows
                for cells in zip(*(read.get(name, nothing) for name in schema.names), strict=True):
                    number += 1
                    yield rows.make(number, number, columns.parts(cells), dict(zip(schema.names, cells, strict=True)))
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        raise Fault("unreadable_file", f"{path.name} is no readable Parquet file: {error}.", value=str(path)) from error


def _readable(schema: pa.Schema) -> set[str]:
    """Columns whose values are plain texts, numbers or truth values."""
    import pyarrow.types as kinds

    tests = (kinds.is_string, kinds.is_large_string, kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_dictionary)
    return {column.name for column in schema if any(test(column.type) for test in tests)}


def _refuse_bytes(name: str, schema: pa.Schema, columns: list[str]) -> None:
    import pyarrow.types as kinds

    for column in columns:
        kind = schema.field(column).type
        if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
            raise Fault("unsupported_format", f"The column {column!r} of {name} holds bytes.", value=str(kind), allowed="text")
