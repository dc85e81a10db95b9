"""Answers as people read them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from taxomind_app.cli.showing import answer_view, answers_table
from taxomind_assets.classification.classifier import Classifier


def shown(view: object, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    console.print(view)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", range(60, 130, 5))
def test_a_long_path_is_cut_with_one_ellipsis(occupations, classifier_of, width: int) -> None:
    classifier: Classifier = classifier_of(occupations, routing={"stop_rule": "never"})
    rows = classifier.classify(["kindergarten teacher", "cashier in a supermarket", "programmer of phones"]).to_pylist()
    text = shown(answers_table(classifier.tree, rows), width)
    assert "……" not in text
    assert max(map(len, text.splitlines())) <= width


def test_alternatives_that_would_be_shown_as_nothing_are_left_out(occupations, classifier_of) -> None:
    classifier: Classifier = classifier_of(occupations, routing={"stop_rule": "never"})
    row = classifier.classify("cashier").to_pylist()[0]
    others = [{"code": "1", "label": "Some", "confidence": 0.4}, {"code": "2", "label": "None", "confidence": 0.001}]
    text = shown(answer_view(classifier.tree, {**row, "alternatives": others}), 100)
    assert "also near: 1 Some (40%)" in text
    assert "None" not in text
    assert "also near" not in shown(answer_view(classifier.tree, {**row, "alternatives": others[1:]}), 100)
