"""Labelled files of any usual kind: plain tables, platform exports and documents of the learn route, row by row.

Nothing is blanked and nothing is dropped silently: a row that cannot be used is handed on with its line and the reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from taxomind_assets.classification.text_readers import TextBlock, read_texts
from taxomind_assets.classification.text_rows import FIELD_PREFIX, Parts, is_field
from taxomind_assets.inputs import RejectedRow, check_file, open_utf8, refuse_binary, rejected_file
from taxomind_assets.reports.documents import MACHINE_SOURCES, DocumentRows, sentences_of
from taxomind_assets.reports.targets import ColumnMapping, KnownText, collect, guess_mapping
from taxomind_assets.taxonomy.columns import plain_name
from taxomind_assets.taxonomy.tree import ROOT, nearest_common
from taxomind_assets.views.texts import value_text
from taxomind_resources.faults import Fault
from taxomind_resources.settings import ReportSettings

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from taxomind_assets.taxonomy.revision import Translation
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import InboxFile
    from taxomind_resources.settings import Settings

    #: Codes of the edition in force that hold something of a code.
    Translate = Callable[[str], tuple[str, ...]]
    Refuse = Callable[[Sequence[RejectedRow]], object]

BLOCK_ROWS: Final = 5_000
#: A JSON document is parsed as a whole; JSONL is read line by line and may be of any size.
LARGEST_DOCUMENT: Final = 128 * 1024**2
_EXAMPLES: Final = 10
#: What a spreadsheet makes of a code once a column has empty cells.
DECIMAL_CODE = re.compile(r"(\d+)\.0+")


class Known(NamedTuple):
    """What a row says about its node: codes from the top down, and who gave them ('' = not stated)."""

    codes: Sequence[object]
    source: object = ""


class Layout:
    """Places of the columns that a mapping names.

    Args:
        header: names of all columns.
        mapping: which of them hold what.

    Attributes:
        used: places of all columns that are read.
    """

    def __init__(self, header: Sequence[str], mapping: ColumnMapping) -> None:
        self.mapping = mapping
        place = {name: i for i, name in reversed(list(enumerate(header)))}
        self._text = [(name[len(FIELD_PREFIX) :].strip() if is_field(name) else name, place[name]) for name in mapping.text]
        self._codes = [place[name] for name in mapping.codes]
        source = next((i for i, name in enumerate(header) if plain_name(name) == "source"), None)
        self._single = [None if name is None else place[name] for name in (mapping.text_id, mapping.language)] + [source]
        self.used = sorted({*(i for _, i in self._text), *self._codes, *(i for i in self._single if i is not None)})

    def parts(self, cells: Sequence[Any]) -> Parts:
        """The values of one row; its code is a `Known`."""
        text_id, language, source = (None if i is None else cells[i] for i in self._single)
        text: object = {name: cells[i] for name, i in self._text}
        if not self.mapping.as_fields:
            text = cells[self._text[0][1]] if self._text else None
        return Parts(text_id, text, language, Known([cells[i] for i in self._codes], source))

    def described(self) -> str:
        """Which columns were used, for people."""
        names = {"text": ", ".join(self.mapping.text), "code": ", ".join(self.mapping.codes)}
        return "; ".join(f"{what} from {columns}" for what, columns in names.items() if columns)


@lru_cache(maxsize=256)
def _layout(header: tuple[str, ...], wanted: ReportSettings) -> Layout:
    return Layout(header, guess_mapping(header, wanted))


class LabelledRows(DocumentRows):
    """Rows with known codes, out of any table or JSON object.

    Args:
        tree: the taxonomy that the codes belong to.
        source_file: name of the file.
        settings: settings of this taxonomy.
        translate: what became of a code of the edition that the file was made for; None = it is that of the tree.

    Attributes:
        upper_code_used: rows that count with a code above one that is unknown or undecided.
    """

    def __init__(self, tree: Taxonomy, source_file: str, settings: Settings, translate: Translate | None = None) -> None:
        super().__init__(source_file, settings)
        self._tree = tree
        self._translate = translate
        self.upper_code_used = 0

    def columns(self, header: list[str], candidates: Collection[str] | None = None) -> Layout:
        """As `RowMaker.columns`."""
        mapping = guess_mapping([name for name in header if candidates is None or name in candidates], self._wanted)
        missing = [what for what, found in (("text", mapping.text), ("code", mapping.codes)) if not found]
        if missing:
            raise Fault(
                "missing_column",
                f"No column for the {' and the '.join(missing)} was recognised in {self._name}.",
                value=header[:50],
                allowed="text (or field:...) and code, or one column per level such as ISCO_1 to ISCO_4",
                next_step="Rename the columns, or name them in the settings report.text_columns and report.code_columns.",
            )
        layout = Layout(header, mapping)
        self.columns_used[layout.described()] = None
        return layout

    def layout(self, names: tuple[str, ...]) -> Layout:
        """As `DocumentRows.layout`."""
        return _layout(names, self._wanted)

    def with_codes(self, said: object, codes: list[object]) -> Known:
        """As `DocumentRows.with_codes`."""
        return Known(codes, said.source if isinstance(said, Known) else "")

    def code(self, value: object) -> tuple[str | None, tuple[str, str] | None]:
        """The deepest of a row's codes that the taxonomy has."""
        known = value if isinstance(value, Known) else Known([value])
        if value_text(known.source).casefold() in MACHINE_SOURCES:
            reason = f"The source is {known.source!r}: a model's own answer would measure it against itself."
            return None, ("machine_label", reason[:300])
        given = [found for item in known.codes if (found := super(LabelledRows, self).code(item)) and not _is_empty(found)]
        if not given:
            return super().code("")
        codes = [self._in_tree(code) for code, _ in given if code is not None]
        nodes = [self._tree.position[code] for code in codes if code in self._tree.position]
        if not nodes:
            first = next((problem for code, problem in given if code is None), None)
            reason = f"The taxonomy {self._tree.key!r} has no code {', '.join(repr(code) for code in codes)}."
            return None, ("unknown_code", reason[:300]) if codes else first
        self.upper_code_used += len(nodes) < len(given)
        return self._tree.codes[max(nodes, key=lambda node: self._tree.depths[node])], None

    def _in_tree(self, code: str) -> str:
        match = None if code in self._tree.position else DECIMAL_CODE.fullmatch(code)
        plain = match[1] if match else code
        return plain if self._translate is None else self._now(plain, self._translate(plain))

    def _now(self, code: str, codes: tuple[str, ...]) -> str:
        """The code of today: of a node that was split, the one above all its parts, which is what is still known."""
        parts = [self._tree.position[found] for found in codes if found in self._tree.position]
        if not parts:
            return codes[0] if codes else f"{code} (no successor)"
        above = nearest_common(self._tree, parts)
        return self._tree.codes[above] if above != ROOT else f"{code} (split)"


