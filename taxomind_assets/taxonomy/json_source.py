"""A taxonomy as JSON: the document of the labelling client, a bare `{"nodes": [...]}`, or a bare list of nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from taxomind_assets.inputs import RejectedRow, has_unstorable, open_utf8, rejected_row
from taxomind_assets.taxonomy.columns import UNREAD, assign_columns, field_of
from taxomind_assets.taxonomy.problems import Problem
from taxomind_assets.taxonomy.rows import NodeRow, as_text, read_row
from taxomind_assets.taxonomy.sources import Source
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

_ALLOWED = '{"taxonomy": {"nodes": [...]}}, {"nodes": [...]} or a list of nodes'


def load_json(path: Path) -> Any:
    """Parse a JSON file (RFC 8259, UTF-8).

    Raises:
        Fault: `unreadable_file`.
    """
    with open_utf8(path) as handle:
        text = handle.read()
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise Fault("unreadable_file", f"{path.name} is no JSON: {what}.", value=text[:80], allowed="JSON in UTF-8") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def read_document(document: Any, key: str, name: str, limits: LimitSettings) -> Source:
    """Take a parsed document apart.

    Args:
        document: the parsed JSON.
        key: taxonomy key; another one inside the document gives a warning.
        name: name of the file, for messages.
        limits: longest cell and code.

    Raises:
        Fault: `invalid_taxonomy` when there is no list of nodes.
    """
    body: Any = document.get("taxonomy") if isinstance(document, Mapping) and document.get("taxonomy") is not None else document
    if isinstance(body, list):
        body = {"nodes": body}
    if not isinstance(body, Mapping):
        body = {}
    nodes = body.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        raise Fault("invalid_taxonomy", f"{name} has no list of nodes.", value=type(nodes).__name__, allowed=_ALLOWED)
    source = Source(())
    source.rows = _rows(nodes, name, limits, source.warnings)
    source.max_depth = _max_depth(body.get("maxDepth"), source.problems)
    source.level_names = _level_names(body.get("levelNames"), source.warnings)
    source.display_name = _display_name(body.get("displayName"), source.problems)
    source.synonyms = _synonyms(body.get("synonyms"), source, limits)
    inner = as_text(body.get("key"))
    if inner and inner != key:
        source.warnings.append(f"The document names the taxonomy {inner[:100]!r}; it is read as {key!r}.")
    return source


def _rows(nodes: list[Any], name: str, limits: LimitSettings, warnings: list[str]) -> Iterator[NodeRow | RejectedRow]:
    unknown: dict[str, None] = {}
    for number, node in enumerate(nodes, 1):
        if not isinstance(node, Mapping):
            yield rejected_row(name, number, "bad_type", "A node is an object with code, parentCode and label.", node)
            continue
        columns, unread = assign_columns(node)
        unknown.update(dict.fromkeys(column for column in unread if field_of(column) not in UNREAD))
        yield read_row(name, number, {field: node[column] for field, column in columns.items()}, limits)
    if unknown:
        warnings.append(f"Parts of nodes that are not read: {', '.join(list(unknown)[:20])}.")


def _max_depth(value: Any, problems: list[Problem]) -> int | None:
    text = as_text(value)
    if text == "":
        return None
    if text is None or not text.isdecimal() or len(text) > 6 or int(text) < 1:
        problems.append(Problem("bad_value", "maxDepth", 0, f"{value!r} is no positive whole number"[:200]))
        return None
    return int(text)


def _level_names(value: Any, warnings: list[str]) -> dict[int, str]:
    names: dict[int, str] = {}
    left_out: list[str] = []
    for level, name in (value if isinstance(value, Mapping) else {}).items():
        text = as_text(name)
        if not (isinstance(level, str) and level.isdecimal() and len(level) <= 6 and text) or has_unstorable(text):
            left_out.append(repr(level)[:50])
        else:
            names[int(level)] = text.strip()
    if left_out or not (value is None or isinstance(value, Mapping)):
        warnings.append(f"levelNames maps levels to names; left out: {', '.join(left_out[:20]) or type(value).__name__}.")
    return names


def _display_name(value: Any, problems: list[Problem]) -> str:
    text = as_text(value)
    if text is None or has_unstorable(text) or len(text) > 1000:
        problems.append(Problem("bad_value", "displayName", 0, "text of at most 1,000 characters is expected"))
        return ""
    return " ".join(text.split())


def _synonyms(value: Any, source: Source, limits: LimitSettings) -> list[tuple[str, str]]:
    """(code, text) of `synonyms: [{nodeCode, synonym}]`; entries that cannot be read are counted in a warning."""
    found: list[tuple[str, str]] = []
    entries = value if isinstance(value, list) else []
    for entry in entries:
        columns = assign_columns(entry)[0] if isinstance(entry, Mapping) else {}
        code = as_text(entry[columns["code"]]) if "code" in columns else None
        text = as_text(entry[columns["aliases"]]) if "aliases" in columns else None
        if code and text and text.strip() and not has_unstorable(code + text) and len(text) <= limits.max_cell_characters:
            found.append((code.strip(), " ".join(text.split())))
    bad = len(entries) - len(found) if isinstance(value, list) or value is None else 1
    if bad:
        source.warnings.append(f"{bad:,} entries of synonyms are no {{nodeCode, synonym}} and were left out.")
    return found
