"""What all readers of input files share: refused rows, and files opened with every bad byte named.

A row that is bad by itself becomes a `RejectedRow` and the rest goes on; a file that cannot be read at all is a `Fault`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

RAW_CHARACTERS: Final = 2000
HEAD_BYTES: Final = 4096
#: Longest line or record read in one piece; what is longer is no line but a broken or foreign file.
MAX_RECORD_CHARACTERS: Final = 16 * 1024**2

#: Stable codes of refused rows.
REASONS: Final[Mapping[str, str]] = {
    "bad_action": "the action is none that is known, or lacks what it needs",
    "bad_annotator": "the annotator is no text, too long or cannot be stored",
    "bad_label": "the proposed label is no text, too long or cannot be stored",
    "bad_code": "the code is no text, too long or holds control characters",
    "bad_language": "the language is no BCP 47 tag",
    "bad_level": "the level is no whole number from 1",
    "bad_time": "the time cannot be read",
    "bad_split": "the split is none of train, validation and test",
    "bad_text_id": "the id is too long or holds characters that cannot be stored",
    "bad_type": "a value has a type that cannot be read as text",
    "bad_parent": "the parent code holds control characters or is too long",
    "cell_too_long": "a cell is over the limit of characters",
    "control_characters": "a cell holds control characters or half of a character pair",
    "empty_code": "there is no code",
    "empty_label": "there is no label",
    "empty_text": "there is no text",
    "file_refused": "the whole file was refused",
    "invalid_json": "the line is no JSON object",
    "machine_label": "the code was given by a model, not by a person",
    "malformed_row": "the quotes of the row do not match, or it is over the limit",
    "undecided_code": "-9, -99, ... mean 'could not decide' and are no node",
    "unknown_code": "the taxonomy has no such code",
    "wrong_column_count": "the row has another number of cells than the header",
}

_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_UNDECIDED = re.compile("-9+")

_OLD_WORKBOOK: Final = "an old Excel workbook"
_MAGIC: Final = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", _OLD_WORKBOOK),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_WORKBOOKS: Final = (".xlsx", ".xlsm", ".xls", ".ods")
_SAVE_SHEET: Final = (
    "Open it in the spreadsheet program, choose the sheet, `Save as` in the format `CSV UTF-8`, hand that file in."
)
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row, or a whole file, that was refused: a row of the tables `*.rejected_rows`.

    Attributes:
        source_file: name of the file without its folder.
        line: line where the row begins (CSV, JSONL), else the number of the row, both from 1; 0 = the whole file.
        reason_code: a key of `REASONS`.
        reason: what was wrong and what is allowed.
        raw: the row as it was read, as JSON, cut to 2,000 characters.
    """

    source_file: str
    line: int
    reason_code: str
    reason: str
    raw: str


def rejected_row(source_file: str, line: int, reason_code: str, reason: str, raw: object) -> RejectedRow:
    """Make a `RejectedRow` whose `raw` is JSON that every storage can hold.

    Raises:
        KeyError: `reason_code` is not in `REASONS`.
    """
    if reason_code not in REASONS:
        raise KeyError(reason_code)
    try:
        text = json.dumps(raw, ensure_ascii=False, default=str)[:RAW_CHARACTERS]
    except RecursionError:
        text = '"(nested too deeply)"'
    return RejectedRow(source_file, line, reason_code, storable(reason), storable(text))


