"""Pool and test never share a text, and folds are those of the published protocol."""

from __future__ import annotations

import pytest

from tests.bench.material import Text
from tests.bench.splits import few_shot, fold, sample, split

TEXTS = [Text(f"Text {i}", ("a" if i % 3 else "b",)) for i in range(600)]


@pytest.mark.parametrize("regime", ["few", "full"])
def test_no_text_is_on_two_sides(regime):
    pool, test = split(TEXTS, regime)
    assert pool
    assert test
    assert {text.text for text in pool}.isdisjoint(text.text for text in test)
    assert {fold(text.text) for text in pool + test} == set(range(5))


@pytest.mark.parametrize(("text", "number"), [("a text", 8), ("  A  Text ", 8), ("Poodle", 0), ("Größe", 2), ("nurse", 1)])
def test_folds_are_those_of_the_published_protocol(text, number):
    assert fold(text) == number


@pytest.mark.parametrize(("regime", "folds"), [("few", {0, 1, 2}), ("full", {0, 1, 2, 3})])
def test_the_pool_is_the_first_folds(regime, folds):
    assert {fold(text.text) for text in split(TEXTS, regime)[0]} == folds


def test_groups_stay_whole():
    texts = [Text(f"t {i} {j}", ("a",), groups=(f"g{i}",)) for i in range(40) for j in range(3)]
    pool, test = split(texts, "few")
    assert len(pool) + len(test) == len(texts)
    assert {text.groups for text in pool}.isdisjoint(text.groups for text in test)


def test_a_text_of_groups_on_both_sides_is_left_out():
    groups = [f"g{i}" for i in range(20)]
    alone = [Text(group, ("a",), groups=(group,)) for group in groups]
    pool, test = split(alone, "few")
    both = Text("both", ("a",), groups=(pool[0].groups[0], test[0].groups[0]))
    assert split([both], "few") == ([], [])


def test_official_test_texts_are_never_used():
    assert split([Text("x", ("a",), official_test=True)] * 50, "few") == ([], [])


def test_few_shot_is_nested_and_limited():
    one, three = few_shot(TEXTS, 1), few_shot(TEXTS, 3)
    assert (len(one), len(three)) == (2, 6)
    assert {text.text for text in one} < {text.text for text in three}
    assert few_shot(TEXTS, 0) == []


def test_a_sample_does_not_depend_on_the_order():
    assert sample(TEXTS, 20) == sample(reversed(TEXTS), 20)
