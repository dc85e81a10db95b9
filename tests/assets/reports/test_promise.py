"""Promised against reached accuracy, in words that do not mislead."""

from __future__ import annotations

from typing import Any

import pytest

from taxomind_assets.reports.promise import Promise


def promise(**changes: Any) -> Promise:
    values = {
        "promised": 0.8,
        "proven": False,
        "texts": 100,
        "answered": 100,
        "reached": 0.9,
        "low": 0.83,
        "high": 0.94,
        "depth": 3.5,
        "information": 0.7,
        "leaf_accuracy": 0.85,
        "verbatim": 0,
        "reached_unseen": None,
    }
    return Promise(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "kept"),
        ({"low": 0.8}, "kept"),
        ({"low": 0.79}, "cannot be told"),
        ({"high": 0.79, "low": 0.6, "reached": 0.7}, "not kept"),
        ({"texts": 29, "answered": 29}, "cannot be told"),
        ({"texts": 29, "answered": 29, "high": 0.5, "low": 0.2}, "not kept"),
        ({"answered": 0, "reached": None, "low": None, "high": None}, "cannot be told"),
        ({"promised": None}, None),
    ],
)
def test_the_verdict_follows_the_interval(changes: dict[str, Any], verdict: str | None) -> None:
    assert promise(**changes).verdict == verdict


def test_the_sentence_says_what_was_promised_reached_and_that_nothing_is_proven() -> None:
    said = promise().sentence()
    assert said.startswith("Promised 80%: kept. 90.0% of 100 answered texts are right or above (95 % interval 83.0% to 94.0%)")
    assert "unproven default" in said
    assert "got no answer" not in said
    assert "unproven" not in promise(proven=True).sentence()
    assert "unproven" in promise().threshold()
    assert "proven on labels" in promise(proven=True).threshold()


def test_few_texts_are_said_first() -> None:
    few = promise(texts=1, answered=1, low=0.2, high=1.0, reached=1.0)
    assert few.sentence().startswith("Only 1 text: all figures are mostly chance")
    assert "cannot be told at n = 1. 100.0% of 1 answered text is right" in few.sentence()
    assert "Only" not in promise(texts=30, answered=30).sentence()


def test_texts_without_an_answer_are_named_beside_a_kept_promise() -> None:
    said = promise(texts=200).sentence()
    assert "100 texts (50.0%) got no answer; the best leaf is right for 85.0% of all." in said
    assert promise(texts=200).share_answered == 0.5


def test_no_answer_at_all_is_no_accuracy() -> None:
    said = promise(answered=0, reached=None, low=None, high=None).sentence()
    assert "No text got an answer" in said
    assert "100 texts (100.0%) got no answer" in said


def test_stop_rules_without_a_promise_say_so() -> None:
    assert promise(promised=None).sentence().startswith("The stop rule promises no accuracy; 90.0% of")
    assert promise(promised=None).threshold().startswith("none")


def test_texts_that_stand_in_the_taxonomy_are_set_apart() -> None:
    assert (
        "1 text stands word for word in the taxonomy; without them 50.0%." in promise(verbatim=1, reached_unseen=0.5).sentence()
    )
    assert promise(verbatim=100).sentence().endswith("100 texts stand word for word in the taxonomy.")
