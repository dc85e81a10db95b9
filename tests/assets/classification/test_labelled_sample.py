from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from taxomind_assets.classification import labelled_sample
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.labelled_sample import Sample, folds_of
from taxomind_assets.views.index import NodeIndex


@pytest.fixture(scope="module")
def taught(occupations: NodeIndex, classifier_of: Callable[..., Classifier]) -> Classifier:
    return classifier_of(occupations).learn(["Works at the  till", "reads contracts"], ["1420", "2611"])


def test_each_text_is_there_once_with_all_of_its_nodes(taught: Classifier) -> None:
    sample = Sample.of(taught, ["works at the till", "a new text", "A NEW TEXT"], [["2611"], ["2612"], ["2611"]])
    codes = {
        text.casefold(): [taught.tree.codes[node] for node in nodes]
        for text, nodes in zip(sample.texts, sample.gold, strict=True)
    }
    assert codes == {"works at the till": ["1420", "2611"], "reads contracts": ["2611"], "a new text": ["2611", "2612"]}
    expected = taught.embedder.embed(sample.texts, "query")
    np.testing.assert_allclose(sample.vectors, expected, atol=1e-5)


def test_a_text_is_always_in_the_same_fold(taught: Classifier) -> None:
    texts = [f"text {i}" for i in range(200)]
    folds = folds_of(texts)
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3]
    assert folds_of([text.upper() for text in texts]).tolist() == folds.tolist()
    sample = Sample.of(taught, texts, [["1420"]] * len(texts))
    again = sample.take(np.flatnonzero(sample.folds == 1))
    assert len(again) == len(again.texts) == len(again.gold) == len(again.vectors)
    assert set(again.folds.tolist()) == {1}


def test_which_of_too_many_texts_are_taken_depends_on_no_order(taught: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelled_sample, "_MOST_TEXTS", 60)
    texts = [f"text {i}" for i in range(100)]
    found = Sample.of(taught, texts, [["1420"]] * 100)
    assert len(found) == 60
    assert Sample.of(taught, texts[::-1], [["1420"]] * 100).texts == found.texts