def _is_empty(found: tuple[str | None, tuple[str, str] | None]) -> bool:
    return found[1] is not None and found[1][0] == "empty_code"


@dataclass
class LabelledFile:
    """What was read from one file.

    Attributes:
        name: name of the file.
        used: rows with a text and a known code.
        refused: refused rows, by reason.
        upper_code_used: rows that count with a code above one that is unknown or undecided.
        columns: which columns were used, for people.
        problem: why the file, or the rest of it, could not be read; '' = it was read to its end.
    """

    name: str
    used: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    upper_code_used: int = 0
    columns: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Labelled:
    """Texts with known codes.

    Attributes:
        targets: `targets.TARGETS`, one row per unique text.
        files: what was read, file by file.
        examples: the first refused rows.
    """

    targets: pa.Table
    files: tuple[LabelledFile, ...]
    examples: tuple[RejectedRow, ...]

    @property
    def refused(self) -> Counter[str]:
        """Refused rows of all files, by reason."""
        return sum((file.refused for file in self.files), Counter())

    @property
    def problems(self) -> list[str]:
        """Files that could not be read to their end, one sentence each."""
        return [f"{file.name}: {file.problem}" for file in self.files if file.problem]


def read_labelled(
    tree: Taxonomy,
    files: Iterable[InboxFile],
    settings: Settings,
    refuse: Refuse,
    *,
    translation: Translation | None = None,
) -> Labelled:
    """All labelled files of a taxonomy. A file that cannot be read does not stop the others.

    Args:
        tree: the taxonomy.
        files: CSV, TSV, JSONL, JSON or Parquet; see `targets.guess_mapping` for their columns.
        settings: settings of this taxonomy.
        refuse: takes refused rows, block by block, so that they need not be kept in memory.
        translation: into the edition of the tree; a file has the codes of the edition that was in force when it came.
    """
    read: list[LabelledFile] = []
    examples: list[RejectedRow] = []

    def note(rows: Sequence[RejectedRow]) -> None:
        examples.extend(rows[: max(_EXAMPLES - len(examples), 0)])
        refuse(rows)

    def texts() -> Iterator[KnownText]:
        for file in files:
            for _, block in file_rows(tree, file, settings, note, read, translation=translation):
                for text_id, text, language, code in zip(block.text_id, block.text, block.language, block.code, strict=True):
                    yield KnownText(file.name, text_id, text, language, code or "")

    targets = collect(tree, texts())
    return Labelled(targets, tuple(read), tuple(examples))


