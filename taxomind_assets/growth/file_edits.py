"""Small changes of a taxonomy file: a node more or less, an alias more or less; all else stays as it was written.

CSV and TSV files are changed line by line, JSON files in their list of nodes. A file of another format, or one that lacks a
column for what is to be said, is written anew as a JSON document that holds the same nodes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from taxomind_assets.delimited import DelimitedFile
from taxomind_assets.inputs import RejectedRow, open_utf8
from taxomind_assets.taxonomy.columns import assign_columns, field_of
from taxomind_assets.taxonomy.json_source import load_json
from taxomind_assets.taxonomy.readers import detect_format
from taxomind_assets.taxonomy.rows import split_list
from taxomind_assets.taxonomy.tree import Taxonomy

_LIST: Final = "\n"
_JSON_NAMES: Final = {"parent_code": "parentCode"}


@dataclass(frozen=True)
class NewNode:
    """A node to be written. `level`: one below its parent's."""

    code: str
    parent_code: str | None
    label: str
    level: int
    examples: tuple[str, ...] = ()
    language: str = ""

    def values(self) -> dict[str, Any]:
        """Parts by the names of `taxonomy.columns`; empty ones are left out."""
        parts = {
            "code": self.code,
            "parent_code": self.parent_code,
            "level": self.level,
            "label": self.label,
            "examples": list(self.examples),
            "language": self.language,
        }
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True)
class Edited:
    """A changed file: its content and the suffix of its format."""

    content: bytes
    suffix: str


def with_node(path: Path, tree: Taxonomy, node: NewNode) -> Edited:
    """The file with one node more, at its end.

    Args:
        path: taxonomy file.
        tree: what it holds.
        node: the new node.

    Raises:
        Fault: as `read_taxonomy`.
    """
    kind = detect_format(path)
    if kind == "csv":
        table = _Table.of(path)
        needed = {"parent_code"} if node.parent_code else set()
        if needed <= table.columns.keys():
            return Edited(table.appended(node.values()), path.suffix)
    if kind == "json":
        return _json(path, lambda nodes: nodes.append({_JSON_NAMES.get(k, k): v for k, v in node.values().items()}))
    document = _document(tree)
    document["nodes"].append({_JSON_NAMES.get(name, name): value for name, value in node.values().items()})
    return Edited(_dumped(document), ".json")


def without_node(path: Path, tree: Taxonomy, code: str) -> Edited:
    """The file without the rows of one node."""
    kind = detect_format(path)
    if kind == "csv":
        return Edited(_Table.of(path).changed(code, lambda _: None), path.suffix)

    def remove(nodes: list[Any]) -> None:
        nodes[:] = [node for node in nodes if _code_of(node) != code]

    if kind == "json":
        return _json(path, remove)
    document = _document(tree)
    remove(document["nodes"])
    return Edited(_dumped(document), ".json")


def with_alias(path: Path, tree: Taxonomy, code: str, alias: str) -> Edited:
    """The file with one more alias of a node, in the row that the file names first."""
    return _aliases(path, tree, code, lambda aliases: [*aliases, alias])


def without_alias(path: Path, tree: Taxonomy, code: str, alias: str) -> Edited:
    """The file without an alias of a node."""
    return _aliases(path, tree, code, lambda aliases: [own for own in aliases if own != alias])


def _aliases(path: Path, tree: Taxonomy, code: str, change: Callable[[list[str]], list[str]]) -> Edited:
    kind = detect_format(path)
    if kind == "csv":
        table = _Table.of(path)
        if "aliases" in table.columns:
            return Edited(table.changed(code, lambda cells: table.with_cell(cells, "aliases", change), first=True), path.suffix)

    def edit(nodes: list[Any]) -> None:
        node = next(node for node in nodes if _code_of(node) == code)
        name = assign_columns(node)[0].get("aliases", "aliases")
        node[name] = change(_listed(node.get(name)))

    if kind == "json":
        return _json(path, edit)
    document = _document(tree)
    edit(document["nodes"])
    return Edited(_dumped(document), ".json")


