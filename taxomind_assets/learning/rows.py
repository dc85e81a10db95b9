"""One row of a file of corrections: what it says, and whether it can be used. Codes that are unknown now may come later."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from taxomind_assets.classification.text_rows import FIELD_PREFIX, MAX_ID_CHARACTERS, Parts, TextRow, is_field
from taxomind_assets.inputs import RejectedRow, has_surrogates, rejected_row
from taxomind_assets.learning.corrections import ACTIONS, NEVER, CorrectionRow
from taxomind_assets.reports.documents import MACHINE_SOURCES, DocumentRows
from taxomind_assets.reports.targets import ColumnMapping, guess_mapping
from taxomind_assets.taxonomy.columns import plain_name
from taxomind_assets.taxonomy.rows import as_text
from taxomind_assets.views.texts import clean, value_text
from taxomind_resources.faults import Fault
from taxomind_resources.settings import ReportSettings

MAX_ANNOTATOR_CHARACTERS: Final = 200
MAX_LABEL_CHARACTERS: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Numbers above this are milliseconds since 1970, not seconds (as seconds: the year 5138).
_MILLISECONDS: Final = 1e11
#: Columns besides those of text and code, compared as `columns.plain_name` does; the first that a file has is used.
ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "correction_id": ("correctionid",),
    "sentence_id": ("sentenceid",),
    "action": ("action",),
    "annotator": ("annotator", "annotatedby", "correctedby", "user"),
    "corrected_at": ("correctedat", "annotatedat", "time", "timestamp", "date", "createdat", "updatedat"),
    "source": ("source",),
    "proposed_label": ("proposedlabel", "ideallabel", "proposedxideal"),
}
_OWN_NAMES: Final = frozenset(name for role, names in ROLES.items() if role != "sentence_id" for name in names)

Problem = tuple[str, str]


class Given(NamedTuple):
    """What a row says besides its text, as the file holds it. `codes`: from the top down."""

    codes: Sequence[object]
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class CorrectionText(TextRow):
    """An accepted row. `line`: where it begins."""

    line: int
    correction: CorrectionRow


class Layout:
    """Places of the columns of a file of corrections.

    Args:
        header: names of all columns.
        mapping: which of them hold text and codes.

    Attributes:
        used: places of all columns that are read.
    """

    def __init__(self, header: Sequence[str], mapping: ColumnMapping) -> None:
        place = {name: i for i, name in reversed(list(enumerate(header)))}
        plain = {plain_name(name): i for name, i in place.items()}
        self.mapping = mapping
        self.roles = {role: next((plain[name] for name in names if name in plain), None) for role, names in ROLES.items()}
        self._text = [(name[len(FIELD_PREFIX) :].strip() if is_field(name) else name, place[name]) for name in mapping.text]
        self._codes = [place[name] for name in mapping.codes]
        self._single = [None if name is None else place[name] for name in (mapping.text_id, mapping.language)]
        places = [*self._single, *self.roles.values()]
        self.used = sorted({*(i for _, i in self._text), *self._codes, *(i for i in places if i is not None)})
        self._names = [name for name in header if name]

    def parts(self, cells: Sequence[Any]) -> Parts:
        """The values of one row; its code is a `Given`."""
        text_id, language = (None if i is None else cells[i] for i in self._single)
        text: object = {name: cells[i] for name, i in self._text}
        if not self.mapping.as_fields:
            text = cells[self._text[0][1]] if self._text else None
        values = {role: cells[i] for role, i in self.roles.items() if i is not None}
        return Parts(text_id, text, language, Given([cells[i] for i in self._codes], values))

    def is_usable(self) -> bool:
        """Whether its rows can say anything: text and code, or an id and what to do with it."""
        has = {role for role, i in self.roles.items() if i is not None}
        return bool(self._text and self._codes) or {"correction_id", "action"} <= has

    def described(self) -> str:
        """Which columns are used, for people."""
        names = {"text": ", ".join(self.mapping.text), "code": ", ".join(self.mapping.codes)}
        return "; ".join(f"{what} from {columns}" for what, columns in names.items() if columns)


@lru_cache(maxsize=256)
def _layout(header: tuple[str, ...], wanted: ReportSettings, candidates: frozenset[str] | None = None) -> Layout:
    rest = [name for name in header if plain_name(name) not in _OWN_NAMES and (candidates is None or name in candidates)]
    return Layout(header, guess_mapping(rest, wanted))


class CorrectionRows(DocumentRows):
    """Rows of corrections, out of any table or JSON object."""

    def columns(self, header: list[str], candidates: Collection[str] | None = None) -> Layout:
        """As `RowMaker.columns`."""
        layout = _layout(tuple(header), self._wanted, None if candidates is None else frozenset(candidates))
        if not layout.is_usable():
            raise Fault(
                "missing_column",
                f"{self._name} has no columns that make a correction.",
                value=header[:50],
                allowed="text (or field:...) and code (or one per level), or correction_id and action",
                next_step="Rename the columns, or name them in the settings report.text_columns and report.code_columns.",
            )
        self.columns_used[layout.described()] = None
        return layout

    def layout(self, names: tuple[str, ...]) -> Layout:
        """As `DocumentRows.layout`."""
        return _layout(names, self._wanted)

    def with_codes(self, said: object, codes: list[object]) -> Given:
        """As `DocumentRows.with_codes`."""
        return Given(codes, said.values if isinstance(said, Given) else {})

    def make(self, number: int, line: int, parts: Parts, raw: object) -> TextRow | RejectedRow:
        """As `RowMaker.make`."""
        given = parts.code
        assert isinstance(given, Given)  # `Layout.parts` made it
        found = self._correction(parts, given)
        if not isinstance(found, CorrectionRow):
            return rejected_row(self._name, line, found[0], found[1][:500], raw)
        return CorrectionText(number, found.text_id, found.text, found.language, None, line, found)

    def _correction(self, parts: Parts, given: Given) -> CorrectionRow | Problem:
        values = given.values
        action = value_text(values.get("action")).casefold() or "correct"
        annotator, moment = _short(values.get("annotator"), MAX_ANNOTATOR_CHARACTERS), as_moment(values.get("corrected_at"))
        if action not in ACTIONS:
            return "bad_action", f"The action is {action!r}; allowed: {', '.join(ACTIONS)}."
        if annotator is None:
            return "bad_annotator", f"The annotator is no text of at most {MAX_ANNOTATOR_CHARACTERS} characters."
        if moment is None:
            return (
                "bad_time",
                f"The time {values.get('corrected_at')!r} is no ISO 8601 time from 1970 on and no number of seconds.",
            )
        ids = [
            _short(item, MAX_ID_CHARACTERS) for item in (values.get("correction_id"), values.get("sentence_id"), parts.text_id)
        ]
        language = _short(parts.language, 64)
        if None in ids or language is None:
            return "bad_text_id", f"An id is no text of at most {MAX_ID_CHARACTERS:,} characters, or the language no tag."
        source = _short(values.get("source"), MAX_ANNOTATOR_CHARACTERS) or ""
        if source.casefold() in MACHINE_SOURCES:
            return "machine_label", f"The source is {source!r}: a model's own answer teaches it nothing."
        text, codes, problem = self._content(parts, given)
        if problem is not None and (action in {"correct", "confirm"} or not ids[0]):
            return problem
        proposed = _short(values.get("proposed_label"), MAX_LABEL_CHARACTERS)
        if proposed is None:
            return "bad_label", f"The proposed label is no text of at most {MAX_LABEL_CHARACTERS} characters."
        own_id = ids[0] or (f"{ids[1]}:{annotator}" if ids[1] and annotator else ids[1]) or derived_id(text, codes, annotator)
        if problem is not None:
            text, codes = "", ()
        return CorrectionRow(
            own_id, action, text, codes, annotator, moment, ids[2] or "", language, source, self._name, proposed
        )

    def _content(self, parts: Parts, given: Given) -> tuple[str, tuple[str, ...], Problem | None]:
        """Text and codes of a row, or what is wrong with them."""
        text, problem = self._text(parts.text)
        if problem is not None:
            return "", (), problem
        found = [self.code(item) for item in given.codes]
        codes = tuple(code for code, _ in found if code is not None)
        if codes:
            return clean(text), codes, None
        # What a person left empty says less about a row than what cannot be used.
        problems = [problem for _, problem in found if problem is not None and problem[0] != "empty_code"]
        return "", (), problems[0] if problems else ("empty_code", "A correction needs a code.")


def derived_id(text: str, codes: Sequence[str], annotator: str) -> str:
    """16 hex digits that stand for a correction without an id of its own; `text` is clean."""
    content = "\x1f".join((text, "\x1e".join(codes), annotator))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def as_moment(value: object) -> int | None:
    """Microseconds since 1970 in UTC, `NEVER` for no value, None for one that is no such time.

    Times without a zone are taken as UTC; numbers are seconds since 1970, or milliseconds from 10**11 on.
    """
    if isinstance(value, str):
        value = value.strip()
        number = _as_number(value)
        value = number if number is not None else value
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return NEVER
    found = _as_datetime(value)
    if found is None:
        return None
    microseconds = (found - _EPOCH) // timedelta(microseconds=1)
    return microseconds if microseconds >= 0 else None


def _as_datetime(value: object) -> datetime | None:
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            seconds = value / 1000 if value >= _MILLISECONDS else value
            return _EPOCH + timedelta(seconds=seconds)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        if not isinstance(value, datetime):
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _as_number(text: str) -> float | None:
    # '20261121' is a date of ISO 8601, not a number of seconds.
    if not text.replace(".", "", 1).isdecimal() or len(text) == 8:
        return None
    return float(text)


def _short(value: object, most: int) -> str | None:
    """A value as trimmed text; None when it is no text, too long or cannot be stored."""
    text = as_text(value)
    if text is None or len(text) > most or has_surrogates(text):
        return None
    return " ".join(text.split())
