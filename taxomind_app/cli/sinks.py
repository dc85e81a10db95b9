"""Where answers go: CSV, JSON lines or Parquet, whole or not at all, and the refused rows beside them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.classification.text_readers import TextBlock
    from taxomind_assets.inputs import RejectedRow

#: Columns of an output, the same in every format; codes of `path` and `top_codes` are joined by '|'.
COLUMNS: Final = ("text_id", "code", "level", "path", "confidence", "stop_reason", "top_codes", "label", "text")
_SEPARATOR: Final = "|"
_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_JSON_LINES: Final = (".jsonl", ".ndjson")
_PARQUET: Final = (".parquet", ".pq")
SUFFIXES: Final = (*_DELIMITERS, *_JSON_LINES, *_PARQUET)


class Sink(Protocol):
    """Takes answers block by block."""

    def write(self, rows: pa.Table) -> None:
        """Add rows with the columns `COLUMNS`."""


class CsvSink:
    """Delimited text (RFC 4180); an empty cell is no answer."""

    def __init__(self, file: TextIO, delimiter: str = ",") -> None:
        self._writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._file = file
        self._writer.writerow(COLUMNS)

    def write(self, rows: pa.Table) -> None:
        """Add rows."""
        columns = rows.to_pydict()
        columns["confidence"] = [f"{value:.4f}" for value in columns["confidence"]]
        self._writer.writerows(zip(*(columns[name] for name in COLUMNS), strict=True))
        self._file.flush()


class JsonSink:
    """One JSON object per line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, rows: pa.Table) -> None:
        """Add rows."""
        for row in rows.to_pylist():
            row["confidence"] = round(row["confidence"], 4)
            self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()


class ParquetSink:
    """Parquet."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"level": pa.int32(), "confidence": pa.float32()}
        schema = pa.schema([pa.field(name, types.get(name, pa.string())) for name in COLUMNS])
        self._writer = stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))

    def write(self, rows: pa.Table) -> None:
        """Add rows."""
        self._writer.write_table(rows)


class Refused:
    """Rows of the input that were refused; their file is made with the first of them."""

    def __init__(self, path: Path | None, stack: ExitStack) -> None:
        self.path = path
        self.count = 0
        self.first: list[RejectedRow] = []
        self._stack = stack
        self._writer: Any = None

    def write(self, rows: Sequence[RejectedRow]) -> None:
        """Add refused rows.

        Raises:
            Fault: `storage_failed`.
        """
        self.count += len(rows)
        self.first += rows[: 5 - len(self.first)]
        if rows and self.path is not None:
            writer = self._writer or self._open(self.path)
            writer.writerows(asdict(row) for row in rows)

    def _open(self, path: Path) -> csv.DictWriter[str]:
        from taxomind_assets.inputs import RejectedRow
        from taxomind_resources.files import publishing

        temporary = self._stack.enter_context(publishing(path))
        file = self._stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
        self._writer = csv.DictWriter(file, list(RejectedRow.__dataclass_fields__))
        self._writer.writeheader()
        return self._writer  # type: ignore[no-any-return]


@contextmanager
def open_output(path: Path) -> Iterator[tuple[Sink, Refused]]:
    """The sinks for answers and for refused rows of one output file; both files appear when the block ends without an error.

    Args:
        path: output; its suffix says the format. Refused rows go to `<name>.rejected.csv` beside it.

    Raises:
        Fault: `unsupported_format`, `invalid_input` (folder) or `storage_failed`.
    """
    from taxomind_resources.files import publishing, storage_faults, sweep_temporary

    check_output(path)
    sweep_temporary(path.parent)
    rejected = rejected_path(path)
    with ExitStack() as stack:
        refused = Refused(rejected, stack)
        with publishing(path) as temporary, ExitStack() as inner:
            yield _sink(path.suffix.lower(), temporary, inner), refused
    if not refused.count:
        # What an earlier call left there would be taken for the refused rows of this one.
        with storage_faults(rejected):
            rejected.unlink(missing_ok=True)


def check_output(path: Path) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises:
        Fault: `unsupported_format`, `invalid_input` or `storage_failed`.
    """
    import os

    if path.suffix.lower() not in SUFFIXES:
        raise Fault("unsupported_format", "The output's suffix says its format.", value=str(path), allowed=", ".join(SUFFIXES))
    if path.is_dir():
        raise Fault("invalid_input", "The output is a folder.", value=str(path), allowed="the path of a file")
    if not path.parent.is_dir():
        next_step = f"Make the folder: mkdir -p {path.parent}"
        raise Fault("invalid_input", "The folder of the output does not exist.", value=str(path.parent), next_step=next_step)
    if not os.access(path.parent, os.W_OK):
        next_step = "Choose another folder, or change its permissions."
        raise Fault(
            "storage_failed", "The folder of the output cannot be written.", value=str(path.parent), next_step=next_step
        )


def rejected_path(path: Path) -> Path:
    """Where refused rows go: `answers.csv` has `answers.rejected.csv`."""
    return path.with_name(f"{path.stem}.rejected.csv")


def flat_rows(block: TextBlock, answers: pa.Table) -> pa.Table:
    """Answers of a block with the columns `COLUMNS`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from taxomind_resources.arrow_arrays import texts_array

    columns: dict[str, Any] = {"text_id": texts_array(block.text_id), "text": texts_array(block.text)}
    for name in ("path", "top_codes"):
        columns[name] = pc.binary_join(answers[name], _SEPARATOR)
    return pa.table({name: columns[name] if name in columns else answers[name] for name in COLUMNS})


def _sink(suffix: str, temporary: Path, stack: ExitStack) -> Sink:
    if suffix in _PARQUET:
        return ParquetSink(temporary, stack)
    file = stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))
    return JsonSink(file) if suffix in _JSON_LINES else CsvSink(file, _DELIMITERS[suffix])
