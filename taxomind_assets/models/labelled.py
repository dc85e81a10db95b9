"""Labelled texts, gathered from files and corrections: each text once, with one code and one split.

The files are those that reports read (`reports.sources`); two more columns count here, `split` and `group`. While files are
read one block of rows is held as Python objects, everything else as arrays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from taxomind_assets.classification.text_rows import Parts, TextRow
from taxomind_assets.inputs import RejectedRow, rejected_row
from taxomind_assets.models.splits import NOT_SAID, SPLITS, Shares, assign, highest, identity
from taxomind_assets.reports.sources import LabelledFile, LabelledRows, Layout, file_rows
from taxomind_assets.taxonomy.columns import plain_name
from taxomind_assets.taxonomy.rows import as_text
from taxomind_assets.views.texts import clean
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.revision import Translation
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import InboxFile
    from taxomind_resources.settings import Settings

TABLE: Final = "models.labelled_texts"
CORRECTION: Final = "correction"
_GIVEN: Final[Mapping[str, int]] = {"train": 0, "training": 0, "validation": 1, "valid": 1, "dev": 1, "test": 2, "": NOT_SAID}
_SPLIT: Final = "split"


class TrainingRows(LabelledRows):
    """Labelled rows that also say their split and their group.

    Attributes:
        said: split (place in `SPLITS`, or `NOT_SAID`) and group of each row that was taken, in their order.
    """

    def __init__(self, tree: Taxonomy, source_file: str, settings: Settings, translate: Any = None) -> None:
        super().__init__(tree, source_file, settings, translate)
        self._file = source_file
        self._group = plain_name(settings.models.group_column)
        self._current: tuple[object, object] = ("", "")
        self.said: list[tuple[int, str]] = []

    def columns(self, header: list[str], candidates: Collection[str] | None = None) -> Layout:
        """As `LabelledRows.columns`; the group is no part of the text."""
        kept = [name for name in header if plain_name(name) != self._group and (candidates is None or name in candidates)]
        found = super().columns(header, kept)
        return _Noting(found, header, self._group, self._note)

    def _note(self, split: object, group: object) -> None:
        self._current = (split, group)

    def _row(self, number: int, line: int, value: object) -> TextRow | RejectedRow:
        if isinstance(value, Mapping):
            named = {plain_name(str(name)): item for name, item in value.items()}
            self._note(named.get(_SPLIT), named.get(self._group))
            value = {name: item for name, item in value.items() if plain_name(str(name)) != self._group}
        return super()._row(number, line, value)

    def make(self, number: int, line: int, parts: Parts, raw: object) -> TextRow | RejectedRow:
        """As `RowMaker.make`; a split that is none is refused."""
        split, group = (as_text(value) for value in self._current)
        place = _GIVEN.get((split or "").strip().casefold())
        if place is None or group is None:
            reason = f"The split is {self._current[0]!r}; train, validation or test is expected, or nothing."
            return rejected_row(self._file, line, "bad_split", reason[:300], raw)
        row = super().make(number, line, parts, raw)
        if isinstance(row, TextRow):
            self.said.append((place, group.strip()))
        return row


class _Noting(Layout):
    """A layout that also tells the split and the group of each row."""

    def __init__(self, other: Layout, header: Sequence[str], group: str, note: Callable[[object, object], None]) -> None:
        super().__init__(header, other.mapping)
        places = {plain_name(name): place for place, name in reversed(list(enumerate(header)))}
        self._places = places.get(_SPLIT), places.get(group)
        self._note_row = note
        self.used = sorted({*self.used, *(place for place in self._places if place is not None)})

    def parts(self, cells: Sequence[Any]) -> Parts:
        """As `Layout.parts`."""
        self._note_row(*(None if place is None else cells[place] for place in self._places))
        return super().parts(cells)


@dataclass
class Gathered:
    """Rows as they were read, n of them, as columns.

    Attributes:
        texts: Arrow arrays of texts, ids, languages and files, one for each block.
        hashes: `splits.identity` of each text.
        nodes: positions of the codes.
        given: splits as the files say them.
        groups: hashes of the groups, 0 = none.
        files: what was read, file by file.
        examples: the first refused rows.
    """

    texts: list[pa.RecordBatch] = field(default_factory=list)
    hashes: list[np.ndarray] = field(default_factory=list)
    nodes: list[np.ndarray] = field(default_factory=list)
    given: list[np.ndarray] = field(default_factory=list)
    groups: list[np.ndarray] = field(default_factory=list)
    files: list[LabelledFile] = field(default_factory=list)
    examples: list[RejectedRow] = field(default_factory=list)

    def add(
        self,
        tree: Taxonomy,
        rows: Iterable[tuple[str, str, str, str]],
        said: Sequence[tuple[int, str]],
        source: str,
    ) -> None:
        """Take a block of rows (id, text, language, code) and what they say of split and group."""
        ids, raw, languages, codes = (list(column) for column in zip(*rows, strict=True))
        texts = [clean(text) for text in raw]
        self.hashes.append(np.array([identity(text) for text in texts], np.uint64))
        self.nodes.append(np.array([tree.position[code] for code in codes], np.int64))
        self.given.append(np.array([split for split, _ in said], np.int8))
        self.groups.append(np.array([_group_hash(group) for _, group in said], np.uint64))
        columns = {"text_id": ids, "text": texts, "language": languages, "source_file": [source] * len(texts)}
        self.texts.append(pa.record_batch(columns, schema=_TEXTS))


_TEXTS: Final = pa.schema([(name, pa.string()) for name in ("text_id", "text", "language", "source_file")])


def _group_hash(group: str) -> int:
    return int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8).digest()) or 1 if group else 0


def gather(
    tree: Taxonomy,
    files: Iterable[InboxFile],
    settings: Settings,
    refuse: Callable[[Sequence[RejectedRow]], object],
    *,
    translation: Translation | None = None,
    corrections: tuple[Sequence[str], Sequence[Sequence[str]]] = ((), ()),
) -> Gathered:
    """Read labelled files, and take corrections.

    Args:
        tree: the taxonomy in force.
        files: labelled files.
        settings: settings of this taxonomy.
        refuse: takes refused rows, block by block.
        translation: as `reports.sources.read_labelled`.
        corrections: texts and their codes (`learning.gathering.labelled_corrections`).
    """
    found = Gathered()

    def note(rows: Sequence[RejectedRow]) -> None:
        found.examples.extend(rows[: max(10 - len(found.examples), 0)])
        refuse(rows)

    for file in files:
        for rows, block in file_rows(tree, file, settings, note, found.files, translation=translation, maker=TrainingRows):
            if len(block):
                assert isinstance(rows, TrainingRows)
                said, rows.said = rows.said, []
                codes = [code or "" for code in block.code]
                found.add(tree, zip(block.text_id, block.text, block.language, codes, strict=True), said, file.name)
    told = [
        (f"{CORRECTION}-{i}", text, "", codes[0]) for i, (text, codes) in enumerate(zip(*corrections, strict=True)) if codes
    ]
    if told:
        found.add(tree, told, [(NOT_SAID, "")] * len(told), CORRECTION)
    return found


@dataclass(frozen=True)
class Settled:
    """What gathered rows come to.

    Attributes:
        table: `models.labelled_texts`, each text once.
        repeats: rows that repeat a text with the same code.
        contradictions: texts that rows give different codes, none above the other; the one that most rows give counts.
        moved: rows that the file puts into a split that another row of the same text outranks.
    """

    table: pa.Table
    repeats: int
    contradictions: int
    moved: int

    def counts(self) -> dict[str, int]:
        """Rows of each split."""
        counted = Counter(self.table["split"].to_pylist())
        return {split: counted.get(split, 0) for split in SPLITS}


def settle(tree: Taxonomy, gathered: Gathered, shares: Shares) -> Settled:
    """Each text once, with one code and one split."""
    schema = BY_NAME[TABLE].arrow
    if not gathered.texts:
        return Settled(schema.empty_table(), 0, 0, 0)
    hashes, nodes = np.concatenate(gathered.hashes), np.concatenate(gathered.nodes)
    given, groups = np.concatenate(gathered.given), np.concatenate(gathered.groups)
    kept, contradictions = _one_code(tree, hashes, nodes)
    splits = assign(given, nodes, hashes, groups, shares, names=tree.codes)
    said = given != NOT_SAID
    moved = int((said & (given != highest(given, hashes))).sum())
    rows = pa.Table.from_batches(gathered.texts).take(pa.array(kept))
    columns = {
        "text_id": rows["text_id"],
        "text": rows["text"],
        "text_hash": pa.array([f"{value:016x}" for value in hashes[kept].tolist()]),
        "language": rows["language"],
        "code": pa.array([tree.codes[node] for node in nodes[kept].tolist()]),
        "split": pa.array([SPLITS[place] for place in splits[kept].tolist()]),
        "split_said": pa.array(said[kept]),
        "source_file": rows["source_file"],
    }
    table = pa.table(columns, schema=schema)
    return Settled(table, int(hashes.size - kept.size), contradictions, moved)


def _one_code(tree: Taxonomy, hashes: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, int]:
    """Rows that are kept, one for each text, in their order; and texts with codes that contradict each other."""
    _, text = np.unique(hashes, return_inverse=True)
    pairs = text.astype(np.int64) * (len(tree) + 1) + nodes
    unique, first, counts = np.unique(pairs, return_index=True, return_counts=True)
    owner = unique // (len(tree) + 1)
    several = np.flatnonzero(np.bincount(owner) > 1)
    keep = np.ones(unique.size, np.bool_)
    contradictions = 0
    for own in several.tolist():
        places = np.flatnonzero(owner == own) if several.size < 1000 else np.arange(*np.searchsorted(owner, [own, own + 1]))
        deepest = _deepest(tree, nodes[first[places]])
        contradictions += deepest.size > 1
        best = min(places[deepest].tolist(), key=lambda place: (-counts[place], first[place]))
        keep[places] = False
        keep[best] = True
    return np.sort(first[keep]), contradictions


def _deepest(tree: Taxonomy, nodes: np.ndarray) -> np.ndarray:
    """Places of the nodes that are above no other one of them."""
    return np.array(
        [i for i, node in enumerate(nodes.tolist()) if not any(node < other < tree.ends[node] for other in nodes.tolist())],
        np.int64,
    )
