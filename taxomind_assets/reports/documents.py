"""What tables and documents with codes have in common: one JSON value as rows, annotations as codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from taxomind_assets.classification.text_rows import FIELD_PREFIX, Parts, RowMaker, TextRow
from taxomind_assets.inputs import RejectedRow, rejected_row
from taxomind_assets.taxonomy.columns import plain_name
from taxomind_assets.views.texts import value_text

if TYPE_CHECKING:
    from taxomind_resources.settings import Settings

#: Labels of these sources would measure the classifier against itself.
MACHINE_SOURCES: Final = frozenset({"ai", "model"})
_CODE_NAMES: Final = ("nodecode", "code")


class ColumnLayout(Protocol):
    """Places of the columns of a table."""

    def parts(self, cells: Sequence[Any]) -> Parts:
        """The values of one row."""

    def described(self) -> str:
        """Which columns were used, for people."""


class DocumentRows(RowMaker):
    """Rows with codes, out of any table, JSON object or document of the learn route.

    Args:
        source_file: name of the file.
        settings: settings of this taxonomy.

    Attributes:
        columns_used: descriptions of the columns that were used, as keys.
    """

    def __init__(self, source_file: str, settings: Settings) -> None:
        super().__init__(source_file, settings.text, settings.limits, labelled=True)
        self._name = source_file
        self._wanted = settings.report
        self.columns_used: dict[str, None] = {}

    def of_object(self, number: int, line: int, value: object) -> Iterator[TextRow | RejectedRow]:
        """The rows of one JSON value: an object, or a document that holds `sentences`."""
        sentences = sentences_of(value)
        for item in [value] if sentences is None else sentences:
            yield self._row(number, line, item)

    @abstractmethod
    def layout(self, names: tuple[str, ...]) -> ColumnLayout:
        """Which of the values of an object hold what."""

    @abstractmethod
    def with_codes(self, said: object, codes: list[object]) -> object:
        """What a row says of its node, with the codes of its annotations in place of those of its columns."""

    def _row(self, number: int, line: int, value: object) -> TextRow | RejectedRow:
        if not isinstance(value, Mapping):
            return rejected_row(self._name, line, "bad_type", "An object with a text and its code is expected.", value)
        names, cells, annotations = flat_object(value)
        layout = self.layout(names)
        parts = layout.parts(cells)
        if annotations is not None:
            parts.code = self.with_codes(parts.code, annotated_codes(annotations))
        self.columns_used["sentences with annotations" if annotations is not None else layout.described()] = None
        return self.make(number, line, parts, value)


def sentences_of(value: object) -> list[Any] | None:
    """The sentences of a document of the learn route; None when the value is none."""
    if not isinstance(value, Mapping):
        return None
    found = next((item for name, item in value.items() if plain_name(str(name)) == "sentences"), None)
    return found if isinstance(found, list) else None


def flat_object(value: Mapping[str, Any]) -> tuple[tuple[str, ...], list[Any], list[Any] | None]:
    """An object as columns: `fields` become columns `field:<name>`, annotations come apart (None = there are none)."""
    names: list[str] = []
    cells: list[Any] = []
    annotations: list[Any] | None = None
    for name, item in value.items():
        plain = plain_name(name)
        if plain == "fields" and isinstance(item, Mapping):
            # Without any field there still is no other text than `text`.
            for inner, content in item.items() or (("", None),):
                names.append(f"{FIELD_PREFIX}{inner}")
                cells.append(content)
        elif plain == "annotations":
            annotations = item if isinstance(item, list) else []
        else:
            names.append(name)
            cells.append(item)
    return tuple(names), cells, annotations


def annotated_codes(annotations: Iterable[object]) -> list[object]:
    """The codes of annotations that a person may have made."""
    codes: list[object] = []
    for annotation in annotations:
        item = {plain_name(str(name)): inner for name, inner in annotation.items()} if isinstance(annotation, Mapping) else {}
        if value_text(item.get("source")).casefold() not in MACHINE_SOURCES:
            codes += [item[name] for name in _CODE_NAMES if item.get(name) is not None][:1]
    return codes
