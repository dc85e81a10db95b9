from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taxomind_resources.crosslingual.pairs import (
    AlignedPair,
    AlignedPairs,
    held_out_labels,
    pairs_from_taxonomy,
    read_pairs,
)
from taxomind_resources.faults import Fault


def test_collected_pairs_are_different_trimmed_and_in_one_order() -> None:
    rows = [
        ("fr", " pain ", "Bread"),
        ("de", "Brot", "bread", "food"),
        ("fr", "pain", "Bread"),
        ("fr", "", "Bread"),
        ("x", "y", " "),
    ]
    pairs = AlignedPairs.collect(rows)
    assert pairs.rows == [AlignedPair("fr", "pain", "Bread"), AlignedPair("de", "Brot", "bread", "food")]
    assert pairs.labels == ["Bread"]
    assert pairs.label_of.tolist() == [0, 0]
    assert pairs.skipped == 2
    assert AlignedPairs.collect(reversed(rows)).digest() == pairs.digest()
    assert AlignedPairs.collect(rows[:1]).digest() != pairs.digest()


@pytest.mark.parametrize("row", ["fr", ("fr", "pain"), ("fr", "pain", None), ("fr", "pain", "bread", "a", "b")])
def test_rows_that_are_no_pairs_are_refused_by_number(row: object) -> None:
    with pytest.raises(Fault, match="Row 1 is no aligned pair"):
        AlignedPairs.collect([("fr", "pain", "bread"), row])  # type: ignore[list-item]


def test_no_pairs_at_all_are_refused() -> None:
    with pytest.raises(Fault, match="invalid_input"):
        AlignedPairs.collect([("", "", "")])


def test_held_out_labels_follow_from_the_label_alone() -> None:
    labels = [f"Label {number}" for number in range(2000)]
    held = held_out_labels(labels, 0.1, seed=0)
    assert 0.07 < held.mean() < 0.13
    assert (held_out_labels(labels[::-1], 0.1, 0) == held[::-1]).all()
    assert (held_out_labels([label.upper() + " " for label in labels], 0.1, 0) == held).all()
    assert (held_out_labels(labels, 0.1, 1) != held).any()
    assert not held_out_labels(labels, 0.0, 0).any()
    assert np.all(held <= held_out_labels(labels, 0.3, 0))


def test_pairs_from_a_taxonomy_take_the_first_english_label_of_each_node() -> None:
    rows = [
        ("1", "fr", "boulanger"),
        ("1", "en-GB", "Baker"),
        ("1", "en-GB", "Bread maker"),
        ("1", "fr", "boulangère"),
        ("2", "fr", "sans anglais"),
    ]
    assert pairs_from_taxonomy(rows, "jobs") == [
        AlignedPair("fr", "boulanger", "Baker", "jobs"),
        AlignedPair("en-GB", "Baker", "Baker", "jobs"),
        AlignedPair("en-GB", "Bread maker", "Bread maker", "jobs"),
        AlignedPair("fr", "boulangère", "Baker", "jobs"),
    ]


@pytest.mark.parametrize("rows", [[], [("1", "en", "Baker")], [("1", "fr", "boulanger"), ("2", "en", "Baker")]])
def test_a_taxonomy_in_one_language_is_refused(rows: list[tuple[str, str, str]]) -> None:
    with pytest.raises(Fault, match="invalid_input"):
        pairs_from_taxonomy(rows)


def test_pairs_are_read_from_parquet_and_csv(tmp_path: Path) -> None:
    columns = {
        "source": ["s", "s"],
        "language": ["fr", "no"],
        "text": ["NA", 'b "q"\nline'],
        "english": ["x", None],
        "code": [1, 2],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    text = 'source,code,language,text,english\ns,1,fr,NA,x\ns,2,no,"b ""q""\nline",\n'
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    expected = [AlignedPair("fr", "NA", "x", "s"), AlignedPair("no", 'b "q"\nline', "", "s")]
    assert read_pairs(tmp_path / "a.parquet") == expected
    assert read_pairs(tmp_path / "a.csv") == expected


def test_a_file_without_sources_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.CSV").write_text("english,language,text\nx,fr,y\n", encoding="utf-8")
    assert read_pairs(tmp_path / "a.CSV") == [AlignedPair("fr", "y", "x")]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.csv", b"language,text\nfr,x\n", "missing_column"),
        ("a.csv", b"", "unreadable_file"),
        ("a.csv", b"language,text,english\nfr,\xff\xfe,x\n", "unreadable_file"),
        ("a.csv", b"language,text,english\nfr,x\n", "unreadable_file"),
        ("a.parquet", b"PAR1 no", "unreadable_file"),
        ("a.xlsx", b"", "unsupported_format"),
        ("a.parquet", None, "unreadable_file"),
    ],
)
def test_unusable_files_are_faults(tmp_path: Path, name: str, content: bytes | None, code: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Fault) as caught:
        read_pairs(tmp_path / name)
    assert caught.value.code == code
