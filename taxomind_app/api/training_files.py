"""Files of training data: JSON, one JSON object per line, or CSV, read as the sentences of a learn request."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from taxomind_app.api.training_url import Fetched

#: A document is held in memory as a whole; lines are not.
LARGEST_DOCUMENT: Final = 128 * 1024**2
_LARGEST_FIELD: Final = 1 << 20
_FIELD: Final = "field:"


@dataclass(frozen=True)
class BadRow:
    """A row that is no sentence."""

    reason: str


Row = tuple[int, Any]


def read_training(fetched: Fetched) -> Iterator[Row]:
    """(line, sentence) of a file; what cannot be read is a `BadRow` at its line.

    Raises:
        Fault: `unsupported_format`, `unreadable_file`, `missing_column` or `too_large`.
    """
    try:
        yield from _reader(fetched)(fetched.path)
    except UnicodeDecodeError as error:
        raise Fault("unreadable_file", "The training data is not UTF-8.", allowed="text in UTF-8") from error


def _reader(fetched: Fetched) -> Callable[[Path], Iterator[Row]]:
    found = _BY_TYPE.get(fetched.content_type)
    if found is None and fetched.content_type in {"", "text/plain", "application/octet-stream", "binary/octet-stream"}:
        found = _BY_ENDING.get(fetched.name.lower().rpartition(".")[2])
    if found is None:
        value = fetched.content_type or fetched.name[:100]
        allowed = "application/json, application/x-ndjson or text/csv"
        raise Fault("unsupported_format", "The training data has an unknown format.", value=value, allowed=allowed)
    return found


def _json(path: Path) -> Iterator[Row]:
    if path.stat().st_size > LARGEST_DOCUMENT:
        allowed = f"{LARGEST_DOCUMENT:,} bytes of JSON; one object per line (application/x-ndjson) may be longer"
        raise Fault("too_large", "The training data is too large for one document.", allowed=allowed)
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_refuse)
    except (json.JSONDecodeError, RecursionError) as error:
        raise Fault("unreadable_file", "The training data is no JSON.", allowed="JSON in UTF-8") from error
    sentences = document.get("sentences") if isinstance(document, Mapping) else document
    if not isinstance(sentences, list):
        raise Fault("unreadable_file", "The training data has no sentences.", allowed='{"sentences": [...]} or a list')
    yield from enumerate(sentences, 1)


def _refuse(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is no JSON number", "", 0)


def _lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line, parse_constant=_refuse)
            except (json.JSONDecodeError, RecursionError):
                yield number, BadRow("the line is no JSON")


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(_LARGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        header = next(rows, [])
        places = _places(header)
        while True:
            line = rows.line_num + 1
            try:
                cells = next(rows, None)
            except csv.Error as error:
                yield line, BadRow(f"the row cannot be read: {error}")
                continue
            if cells is None:
                return
            if cells:
                yield line, _sentence(cells, len(header), places)


def _places(header: list[str]) -> dict[str, int]:
    """Column -> place: code, sentence_id, level, source, and `field:<name>` of each text."""
    from taxomind_assets.taxonomy.columns import plain_name

    plain = {plain_name(name): place for place, name in reversed(list(enumerate(header)))}
    names = {"code": ("code", "nodecode"), "sentence_id": ("sentenceid",), "level": ("level",), "source": ("source",)}
    found = {role: next((plain[name] for name in options if name in plain), -1) for role, options in names.items()}
    texts = {name: place for place, name in enumerate(header) if name.lower().startswith(_FIELD)}
    if not texts and "text" in plain:
        texts = {f"{_FIELD}text": plain["text"]}
    if found["code"] < 0 or not texts:
        allowed = "a header with `code` and `text`, or `code` and columns `field:<name>`"
        raise Fault("missing_column", "The training data lacks columns.", value=header[:20], allowed=allowed)
    return {role: place for role, place in found.items() if place >= 0} | texts


def _sentence(cells: list[str], width: int, places: Mapping[str, int]) -> Any:
    if len(cells) != width:
        return BadRow(f"the row has {len(cells)} cells, the header {width}")
    fields = {name[len(_FIELD) :]: cells[place] for name, place in places.items() if name.startswith(_FIELD)}
    own = {role: cells[place] for role, place in places.items() if not role.startswith(_FIELD) and cells[place] != ""}
    annotation = {"level": own.get("level", "1"), "nodeCode": own.get("code")}
    # Without an id the identity of a correction is a hash of its text and code.
    sentence: dict[str, Any] = {"fields": fields, "annotations": [annotation]}
    sentence |= {"sentenceId": own["sentence_id"]} if "sentence_id" in own else {}
    return sentence | ({"source": own["source"]} if "source" in own else {})


_BY_TYPE: Final[Mapping[str, Callable[[Path], Iterator[Row]]]] = {
    "application/json": _json,
    "application/x-ndjson": _lines,
    "application/ndjson": _lines,
    "application/jsonl": _lines,
    "text/csv": _csv,
}
_BY_ENDING: Final = {"json": _json, "jsonl": _lines, "ndjson": _lines, "csv": _csv}
