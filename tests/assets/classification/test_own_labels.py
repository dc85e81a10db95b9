"""Labelled texts of a taxonomy calibrate it, and are judged by a calibration that has not seen them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.fitting import FEWEST_TEXTS
from taxomind_assets.classification.own_labels import (
    described,
    label_calibration,
    unseen_answers,
)
from taxomind_assets.views.index import NodeIndex


@pytest.fixture(scope="module")
def classifier(occupations: NodeIndex, classifier_of: Callable[..., Classifier]) -> Classifier:
    return classifier_of(occupations)


@pytest.fixture(scope="module")
def known(classifier: Classifier) -> tuple[list[str], list[list[str]]]:
    """Examples of leaves with a word before them, as texts with a known code."""
    texts, codes = [], []
    for node, leaf in zip(classifier.tree.nodes, classifier.tree.is_leaf, strict=True):
        for example in node.texts[0].examples if leaf else ():
            texts.append(f"experienced {example}")
            codes.append([node.code])
    return texts, codes


def test_too_few_labels_change_nothing(classifier, known):
    texts, codes = known
    assert label_calibration(classifier, texts[: FEWEST_TEXTS - 1], codes[: FEWEST_TEXTS - 1]) is None


def test_the_order_of_labels_does_not_matter(classifier, known):
    texts, codes = known
    order = np.random.default_rng(0).permutation(len(texts)).tolist()
    shuffled = label_calibration(classifier, [texts[i] for i in order], [codes[i] for i in order])
    made = label_calibration(classifier, texts, codes)
    assert made is not None
    assert shuffled is not None
    assert shuffled.temperature == pytest.approx(made.temperature, abs=1e-3)
    assert shuffled.proven == made.proven


def test_what_labels_have_shown_is_said(classifier, known):
    made = label_calibration(classifier, *known)
    assert made is not None
    assert f"{len(known[0]):,} labelled texts" in described(made, len(known[0]))


def test_without_own_labels_answers_are_those_that_serve(classifier, known):
    texts, codes = known
    assert unseen_answers(classifier, texts, codes)["code"].equals(classifier.classify(texts)["code"])


def test_each_half_is_answered_with_the_labels_of_the_other(classifier, known):
    texts, codes = known
    served = classifier.with_calibration(label_calibration(classifier, texts, codes))
    answers = unseen_answers(served, texts, codes)
    assert answers["text"].to_pylist() == texts
    versions = set(answers["calibration_version"].to_pylist())
    assert len(versions) == 2
    assert served.calibration.version not in versions
