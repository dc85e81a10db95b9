"""Labelled texts of a taxonomy calibrate it, and are judged by a calibration that has not seen them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.fitting import fit
from taxomind_assets.classification.labelled_sample import FEWEST_TEXTS
from taxomind_assets.classification.own_labels import Unseen, described, unseen_answers
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
    few = texts[: FEWEST_TEXTS - 1], codes[: FEWEST_TEXTS - 1]
    assert fit(classifier, *few) is None
    labelled = classifier.with_calibration(replace(classifier.calibration, threshold=0.5))
    assert unseen_answers(labelled, *few)["code"].equals(classifier.classify(few[0])["code"])


def test_the_order_of_labels_does_not_matter(classifier, known):
    texts, codes = known
    order = np.random.default_rng(0).permutation(len(texts)).tolist()
    shuffled = fit(classifier, [texts[i] for i in order], [codes[i] for i in order])
    made = fit(classifier, texts, codes)
    assert shuffled.calibration.temperature == pytest.approx(made.calibration.temperature, abs=1e-3)
    assert shuffled.calibration.proven == made.calibration.proven


def test_what_labels_have_shown_is_said(classifier, known):
    made = fit(classifier, *known)
    assert f"{len(known[0]):,} labelled texts" in described(made.calibration, len(known[0]))


def test_without_own_labels_answers_are_those_that_serve(classifier, known):
    texts, codes = known
    assert unseen_answers(classifier, texts, codes)["code"].equals(classifier.classify(texts)["code"])


def test_each_fold_is_answered_with_the_labels_of_the_others(classifier, known):
    texts, codes = known
    served = classifier.with_fitted(fit(classifier, texts, codes))
    answers = unseen_answers(served, texts, codes)
    assert answers["text"].to_pylist() == texts
    versions = set(answers["calibration_version"].to_pylist())
    assert len(versions) == 4
    assert served.versions["calibration_version"] not in versions


def test_other_settings_need_no_other_fit(classifier, known):
    texts, codes = known
    unseen = Unseen.of(classifier.with_fitted(fit(classifier, texts, codes)), texts, codes)
    never = classifier.settings.model_copy(
        update={"routing": classifier.settings.routing.model_copy(update={"stop_rule": "never"})}
    )
    forced = unseen.under(never).classify(texts)
    assert set(forced["stop_reason"].to_pylist()) != set(unseen.classify(texts)["stop_reason"].to_pylist())
    assert forced["top_codes"].equals(unseen.classify(texts)["top_codes"])
