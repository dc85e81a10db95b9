"""`taxomind learn`: one correction is in effect when the command returns, and can be taken back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.fixture
def learn(call: Call, own: Path) -> Call:
    """Call `taxomind learn` on a copy of the built project; `learn("undo", ...)` calls its commands."""
    return lambda *arguments: call("--data", own, "learn", *arguments)


@pytest.fixture
def answer(call: Call, own: Path) -> Callable[[str], dict[str, Any]]:
    return lambda text: json.loads(call("--data", own, "classify", text, "--json").out)


def test_one_correction_changes_the_answer_at_once_and_undo_brings_the_old_one_back(learn, answer):
    before = answer("zorblax")
    called = learn("zorblax", "PT", "--json")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    assert told["nodes_touched"] == ["PT"]
    (learned,) = told["learned"]
    assert (learned["text"], learned["code"]) == ("zorblax", "PT")
    after = answer("Zorblax ")
    assert (after["code"], after["stop_reason"], after["evidence_version"]) == (
        "PT",
        "exact_evidence",
        told["evidence_version"],
    )
    undone = json.loads(learn("undo", learned["correction_id"], "--json").out)
    assert (undone["taken_back"], undone["evidence_version"], undone["corrections"]) == ([learned], "", {"withdrawn": 1})
    assert answer("zorblax")["code"] == before["code"]


def test_a_correction_that_is_taught_again_moves_and_one_that_was_taken_back_can_be_taught_again(learn, answer):
    learn("zorblax", "PT")
    moved = json.loads(learn("zorblax", "AF", "--json").out)
    assert moved["nodes_touched"] == ["AF", "PT"]
    assert answer("zorblax")["code"] == "AF"
    learn("undo", "--text", "zorblax")
    again = json.loads(learn("zorblax", "AF", "--json").out)
    assert [item["code"] for item in again["learned"]] == ["AF"]


def test_a_file_is_learned_with_its_refused_rows_named(learn, own, tmp_path):
    file = tmp_path / "given.csv"
    file.write_text("text,code,annotator\nzorblax,PT,anna\nwibble,-9,anna\nquux,XX,bo\n")
    called = learn("--input", file, "--json")
    assert called.code == 0
    told = json.loads(called.out)
    assert (told["file"], told["corrections"]) == ("given.csv", {"applied": 1, "unknown_code": 1})
    assert "1 of 3 rows were refused" in called.err
    assert "undecided_code" in called.err
    again = json.loads(learn("--input", file, "--json").out)
    assert (again["learned"], again["corrections"]) == ([], told["corrections"])
    listed = json.loads(learn("list", "--status", "unknown_code", "--json").out)
    assert [row["text"] for row in listed] == ["quux"]
    undone = json.loads(learn("undo", "--file", "given.csv", "--json").out)
    assert undone["corrections"] == {"withdrawn": 2}


def test_an_earlier_version_is_restored_by_its_name(learn, answer):
    first = json.loads(learn("zorblax", "PT", "--json").out)["evidence_version"]
    learn("zorblax", "AF")
    learn("wibble", "PF")
    restored = json.loads(learn("--restore", first, "--json").out)
    assert restored["evidence_version"] == first
    assert answer("zorblax")["code"] == "PT"
    versions = json.loads(learn("list", "--versions", "--json").out)
    assert versions[0]["evidence_version"] == first
    nothing = json.loads(learn("--restore", first, "--json").out)
    assert (nothing["file"], nothing["learned"], nothing["taken_back"]) == ("", [], [])


def test_corrections_that_contradict_each_other_are_shown(learn, answer):
    learn("zorblax", "PT", "--annotator", "anna")
    called = learn("zorblax", "PF", "--annotator", "bo")
    assert "2 to look at" in called.out
    reviews = json.loads(learn("list", "--reviews", "--json").out)
    assert {(row["kind"], row["code"], row["annotator"]) for row in reviews} == {
        ("contradiction", "PT", "anna"),
        ("contradiction", "PF", "bo"),
    }
    found = answer("zorblax")
    assert (found["code"], found["ambiguous"]) == ("P", True)


def test_answers_that_are_older_than_what_was_learned_are_listed_and_given_again(call, own, learn):
    def stale():
        return json.loads(
            call("--data", own, "query", "SELECT source_file, because FROM classification.stale_batches", "--json").out
        )

    learn("a parrot that talks", "PT")
    assert stale() == [{"source_file": "texts.csv", "because": ["evidence"]}]
    shown = call("--data", own, "taxonomy", "list", "--json")
    assert "reclassification of 1 file" in json.loads(shown.out)[0]["waits_for"]
    called = call("--data", own, "classify", "--stale", "--json")
    assert called.code == 0, called.err
    assert [(row["file"], row["because"]) for row in json.loads(called.out)["answered_again"]] == [("texts.csv", ["evidence"])]
    sql = "SELECT text_id, code FROM classification.results ORDER BY text_id"
    assert json.loads(call("--data", own, "query", sql, "--json").out)[0] == {"text_id": "t1", "code": "PT"}
    assert stale() == []
    assert json.loads(call("--data", own, "classify", "--stale", "--json").out)["answered_again"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("zorblax",), 2, "a text and its code"),
        (("zorblax", "PT", "PF"), 2, "a text and its code"),
        (("zorblax", "PTT"), 2, "Did you mean PT"),
        (("  ", "PT"), 2, "no text to learn"),
        (("zorblax", "PT", "--restore", "x"), 2, "a text and its code"),
        (("--restore", "nothing"), 2, "no such evidence version"),
        (("--input", "absent.csv"), 1, "absent.csv"),
        (("undo",), 2, "ids, --file, --node or --text"),
        (("undo", "nobody"), 2, "has this id"),
        (("undo", "--node", "PT"), 2, "has this node"),
        (("list", "--reviews", "--versions"), 2, "either --reviews or --versions"),
    ],
)
def test_wrong_use_says_what_is_right_and_changes_nothing(learn, own, arguments, code, words):
    called = learn(*arguments)
    assert called.code == code
    assert words in called.err
    assert not (own / "inbox" / "living" / "corrections").exists()


def test_a_file_without_a_usable_row_is_refused_as_a_whole(learn, own, tmp_path):
    file = tmp_path / "given.csv"
    file.write_text("text,code\n,PT\nwibble,-9\n")
    called = learn("--input", file)
    assert called.code == 1
    assert "line 2" in called.err
    assert not (own / "inbox" / "living" / "corrections").exists()


def test_lists_are_shown_for_people(learn):
    assert "There are none." in learn("list").out
    learn("zorblax", "PT", "--annotator", "anna")
    assert "zorblax" in learn("list").out
    assert "anna" in learn("list", "--node", "PT").out
    assert "There are none." in learn("list", "--node", "PF").out
    assert "evidence version" in learn("list", "--versions").out


def test_help_names_the_commands(call):
    called = call("learn", "--help")
    assert called.code == 0
    assert all(word in called.out for word in ("add", "undo", "list"))


def test_the_report_says_what_corrections_have_taught(learn, call, own, tmp_path):
    rows = [
        f"{word} zorb{n},{code},{who}" for code, word in (("PT", "wibble"), ("AF", "quux")) for n in range(3) for who in "ab"
    ]
    file = tmp_path / "given.csv"
    file.write_text("\n".join(["text,code,annotator", *rows, "wibble zorb0,PF,c"]))
    assert learn("--input", file).code == 0
    assert json.loads(call("--data", own, "report", "--json").out)["learning"] is None
    called = call("--data", own, "report", "--rebuild")
    assert called.code == 0, called.err
    section = called.out[called.out.index("What corrections have taught") :]
    assert "corrected texts: 6" in section
    assert "texts put right" in section
    assert "Agreement of annotators: 0." in section
    assert "taxomind learn list --reviews" in section
    shown = json.loads(call("--data", own, "report", "--json").out)["learning"]
    assert shown["before"]["leaf_accuracy"]["value"] < shown["after"]["leaf_accuracy"]["value"]
    assert shown["to_review"]["contradiction"] == 3
    learn("quux zorb9", "AF")
    assert "--rebuild measures again" in call("--data", own, "report").out


def test_corrections_alone_make_a_report(learn, call, own):
    for path in (own / "inbox" / "living" / "labelled").iterdir():
        path.unlink()
    learn("zorblax", "PT")
    called = call("--data", own, "report", "--rebuild")
    assert called.code == 0, called.err
    assert "corrected texts: 1" in called.out
