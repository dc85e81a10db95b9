"""Files of corrections are parsed once, and their rows are as if they had all been read now."""

from __future__ import annotations

import os

import pytest

from taxomind_assets.learning import reading
from taxomind_assets.learning.reading import read_corrections
from taxomind_resources.inbox import Inbox
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import Settings

SETTINGS = Settings()


class Place:
    def __init__(self, data):
        self.inbox, self.outputs = Inbox(data, 0.0), Outputs(data)
        self.folder = data / "inbox" / "k" / "corrections"
        self.folder.mkdir(parents=True)

    def put(self, name, content, moment=1_000_000_000):
        path = self.folder / name
        path.write_text(content)
        os.utime(path, (moment, moment))

    def read(self, settings=SETTINGS):
        return read_corrections("k", self.inbox.files("k", "corrections"), settings, self.outputs)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files that are parsed."""
    names = []
    original = reading.read_items

    def watched(path, *arguments):
        names.append(path.name)
        return original(path, *arguments)

    monkeypatch.setattr(reading, "read_items", watched)
    return names


def test_a_file_is_parsed_once_and_again_when_it_changed(place, parsed):
    place.put("a.csv", "text,code,corrected_at\nmy pet,dog,2026-01-01\n,dog,\n")
    place.put("b.jsonl", '{"text": "my tree", "code": "oak", "annotator": "bo"}\n')
    first = place.read()
    assert parsed == ["a.csv", "b.jsonl"]
    assert place.read() == first
    assert parsed == ["a.csv", "b.jsonl"]
    place.put("a.csv", "text,code\nmy pet,cat\n", 1_000_000_001)
    assert [row.codes for file in place.read() for row in file.rows] == [("cat",), ("oak",)]
    assert parsed[2:] == ["a.csv"]


def test_other_settings_of_texts_read_everything_again(place, parsed):
    place.put("a.csv", "field:b,field:a,code\n1,2,dog\n")
    assert place.read()[0].rows[0].text == "2 1"
    ordered = Settings.model_validate({"text": {"field_order": ["b"]}})
    assert place.read(ordered)[0].rows[0].text == "1 2"
    assert len(parsed) == 2


def test_a_file_that_left_takes_its_rows_with_it(place):
    place.put("a.csv", "text,code\nmy pet,dog\n")
    place.put("b.csv", "text,code\nmy tree,oak\n")
    place.read()
    (place.folder / "a.csv").unlink()
    assert [file.source_file for file in place.read()] == ["b.csv"]
    assert place.outputs.read(reading.ROWS, "k")["text"].to_pylist() == ["my tree"]


def test_refused_rows_and_refused_files_are_kept_with_reasons(place):
    place.put("a.csv", "text,code\n,dog\n")
    place.put("b.csv", "nothing\nof this\n")
    place.put("c.parquet", "PAR1 but not really")
    read = place.read()
    rejected = place.outputs.read(reading.REJECTED, "k").to_pylist()
    assert [(row["source_file"], row["reason_code"]) for row in rejected] == [
        ("a.csv", "empty_text"),
        ("b.csv", "file_refused"),
        ("c.parquet", "file_refused"),
    ]
    assert [bool(file.problem) for file in read] == [False, True, True]


def test_a_killed_write_is_repaired_by_the_next_read(place, monkeypatch):
    place.put("a.csv", "text,code\nmy pet,dog\n")
    place.read()
    place.put("b.csv", "text,code\nmy tree,oak\n")
    wanted = [row.text for file in place.read() for row in file.rows]
    # Between the writes of rows and of files everything may stop.
    place.put("c.csv", "text,code\nmy rose,rose\n")
    original = place.outputs.write

    def killed(table, *arguments, **options):
        if table == reading.FILES:
            raise KeyboardInterrupt
        return original(table, *arguments, **options)

    monkeypatch.setattr(place.outputs, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        place.read()
    monkeypatch.undo()
    assert [row.text for file in place.read() for row in file.rows] == [*wanted, "my rose"]
