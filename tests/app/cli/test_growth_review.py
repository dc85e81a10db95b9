"""The review at a terminal, one candidate after the other, without the runs that follow it."""

from __future__ import annotations

import io
import sys

import pytest

from taxomind_app.cli.growth_review import decide_one_by_one
from taxomind_assets.growth.proposals import Proposal
from taxomind_resources.faults import Fault
from tests.assets.growth.test_review import place

__all__ = ["place"]


class Told:
    """What a person sees."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(str(text))

    note = say


def row(label, key, code):
    """A row of `growth.candidates`."""
    shown = {
        "parent_code": None,
        "parent_label": "",
        "parent_rule": "root",
        "share": 0.5,
        "window": "short",
        "sources": ["user"],
    }
    texts = [f"{label} number {i}" for i in range(3)]
    many = {"titles": texts, "texts": texts, "text_ids": texts, "nearest": [], "similar": [], "languages": ["en"], "trial": ""}
    return {"label": label, "key": key, "code": code, "count": 5, "day_span": 4, **shown, **many}


ROWS = [row("Tax forms", "tax/form", "g-tax-form"), row("Robots", "robot", "g-robot")]


@pytest.fixture
def decide(place, monkeypatch):
    def run(typed):
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        told = Told()
        decide_one_by_one(told, place.review, ROWS, evidence=False)
        return told.lines

    return run


def made(place):
    return [(own.action, own.label, own.code) for own in place.log()]


@pytest.mark.parametrize("typed", ["a\nr\n", "ADD\nReject\n"])
def test_letters_and_words_of_any_case_decide(decide, place, typed):
    decide(typed)
    assert made(place) == [("add", "Tax forms", "g-tax-form"), ("reject", "Robots", None)]
    assert "g-tax-form" in place.codes


def test_another_name_is_asked_for_again_when_it_was_rejected_and_an_empty_one_skips(decide, place, capsys):
    place.review.reject(Proposal("Money", "money"))
    decide("n\nMoneys\nTaxes\nname\n\n")
    assert "was rejected" in capsys.readouterr().err
    assert made(place)[1:] == [("name_as_different", "Tax forms", "g-tax"), ("skip", "Robots", None)]


def test_what_is_no_answer_skips_and_the_end_leaves_the_rest(decide, place):
    decide("what?\n")
    assert made(place) == [("skip", "Tax forms", None)]


def test_a_candidate_that_cannot_be_added_is_told_of_and_the_next_one_is_asked_about(decide, place, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise Fault("revision_conflict", "The taxonomy has moved on.")

    monkeypatch.setattr(type(place.review), "add", refuse)
    told = decide("a\ns\n")
    assert any("moved on" in line for line in told)
    assert made(place) == [("skip", "Robots", None)]
