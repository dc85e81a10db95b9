"""Benchmark sets: folders with `taxonomy.csv` and `labelled.csv`, in any number below one folder.

    taxonomy.csv  code, parent_code, level, label, definition, examples (joined by | or line breaks), language
    labelled.csv  text_id, text, language, code, split
    out_of_scope.csv  texts that belong nowhere (optional): text_id, text

A set is one language of one folder. Its node texts are those of that language, else the English ones; `SET+` is given the whole
file with all its languages, as a user would hand it over.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.settings import LimitSettings

#: Text ids of the form SET-LANGUAGE-GROUP-NUMBER: the texts of a group are near copies of each other.
GROUPED: Final = re.compile(r"^(?P<set>\w+)-[a-z]{2}-(?P<group>\d+)-\d+$")
#: Texts of a set that are looked at, before it is split.
MOST_TEXTS: Final = 20_000
_ENGLISH: Final = "en"
_FIELDS: Final = ("code", "parent_code", "label", "definition", "examples", "language")


def same_text(text: str) -> str:
    """Form in which two texts count as the same: NFKC, case folded, single spaces."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


@dataclass(frozen=True)
class Text:
    """One unique text of a set.

    Attributes:
        text: as it stands in the file.
        codes: every code given to it.
        official_test: the set's own test text, which is left alone.
        groups: groups of near copies that it belongs to.
        verbatim: stands word for word in a label or an example, or (two words or more) in the definition of its own node.
    """

    text: str
    codes: tuple[str, ...]
    official_test: bool = False
    groups: tuple[str, ...] = ()
    verbatim: bool = False


@dataclass(frozen=True)
class BenchSet:
    """A language of a folder.

    Attributes:
        folder: where the files are.
        language: language of the texts.
        all_languages: the classifier gets the node texts of all languages of the file, not only of this one.
    """

    folder: Path
    language: str
    all_languages: bool = False

    @property
    def name(self) -> str:
        """`folder.language`, with + when all languages of the file are used."""
        return f"{self.folder.name}.{self.language}{'+' * self.all_languages}"


class MaterialError(Exception):
    """The benchmark files are not as they should be."""


def rows_of(file: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    csv.field_size_limit(1 << 30)
    with file.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def find_sets(data: Path) -> list[BenchSet]:
    """All sets below a folder, by name. Languages other than English come twice when the file has further node texts."""
    found = []
    for folder in sorted(path for path in data.iterdir() if (path / "labelled.csv").is_file()):
        known = {row["language"] for row in rows_of(folder / "taxonomy.csv")}
        for language in sorted({row["language"] for row in rows_of(folder / "labelled.csv")}):
            found.append(BenchSet(folder, language))
            if language != _ENGLISH and known - {language}:
                found.append(BenchSet(folder, language, all_languages=True))
    return found


def chosen_rows(folder: Path, language: str) -> list[dict[str, str]]:
    """One row of `taxonomy.csv` for each code: in `language` where there is one, else in English, else the first."""
    best: dict[str, tuple[int, dict[str, str]]] = {}
    for row in rows_of(folder / "taxonomy.csv"):
        place = 0 if row["language"] == language else 1 if row["language"] == _ENGLISH else 2
        if row["code"] not in best or place < best[row["code"]][0]:
            best[row["code"]] = (place, row)
    return [row for _, row in best.values()]


def taxonomy_of(bench_set: BenchSet, work: Path) -> Taxonomy:
    """The tree as the product reads it from a file.

    Args:
        work: folder for the file of one language.

    Raises:
        Fault: the file is not a valid taxonomy.
        MaterialError: rows of the taxonomy were refused.
    """
    file = bench_set.folder / "taxonomy.csv"
    if not bench_set.all_languages:
        file = work / f"{bench_set.name}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, _FIELDS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(chosen_rows(bench_set.folder, bench_set.language))
    read = read_taxonomy(file, "bench", LimitSettings())  # type: ignore[call-arg]
    if read.rejected:
        raise MaterialError(f"{bench_set.name}: {len(read.rejected)} rows of {file} were refused: {read.rejected[0]}.")
    return read.taxonomy


def texts_of(bench_set: BenchSet) -> list[Text]:
    """Unique texts with all their codes, in file order; texts without a code of the taxonomy are left out."""
    nodes = {row["code"]: row for row in chosen_rows(bench_set.folder, bench_set.language)}
    merged: dict[str, Text] = {}
    for row in rows_of(bench_set.folder / "labelled.csv"):
        if row["language"] == bench_set.language and row["code"] in nodes and row["text"].strip():
            key = same_text(row["text"])
            merged[key] = _merged(merged.get(key), row)
    naming = {same_text(name) for row in nodes.values() for name in (row["label"], *examples_of(row["examples"]))}
    definitions = {code: same_text(row["definition"]) for code, row in nodes.items()}
    found = []
    for key, text in merged.items():
        in_definition = " " in key and any(key in definitions[code] for code in text.codes)
        found.append(replace(text, verbatim=key in naming or in_definition))
    return found


def _merged(seen: Text | None, row: Mapping[str, str]) -> Text:
    group = GROUPED.match(row["text_id"])
    found = Text(
        row["text"].strip(), (row["code"],), row.get("split") == "test", (f"{group['set']}-{group['group']}",) if group else ()
    )
    if seen is None:
        return found
    return replace(
        seen,
        codes=tuple(dict.fromkeys((*seen.codes, *found.codes))),
        groups=tuple(dict.fromkeys((*seen.groups, *found.groups))),
        official_test=seen.official_test or found.official_test,
    )


def examples_of(cell: str) -> Iterator[str]:
    """The examples of a cell."""
    return (example.strip() for example in re.split(r"[|\n]", cell) if example.strip())


def out_of_scope(data: Path) -> list[str]:
    """Texts that belong in none of the taxonomies, of all sets that have such."""
    files = sorted(data.glob("*/out_of_scope.csv"))
    return list(dict.fromkeys(row["text"] for file in files for row in rows_of(file) if row["text"].strip()))
