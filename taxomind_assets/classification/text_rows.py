"""One row of a text file: which of its columns hold what, and whether it can be used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from taxomind_assets.inputs import RejectedRow, has_surrogates, has_unstorable, is_undecided, rejected_row
from taxomind_assets.taxonomy.columns import plain_name
from taxomind_assets.taxonomy.rows import as_text
from taxomind_assets.views.texts import canonical_text, clean, value_text
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings, TextSettings

FIELD_PREFIX: Final = "field:"
MAX_ID_CHARACTERS: Final = 1000
MAX_LANGUAGE_CHARACTERS: Final = 64

#: Names of the parts of a text row, compared as `columns.plain_name` does; the first that a file has is used.
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "text_id": ("textid", "queryid", "sentenceid", "id"),
    "text": ("text", "query"),
    "language": ("language", "lang"),
    "code": ("code", "nodecode", "targetcode"),
}
_NO_FIELDS: Final = frozenset({name for names in ROLES.values() for name in names} | {"split", "taxonomykey", "batchid"})


@dataclass(frozen=True, slots=True)
class TextRow:
    """One text. `row`: number in its file, from 1; `code`: the known answer of a labelled text, else None."""

    row: int
    text_id: str
    text: str
    language: str
    code: str | None


@dataclass(slots=True)
class Parts:
    """The values of one row as the file holds them. `text`: the text, or a mapping of fields."""

    text_id: object
    text: object
    language: object
    code: object


class Columns(Protocol):
    """Which columns of a table hold what. `used`: places of all columns that are read."""

    used: list[int]

    def parts(self, cells: Sequence[Any]) -> Parts:
        """The values of one row."""


class TextColumns:
    """Which columns of a table hold what.

    Args:
        header: column names.
        candidates: columns that may become fields when there is neither a `text` nor a `field:` column; default all.

    Attributes:
        used: places of all columns that are read.
    """

    def __init__(self, header: Sequence[str], candidates: Collection[str] | None = None) -> None:
        places = {plain_name(name): place for place, name in reversed(list(enumerate(header)))}
        role = {role: next((places[name] for name in names if name in places), None) for role, names in ROLES.items()}
        self.text_id, self.text, self.language, self.code = (role[name] for name in ("text_id", "text", "language", "code"))
        self.fields = [(name[len(FIELD_PREFIX) :].strip(), place) for place, name in enumerate(header) if is_field(name)]
        if self.fields and self.text is not None:
            self.fields.append((header[self.text], self.text))
        elif not self.fields and self.text is None:
            rest = [(name, place) for place, name in enumerate(header) if name and plain_name(name) not in _NO_FIELDS]
            self.fields = [(name, place) for name, place in rest if candidates is None or name in candidates]
        single = [place for place in (self.text_id, self.text, self.language, self.code) if place is not None]
        self.used = sorted({*single, *(place for _, place in self.fields)})

    def parts(self, cells: Sequence[Any]) -> Parts:
        """The values of one row."""
        text = {name: cells[place] for name, place in self.fields} if self.fields else self._at(cells, self.text)
        return Parts(self._at(cells, self.text_id), text, self._at(cells, self.language), self._at(cells, self.code))

    @staticmethod
    def _at(cells: Sequence[Any], place: int | None) -> Any:
        return None if place is None else cells[place]


def is_field(name: str) -> bool:
    """True for a column `field:<name>`."""
    return name.casefold().startswith(FIELD_PREFIX)


def is_known(name: str) -> bool:
    """True for a column name that has a meaning here."""
    return is_field(name) or plain_name(name) in _NO_FIELDS


def parts_of_object(value: object) -> Parts:
    """The values of one JSON object, or of a plain string, which is a text without anything else.

    Raises:
        TypeError: it is no object, or its `fields` are none.
    """
    if isinstance(value, str):
        return Parts(None, value, None, None)
    if not isinstance(value, Mapping):
        raise TypeError("an object or a string is expected")
    names = {plain_name(name): name for name in reversed(value)}
    role = {role: next((value[names[name]] for name in options if name in names), None) for role, options in ROLES.items()}
    return Parts(role["text_id"], _text_of_object(value, names, role["text"]), role["language"], role["code"])


def _text_of_object(value: Mapping[str, object], names: Mapping[str, str], text: object) -> object:
    given = value[names["fields"]] if "fields" in names else None
    if given is not None and not isinstance(given, Mapping):
        raise TypeError("`fields` is no object")
    fields = {name[len(FIELD_PREFIX) :].strip(): item for name, item in value.items() if is_field(name)} | dict(given or {})
    if fields:
        return fields | ({"text": text} if text is not None and "text" not in fields else {})
    if given is not None or any(name in names for name in ROLES["text"]):
        return text
    return {name: item for name, item in value.items() if plain_name(name) not in _NO_FIELDS}


class RowMaker:
    """Turns the values of a row into a `TextRow`, or says why it is refused.

    A subclass may know other columns (`columns`), other objects (`of_object`) or other codes (`code`).

    Args:
        source_file: name of the file.
        text_settings: how fields become one text.
        limits: characters of a cell and of a code.
        labelled: each row must have a code; otherwise codes are not read.
    """

    def __init__(self, source_file: str, text_settings: TextSettings, limits: LimitSettings, labelled: bool) -> None:
        self._source = source_file
        self._settings = text_settings
        self._limits = limits
        self._labelled = labelled

    def columns(self, header: list[str], candidates: Collection[str] | None = None) -> Columns:
        """Which columns of a table hold what; `candidates` as in `TextColumns`.

        Raises:
            Fault: `missing_column`.
        """
        columns, name = TextColumns(header, candidates), self._source
        if columns.text is None and not columns.fields:
            allowed = "a column 'text', columns 'field:<name>', or further columns with texts"
            raise Fault("missing_column", f"{name} has no column with texts.", value=header[:50], allowed=allowed)
        if self._labelled and columns.code is None:
            raise Fault(
                "missing_column", f"{name} has no column 'code'.", value=header[:50], allowed="the known code of each text"
            )
        return columns

    def of_object(self, number: int, line: int, value: object) -> Iterator[TextRow | RejectedRow]:
        """The rows that one JSON value stands for.

        Raises:
            TypeError: the value is none that can be read.
        """
        yield self.make(number, line, parts_of_object(value), value)

    def make(self, number: int, line: int, parts: Parts, raw: object) -> TextRow | RejectedRow:
        """Check one row.

        Args:
            number: number of the row in its file, from 1.
            line: line where it begins.
            parts: its values.
            raw: the whole row, for the report of a refusal.
        """
        text, problem = self._text(parts.text)
        text_id = as_text(parts.text_id)
        language = as_text(parts.language)
        code: str | None = None
        if problem is None:
            problem = _id_problem(text_id) or _language_problem(language)
        if problem is None and self._labelled:
            code, problem = self.code(parts.code)
        if problem is not None:
            return rejected_row(self._source, line, problem[0], problem[1], raw)
        return TextRow(number, text_id or str(number), text, (language or "").strip(), code)

    def _text(self, value: object) -> tuple[str, tuple[str, str] | None]:
        limit = self._limits.max_cell_characters
        if isinstance(value, Mapping):
            text = canonical_text(value, self._settings)
            longest = max((len(value_text(item)) for item in value.values()), default=0)
        else:
            text = value_text(value)
            longest = len(text)
        if longest > limit:
            reason = f"The text has {longest:,} characters; limits.max_cell_characters allows {limit:,}."
            return text, ("cell_too_long", reason)
        if has_surrogates(text):
            return text, ("control_characters", "The text holds half of a surrogate pair, which UTF-8 cannot hold.")
        if not text or not (text.isprintable() or clean(text)):
            return text, ("empty_text", "The row has no text.")
        return text, None

    def code(self, value: object) -> tuple[str | None, tuple[str, str] | None]:
        """The code that a value gives, or None and why it is refused: (reason code, reason)."""
        code = as_text(value)
        if code is None or len(code) > self._limits.max_code_characters or has_unstorable(code):
            reason = f"The code is {value!r}: text of at most {self._limits.max_code_characters} characters is expected."
            return None, ("bad_code", reason[:300])
        code = code.strip()
        if not code:
            return None, ("empty_code", "A text to learn from or to judge by needs its code.")
        if is_undecided(code):
            return None, ("undecided_code", f"{code!r} means 'could not decide': nothing can be learned from it.")
        return code, None


def _id_problem(text_id: str | None) -> tuple[str, str] | None:
    if text_id is None:
        return "bad_text_id", "The id is no text and no number."
    if len(text_id) > MAX_ID_CHARACTERS or has_surrogates(text_id):
        return "bad_text_id", f"The id is over {MAX_ID_CHARACTERS:,} characters or cannot be written as UTF-8."
    return None


def _language_problem(language: str | None) -> tuple[str, str] | None:
    if language is None or len(language) > MAX_LANGUAGE_CHARACTERS or has_surrogates(language):
        return "bad_language", f"The language is no text of at most {MAX_LANGUAGE_CHARACTERS} characters."
    return None
