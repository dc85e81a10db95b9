"""TX-82: labelled files of every kind, their refused rows with line and reason, in flat memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taxomind_assets.inputs import RejectedRow
from taxomind_assets.reports import sources
from taxomind_assets.reports.sources import Labelled, read_labelled
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.inbox import Inbox
from taxomind_resources.settings import Settings

Read = Callable[..., tuple[Labelled, list[RejectedRow]]]

SENTENCES = [
    {
        "sentenceId": 7,
        "FIELDS": {"Job": "dogs", "Firm": None},
        "Annotations": [{"Level": 1, "NodeCode": "a"}, {"level": 3, "node_code": "aaa"}, {"level": 2, "nodeCode": "aa"}],
    },
    {"sentence_id": "s", "text": "beasts", "annotations": [{"level": 2, "nodeCode": "aa"}, {"level": 3, "nodeCode": "-999"}]},
    {"sentenceId": "m", "text": "own answer", "source": "AI", "annotations": [{"level": 1, "nodeCode": "a"}]},
    {"sentenceId": "e", "text": "nothing", "annotations": None},
    {"sentenceId": "p", "text": "half", "annotations": [{"nodeCode": "aaa", "source": "model"}, {"nodeCode": "ab"}]},
    {"sentenceId": "f", "fields": {}, "annotations": [{"nodeCode": "aa"}], "note": "is no text"},
    "no object",
]
_READ = [("7", "dogs", "aaa"), ("s", "beasts", "aa"), ("p", "half", "ab")]
_REFUSED = {"machine_label": 1, "empty_code": 1, "empty_text": 1, "bad_type": 1}


class Labels:
    """The folder `labelled` of an inbox."""

    def __init__(self, data: Path, tree: Taxonomy) -> None:
        self._inbox = Inbox(data, 0.0)
        self._folder = data / "inbox" / "toys" / "labelled"
        self._folder.mkdir(parents=True)
        self._tree = tree

    def put(self, name: str, content: str | bytes | pa.Table) -> None:
        if isinstance(content, pa.Table):
            pq.write_table(content, self._folder / name)
        else:
            (self._folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    def read(self, refuse: Callable[[Sequence[RejectedRow]], object], tree: Taxonomy | None = None, **groups: Any) -> Labelled:
        return read_labelled(tree or self._tree, self._inbox.files("toys", "labelled"), Settings.model_validate(groups), refuse)


@pytest.fixture
def labels(tree: Taxonomy, tmp_path: Path) -> Labels:
    return Labels(tmp_path, tree)


@pytest.fixture
def read(labels: Labels) -> Read:
    """Write files and read them as the report does."""

    def write_and_read(files: dict[str, Any], tree: Taxonomy | None = None, **groups: Any) -> Any:
        for name, content in files.items():
            labels.put(name, content)
        refused: list[RejectedRow] = []
        return labels.read(refused.extend, tree, **groups), refused

    return write_and_read


def _rows(labelled: Labelled) -> list[tuple[str, str, str]]:
    names = ("text_id", "text", "target_code")
    return list(zip(*(labelled.targets[name].to_pylist() for name in names), strict=True))


def test_a_plain_file_is_read_with_refused_rows_by_line(read: Read) -> None:
    labelled, refused = read({"plain.csv": "text,code\npoodle,aaa\n,a\nx,\ny,nope\nz,-999\nok,ab\n"})
    assert _rows(labelled) == [("1", "poodle", "aaa"), ("6", "ok", "ab")]
    assert [(row.line, row.reason_code) for row in refused] == [
        (3, "empty_text"),
        (4, "empty_code"),
        (5, "unknown_code"),
        (6, "undecided_code"),
    ]
    assert "'nope'" in refused[2].reason
    assert json.loads(refused[2].raw) == ["y", "nope"]
    assert labelled.refused == {"empty_text": 1, "empty_code": 1, "unknown_code": 1, "undecided_code": 1}
    assert labelled.files[0].columns == "text from text; code from code"


def test_a_file_separated_by_tabs_is_read(read: Read) -> None:
    labelled, refused = read({"plain.tsv": "text\tcode\npoodle, small\taaa\n"})
    assert (_rows(labelled), refused) == ([("1", "poodle, small", "aaa")], [])


EXPORT = [
    {"field:Job": "breeder", "field:Industry": "pets", "TOY_1": "a", "TOY_2": "aa", "TOY_3": "aaa"},
    {"field:Job": "keeper", "field:Industry": None, "TOY_1": "a", "TOY_2": "aa", "TOY_3": "-999"},
    {"field:Job": "maker", "field:Industry": "toys", "TOY_1": None, "TOY_2": "ba", "TOY_3": None},
    {"field:Job": "else", "field:Industry": "x", "TOY_1": "z", "TOY_2": None, "TOY_3": None},
]
_EXPORTED = [("1", "pets\nbreeder", "aaa"), ("2", "keeper", "aa"), ("3", "toys\nmaker", "ba")]


def _csv(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    lines = [list(rows[0]), *([value or "" for value in row.values()] for row in rows)]
    return "".join(delimiter.join(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("export.csv", _csv(EXPORT)),
        ("export.csv", _csv(EXPORT, ";")),
        ("export.parquet", pa.Table.from_pylist(EXPORT)),
        ("export.jsonl", "".join(json.dumps(row) + "\n" for row in EXPORT)),
        ("export.json", json.dumps(EXPORT)),
    ],
)
def test_a_platform_export_gives_the_deepest_known_code_in_every_format(read: Read, name: str, content: str | pa.Table) -> None:
    labelled, refused = read({name: content})
    assert _rows(labelled) == _EXPORTED, "fields joined by name, as served"
    assert labelled.targets["target_path"].to_pylist()[2] == ["b", "ba"], "missing upper levels come from the tree"
    assert labelled.files[0].upper_code_used == 1
    assert [row.reason_code for row in refused] == ["unknown_code"]
    assert labelled.files[0].columns.endswith("code from TOY_1, TOY_2, TOY_3")


def test_the_order_of_fields_is_that_of_serving(read: Read) -> None:
    labelled, _ = read({"export.csv": _csv(EXPORT)}, text={"field_order": ["job"]})
    assert labelled.targets["text"][0].as_py() == "breeder\npets"


def test_settings_name_the_columns_of_an_export(read: Read) -> None:
    content = "Title,Employer,Wage,TOY_1,TOY_3,TOY_3_label\nbreeder,pets,5,a,aaa,Dogs\n"
    labelled, refused = read({"export.csv": content})
    assert (len(labelled.targets), [row.reason_code for row in refused]) == (0, ["file_refused"])
    assert "report.text_columns" not in labelled.problems[0]
    assert "No column for the text" in labelled.problems[0]
    labelled, _ = read({"export.csv": content}, report={"text_columns": ["title", "employer"]})
    assert _rows(labelled) == [("1", "pets\nbreeder", "aaa")]


def test_codes_that_a_spreadsheet_made_decimal_are_found(read: Read) -> None:
    tree = Taxonomy.build("n", [Node("25", None, 1, (NodeText("", "x"),)), Node("251", "25", 2, (NodeText("", "y"),))])
    table = pa.table({"text": ["p", "q"], "N_1": [25.0, 25.0], "N_2": [251.0, None]})
    files = {"a.csv": "text,N_1,N_2\np,25.0,251.0\nq,25.0,\n", "b.parquet": table}
    labelled, refused = read(files, tree)
    assert labelled.targets["target_code"].to_pylist() == ["251", "25"]
    assert labelled.targets["rows"].to_pylist() == [2, 2]
    assert not refused


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("learned.json", json.dumps({"taxonomyKey": "toys", "Sentences": SENTENCES}, indent=1)),
        ("learned.json", json.dumps(SENTENCES)),
        ("learned.jsonl", "\n".join(map(json.dumps, SENTENCES))),
        ("learned.json", "\n".join(map(json.dumps, SENTENCES))),
        ("learned.jsonl", json.dumps({"sentences": SENTENCES}) + "\n"),
    ],
)
def test_documents_of_the_learn_route_in_any_case_and_layout(read: Read, name: str, content: str) -> None:
    labelled, refused = read({name: content})
    assert _rows(labelled) == _READ
    assert labelled.refused == _REFUSED
    assert sorted(row.reason_code for row in refused) == sorted(_REFUSED)


def test_labels_of_models_are_refused_in_tables_too(read: Read) -> None:
    labelled, refused = read({"corrections.csv": "text,code,source\nbeasts,aa,user\npoodle,aaa,ai\n"})
    assert _rows(labelled) == [("1", "beasts", "aa")]
    assert [(row.line, row.reason_code) for row in refused] == [(3, "machine_label")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text,label\nx,y\n", "No column for the code"),
        ("a.csv", "one,two\n1,2\n", "No column for the text and the code"),
        ("a.json", '{"sentences": [\n{"text": "x"', "is no JSON"),
        ("a.json", "", "is empty"),
        ("a.parquet", "PAR1 not", "no readable Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_does_not_stop_the_others(read: Read, name: str, content: str, said: str) -> None:
    labelled, refused = read({name: content, "good.csv": "text,code\npoodle,aaa\n"})
    assert _rows(labelled) == [("1", "poodle", "aaa")]
    assert said in labelled.problems[0]
    assert [(row.source_file, row.reason_code) for row in refused] == [(name, "file_refused")]
    assert labelled.refused.total() == 0


def test_a_large_document_is_refused_with_the_way_out(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LARGEST_DOCUMENT", 100)
    labelled, _ = read({"big.json": json.dumps({"sentences": SENTENCES})})
    assert "one JSON document of" in labelled.problems[0]


def test_a_broken_file_keeps_what_was_read_before(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_ROWS", 2)
    lines = b"".join(b'{"text": "text %d", "code": "aaa"}\n' % i for i in range(2_000))
    labelled, refused = read({"half.jsonl": lines + b"\xff\xff\n"})
    assert "not UTF-8" in labelled.problems[0]
    assert len(labelled.targets) == labelled.files[0].used > 100
    assert [row.reason_code for row in refused] == ["file_refused"]


def test_files_are_streamed_in_flat_memory(labels: Labels, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many rows of the same texts take no more memory: neither rows nor refusals are gathered."""
    monkeypatch.setattr(sources, "BLOCK_ROWS", 200)
    labels.put("many.csv", "text,code\npoodle,aaa\n")
    labels.read(lambda rows: None)
    peaks = []
    for times in (1, 10):
        labels.put("many.csv", "text,code\n" + "poodle,aaa\nx,nope\n" * (600 * times))
        counts: list[int] = []
        tracemalloc.start()
        labelled = labels.read(lambda rows, counts=counts: counts.append(len(rows)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert labelled.targets["rows"].to_pylist() == [600 * times]
        assert sum(counts) == labelled.refused["unknown_code"] == 600 * times
        assert len(labelled.examples) == 10
    assert peaks[1] < 1.5 * peaks[0]
