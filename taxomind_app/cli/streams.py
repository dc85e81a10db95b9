"""Where texts to classify come from: arguments, standard input, or a file. All give the same blocks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_assets.classification.text_readers import TextBlock
    from taxomind_assets.classification.text_rows import RowMaker, TextRow
    from taxomind_assets.inputs import RejectedRow
    from taxomind_resources.settings import Settings

#: Texts read and answered together; it bounds the memory of a call.
BLOCK_ROWS: Final = 2_000
_CHUNK_BYTES: Final = 1 << 16
_STANDARD_INPUT: Final = "standard input"


def argument_blocks(texts: Sequence[str], settings: Settings) -> Iterator[TextBlock]:
    """Texts from the command line as one block.

    Raises:
        Fault: `invalid_input` when one of them is no text.
    """
    from taxomind_assets.classification.text_readers import TextBlock

    maker, block = _maker("command line", settings), TextBlock()
    for number, text in enumerate(texts, 1):
        block.add(_row(maker, number, text))
    if block.rejected:
        raise Fault("invalid_input", block.rejected[0].reason, value=texts[block.rejected[0].line - 1])
    yield block


def file_blocks(path: Path, settings: Settings) -> Iterator[TextBlock]:
    """Texts of a CSV, JSONL or Parquet file.

    Raises:
        Fault: as `read_texts`.
    """
    from taxomind_assets.classification.text_readers import read_texts

    return read_texts(path, settings.text, settings.limits, block_rows=BLOCK_ROWS)


def input_blocks(settings: Settings) -> Iterator[TextBlock]:
    """Lines of standard input, each a text; a block holds what has arrived, so that answers follow at once.

    Raises:
        Fault: `unreadable_file` when there is no text at all; `too_large` when a line has no end.
    """
    from taxomind_assets.classification.text_readers import TextBlock

    maker = _maker(_STANDARD_INPUT, settings)
    number = 0
    for lines in _arriving_lines(sys.stdin.buffer):
        for start in range(0, len(lines), BLOCK_ROWS):
            block = TextBlock()
            for line in lines[start : start + BLOCK_ROWS]:
                number += 1
                block.add(_line(maker, number, line))
            yield block
    if not number:
        raise Fault("unreadable_file", "Standard input is empty.", allowed="one text per line")


def limited(blocks: Iterator[TextBlock], limit: int | None) -> Iterator[TextBlock]:
    """At most `limit` texts of the blocks (None = all); refused rows are not counted."""
    left = limit
    for block in blocks:
        if left is not None and len(block) >= left:
            yield _first(block, left)
            return
        yield block
        left = None if left is None else left - len(block)


def estimated_rows(path: Path, limit: int | None) -> int | None:
    """About how many rows a file has, for a progress bar: exact for Parquet, else its line ends. None = unknown."""
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                import pyarrow.parquet as pq

                rows = int(pq.read_metadata(path).num_rows)
            else:
                rows = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except (OSError, ValueError):
        return None
    return rows if limit is None else min(rows, limit)


def _arriving_lines(source: BinaryIO) -> Iterator[list[bytes]]:
    from taxomind_assets.inputs import MAX_RECORD_CHARACTERS

    rest = b""
    while chunk := source.read1(_CHUNK_BYTES):  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield lines
        if len(rest) > MAX_RECORD_CHARACTERS:
            allowed = f"{MAX_RECORD_CHARACTERS:,} bytes; one text per line"
            raise Fault("too_large", "A line of standard input has no end.", value=rest[:40], allowed=allowed)
    if rest:
        yield [rest]


def _line(maker: RowMaker, number: int, line: bytes) -> TextRow | RejectedRow:
    from taxomind_assets.inputs import rejected_row

    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raw = line.decode("utf-8", "backslashreplace")
        reason = f"The line is not UTF-8: byte {error.start + 1} of it is 0x{line[error.start]:02x}."
        return rejected_row(_STANDARD_INPUT, number, "control_characters", reason, raw)
    return _row(maker, number, text)


def _row(maker: RowMaker, number: int, text: str) -> TextRow | RejectedRow:
    from taxomind_assets.classification.text_rows import Parts

    return maker.make(number, number, Parts(None, text, None, None), text)


def _maker(source: str, settings: Settings) -> RowMaker:
    from taxomind_assets.classification.text_rows import RowMaker

    return RowMaker(source, settings.text, settings.limits, labelled=False)


def _first(block: TextBlock, count: int) -> TextBlock:
    """The first texts of a block, and the refused rows before the last of them."""
    from taxomind_assets.classification.text_readers import TextBlock

    names = ("row", "text_id", "text", "language", "code")
    columns = {name: list(islice(getattr(block, name), count)) for name in names}
    return TextBlock(**columns, rejected=block.rejected)
