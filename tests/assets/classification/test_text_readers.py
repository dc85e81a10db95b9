"""Reading texts: every format gives the same rows, bad rows are refused one by one, memory stays flat."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.text_readers import TextBlock, read_texts
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings, TextSettings

PLAIN = TextSettings()  # type: ignore[call-arg]
LIMITS = LimitSettings()  # type: ignore[call-arg]

Read = Callable[..., TextBlock]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a file and read all of it as one block."""

    def write_and_read(content: str | bytes | pa.Table, name: str = "texts.csv", **options: Any) -> TextBlock:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        whole = TextBlock()
        for block in read_texts(path, options.pop("text_settings", PLAIN), options.pop("limits", LIMITS), **options):
            for name_ in ("row", "text_id", "text", "language", "code", "rejected"):
                getattr(whole, name_).extend(getattr(block, name_))
        return whole

    return write_and_read


def _reasons(block: TextBlock) -> list[tuple[int, str]]:
    return [(row.line, row.reason_code) for row in block.rejected]


# --- one content, every format -----------------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [
    {"text_id": "a", "text": "shop manager", "language": "en", "code": "5222"},
    {"text_id": "b", "text": 'says "hello",\nthen goes', "language": "", "code": "0110"},
    {"text_id": "c", "text": "Bäcker; Konditor\taus Köln", "language": "de", "code": "7512"},
]


def _delimited(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (_delimited(ROWS), "t.csv"),
        (_delimited(ROWS, ";"), "t.csv"),
        (_delimited(ROWS, "\t"), "t.tsv"),
        (_delimited(ROWS), "t.txt"),
        (b"\xef\xbb\xbf" + _delimited(ROWS).encode(), "t.csv"),
        (_delimited(ROWS).rstrip("\n"), "t.csv"),
        (_lines(ROWS), "t.jsonl"),
        (_lines(ROWS).replace("\n", "\r\n\r\n"), "t.ndjson"),
        (_lines(ROWS), "t.json"),
        (pa.Table.from_pylist(ROWS), "t.parquet"),
        (pa.Table.from_pylist(ROWS), "no_suffix"),
    ],
)
def test_every_format_gives_the_same_rows(read: Read, content: Any, name: str) -> None:
    block = read(content, name, labelled=True)
    assert block == TextBlock(
        row=[1, 2, 3],
        text_id=["a", "b", "c"],
        text=[row["text"] for row in ROWS],
        language=["en", "", "de"],
        code=["5222", "0110", "7512"],
    )


@pytest.mark.parametrize("column", ["id", "query_id", "sentence_id", "sentenceId", "Text ID"])
def test_ids_come_in_several_spellings(read: Read, column: str) -> None:
    assert read(f"{column},text\nq7,baker\n").text_id == ["q7"]
    assert read(_lines([{column: 7, "text": "baker"}]), "t.jsonl").text_id == ["7"]


def test_an_absent_id_becomes_the_row_number(read: Read) -> None:
    block = read("text_id,text\n,one\nx,\n,three\n")
    assert (block.row, block.text_id) == ([1, 3], ["1", "3"])


def test_codes_are_read_only_from_labelled_files(read: Read) -> None:
    assert read("text,code\nbaker,7512\n").code == [None]
    assert read("text,code\nbaker, 7512 \n", labelled=True).code == ["7512"]
    assert read(_lines([{"text": "baker", "nodeCode": 7512.0}]), "t.jsonl", labelled=True).code == ["7512"]


def test_labelled_rows_without_a_usable_code_are_refused(read: Read) -> None:
    block = read(f"text,code\na,1\nb,\nc,-99\nd,{'9' * 300}\n", labelled=True)
    assert block.text == ["a"]
    assert _reasons(block) == [(3, "empty_code"), (4, "undecided_code"), (5, "bad_code")]


# --- fields ------------------------------------------------------------------------------------------------------------


def test_fields_make_one_text_the_same_way_in_every_format(read: Read) -> None:
    table = [{"id": "1", "field:job": "clerk", "field:industry": "retail", "other": "x"}]
    expected = ["retail\nclerk"]
    assert read(_delimited(table)).text == expected
    assert read(_lines(table), "t.jsonl").text == expected
    assert (
        read(_lines([{"sentence_id": 1, "fields": {"job": "clerk", "industry": "retail", "zone": None}}]), "t.jsonl").text
        == expected
    )
    assert read(pa.Table.from_pylist(table), "t.parquet").text == expected