class _Table:
    """A CSV or TSV file as lines, and the lines of each record."""

    def __init__(self, lines: list[str], header: list[str], delimiter: str, records: list[tuple[int, int, list[str]]]) -> None:
        self.lines = lines
        self.delimiter = delimiter
        self.header = header
        self.columns = {part: header.index(name) for part, name in assign_columns(header)[0].items()}
        self.records = records
        self.line_end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"

    @classmethod
    def of(cls, path: Path) -> _Table:
        with open_utf8(path) as handle:
            lines = list(handle)
        with open_utf8(path) as handle:
            file = DelimitedFile(handle, path.name, lambda column: field_of(column) is not None)
            found = [(item.line, []) if isinstance(item, RejectedRow) else (item[0], list(item[1])) for item in file]
            header, delimiter = file.header, file.delimiter
        ends = [line for line, _ in found[1:]] + [len(lines) + 1]
        records = [(line - 1, end - 1, cells) for (line, cells), end in zip(found, ends, strict=True)]
        return cls(lines, header, delimiter, records)

    def appended(self, values: dict[str, Any]) -> bytes:
        """The file with one record more."""
        cells = [""] * len(self.header)
        for part, place in self.columns.items():
            value = values.get(part, "")
            cells[place] = _cell(value) if isinstance(value, list) else str(value)
        text = "".join(self.lines)
        between = "" if text.endswith(("\n", "\r")) else self.line_end
        return (text + between + self.written(cells)).encode()

    def changed(self, code: str, change: Callable[[list[str]], list[str] | None], *, first: bool = False) -> bytes:
        """The file with the records of a code changed, or without them where `change` gives None."""
        lines = list(self.lines)
        own = [record for record in self.records if record[2] and record[2][self.columns["code"]].strip() == code]
        for start, end, cells in reversed(own[:1] if first else own):
            changed = change(list(cells))
            lines[start:end] = [] if changed is None else [self.written(changed)]
        return "".join(lines).encode()

    def with_cell(self, cells: list[str], part: str, change: Callable[[list[str]], list[str]]) -> list[str]:
        """A record whose list in one cell is changed."""
        place = self.columns[part]
        cells[place] = _cell(change(_listed(cells[place])))
        return cells

    def written(self, cells: Sequence[str]) -> str:
        """A record as the lines of this file."""
        out = io.StringIO()
        csv.writer(out, delimiter=self.delimiter, lineterminator=self.line_end).writerow(cells)
        return out.getvalue()


def _json(path: Path, change: Callable[[list[Any]], None]) -> Edited:
    document = load_json(path)
    body = document
    if isinstance(document, dict):
        inner = document.get("taxonomy")
        body = inner if inner is not None else document
    change(body if isinstance(body, list) else body["nodes"])
    return Edited(_dumped(document), ".json")


def _document(tree: Taxonomy) -> dict[str, Any]:
    """A taxonomy as a JSON document: an object for each node and language."""
    nodes = []
    for node in tree.nodes:
        for text in node.texts:
            value = {
                "code": node.code,
                "parentCode": node.parent_code,
                "level": node.level,
                "label": text.label,
                "definition": text.definition,
                "examples": list(text.examples),
                "aliases": list(text.aliases),
                "negative_examples": list(text.negative_examples),
                "language": text.language,
            }
            nodes.append({name: part for name, part in value.items() if part})
    names = {str(level): name for level, name in tree.level_names.items()}
    return {"displayName": tree.display_name, "levelNames": names, "nodes": nodes}


def _dumped(document: Any) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _code_of(node: Any) -> str:
    name = assign_columns(node)[0].get("code") if isinstance(node, dict) else None
    return str(node[name]).strip() if name else ""


def _listed(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else list(split_list(str(value or "")))


def _cell(texts: Sequence[str]) -> str:
    """Texts of one cell; a line end keeps a single one with a '|' in it whole."""
    return _LIST.join(texts) + (_LIST if len(texts) == 1 and "|" in texts[0] else "")