def storable(text: str) -> str:
    """`text` with halves of character pairs written as `\\udxxx`, so that it can be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def has_unstorable(text: str) -> bool:
    """True when `text` holds control characters other than tab and line ends, or half of a surrogate pair."""
    return not text.isprintable() and _UNSTORABLE.search(text) is not None


def has_surrogates(text: str) -> bool:
    """True when `text` holds half of a surrogate pair, which UTF-8 cannot hold."""
    return not text.isascii() and _SURROGATES.search(text) is not None


def is_undecided(code: str) -> bool:
    """True for the codes -9, -99, ... by which people say that they could not decide."""
    return _UNDECIDED.fullmatch(code) is not None


def rejected_file(path: Path, fault: Fault) -> list[RejectedRow]:
    """A refused file as rows of `*.rejected_rows`: one per problem of `fault`, or one for all of it."""
    details = fault.details or [{"what": fault.what}]
    return [
        rejected_row(path.name, int((detail.get("lines") or [0])[0]), "file_refused", str(detail["what"]), detail)
        for detail in details
    ]


def check_file(path: Path, limits: LimitSettings) -> bytes:
    """Refuse what is no readable data file at all.

    Returns:
        The first 4,096 bytes, without a UTF-8 byte order mark.

    Raises:
        Fault: `unreadable_file`, `unsupported_format` or `too_large`.
    """
    try:
        if not path.is_file():
            raise Fault("unreadable_file", f"{path.name} is no file.", value=str(path), allowed="the path of an existing file")
        size = path.stat().st_size
        with path.open("rb") as handle:
            head = handle.read(HEAD_BYTES)
    except (OSError, ValueError) as error:
        raise Fault("unreadable_file", f"{path.name} cannot be opened: {error}.", value=str(path)) from error
    if size > limits.max_file_bytes:
        raise Fault(
            "too_large",
            f"{path.name} has {size:,} bytes.",
            value=size,
            allowed=f"at most {limits.max_file_bytes:,} bytes (limits.max_file_bytes)",
        )
    head = head.removeprefix(codecs.BOM_UTF8)
    if not head.strip():
        raise Fault("unreadable_file", f"{path.name} is empty.", value=str(path), allowed="a file with data")
    _refuse_foreign(path, head)
    return head


def _refuse_foreign(path: Path, head: bytes) -> None:
    kind = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if kind is None and _HTML.match(head):
        kind = "an HTML page"
    if kind is not None:
        sheet = path.suffix.lower() in _WORKBOOKS or kind == _OLD_WORKBOOK
        next_step = _SAVE_SHEET if sheet else "Save it as CSV in UTF-8 and hand that in."
        what = f"{path.name} is {'a workbook of a spreadsheet program' if sheet else kind}."
        raise Fault("unsupported_format", what, value=head[:32], allowed="text in UTF-8", next_step=next_step)


def refuse_binary(path: Path, head: bytes) -> None:
    """Refuse a text file with a NUL byte near its beginning: it is binary or UTF-16.

    Raises:
        Fault: `unreadable_file`.
    """
    at = head.find(b"\0")
    if at >= 0:
        raise Fault(
            "unreadable_file",
            f"{path.name} has a NUL byte at byte {at}: it is no text.",
            value=head[:32],
            allowed="text in UTF-8",
        )


@contextmanager
def open_utf8(path: Path) -> Iterator[TextIO]:
    """Open `path` as UTF-8 (with or without a byte order mark); line ends stay as they are.

    Raises:
        Fault: `unreadable_file`, naming the position of the first byte that is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            yield handle
    except UnicodeDecodeError as error:
        raise _encoding_fault(path) from error
    except OSError as error:
        raise Fault("unreadable_file", f"{path.name} cannot be read: {error}.", value=str(path)) from error


def _encoding_fault(path: Path) -> Fault:
    """The fault that names the first bad byte; the file is read again, since a decoder only knows its own block."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = line = 0
    with path.open("rb") as handle:
        while True:
            block = handle.read(1 << 20)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                line += block[: max(error.start - pending, 0)].count(b"\n")
                at = offset - pending + error.start
                bad = error.object[error.start : error.start + 1]
                return Fault(
                    "unreadable_file",
                    f"{path.name} is not UTF-8: byte {at} (line {line + 1}) is 0x{bad.hex()}.",
                    value=bytes(error.object[max(error.start - 10, 0) : error.start + 10]),
                    allowed="text in UTF-8",
                    next_step="Save the file in the encoding UTF-8 and hand it in again.",
                )
            if not block:
                return Fault("unreadable_file", f"{path.name} changed while it was read.", value=str(path))
            offset += len(block)
            line += block.count(b"\n")