def test_text_joins_the_fields_and_alone_leaves_other_columns_unread(read: Read) -> None:
    assert read("field:job,text,other\nclerk,sells shoes,x\n").text == ["clerk\nsells shoes"]
    assert read(_lines([{"fields": {"job": "clerk"}, "text": "sells shoes"}]), "t.jsonl").text == ["clerk\nsells shoes"]
    assert read("job,text\nclerk,sells shoes\n").text == ["sells shoes"]


def test_without_text_all_columns_that_say_nothing_else_are_fields(read: Read) -> None:
    assert read("id,job,industry,language,code,split\n1,clerk,retail,en,5,train\n").text == ["retail\nclerk"]
    assert read(_lines([{"id": 1, "job": "clerk", "years": 3}]), "t.jsonl").text == ["clerk\n3"]
    table = pa.table({"job": ["clerk"], "years": [3], "vector": [[0.5, 0.5]], "image": [b"\x00\xff"]})
    assert read(table, "t.parquet").text == ["clerk\n3"]


def test_field_order_and_names_follow_the_settings(read: Read) -> None:
    chosen = TextSettings(field_order=("job",), include_field_names=True)
    assert read("job,industry\nclerk,retail\n", text_settings=chosen).text == ["job: clerk\nindustry: retail"]


def test_parquet_types_become_text(read: Read) -> None:
    table = pa.table(
        {"id": pa.array([1, 2]), "text": pa.array(["a", "b"]).dictionary_encode(), "code": pa.array([5222.0, None])}
    )
    block = read(table, "t.parquet", labelled=True)
    assert (block.text_id, block.text, block.code) == (["1"], ["a"], ["5222"])
    assert _reasons(block) == [(2, "empty_code")]


# --- bad rows ----------------------------------------------------------------------------------------------------------


def test_bad_rows_are_refused_with_their_line_and_the_rest_goes_on(read: Read) -> None:
    block = read(
        "text_id,text,language\n"  # 1
        "a,one,en\n"
        "b,   ,en\n"
        'c,"two\nlines",en\n'  # 4, 5
        "d,too few\n"
        '"e,stray quote,en\n'  # 7
        "f,three,en\n"
        f"g,{'x' * 20_001},en\n"
        "h,\u200b\u00ad,en\n"
        f"{'i' * 1001},text,en\n"
        f"j,text,{'x' * 65}\n"
        "\n"
        "k,four,en\n"
    )
    assert block.text_id == ["a", "c", "f", "k"]
    assert block.row == [1, 3, 6, 11]
    assert _reasons(block) == [
        (3, "empty_text"),
        (6, "wrong_column_count"),
        (7, "malformed_row"),
        (9, "cell_too_long"),
        (10, "empty_text"),
        (11, "bad_text_id"),
        (12, "bad_language"),
    ]
    assert {row.source_file for row in block.rejected} == {"texts.csv"}


def test_bad_json_lines_are_refused_with_their_line(read: Read) -> None:
    lines = [
        '{"text": "one"}',
        "{broken",
        "",
        "[1, 2]",
        "null",
        '{"text": null, "note": "not the text"}',
        '{"fields": {}}',
        '{"fields": "x"}',
        '{"text": "\\ud800"}',
        "[" * 50_000,
        '{"id": {"a": 1}, "text": "x"}',
        '{"text": ' + "1" * 5000 + "}",
        '{"text": "x", "language": ["en"]}',
        '"a plain string"',
    ]
    block = read("\n".join(lines), "t.jsonl")
    assert block.text == ["one", "a plain string"]
    assert _reasons(block) == [
        (2, "invalid_json"),
        (4, "invalid_json"),
        (5, "invalid_json"),
        (6, "empty_text"),
        (7, "empty_text"),
        (8, "invalid_json"),
        (9, "control_characters"),
        (10, "invalid_json"),
        (11, "bad_text_id"),
        (12, "invalid_json"),
        (13, "bad_language"),
    ]
    assert all(len(row.raw) <= 2000 and row.raw.encode() for row in block.rejected)


def test_a_field_that_is_too_long_is_refused_and_many_short_ones_are_not(read: Read) -> None:
    limits = LimitSettings(max_cell_characters=10)  # type: ignore[call-arg]
    block = read("field:a,field:b\n12345678901,b\n1234567890,1234567890\n", limits=limits)
    assert block.text == ["1234567890\n1234567890"]
    assert _reasons(block) == [(2, "cell_too_long")]


def test_parquet_rows_are_refused_by_number(read: Read) -> None:
    block = read(pa.table({"text": ["a", None, " ", "d"]}), "t.parquet")
    assert (block.row, block.text_id) == ([1, 4], ["1", "4"])
    assert _reasons(block) == [(2, "empty_text"), (3, "empty_text")]
    assert json.loads(block.rejected[1].raw) == {"text": " "}


