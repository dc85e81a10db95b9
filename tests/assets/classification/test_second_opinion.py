"""Answers after a second opinion are whole: path, confidences, alternatives and flags fit the tree."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from taxomind_assets.classification import second_opinion
from taxomind_assets.classification.open_answers import STOP, UNDECIDED, OpenAnswers
from taxomind_assets.classification.second_opinion import reconsider
from taxomind_assets.classification.stopping import EMPTY
from taxomind_assets.taxonomy.tree import ROOT

TEXTS = ["manager", "teacher", "work with children", "it specialist", "shop", "cook in a hotel kitchen", "person", "officer"]
TEXTS += [f"{text} {extra}" for text in TEXTS for extra in ("work", "in an office", "assistant")]


class Opinion:
    """Takes the option at a place that depends on the text only."""

    def __init__(self, name: str, place, knows_nowhere: bool = True) -> None:
        self.name = name
        self.place = place
        self.knows_nowhere = knows_nowhere
        self.asked: list[OpenAnswers] = []

    def choose(self, questions: OpenAnswers) -> np.ndarray:
        self.asked.append(questions)
        wanted = np.array([self.place(text) for text in questions.texts], np.int64)
        there = questions.options[np.arange(wanted.size), np.maximum(wanted, 0)] != ROOT
        return np.where((wanted < 0) | there, wanted, UNDECIDED)


@pytest.fixture
def opinions(monkeypatch):
    """`opinions(one, other, ...)`: who is asked, in this order."""

    def use(*chosen: Opinion) -> None:
        monkeypatch.setattr(second_opinion, "_opinions", lambda settings: iter(chosen))

    return use


def assert_same(one, other, rows=slice(None)):
    for field in fields(one):
        np.testing.assert_array_equal(getattr(one, field.name)[rows], getattr(other, field.name)[rows], field.name)


@pytest.mark.parametrize("stop_rule", ["mass", "gate", "rules", "never"])
@pytest.mark.parametrize("place", [lambda text: 0, lambda text: len(text) % 3, lambda text: len(text) % 5 - 2])
def test_every_field_fits_the_new_answer(occupations, classifier_of, opinions, stop_rule, place):
    tree, subject = occupations.tree, classifier_of(occupations, routing={"stop_rule": stop_rule})
    before = subject.answers(TEXTS)
    opinion = Opinion("friend", place)
    opinions(opinion)
    after = reconsider(subject, TEXTS, before)
    mass = subject.probabilities(TEXTS).matrix()
    chosen = dict(zip(opinion.asked[0].rows.tolist(), opinion.choose(opinion.asked[0]).tolist(), strict=True))
    assert (after.nodes != before.nodes).any()
    for row in range(len(TEXTS)):
        what = chosen.get(row, UNDECIDED)
        if what == UNDECIDED:
            assert_same(before, after, slice(row, row + 1))
            continue
        assert after.reasons[row] == f"{before.reasons[row]}|friend"
        if what == STOP:
            assert not after.ambiguous[row]
            assert after.nodes[row] == before.nodes[row]
            continue
        node = int(after.nodes[row])
        assert node == before.alternatives[row, what]
        np.testing.assert_array_equal(after.path[row], tree.paths[node])
        depth = tree.depths[node]
        expected = np.minimum.accumulate(mass[row, tree.paths[node, :depth]])
        np.testing.assert_allclose(after.confidences[row, :depth], expected, rtol=1e-5)
        assert (after.confidences[row, depth:] == 0).all()
        assert after.ambiguous[row] == (not tree.is_leaf[node])
        others = [other for other in after.alternatives[row].tolist() if other != ROOT]
        assert node not in others
        assert all(tree.is_leaf[node] or tree.parents[other] == node for other in others)
        np.testing.assert_allclose(after.alternative_confidences[row, : len(others)], mass[row, others], rtol=1e-5)


def test_the_classifier_asks_when_the_settings_want_it(occupations, classifier_of, opinions):
    friend = Opinion("friend", lambda text: 0)
    opinions(friend)
    plain = classifier_of(occupations).answers(TEXTS)
    assert not friend.asked
    answers = classifier_of(occupations, judge={"enabled": True}).answers([*TEXTS, "", *TEXTS])
    assert len(friend.asked) == 1
    assert len(set(friend.asked[0].texts)) == len(friend.asked[0].texts) == plain.ambiguous.sum()
    assert answers.reasons[len(TEXTS)] == EMPTY
    assert_same(answers.take(np.arange(len(TEXTS))), answers.take(np.arange(len(TEXTS) + 1, 2 * len(TEXTS) + 1)))


def test_the_second_sees_only_what_the_first_left_open(occupations, classifier_of, opinions):
    subject = classifier_of(occupations)
    before = subject.answers(TEXTS)
    first, second = Opinion("first", lambda text: 0 if len(text) % 2 else UNDECIDED), Opinion("second", lambda text: 0)
    opinions(first, second)
    after = reconsider(subject, TEXTS, before)
    settled = {text for text, reason in zip(TEXTS, after.reasons, strict=True) if reason.endswith("|first")}
    assert settled.isdisjoint(second.asked[0].texts)
    assert any(reason.endswith("|first|second") for reason in after.reasons)
    assert any(reason.endswith("|second") and "|first" not in reason for reason in after.reasons)


def test_known_vectors_make_the_same_answers(occupations, classifier_of, opinions, embedder):
    subject = classifier_of(occupations)
    before = subject.answers(TEXTS)
    opinions(Opinion("friend", lambda text: 1))
    vectors = embedder.embed(TEXTS, "query")
    assert_same(reconsider(subject, TEXTS, before), reconsider(subject, TEXTS, before, vectors))


def test_many_answers_are_placed_in_blocks(occupations, classifier_of, opinions, monkeypatch):
    subject = classifier_of(occupations)
    before = subject.answers(TEXTS)
    opinions(Opinion("friend", lambda text: 0))
    whole = reconsider(subject, TEXTS, before)
    monkeypatch.setattr(type(subject), "block_size", 5)
    parts = reconsider(subject, TEXTS, before)
    np.testing.assert_array_equal(whole.nodes, parts.nodes)
    np.testing.assert_allclose(whole.confidences, parts.confidences, rtol=1e-5)


def test_answers_that_were_given_are_not_changed_in_place(occupations, classifier_of, opinions):
    subject = classifier_of(occupations)
    before = subject.answers(TEXTS)
    kept = before.take(np.arange(len(TEXTS)))
    opinions(Opinion("friend", lambda text: 0))
    reconsider(subject, TEXTS, before)
    assert_same(before, kept)


def test_no_answers_need_no_opinion(occupations, classifier_of, opinions):
    friend = Opinion("friend", lambda text: 0)
    opinions(friend)
    subject = classifier_of(occupations)
    assert reconsider(subject, [], subject.answers([])).nodes.size == 0
    assert not friend.asked
