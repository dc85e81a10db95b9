"""Texts with known codes, from any of the usual files, as one table of unique texts.

Nothing is blanked: a row that cannot be used is refused with its reason and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa

from taxomind_assets.views.texts import canonical_text, normalise, value_text
from taxomind_resources.faults import Fault
from taxomind_resources.settings import TextSettings

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy

TARGETS: Final = pa.schema(
    [
        pa.field("dataset", pa.string(), False, {"meaning": "file that held the text"}),
        pa.field("text_id", pa.string(), False, {"meaning": "id of the text, unique in the table"}),
        pa.field("text", pa.string(), False, {"meaning": "the text"}),
        pa.field("language", pa.string(), False, {"meaning": "language as given, '' when not stated"}),
        pa.field("codes", pa.list_(pa.string()), False, {"meaning": "all known codes of the text, as first met"}),
        pa.field("target_code", pa.string(), False, {"meaning": "the first of them"}),
        pa.field("target_level", pa.int32(), False, {"meaning": "its level"}),
        pa.field("target_path", pa.list_(pa.string()), False, {"meaning": "its path, missing upper levels from the tree"}),
        pa.field("rows", pa.int64(), False, {"meaning": "input rows that hold this text"}),
    ]
)

_UNDECIDED = re.compile(r"-9+")
_SHOWN = 20  # refused rows kept as examples
_MACHINE_SOURCES = frozenset({"ai", "model"})
_TEXT_NAMES = ("text", "query_text", "querytext", "sentence")
_CODE_NAMES = ("code", "nodecode", "node_code", "target_code")
_ID_NAMES = ("text_id", "textid", "sentence_id", "sentenceid", "query_id", "id")
_LANGUAGE_NAMES = ("language", "lang")
_LEVEL_COLUMN = re.compile(r"(?P<stem>.+?)[_ ]?(?P<level>\d+)")
_FIELD_PREFIX = "field:"


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which columns hold what. Names are matched without case.

    Attributes:
        text: text fields; several are made into one text as serving does.
        codes: one column, or one per level from the top; the deepest known code of a row wins.
        text_id: id; None = the row's number.
        language: language; None = not stated.
    """

    text: tuple[str, ...] = ("text",)
    codes: tuple[str, ...] = ("code",)
    text_id: str | None = "text_id"
    language: str | None = "language"


class KnownText(NamedTuple):
    """One usable row."""

    text_id: str
    text: str
    language: str
    code: str


@dataclass
class LabelledRows:
    """What was read from one file.

    Attributes:
        dataset: name of the file.
        texts: usable rows, in order.
        refused: rows refused, by reason: `empty_text`, `no_code`, `unknown_code`, `undecided`, `machine_label`, `bad_row`.
        upper_code_used: rows whose deepest code is unknown and that count with a known one above it.
        examples: the first 20 refused rows (number from 1, reason, value).
    """

    dataset: str
    texts: list[KnownText] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    upper_code_used: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, row: int, reason: str, value: object) -> None:
        """Count a row that cannot be used."""
        self.refused[reason] += 1
        if len(self.examples) < _SHOWN:
            self.examples.append({"row": row, "reason": reason, "value": repr(value)[:200]})


def guess_mapping(columns: Sequence[str]) -> ColumnMapping:
    """Recognise the columns of a labelled file or of a platform export.

    One code column (`code`, `nodeCode`, `target_code`), else the longest run of columns that differ in a trailing level
    number only (`ISCO_1` .. `ISCO_4`). The text is `text`, `query_text` or `sentence`, else all `field:...` columns.

    Raises:
        Fault: `missing_column` when there is no text or no code column.
    """
    by_lower = {column.casefold(): column for column in columns}
    texts = _first_known(by_lower, _TEXT_NAMES)
    texts = texts or tuple(column for lower, column in by_lower.items() if lower.startswith(_FIELD_PREFIX))
    codes = _first_known(by_lower, _CODE_NAMES) or _level_columns(columns)
    if not texts or not codes:
        raise Fault(
            "missing_column",
            f"No column for the {'text' if not texts else 'code'} was recognised.",
            value=list(columns),
            allowed="text (or field:...) and code, or one column per level such as ISCO_1..ISCO_4",
            next_step="Name the columns in a mapping.",
        )
    ids, languages = _first_known(by_lower, _ID_NAMES), _first_known(by_lower, _LANGUAGE_NAMES)
    return ColumnMapping(texts, codes, ids[0] if ids else None, languages[0] if languages else None)


