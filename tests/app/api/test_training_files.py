"""The three formats of training data, and what is wrong with a file or a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taxomind_app.api.training_files import BadRow, read_training
from taxomind_app.api.training_url import Fetched
from taxomind_resources.faults import Fault

SENTENCE = {"fields": {"T": "owl"}, "annotations": [{"level": 1, "nodeCode": "A"}]}
LINE = '{"fields": {"T": "owl"}, "annotations": [{"level": 1, "nodeCode": "A"}]}'


def read(folder: Path, content: str | bytes, kind: str = "", name: str = "file") -> list[tuple[int, Any]]:
    path = folder / "download"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_training(Fetched(path, kind, name)))


@pytest.mark.parametrize("content", [f'{{"sentences": [{LINE}, 7]}}', f"[{LINE}, 7]"])
def test_json_is_an_object_with_sentences_or_a_list(content: str, tmp_path: Path) -> None:
    assert read(tmp_path, content, "application/json") == [(1, SENTENCE), (2, 7)]


def test_lines_are_read_one_by_one(tmp_path: Path) -> None:
    content = f'\ufeff{LINE}\n\nno json\n{{"a": NaN}}\n{LINE}\n'
    found = read(tmp_path, content, name="x.JSONL")
    assert [number for number, _ in found] == [1, 3, 4, 5]
    assert [isinstance(row, BadRow) for _, row in found] == [False, True, True, False]


def test_csv_has_code_and_text(tmp_path: Path) -> None:
    content = 'nodeCode,text,sentence_id,level,source\nA,"an\nowl",s1,2,user\nB,x,,,\nC,too,few\n'
    found = read(tmp_path, content, "text/csv")
    assert found[0] == (
        2,
        {
            "fields": {"text": "an\nowl"},
            "annotations": [{"level": "2", "nodeCode": "A"}],
            "sentenceId": "s1",
            "source": "user",
        },
    )
    assert found[1] == (4, {"fields": {"text": "x"}, "annotations": [{"level": "1", "nodeCode": "B"}]})
    assert found[2] == (5, BadRow("the row has 3 cells, the header 5"))


def test_csv_may_have_a_column_per_field(tmp_path: Path) -> None:
    found = read(tmp_path, "code,field:Title,field:Place\nA,owl,barn\n", "text/plain", "x.csv")
    assert found[0][1]["fields"] == {"Title": "owl", "Place": "barn"}


@pytest.mark.parametrize(
    ("content", "kind", "name", "code"),
    [
        ("x", "text/html", "x.csv", "unsupported_format"),
        ("x", "", "x.xlsx", "unsupported_format"),
        ("{", "application/json", "", "unreadable_file"),
        ('{"a": 1}', "application/json", "", "unreadable_file"),
        ("[" * 100_000, "application/json", "", "unreadable_file"),
        ("a,b\n1,2\n", "text/csv", "", "missing_column"),
        ("", "text/csv", "", "missing_column"),
        (b"code,text\nA,\xff\n", "text/csv", "", "unreadable_file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(content: str | bytes, kind: str, name: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(Fault) as refused:
        read(tmp_path, content, kind, name)
    assert refused.value.code == code