def file_rows(
    tree: Taxonomy,
    file: InboxFile,
    settings: Settings,
    refuse: Refuse,
    read: list[LabelledFile],
    *,
    translation: Translation | None = None,
    maker: type[LabelledRows] = LabelledRows,
) -> Iterator[tuple[LabelledRows, TextBlock]]:
    """The rows of one labelled file, block by block, with what makes them. A file that cannot be read to its end just ends.

    Args:
        tree: the taxonomy.
        file: as in `read_labelled`.
        settings: settings of this taxonomy.
        refuse: takes refused rows.
        read: takes what was read of the file.
        translation: as in `read_labelled`.
        maker: makes the rows.
    """
    found = LabelledFile(file.name)
    read.append(found)
    rows = maker(tree, file.name, settings, _translate_of(file, tree, translation))
    try:
        for block in _blocks(file.path, rows, settings):
            found.refused.update(row.reason_code for row in block.rejected)
            found.used += len(block)
            refuse(block.rejected)
            yield rows, block
    except Fault as fault:
        found.problem = fault.what
        refuse(rejected_file(file.path, fault))
    found.upper_code_used = rows.upper_code_used
    found.columns = " / ".join(list(rows.columns_used)[:3])


def _translate_of(file: InboxFile, tree: Taxonomy, translation: Translation | None) -> Translate | None:
    if translation is None or not translation.log:
        return None
    moment = datetime.fromtimestamp(file.modified_ns / 1e9, UTC)
    return lambda code: translation.codes_at(code, moment, tree.position)


def _blocks(path: Path, rows: LabelledRows, settings: Settings) -> Iterator[TextBlock]:
    document = _document(path, settings) if path.suffix.lower() == ".json" else None
    if document is None:
        yield from read_texts(path, settings.text, settings.limits, block_rows=BLOCK_ROWS, maker=rows)
        return
    block = TextBlock()
    for number, value in enumerate(document, 1):
        for item in rows.of_object(number, number, value):
            block.add(item)
        if len(block) + len(block.rejected) >= BLOCK_ROWS:
            yield block
            block = TextBlock()
    yield block


def _document(path: Path, settings: Settings) -> list[Any] | None:
    """The sentences of a JSON document; None when the file holds one object per line instead."""
    refuse_binary(path, check_file(path, settings.limits))
    size = path.stat().st_size
    if size > LARGEST_DOCUMENT:
        raise Fault(
            "too_large",
            f"{path.name} is one JSON document of {size:,} bytes.",
            value=size,
            allowed=f"at most {LARGEST_DOCUMENT:,} bytes",
            next_step="Write one sentence per line (.jsonl); such a file may be of any size.",
        )
    with open_utf8(path) as handle:
        text = handle.read()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if _is_json(text.lstrip().partition("\n")[0]):
            return None
        what = str(error) if isinstance(error, ValueError) else "it is nested too deeply"
        raise Fault("unreadable_file", f"{path.name} is no JSON: {what}.", value=text[:80], allowed="JSON in UTF-8") from error
    sentences = sentences_of(value)
    return sentences if sentences is not None else value if isinstance(value, list) else [value]


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
