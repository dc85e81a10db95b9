"""Measures against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from taxomind_assets.taxonomy.tree import ROOT, Node, NodeText, Taxonomy
from tests.bench.measures import (
    Answered,
    area_under_roc,
    calibration_error,
    hierarchical_f1,
    kept,
    measured,
    nearest_gold,
    of_confidence,
)

#        a               b
#    aa     ab           ba
#  aaa aab
CODES = {"a": None, "aa": "a", "aaa": "aa", "aab": "aa", "ab": "a", "b": None, "ba": "b"}
TREE = Taxonomy.build("tiny", [Node(code, parent, len(code), (NodeText("en", code),)) for code, parent in CODES.items()])


def nodes(*codes: str) -> np.ndarray:
    return np.array([TREE.position[code] if code else ROOT for code in codes], np.int32)


def gold(*codes: str) -> list[list[int]]:
    return [[TREE.position[code] for code in known.split()] for known in codes]


def test_a_promise_is_kept_by_known_nodes_and_those_above_them():
    found = kept(TREE, gold("aaa", "aaa", "aa", "aaa", "aaa"), nodes("aaa", "aa", "aaa", "ba", ""))
    assert found["answers"] == 4
    assert found["reached"] == pytest.approx(2 / 4)
    assert found["answered"] == pytest.approx(4 / 5)
    assert found["depth"] == pytest.approx((1 + 2 / 3 + 1 + 2 / 3 + 0) / 5)
    # Four leaves in all, two of them under aa.
    assert found["information"] == pytest.approx((1 + (1 - np.log(2) / np.log(4))) / 5)


def test_nothing_answered_reaches_nothing():
    found = kept(TREE, gold("aaa"), nodes(""))
    assert found["reached"] is None
    assert found["answered"] == 0


def test_an_answer_is_judged_against_the_known_node_it_agrees_with_longest():
    assert (
        nearest_gold(TREE, gold("ba aab", "ba aab", "aa a"), nodes("aaa", "", "ab")).tolist()
        == nodes("aab", "ba", "a").tolist()
    )


def test_hierarchical_f1_counts_the_nodes_of_both_paths():
    known, said = gold("aaa", "aaa", "ba"), nodes("aab", "ba", "ba")
    assert hierarchical_f1(TREE, known, said) == pytest.approx(2 * (2 + 0 + 2) / ((3 + 3 + 2) + (3 + 2 + 2)))


def test_confidence_is_worth_the_coverage_it_buys():
    right = np.array([True, True, False, True])
    found = of_confidence(right, np.array([0.9, 0.8, 0.5, 0.5]), probability=True)
    assert found["cover_90"] == 0.5
    assert found["aurc"] == pytest.approx(0.125)
    assert "ece" not in of_confidence(right, np.array([9.0, 8.0, 5.0, 5.0]), probability=False)


def test_calibration_error_is_the_distance_from_the_truth():
    assert calibration_error(np.array([True, False]), np.array([1.0, 0.0])) == 0
    assert calibration_error(np.array([True, False]), np.array([0.0, 1.0])) == 1


def test_area_under_roc_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    inside, outside = random.integers(0, 9, 40).astype(float), random.integers(-3, 6, 30).astype(float)
    expected = roc_auc_score([1] * 40 + [0] * 30, np.concatenate((inside, outside)))
    assert area_under_roc(inside, outside) == pytest.approx(expected)


def test_any_known_code_counts_as_right():
    answered = Answered(nodes("aab", "ba"), np.array([0.5, 0.5]), ranked=np.stack((nodes("aab", "aaa"), nodes("ba", "ab"))))
    found = measured(TREE, gold("aaa aab", "aaa"), answered)
    assert found["accuracy"] == 0.5
    assert found["accuracy_low"] < 0.5 < found["accuracy_high"]
    assert found["recall_5"] == 0.5
