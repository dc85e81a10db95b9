"""Aligned labels out of files of any kind: taxonomies with labels in several languages, and tables of pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taxomind_assets.delimited import DelimitedFile
from taxomind_assets.inputs import open_utf8
from taxomind_assets.taxonomy.readers import SUFFIXES, read_taxonomy
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.crosslingual.pairs import REQUIRED_COLUMNS, AlignedPair, pairs_from_taxonomy, read_pairs
from taxomind_resources.faults import Fault
from taxomind_resources.files import is_temporary
from taxomind_resources.settings import LimitSettings

_PAIRS_SUFFIX: Final = ".parquet"
_CSV_SUFFIX: Final = ".csv"
#: Files that a folder is searched for.
_SUFFIXES: Final = frozenset({_PAIRS_SUFFIX, *SUFFIXES})
#: Only a name for the tree while it is read.
_KEY: Final = "aligned"


@dataclass(frozen=True)
class AlignedFile:
    """What one file teaches.

    Attributes:
        path: the file.
        pairs: its pairs; those of a taxonomy have the name of the file as their source.
        remarks: what was read with a remark, one sentence each.
    """

    path: Path
    pairs: list[AlignedPair]
    remarks: tuple[str, ...] = ()


def aligned_files(inputs: Iterable[Path]) -> list[Path]:
    """The files that inputs stand for: a file for itself, a folder for the taxonomies and tables right in it, by name.

    Raises:
        Fault: `unreadable_file` (there is no such file or folder) or `invalid_input` (a folder without files to learn from).
    """
    found: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found += _files_of(path)
        elif path.is_file():
            found.append(path)
        else:
            raise Fault("unreadable_file", "There is no such file or folder.", value=str(path))
    return list(dict.fromkeys(found))


def _files_of(folder: Path) -> list[Path]:
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in _SUFFIXES]
    files = [path for path in files if not path.name.startswith(".") and not is_temporary(path.name)]
    if not files:
        allowed = f"files of these kinds: {', '.join(sorted(_SUFFIXES))}"
        raise Fault("invalid_input", "The folder holds no file to learn from.", value=str(folder), allowed=allowed)
    return files


def read_aligned(path: Path, limits: LimitSettings) -> AlignedFile:
    """The pairs of one file.

    A Parquet file, and a CSV file whose header names them, is a table with the columns language, text and english. Every
    other file is a taxonomy: labels and other names of a node stand for its English label.

    Raises:
        Fault: what reading a taxonomy or a table of pairs raises; `invalid_input` when no node of a taxonomy has an English
            label and one in another language.
    """
    if path.suffix.lower() == _PAIRS_SUFFIX or _is_table_of_pairs(path):
        return AlignedFile(path, read_pairs(path))
    found = read_taxonomy(path, _KEY, limits)
    try:
        pairs = pairs_from_taxonomy(_names(found.taxonomy), path.stem)
    except Fault as fault:
        raise Fault(fault.code, f"{path.name}: {fault.what}", value=_spoken(found.taxonomy), allowed=fault.allowed) from fault
    return AlignedFile(path, pairs, _remarks(len(found.rejected), found.warnings))


def _is_table_of_pairs(path: Path) -> bool:
    if path.suffix.lower() != _CSV_SUFFIX:
        return False
    with open_utf8(path) as handle:
        header = DelimitedFile(handle, path.name, lambda name: name in REQUIRED_COLUMNS).header
    return set(REQUIRED_COLUMNS) <= set(header)


def _names(tree: Taxonomy) -> list[tuple[str, str, str]]:
    """(code, language, text) of labels and other names."""
    return [
        (node.code, text.language, name) for node in tree.nodes for text in node.texts for name in (text.label, *text.aliases)
    ]


def _spoken(tree: Taxonomy) -> str:
    return ", ".join(language or "not stated" for language in tree.languages)


def _remarks(rejected: int, warnings: Sequence[str]) -> tuple[str, ...]:
    rows = "1 row was" if rejected == 1 else f"{rejected:,} rows were"
    return (*warnings, *[f"{rows} refused; `taxomind taxonomy validate` names them."] * bool(rejected))
