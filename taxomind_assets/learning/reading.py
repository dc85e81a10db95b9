"""All correction files of a taxonomy as rows. Each file is parsed once: what was accepted of it is kept beside the outputs.

A file that was read is known by name, size and time, as in the digest of the inbox; ten thousand files that nobody has touched
cost one look at their folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.classification.text_readers import read_items
from taxomind_assets.inputs import RejectedRow, rejected_file, storable
from taxomind_assets.learning.corrections import NEVER, CorrectionRow
from taxomind_assets.learning.rows import CorrectionRows, CorrectionText
from taxomind_assets.taxonomy.stored import rejected_table
from taxomind_assets.views.texts import TEXT_POLICY_VERSION
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_resources.inbox import InboxFile
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

FILES: Final = "learning.correction_files"
ROWS: Final = "learning.correction_rows"
REJECTED: Final = "learning.rejected_rows"
#: Raised when rows are read in another way; every file is then read again.
_READER_VERSION: Final = 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class ReadFile:
    """What was read from one file.

    Attributes:
        source_file: name of the file.
        file_id: 16 hex digits over its name, size and time, and how it was read.
        lines: line of each row.
        rows: accepted rows.
        rejected: refused rows.
        columns: which columns were used, for people.
        problem: why the file, or the rest of it, could not be read; '' = it was read to its end.
    """

    source_file: str
    file_id: str
    lines: list[int] = field(default_factory=list)
    rows: list[CorrectionRow] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    columns: str = ""
    problem: str = ""


def read_corrections(key: str, files: Sequence[InboxFile], settings: Settings, outputs: Outputs) -> list[ReadFile]:
    """All files, those that are known from the outputs; what is new is added there.

    A file that cannot be read, or not to its end, does not stop the others.

    Args:
        key: taxonomy key.
        files: its files of corrections.
        settings: settings of this taxonomy.
        outputs: where what was read is kept.

    Raises:
        Fault: `storage_failed`.
    """
    read, known = _all_read(key, files, settings, outputs)
    if known < len(read) or outputs.read_remembered(FILES, key, columns=["file_id"]).num_rows != len(read):
        outputs.write(ROWS, key, _rows_table(read))
        outputs.write(REJECTED, key, rejected_table(REJECTED, (row for file in read for row in file.rejected)))
        # Written last: a file counts as read when its rows are there.
        outputs.write(FILES, key, _files_table(read))
    return read


def look_at_corrections(key: str, files: Sequence[InboxFile], settings: Settings, outputs: Outputs) -> list[ReadFile]:
    """As `read_corrections`, and nothing is written: for processes that only want to know what stands.

    Raises:
        Fault: `storage_failed`.
    """
    return _all_read(key, files, settings, outputs)[0]


def _all_read(key: str, files: Sequence[InboxFile], settings: Settings, outputs: Outputs) -> tuple[list[ReadFile], int]:
    """All files by name, and how many of them were read before."""
    how = _how(settings)
    wanted = {_file_id(file, how): file for file in files}
    known = _known(key, outputs, wanted.keys())
    read = [known.get(file_id) or _read(file, file_id, settings) for file_id, file in wanted.items()]
    read.sort(key=lambda found: (found.source_file, found.file_id))
    return read, len(known)


def _how(settings: Settings) -> str:
    used = [settings.text.model_dump_json(), settings.limits.model_dump_json(), settings.report.model_dump_json()]
    return "\n".join([str(_READER_VERSION), TEXT_POLICY_VERSION, *used])


def _file_id(file: InboxFile, how: str) -> str:
    state = f"{file.path.parent.parent.name}\0{file.name}\0{file.size}\0{file.modified_ns}\0{how}"
    return hashlib.sha256(state.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _read(file: InboxFile, file_id: str, settings: Settings) -> ReadFile:
    name = storable(file.name)
    found, maker = ReadFile(name, file_id), CorrectionRows(name, settings)
    try:
        for item in read_items(file.path, maker, settings.limits):
            if isinstance(item, CorrectionText):
                found.lines.append(item.line)
                found.rows.append(item.correction)
            elif isinstance(item, RejectedRow):
                found.rejected.append(item)
    except Fault as fault:
        found.problem = fault.what
        found.rejected += [replace(row, source_file=name) for row in rejected_file(file.path, fault)]
    found.columns = " / ".join(list(maker.columns_used)[:3])
    return found


def _known(key: str, outputs: Outputs, wanted: Iterable[str]) -> dict[str, ReadFile]:
    """The wanted files that were read before, whole."""
    asked = set(wanted)
    # What could not be read may be readable now.
    about = [row for row in outputs.read_remembered(FILES, key).to_pylist() if row["file_id"] in asked and not row["problem"]]
    if not about:
        return {}
    rows = _rows_of(outputs.read_remembered(ROWS, key))
    rejected: dict[str, list[RejectedRow]] = {}
    for row in outputs.read_remembered(REJECTED, key).to_pylist():
        rejected.setdefault(row["source_file"], []).append(RejectedRow(**row))
    known = {}
    for row in about:
        file_id, name = row["file_id"], row["source_file"]
        lines, accepted = rows.get(file_id, ([], []))
        refused = rejected.get(name, [])
        if len(accepted) == row["rows"] and len(refused) == row["rejected"]:
            known[file_id] = ReadFile(name, file_id, lines, accepted, refused, row["columns"], row["problem"])
    return known


def _rows_of(table: pa.Table) -> dict[str, tuple[list[int], list[CorrectionRow]]]:
    """Rows by file; the rows of a file lie together."""
    names = ("correction_id", "action", "text", "codes", "annotator", "corrected_at", "text_id", "language", "source")
    columns: dict[str, list[Any]] = {name: table[name].to_pylist() for name in names if name != "corrected_at"}
    columns["codes"] = [tuple(codes) for codes in columns["codes"]]
    columns["corrected_at"] = moments_of(table["corrected_at"])
    files, sources, lines = (table[name].to_pylist() for name in ("file_id", "source_file", "line"))
    labels = table["proposed_label"].to_pylist()
    rows = map(CorrectionRow._make, zip(*(columns[name] for name in names), sources, labels, strict=True))
    found: dict[str, tuple[list[int], list[CorrectionRow]]] = {}
    for file_id, group in groupby(zip(files, lines, rows, strict=True), key=lambda item: item[0]):
        own = list(group)
        found[file_id] = [line for _, line, _ in own], [row for _, _, row in own]
    return found


def moments_of(times: pa.ChunkedArray) -> list[int]:
    """Times of a table as microseconds since 1970, `NEVER` where there is none."""
    import pyarrow as pa

    return [
        NEVER if moment is None else moment for moment in times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_pylist()
    ]


def times_of(moments: Iterable[int]) -> list[datetime | None]:
    """The inverse of `moments_of`."""
    return [None if moment == NEVER else _EPOCH + timedelta(microseconds=moment) for moment in moments]


def _rows_table(read: Sequence[ReadFile]) -> pa.Table:
    import pyarrow as pa

    rows = [row for file in read for row in file.rows]
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in CorrectionRow._fields}
    columns["corrected_at"] = times_of(columns["corrected_at"])
    columns["file_id"] = [file.file_id for file in read for _ in file.rows]
    columns["line"] = [line for file in read for line in file.lines]
    schema = BY_NAME[ROWS].arrow
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def _files_table(read: Sequence[ReadFile]) -> pa.Table:
    import pyarrow as pa

    columns = {
        "source_file": [file.source_file for file in read],
        "file_id": [file.file_id for file in read],
        "rows": [len(file.rows) for file in read],
        "rejected": [len(file.rejected) for file in read],
        "columns": [file.columns for file in read],
        "problem": [file.problem for file in read],
    }
    return pa.table(columns, schema=BY_NAME[FILES].arrow)
