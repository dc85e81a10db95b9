"""Texts to derive a taxonomy from: files of texts, or the notes of a folder, each with its title."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from taxomind_assets.classification.text_readers import read_texts
from taxomind_assets.views.texts import clean
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings, TextSettings

T = TypeVar("T")

#: Most texts that are looked at, spread over what is there.
MOST_SAMPLES: Final = 5_000
TITLE_CHARACTERS: Final = 120
#: Characters after the title that say what a text is about.
_BODY_CHARACTERS: Final = 300
_HEAD_BYTES: Final = 16_384
_SUFFIXES: Final = (".md", ".markdown", ".txt", ".org", ".rst")
_FRONT_MATTER: Final = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE: Final = re.compile(r"^title:\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
_HEADING: Final = re.compile(r"^#\s+(.+?)\s*#*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """A text to derive from.

    Attributes:
        title: first line, heading or file name, at most 120 characters.
        text: title and the beginning of the body: what gets a vector.
        folder: name of the top folder, '' = none.
        language: as given, '' = not stated.
    """

    title: str
    text: str
    folder: str = ""
    language: str = ""


def samples_of_files(paths: Sequence[Path], text_settings: TextSettings, limits: LimitSettings) -> list[Sample]:
    """The texts of CSV, JSONL or Parquet files; equal ones once. Rows that cannot be read are left out.

    Raises:
        Fault: `unreadable_file`, `unsupported_format`, `missing_column` or `too_large`; `invalid_input` when there is no text.
    """
    found: dict[str, str] = {}
    for path in paths:
        for block in read_texts(path, text_settings, limits):
            for text, language in zip(block.text, block.language, strict=True):
                found.setdefault(text, language)
    if not found:
        raise Fault("invalid_input", "There are no texts to derive a taxonomy from.", value=[path.name for path in paths])
    chosen = _spread(list(found), MOST_SAMPLES)
    return [_sample(_first_line(text), text, "", found[text]) for text in chosen]


def samples_of_folder(folder: Path) -> list[Sample]:
    """The notes of a folder and its subfolders: .md, .markdown, .txt, .org and .rst. Hidden files and folders are left out.

    Title: that of the front matter, else the first top heading, else the name of the file.

    Raises:
        Fault: `unreadable_file` when there is no such folder, `invalid_input` when it holds no notes.
    """
    if not folder.is_dir():
        raise Fault("unreadable_file", "There is no such folder.", value=str(folder))
    files = _spread(sorted(_notes(folder)), MOST_SAMPLES)
    samples = [sample for path in files if (sample := _read_note(path, folder)) is not None]
    if not samples:
        allowed = f"files with the suffixes {', '.join(_SUFFIXES)}"
        raise Fault("invalid_input", "The folder holds no notes.", value=str(folder), allowed=allowed)
    return samples


def _notes(folder: Path) -> Iterator[Path]:
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(base, name) for name in files if name.lower().endswith(_SUFFIXES) and not name.startswith("."))


def _read_note(path: Path, folder: Path) -> Sample | None:
    """A note; None when it cannot be read as text."""
    try:
        with path.open("rb") as file:
            raw = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if b"\0" in raw:
        return None
    whole = raw.decode("utf-8", "ignore").removeprefix("\ufeff").replace("\r\n", "\n")
    front = _FRONT_MATTER.match(whole)
    body = whole[front.end() :] if front else whole
    found = (_FRONT_TITLE.search(front[1]) if front else None) or _HEADING.search(body)
    title = clean(found[1].strip("\"'")) if found else ""
    parts = path.relative_to(folder).parts
    return _sample(title or clean(path.stem.replace("_", " ")), _HEADING.sub("", body), parts[0] if len(parts) > 1 else "", "")


def _sample(title: str, body: str, folder: str, language: str) -> Sample:
    title, rest = title[:TITLE_CHARACTERS].strip(), clean(body)
    beginning = rest.removeprefix(title).strip()[:_BODY_CHARACTERS]
    return Sample(title, f"{title} {beginning}".strip(), folder, language)


def _first_line(text: str) -> str:
    return clean(next((line for line in text.splitlines() if line.strip()), ""))


def _spread(items: Sequence[T], most: int) -> list[T]:
    """At most `most` items, evenly from all."""
    if len(items) <= most:
        return list(items)
    return [items[int(place * len(items) / most)] for place in range(most)]