def _first_known(by_lower: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(by_lower[name] for name in names if name in by_lower)[:1]


def _level_columns(columns: Sequence[str]) -> tuple[str, ...]:
    runs: dict[str, dict[int, str]] = {}
    for column in columns:
        match = _LEVEL_COLUMN.fullmatch(column.strip())
        if match:
            runs.setdefault(match["stem"].casefold(), {})[int(match["level"])] = column
    best = max(runs.values(), key=len, default={})
    return tuple(best[level] for level in sorted(best))


def read_rows(
    tree: Taxonomy,
    rows: pa.Table | Iterable[Mapping[str, Any]],
    dataset: str,
    mapping: ColumnMapping | None = None,
    *,
    settings: TextSettings | None = None,
) -> LabelledRows:
    """Labelled files and platform exports.

    Args:
        tree: the taxonomy.
        rows: rows already read; values may be text, numbers or missing.
        dataset: name of the file.
        mapping: which columns hold what (default: recognised from the names).
        settings: how several text fields become one text (default: the values, one per line).

    Raises:
        Fault: `missing_column`.
    """
    found = LabelledRows(dataset)
    listed: list[Mapping[str, Any]] = rows.to_pylist() if isinstance(rows, pa.Table) else list(rows)
    if not listed:
        return found
    columns = rows.column_names if isinstance(rows, pa.Table) else list(dict.fromkeys(name for row in listed for name in row))
    mapping = _resolved(mapping, columns) if mapping else guess_mapping(columns)
    for number, row in enumerate(listed, start=1):
        fields = {name.removeprefix(_FIELD_PREFIX): row.get(name) for name in mapping.text}
        # One column is the text itself.
        text = _served_text(fields, settings) if len(fields) > 1 else value_text(*fields.values())
        codes = [code for name in mapping.codes if (code := code_text(row.get(name)))]
        text_id = code_text(row.get(mapping.text_id)) if mapping.text_id else ""
        language = value_text(row.get(mapping.language)) if mapping.language else ""
        _accept(tree, found, number, KnownText(text_id or str(number), text, language, ""), codes)
    return found


def _resolved(mapping: ColumnMapping, columns: Sequence[str]) -> ColumnMapping:
    """The mapping with the columns' own spelling; an absent id or language column becomes None."""
    by_lower = {column.casefold(): column for column in columns}
    missing = [name for name in (*mapping.text, *mapping.codes) if name.casefold() not in by_lower]
    if missing:
        raise Fault(
            "missing_column", f"The mapping names {', '.join(missing)}.", value=list(columns), allowed="columns of the file"
        )
    return ColumnMapping(
        tuple(by_lower[name.casefold()] for name in mapping.text),
        tuple(by_lower[name.casefold()] for name in mapping.codes),
        by_lower.get(mapping.text_id.casefold()) if mapping.text_id else None,
        by_lower.get(mapping.language.casefold()) if mapping.language else None,
    )


def read_learning(tree: Taxonomy, document: object, dataset: str, *, settings: TextSettings | None = None) -> LabelledRows:
    """Corrections in the shape of the learn route: `sentences` with `fields` (or `text`) and `annotations`.

    Field names are matched without case. The deepest annotation with a known code counts; what a model annotated
    (`source` ai or model) is refused, for it would measure the classifier against itself.

    Args:
        tree: the taxonomy.
        document: parsed JSON: an object with `sentences`, or the bare list.
        dataset: name of the file.
        settings: as in `read_rows`.

    Raises:
        Fault: `invalid_input` when there is no list of sentences.
    """
    found = LabelledRows(dataset)
    sentences = _lowered(document).get("sentences") if isinstance(document, Mapping) else document
    if not isinstance(sentences, list):
        raise Fault(
            "invalid_input", f"{dataset}: no list of sentences.", value=document, allowed="{'sentences': [...]} or a bare list"
        )
    for number, sentence in enumerate(sentences, start=1):
        if not isinstance(sentence, Mapping):
            found.refuse(number, "bad_row", sentence)
            continue
        item = _lowered(sentence)
        if value_text(item.get("source")).casefold() in _MACHINE_SOURCES:
            found.refuse(number, "machine_label", item["source"])
            continue
        fields = item.get("fields")
        text = _served_text(fields, settings) if isinstance(fields, Mapping) else value_text(item.get("text"))
        text_id = next((code_text(item[name]) for name in _ID_NAMES if item.get(name) is not None), "")
        known = KnownText(text_id or str(number), text, value_text(item.get("language")), "")
        _accept(tree, found, number, known, _annotated_codes(item.get("annotations")))
    return found


def _annotated_codes(annotations: object) -> list[str]:
    codes = []
    for annotation in annotations if isinstance(annotations, list) else ():
        item = _lowered(annotation) if isinstance(annotation, Mapping) else {}
        codes += [code_text(item[name]) for name in _CODE_NAMES if item.get(name) is not None][:1]
    return [code for code in codes if code]


def _accept(tree: Taxonomy, found: LabelledRows, number: int, item: KnownText, codes: list[str]) -> None:
    """Keep the row with its deepest known code, or count why not."""
    known = [code for code in codes if code in tree.position]
    if not item.text:
        found.refuse(number, "empty_text", item.text_id)
    elif not codes:
        found.refuse(number, "no_code", item.text)
    elif not known:
        undecided = all(_UNDECIDED.fullmatch(code) for code in codes)
        found.refuse(number, "undecided" if undecided else "unknown_code", codes[-1])
    else:
        found.texts.append(item._replace(code=max(known, key=lambda code: tree.depths[tree.position[code]])))
        found.upper_code_used += len(known) < len(codes)


def collect(tree: Taxonomy, parts: Iterable[LabelledRows]) -> pa.Table:
    """One row per unique text and language (NFKC, case folded, single spaces), with all its known codes.

    The first row of a text gives its id, spelling and dataset. An id that another text already has gets its dataset
    (and, if need be, a number) in front.

    Args:
        tree: the taxonomy.
        parts: what was read, file by file.

    Returns:
        A table with the schema `TARGETS`.
    """
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    ids: set[str] = set()
    for part in parts:
        for item in part.texts:
            key = (item.language.casefold(), normalise(item.text))
            row = merged.get(key)
            if row is None:
                text_id = _free_id(item.text_id, part.dataset, ids)
                ids.add(text_id)
                row = {"dataset": part.dataset, "text_id": text_id, "text": item.text, "language": item.language}
                merged[key] = row | {"codes": {item.code: None}, "rows": 1}
            else:
                row["codes"][item.code] = None
                row["rows"] += 1
    rows = list(merged.values())
    for row in rows:
        codes = list(row["codes"])
        node = tree.position[codes[0]]
        row |= {"codes": codes, "target_code": codes[0], "target_level": tree.nodes[node].level}
        row["target_path"] = tree.path_codes(node)
    return pa.Table.from_pylist(rows, TARGETS)


def _free_id(text_id: str, dataset: str, taken: set[str]) -> str:
    if text_id not in taken:
        return text_id
    candidate, number = f"{dataset}:{text_id}", 2
    while candidate in taken:
        candidate, number = f"{dataset}:{text_id}#{number}", number + 1
    return candidate


def code_text(value: object) -> str:
    """A code or id as text: trimmed, whole numbers without a decimal point; '' when missing."""
    return "" if isinstance(value, bool) else value_text(value)


def _served_text(fields: Mapping[str, Any], settings: TextSettings | None) -> str:
    """Named fields as the one text that serving makes of them."""
    return canonical_text({str(name): value for name, value in fields.items()}, settings or TextSettings())  # type: ignore[call-arg]


def _lowered(item: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name).casefold(): value for name, value in item.items()}
