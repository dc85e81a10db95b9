"""A trial: what a new node would take, what it would draw away, and whether placed texts fare better; nothing is written."""

from __future__ import annotations

import pytest

from taxomind_assets.growth.file_edits import NewNode
from taxomind_assets.growth.trial import Probe, Trial, index_with_node, try_node

FINANCE = [
    "the income tax return is due in May",
    "ask the tax office about the refund",
    "pay the income tax in two rates",
    "the tax adviser wants all receipts",
    "file the tax return online",
    "tax refund arrived on the account",
]
OTHERS = ("bug: the login page loops", "ran five kilometres before breakfast", "a poem about the sea at night")
NODE = NewNode("g-tax", None, "Taxes", 1, language="en")


@pytest.fixture(scope="module")
def classifier(notes, classifier_of):
    return classifier_of(notes)


@pytest.fixture(scope="module")
def found(classifier):
    return try_node(classifier, NODE, FINANCE, Probe((*OTHERS, FINANCE[0]), ((OTHERS[1], "health"),)))


def test_each_text_of_the_candidate_is_judged_unseen(found):
    assert found.texts == len(FINANCE)
    assert 4 <= found.moved <= len(FINANCE)


def test_other_texts_stay_where_they_are(found):
    assert (found.others, found.drawn) == (len(OTHERS), 0)
    assert found.sibling_confidence_before == pytest.approx(found.sibling_confidence_after, abs=0.2)


def test_texts_that_people_have_placed_are_judged_before_and_after(classifier):
    others = [f"{text} again" for text in FINANCE[:4]]
    now = classifier.classify(others)["code"].to_pylist()
    placed = [(text, code) for text, code in zip(others, now, strict=True) if code is not None]
    assert placed  # where a person left them; the new node takes some of them from there
    found = try_node(classifier, NODE, FINANCE, Probe((), (*placed, ("nothing here", "no such code"))))
    assert (found.placed, found.accuracy_before, found.better) == (len(placed), 1.0, 0)
    assert found.worse >= 1
    assert found.accuracy_after == pytest.approx(1 - found.worse / found.placed)


def test_the_classifier_stays_what_it_was(classifier, found):
    assert NODE.code not in classifier.tree.position
    assert classifier.classify(FINANCE[0])["code"][0].as_py() != NODE.code
    grown = index_with_node(classifier.index, classifier.embedder, NODE)
    assert grown.tree.codes == [*classifier.tree.codes, NODE.code]
    assert len(grown.texts) == len(classifier.index.texts) + 1


def test_a_trial_comes_back_from_its_text_and_is_a_sentence(found):
    again = Trial.from_json(found.to_json())
    assert (again.texts, again.moved, again.drawn) == (found.texts, found.moved, found.drawn)
    assert f"{found.moved} of {found.texts} of its texts would go there unseen" in found.sentence()
    assert "placed texts" in found.sentence()


def test_without_other_texts_nothing_is_said_of_them(classifier):
    bare = try_node(classifier, NODE, FINANCE[:2])
    assert (bare.others, bare.placed, bare.accuracy_before, bare.sibling_confidence_before) == (0, 0, None, None)
    assert "other texts" not in bare.sentence()
