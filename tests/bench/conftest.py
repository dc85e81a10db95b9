"""A made-up benchmark folder in the layout of the real ones."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

TREE = {
    "1": ("", "Animals", "Living beings that move", ""),
    "2": ("", "Tools", "Things to work with", ""),
    "11": ("1", "Dogs", "Barking pets", "poodle|terrier"),
    "12": ("1", "Cats", "Purring pets", "siamese\nmaine coon"),
    "21": ("2", "Hammers", "Tools that hit nails", "mallet|sledgehammer"),
    "22": ("2", "Saws", "Tools that cut wood", "jigsaw|chainsaw"),
}
KINDS = {
    "11": ("dog", "puppy", "hound", "shepherd dog"),
    "12": ("cat", "kitten", "tomcat", "persian cat"),
    "21": ("hammer", "claw hammer", "rubber mallet", "rock hammer"),
    "22": ("saw", "hacksaw", "saw blade", "hand saw"),
}
WORDS = ("small", "big", "old", "new", "red", "blue", "cheap", "fine", "long", "short", "heavy", "light")


def write(file: Path, header: str, rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(header.split())
        writer.writerows(rows)


def write_set(folder: Path, labelled: Iterable[Sequence[str]]) -> None:
    """Write the animals and tools, in English and with German labels, and labelled texts."""
    rows = []
    for code, (parent, label, definition, examples) in TREE.items():
        level = str(len(code))
        rows.append((code, parent, level, label, definition, examples, "en"))
        rows.append((code, parent, level, f"{label}-deutsch", "", "", "de"))
    write(folder / "taxonomy.csv", "code parent_code level label definition examples language", rows)
    write(folder / "labelled.csv", "text_id text language code split", labelled)


@pytest.fixture(scope="session")
def bench_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets: `pets.en` and `pets.de` in one folder, `flat.en` in another, and texts that belong nowhere."""
    data = tmp_path_factory.mktemp("bench")
    texts = [(f"{word} {kind}", code) for code, kinds in KINDS.items() for kind in kinds for word in WORDS]
    english = [(f"en-{i}", text, "en", code, "") for i, (text, code) in enumerate(texts)]
    german = [(f"de-{i}", f"{text} auf deutsch", "de", code, "") for i, (text, code) in enumerate(texts[::4])]
    known = [("v-1", "Poodle", "en", "11", ""), ("v-2", "barking pets", "en", "11", ""), ("v-3", "CATS", "en", "12", "")]
    write_set(data / "pets", [*english, *german, *known])
    flat = [("x", "", "1", "Animals", "dogs and cats", "", "en"), ("y", "", "1", "Tools", "hammers and saws", "", "en")]
    write(data / "flat" / "taxonomy.csv", "code parent_code level label definition examples language", flat)
    rows = [(i, text, "en", "x" if code < "2" else "y", "") for i, text, _, code, _ in english]
    write(data / "flat" / "labelled.csv", "text_id text language code split", rows)
    strangers = [(str(i), f"what is the capital of country {i}", "en", "test") for i in range(20)]
    write(data / "flat" / "out_of_scope.csv", "text_id text language split", strangers)
    write(data / "alone" / "taxonomy.csv", "code parent_code level label definition examples language", flat)
    return data
