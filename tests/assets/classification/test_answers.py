from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from taxomind_assets.classification.answers import Answers, answers_table
from taxomind_assets.classification.stopping import EMPTY
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

Trees = Callable[..., Taxonomy]


@pytest.fixture
def tree(tree_of: Trees) -> Taxonomy:
    return tree_of([0, 1, 2, 0], 2)  # n0 > n1 > n2 and n3; levels 2, 4, 6 and 2


@pytest.fixture
def answers() -> Answers:
    objects = np.array(["leaf_node_reached", "below_threshold", "insufficient_information"], object)
    path = np.array([[0, 1, 2], [0, 1, 2], [3, ROOT, ROOT]], np.int32)
    confidences = np.array([[0.9, 0.8, 0.7], [0.9, 0.85, 0.3], [0.4, 0, 0]], np.float32)
    alternatives = np.array([[3, ROOT], [2, 3], [ROOT, ROOT]], np.int32)
    return Answers(
        np.array([2, 1, ROOT], np.int32),
        objects,
        np.array([False, True, True]),
        path,
        confidences,
        alternatives,
        np.where(alternatives == ROOT, 0, 0.25).astype(np.float32),
        np.array([[2, 3], [2, 3], [3, 2]], np.int32),
        np.array([0.7, 0.3, 0.4], np.float32),
        np.array([{"validation_status": "OVERRIDE", "validation_margin": 0.5}, None, None], object),
    )


def test_rows_name_codes_paths_and_own_levels(tree: Taxonomy, answers: Answers) -> None:
    rows = answers_table(tree, ["a", "b", "c"], answers).to_pylist()
    assert [row["code"] for row in rows] == ["n2", "n1", None]
    assert [row["label"] for row in rows] == ["label 2", "label 1", None]
    assert [row["level"] for row in rows] == [6, 4, 0]
    assert [row["path"] for row in rows] == [["n0", "n1", "n2"], ["n0", "n1"], []]
    assert [row["confidence"] for row in rows] == pytest.approx([0.7, 0.85, 0])
    assert [len(row["level_confidences"]) for row in rows] == [3, 2, 0]
    assert rows[1]["alternatives"] == [
        {"code": "n2", "label": "label 2", "confidence": 0.25},
        {"code": "n3", "label": "label 3", "confidence": 0.25},
    ]
    assert [row["alternatives"] for row in rows[::2]] == [[{"code": "n3", "label": "label 3", "confidence": 0.25}], []]
    assert [row["top_codes"] for row in rows] == [["n2", "n3"], ["n2", "n3"], ["n3", "n2"]]
    assert [row["validation_status"] for row in rows] == ["OVERRIDE", None, None]
    assert [row["validation_margin"] for row in rows] == [0.5, None, None]
    assert {row["error_code"] for row in rows} == {None}


def test_an_empty_text_has_no_answer_and_an_error_of_its_own(tree: Taxonomy, answers: Answers) -> None:
    rows = answers_table(tree, ["", "b", "c"], answers.without(np.array([True, False, False]))).to_pylist()
    assert (rows[0]["code"], rows[0]["level"], rows[0]["path"], rows[0]["stop_reason"]) == (None, 0, [], EMPTY)
    assert (rows[0]["top_codes"], rows[0]["alternatives"], rows[0]["leaf_confidence"]) == ([], [], 0)
    assert rows[0]["error_code"] == "empty_text"
    assert rows[0]["error"]
    assert [row["error_code"] for row in rows[1:]] == [None, None]
    assert rows[1]["code"] == "n1"


def test_marking_empty_texts_leaves_the_answers_given_alone(answers: Answers) -> None:
    answers.without(np.array([True, True, True]))
    assert answers.nodes.tolist() == [2, 1, ROOT]
    assert answers.without(np.zeros(3, np.bool_)) is answers


def test_answers_are_reordered_and_joined(tree: Taxonomy, answers: Answers) -> None:
    joined = Answers.concatenate([answers, answers.take(np.array([2, 0, 0]))])
    rows = answers_table(tree, list("abcdef"), joined).to_pylist()
    assert [row["code"] for row in rows] == ["n2", "n1", None, None, "n2", "n2"]
    without_text = [{name: value for name, value in row.items() if name != "text"} for row in rows]
    assert without_text[4] == without_text[5] == without_text[0]


def test_no_answers_make_an_empty_table(tree: Taxonomy, answers: Answers) -> None:
    table = answers_table(tree, [], answers.take(np.empty(0, np.int64)))
    assert table.num_rows == 0
    assert table.schema == answers_table(tree, ["a", "b", "c"], answers).schema
