"""Texts with known codes as one table of unique texts, and the columns that hold them in the usual files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa

from taxomind_assets.classification.text_rows import ROLES, is_field, is_known
from taxomind_assets.taxonomy.columns import plain_name
from taxomind_assets.views.texts import normalise
from taxomind_resources.settings import ReportSettings

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy

TARGETS: Final = pa.schema(
    [
        pa.field("dataset", pa.string(), False, {"meaning": "file that held the text"}),
        pa.field("text_id", pa.string(), False, {"meaning": "id of the text, unique in the table"}),
        pa.field("text", pa.string(), False, {"meaning": "the text"}),
        pa.field("language", pa.string(), False, {"meaning": "language as given, '' when not stated"}),
        pa.field("codes", pa.list_(pa.string()), False, {"meaning": "known codes, none above another, as first met"}),
        pa.field("target_code", pa.string(), False, {"meaning": "the first of them"}),
        pa.field("target_level", pa.int32(), False, {"meaning": "its level"}),
        pa.field("target_path", pa.list_(pa.string()), False, {"meaning": "its path, missing upper levels from the tree"}),
        pa.field("rows", pa.int64(), False, {"meaning": "input rows that hold this text"}),
    ]
)

_TEXT_NAMES: Final = (*ROLES["text"], "querytext", "sentence")
_LEVEL_COLUMN = re.compile(r"(?P<stem>.+?)[_ -]?(?P<level>\d+)")
#: Columns that would give the answer away if they became part of the text.
_ANSWER = re.compile(r"(target|node|known|predicted)?(code|label|level|path)\d*|dataset|source|sourceid|annotator")


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which columns hold what, by the files' own spelling.

    Attributes:
        text: columns that make the text; () = none was recognised.
        codes: one column, or one per level from the top, of which the deepest known code counts; () = none.
        text_id: id; None = the row's number.
        language: language; None = not stated.
        as_fields: the text columns are named fields, joined as serving does; else the one column is the text itself.
    """

    text: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    text_id: str | None = None
    language: str | None = None
    as_fields: bool = False


class KnownText(NamedTuple):
    """One usable row. `code` is in the taxonomy."""

    dataset: str
    text_id: str
    text: str
    language: str
    code: str


def guess_mapping(columns: Sequence[str], wanted: ReportSettings | None = None) -> ColumnMapping:
    """Recognise the columns of a labelled file or of a platform export. Names are matched without case, '_', '-' and spaces.

    Code: what the settings name, when the file has it; else `code`, `nodeCode` or `target_code`; else the longest run of
    columns that differ in a trailing level number only (`ISCO_1` .. `ISCO_4`). Text: what the settings name; else the columns
    `field:...` and `text` (or `query_text`, `sentence`); else, beside a single code column, all columns that are no id, no
    language and no answer, as in serving.

    Args:
        columns: names, in the order of the file.
        wanted: columns that settings name.
    """
    by_name = {plain_name(column): column for column in reversed(columns) if column}
    named = wanted or ReportSettings()  # type: ignore[call-arg]
    single = _first(by_name, ROLES["code"])
    codes = _all(by_name, named.code_columns) or single or _level_columns(columns)
    text, as_fields = _text_columns(columns, by_name, named.text_columns)
    if not text and single and codes == single:
        rest = (column for column in columns if column and not is_known(column) and not _ANSWER.fullmatch(plain_name(column)))
        text, as_fields = tuple(rest), True
    ids, languages = _first(by_name, ROLES["text_id"]), _first(by_name, ROLES["language"])
    return ColumnMapping(text, codes, ids[0] if ids else None, languages[0] if languages else None, as_fields)


def _text_columns(columns: Sequence[str], by_name: dict[str, str], wanted: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    chosen = _all(by_name, wanted)
    if chosen:
        return chosen, len(chosen) > 1
    fields = tuple(column for column in columns if is_field(column))
    return (*fields, *_first(by_name, _TEXT_NAMES)), bool(fields)


def _first(by_name: dict[str, str], names: Iterable[str]) -> tuple[str, ...]:
    """The first of the names that there is, as a tuple of one or none."""
    return tuple(by_name[name] for name in names if name in by_name)[:1]


def _all(by_name: dict[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """The columns of these names; none when one of them is missing."""
    found = tuple(by_name[plain_name(name)] for name in names if plain_name(name) in by_name)
    return found if len(found) == len(names) else ()


def _level_columns(columns: Sequence[str]) -> tuple[str, ...]:
    runs: dict[str, dict[int, str]] = {}
    for column in columns:
        match = None if is_field(column) else _LEVEL_COLUMN.fullmatch(column.strip())
        if match:
            runs.setdefault(match["stem"].casefold(), {})[int(match["level"])] = column
    best = max(runs.values(), key=len, default={})
    return tuple(best[level] for level in sorted(best))


def collect(tree: Taxonomy, texts: Iterable[KnownText]) -> pa.Table:
    """One row per unique text and language (NFKC, case folded, single spaces), with all its known codes.

    The first row of a text gives its id, spelling and dataset. An id that another text already has gets its dataset
    (and, if need be, a number) in front. A code above another known code of the same text says nothing more and is left out.

    Args:
        tree: the taxonomy.
        texts: what was read; taken one by one.

    Returns:
        A table with the schema `TARGETS`.
    """
    places: dict[tuple[str, str], int] = {}
    firsts: list[KnownText] = []
    codes: list[tuple[str, ...]] = []
    rows: list[int] = []
    ids: set[str] = set()
    for item in texts:
        place = places.setdefault((item.language.casefold(), normalise(item.text)), len(firsts))
        if place == len(firsts):
            text_id = _free_id(item.text_id, item.dataset, ids)
            ids.add(text_id)
            firsts.append(item._replace(text_id=text_id))
            codes.append((item.code,))
            rows.append(0)
        elif item.code not in codes[place]:
            codes[place] += (item.code,)
        rows[place] += 1
    deepest = [own if len(own) == 1 else _deepest(tree, own) for own in codes]
    nodes = [tree.position[own[0]] for own in deepest]
    columns = {name: [getattr(item, name) for item in firsts] for name in ("dataset", "text_id", "text", "language")}
    columns |= {"codes": deepest, "target_code": [own[0] for own in deepest], "rows": rows}
    columns |= {"target_level": tree.levels[nodes].tolist(), "target_path": [tree.path_codes(node) for node in nodes]}
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in TARGETS}, schema=TARGETS)


def _deepest(tree: Taxonomy, codes: tuple[str, ...]) -> tuple[str, ...]:
    """Codes that stand above no other one of them."""
    above = {code for own in codes for code in tree.path_codes(tree.position[own])[:-1]}
    return tuple(code for code in codes if code not in above)


def _free_id(text_id: str, dataset: str, taken: set[str]) -> str:
    if text_id not in taken:
        return text_id
    candidate, number = f"{dataset}:{text_id}", 2
    while candidate in taken:
        candidate, number = f"{dataset}:{text_id}#{number}", number + 1
    return candidate
