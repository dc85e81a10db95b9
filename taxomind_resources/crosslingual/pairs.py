"""Aligned pairs: a text in some language and the English text that means the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

REQUIRED_COLUMNS: Final = ("language", "text", "english")
SOURCE_COLUMN: Final = "source"
_SHOWN_SUFFIXES: Final = ".parquet, .csv"


class AlignedPair(NamedTuple):
    """One pair. `source` names the taxonomy that it stands in; results are reported for each source apart."""

    language: str
    text: str
    english: str
    source: str = ""


@dataclass(frozen=True)
class AlignedPairs:
    """Different pairs, sorted by (source, language, text, english).

    Attributes:
        rows: the pairs.
        labels: the different English labels; forms that differ in case and white space only count as one.
        label_of: int64[pairs], label of each pair.
        skipped: rows handed in that had no language, text or English text.
    """

    rows: Sequence[AlignedPair]
    labels: Sequence[str]
    label_of: NDArray[np.int64]
    skipped: int

    @classmethod
    def collect(cls, pairs: Iterable[Sequence[str]]) -> AlignedPairs:
        """From (language, text, english) or (language, text, english, source).

        Raises:
            Fault: `invalid_input` for other rows, or when nothing is left.
        """
        kept: set[AlignedPair] = set()
        skipped = 0
        for number, values in enumerate(pairs):
            pair = _pair(number, values)
            if pair is None:
                skipped += 1
            else:
                kept.add(pair)
        if not kept:
            raise Fault("invalid_input", "There is no aligned pair to learn from.", allowed="language, text and English text")
        rows = sorted(kept, key=lambda pair: (pair.source, pair.language, pair.text, pair.english))
        number_of: dict[str, int] = {}
        labels: list[str] = []
        label_of = np.empty(len(rows), np.int64)
        for row, pair in enumerate(rows):
            label_of[row] = number_of.setdefault(label_identity(pair.english), len(number_of))
            if len(number_of) > len(labels):
                labels.append(pair.english)
        return cls(rows, labels, label_of, skipped)

    def digest(self) -> str:
        """16 hex digits over all pairs, the same in whatever order they were handed in."""
        running = hashlib.sha256()
        for pair in self.rows:
            running.update("\x1f".join(pair).encode("utf-8", "surrogatepass") + b"\x1e")
        return running.hexdigest()[:16]


def label_identity(english: str) -> str:
    """Two English labels with the same identity are the same label."""
    return " ".join(english.casefold().split())


def held_out_labels(labels: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Which labels are kept from training: a hash of the label alone decides, so one label is held out everywhere at once."""
    limit = int(share * 2**32)
    digests = (hashlib.sha256(f"{seed}|{label_identity(label)}".encode("utf-8", "surrogatepass")).digest() for label in labels)
    return np.fromiter((int.from_bytes(digest[:4], "big") < limit for digest in digests), np.bool_, len(labels))


def pairs_from_taxonomy(rows: Iterable[tuple[str, str, str]], source: str = "") -> list[AlignedPair]:
    """Pairs from the labels of a taxonomy in several languages.

    Args:
        rows: (code, language, text), the preferred label of a node and language before its aliases.
        source: name of the taxonomy.

    Returns:
        One pair per text of a node that has an English label; its first English text is the English side. English texts
        are pairs with themselves, so that the student knows English words as well.

    Raises:
        Fault: `invalid_input` when no node has an English label and one in another language.
    """
    kept = list(rows)
    english: dict[str, str] = {}
    for code, language, text in kept:
        if is_english(language) and text.strip():
            english.setdefault(code, text)
    pairs = [
        AlignedPair(language, text, text if is_english(language) else english[code], source)
        for code, language, text in kept
        if code in english
    ]
    if not any(not is_english(pair.language) for pair in pairs):
        raise Fault(
            "invalid_input",
            "No node of the taxonomy has both an English label and one in another language.",
            allowed="labels with the language codes en and others",
        )
    return pairs


def read_pairs(path: Path) -> list[AlignedPair]:
    """Pairs of a Parquet or CSV (UTF-8) file with the columns language, text, english and, if there is one, source.

    Raises:
        Fault: `unreadable_file`, `unsupported_format` or `missing_column`.
    """
    columns = _read_table(path)
    missing = [name for name in REQUIRED_COLUMNS if name not in columns.column_names]
    if missing:
        raise Fault(
            "missing_column",
            f"The file has no column {missing[0]!r}.",
            value=columns.column_names,
            allowed="language, text, english; source if there is one",
        )
    named = [_strings(columns, name) for name in REQUIRED_COLUMNS]
    has_source = SOURCE_COLUMN in columns.column_names
    sources = _strings(columns, SOURCE_COLUMN) if has_source else [""] * columns.num_rows
    return [AlignedPair(*values) for values in zip(*named, sources, strict=True)]


def _pair(number: int, values: Sequence[str]) -> AlignedPair | None:
    is_row = not isinstance(values, str) and len(values) in (3, 4) and all(isinstance(value, str) for value in values)
    if not is_row:
        raise Fault(
            "invalid_input",
            f"Row {number} is no aligned pair.",
            value=values,
            allowed="(language, text, english) or (language, text, english, source), all strings",
        )
    pair = AlignedPair(*(value.strip() for value in values))
    return pair if pair.language and pair.text and pair.english else None


def is_english(language: str) -> bool:
    """Whether a language code (BCP 47) is English of any region."""
    return language.casefold().replace("_", "-").split("-")[0] == "en"


def _read_table(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv, parquet

    suffix = path.suffix.casefold()
    try:
        if suffix == ".parquet":
            return parquet.read_table(path)
        if suffix == ".csv":
            as_text = csv.ConvertOptions(column_types=dict.fromkeys((*REQUIRED_COLUMNS, SOURCE_COLUMN), pa.string()))
            return csv.read_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=as_text)
    except (OSError, pa.ArrowException) as error:
        raise Fault("unreadable_file", f"The file with aligned pairs cannot be read: {error}.", value=str(path)) from error
    raise Fault("unsupported_format", "Aligned pairs are not read from such a file.", value=path.name, allowed=_SHOWN_SUFFIXES)


def _strings(columns: pa.Table, name: str) -> list[str]:
    import pyarrow as pa

    try:
        values = columns[name].cast(pa.string()).to_pylist()
    except pa.ArrowException as error:
        raise Fault("unreadable_file", f"The column {name!r} holds no texts: {error}.") from error
    return ["" if value is None else value for value in values]
