"""Labelled files and corrections become texts that stand once, with one code and one split."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxomind_assets.models.labelled import gather, settle
from taxomind_assets.models.splits import Shares
from taxomind_resources.inbox import Inbox
from taxomind_resources.settings import Settings


@pytest.fixture
def read(tmp_path: Path, tree):
    """`read(content, name=...)`: what one labelled file comes to, and the rows that were refused."""

    def run(content: str, name: str = "texts.csv", corrections=((), ()), **models):
        settings = Settings.model_validate({"data": tmp_path, "models": models})
        inbox = Inbox(tmp_path, 0)
        if content:
            inbox.put("things", "labelled", content.encode(), name)
        refused = []
        gathered = gather(tree, inbox.files("things", "labelled"), settings, refused.extend, corrections=corrections)
        return settle(tree, gathered, Shares(0, 0, 1)), refused

    return run


def rows(settled):
    return [(row["text"], row["code"], row["split"]) for row in settled.table.to_pylist()]


def test_a_file_says_its_splits(read):
    settled, refused = read("text,code,split\na cat,cat,train\na dog,dog,test\na loaf,bread,validation\na kitten,cat,\n")
    assert rows(settled) == [
        ("a cat", "cat", "train"),
        ("a dog", "dog", "test"),
        ("a loaf", "bread", "validation"),
        ("a kitten", "cat", "train"),
    ]
    assert [row["split_said"] for row in settled.table.to_pylist()] == [True, True, True, False]
    assert refused == []


def test_usual_names_of_splits_are_understood(read):
    settled, _ = read("text,code,split\na cat,cat,Training\na dog,dog,dev\na loaf,bread,VALID\n")
    assert [split for _, _, split in rows(settled)] == ["train", "validation", "validation"]


def test_an_unknown_split_is_refused_with_its_line(read):
    settled, refused = read("text,code,split\na cat,cat,holdout\na dog,dog,train\n")
    assert rows(settled) == [("a dog", "dog", "train")]
    assert (refused[0].reason_code, refused[0].line) == ("bad_split", 2)


def test_an_unknown_code_and_an_empty_text_are_refused(read):
    settled, refused = read("text,code\na cat,cat\na fish,fish\n,dog\n")
    assert rows(settled) == [("a cat", "cat", "train")]
    assert sorted(row.reason_code for row in refused) == ["empty_text", "unknown_code"]


def test_equal_texts_stand_once_and_the_test_takes_them(read):
    settled, _ = read("text,code,split\nA  Cat,cat,train\na cat,cat,test\n")
    assert rows(settled) == [("A Cat", "cat", "test")]
    assert (settled.repeats, settled.moved) == (1, 1)


def test_of_codes_above_each_other_the_deepest_counts(read):
    settled, _ = read("text,code\nbroth,soup\nbroth,hot\nbroth,food\n")
    assert rows(settled) == [("broth", "hot", "train")]
    assert settled.contradictions == 0


def test_of_contradicting_codes_the_most_frequent_counts(read):
    settled, _ = read("text,code\nit,cat\nit,dog\nIt,dog\n")
    assert [code for _, code, _ in rows(settled)] == ["dog"]
    assert settled.contradictions == 1


def test_a_group_is_no_part_of_the_text(read):
    content = "title,group,code\n" + "".join(f"cat {i},g{i % 3},cat\n" for i in range(9))
    settled, _ = read(content)
    assert settled.table["text"].to_pylist()[0] == "cat 0"


def test_rows_of_one_group_are_drawn_into_one_split(tree, tmp_path):
    inbox = Inbox(tmp_path, 0)
    content = "text,thread,code\n" + "".join(f"cat number {i},g{i % 8},cat\n" for i in range(64))
    inbox.put("things", "labelled", content.encode(), "texts.csv")
    settings = Settings.model_validate({"data": tmp_path, "models": {"group_column": "thread"}})
    gathered = gather(tree, inbox.files("things", "labelled"), settings, lambda rows: None)
    found = settle(tree, gathered, Shares(0.25, 0.25, 3)).table.to_pylist()
    groups = {}
    for row in found:
        groups.setdefault(int(row["text"].split()[-1]) % 8, set()).add(row["split"])
    assert all(len(splits) == 1 for splits in groups.values())
    assert {next(iter(splits)) for splits in groups.values()} == {"train", "validation", "test"}


def test_json_lines_say_split_and_group_too(read):
    content = '{"text": "a cat", "code": "cat", "split": "test", "group": "g"}\n{"text": "a dog", "code": "dog"}\n'
    settled, refused = read(content, "texts.jsonl")
    assert rows(settled) == [("a cat", "cat", "test"), ("a dog", "dog", "train")]
    assert refused == []


def test_the_group_column_is_a_setting(read):
    content = "title,source_doc,code\na cat,d1,cat\n"
    assert rows(read(content, group_column="source_doc")[0]) == [("a cat", "cat", "train")]


def test_corrections_join_the_files(read):
    settled, _ = read("text,code\na cat,cat\n", corrections=(["a dog", "a cat"], [["dog"], ["cat"]]))
    assert [(row["text"], row["code"], row["source_file"]) for row in settled.table.to_pylist()] == [
        ("a cat", "cat", "texts.csv"),
        ("a dog", "dog", "correction"),
    ]
    assert settled.repeats == 1


def test_nothing_is_no_error(read):
    settled, _ = read("")
    assert settled.table.num_rows == 0
    assert settled.counts() == {"train": 0, "validation": 0, "test": 0}