# --- files that cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"", "t.csv", "unreadable_file"),
        (b"text_id,text\n", "t.csv", "unreadable_file"),
        (b" \n", "t.jsonl", "unreadable_file"),
        (b"id,language,code\n1,en,2\n", "t.csv", "missing_column"),
        (b"text\ncaf\xe9\n", "t.csv", "unreadable_file"),
        (b'{"text": "caf\xe9"}\n', "t.jsonl", "unreadable_file"),
        (b"text\na\x00b\n", "t.csv", "unreadable_file"),
        (b"<html><body>no</body></html>", "t.csv", "unsupported_format"),
        (b'[{"text": "a"}]', "t.json", "unsupported_format"),
        (b"text\na\n", "t.docx", "unsupported_format"),
        (b"PK\x03\x04xxxx", "t.csv", "unsupported_format"),
        (b"text\na\n", "t.parquet", "unreadable_file"),
        (b"PAR1" + b"\x00" * 60 + b"PAR1", "t.parquet", "unreadable_file"),
        (pa.table({"text": [b"\x00\xff"]}), "t.parquet", "unsupported_format"),
        (pa.table({"text": pa.array([], pa.string())}), "t.parquet", "unreadable_file"),
        (pa.table({"id": ["1"]}), "t.parquet", "missing_column"),
    ],
)
def test_files_that_cannot_be_read(read: Read, content: Any, name: str, code: str) -> None:
    with pytest.raises(Fault) as caught:
        read(content, name)
    assert caught.value.code == code, caught.value.render()


def test_a_labelled_file_needs_a_code_column(read: Read) -> None:
    with pytest.raises(Fault, match="no column 'code'"):
        read("text\na\n", labelled=True)


def test_a_bad_byte_late_in_the_file_is_named_after_the_good_blocks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"text\n" + b"baker\n" * 20_000 + b"\xff\n")
    blocks = read_texts(path, PLAIN, LIMITS, block_rows=1000)
    assert len(next(blocks)) == 1000
    with pytest.raises(Fault, match=r"byte 120005 \(line 20002\) is 0xff"):
        list(blocks)


garbage = st.binary(max_size=200) | st.lists(
    st.sampled_from(['"', ",", "\n", "text", "a", "{", "}", ":", "\r", ";", "é", "[", "\\"])
).map(lambda parts: "".join(parts).encode())


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=garbage, name=st.sampled_from(["t.csv", "t.tsv", "t.jsonl", "t.json", "t.parquet", "t"]), labelled=st.booleans())
def test_no_bytes_raise_anything_but_a_fault(read: Read, content: bytes, name: str, labelled: bool) -> None:
    with contextlib.suppress(Fault):
        block = read(content, name, labelled=labelled)
        assert len(block.text) == len(block.row) == len(block.code)
        assert len(block) + len(block.rejected) > 0


cells = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(['"', ",", "\n", "\r", ";", "\t"]), max_size=20
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(cells.map(lambda text: f"x{text}x"), min_size=1, max_size=6), delimiter=st.sampled_from([",", ";", "\t"]))
def test_whatever_a_csv_writer_writes_is_read_back_with_true_lines(read: Read, texts: list[str], delimiter: str) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["text_id", "text"])
    starts = []
    for text in texts:
        starts.append(len(io.StringIO(out.getvalue(), newline="").readlines()) + 1)
        writer.writerow(["i" * 1001 if len(text) % 2 else "i", text])
    block = read(out.getvalue(), "t.csv")
    assert block.text == [text for text in texts if len(text) % 2 == 0]
    assert [row.line for row in block.rejected] == [start for start, text in zip(starts, texts, strict=True) if len(text) % 2]


# --- blocks and memory -------------------------------------------------------------------------------------------------


def test_blocks_have_the_size_asked_for_refused_rows_included(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,other\n" + "".join(f"{'' if i % 5 == 0 else i},x\n" for i in range(1, 26)))
    blocks = list(read_texts(path, PLAIN, LIMITS, block_rows=10))
    assert [(len(block), len(block.rejected)) for block in blocks] == [(8, 2), (8, 2), (4, 1)]
    assert [row for block in blocks for row in block.row] == [i for i in range(1, 26) if i % 5]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}.{suffix}"
        texts = [f"text number {i} of a long file with some words" for i in range(rows)]
        if suffix == "csv":
            path.write_text("text\n" + "\n".join(texts))
        elif suffix == "jsonl":
            path.write_text(_lines([{"text": text} for text in texts]))
        else:
            pq.write_table(pa.table({"text": texts}), path)
        del texts
        tracemalloc.start()
        assert sum(len(block) for block in read_texts(path, PLAIN, LIMITS)) == rows
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    assert peak(60_000) < 1.3 * peak(30_000)
