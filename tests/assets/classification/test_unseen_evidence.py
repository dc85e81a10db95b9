"""Corrected texts are measured as if nobody had corrected them."""

from __future__ import annotations

import numpy as np
import pytest

from taxomind_assets.classification.own_labels import unseen_answers
from taxomind_assets.classification.unseen_evidence import unseen, untaught

TAUGHT = {"flurbo wrangler": "2512", "head of the flurbo desk": "5222", "teaches zweep to toddlers": "2342"}


@pytest.fixture
def taught(occupations, classifier_of):
    return classifier_of(occupations).learn(list(TAUGHT), list(TAUGHT.values()))


def test_a_text_does_not_find_its_own_correction(taught):
    alone = untaught(taught).learn(["flurbo wrangler"], ["2512"])
    before = untaught(taught).probabilities(["flurbo wrangler"]).matrix()
    found = unseen(alone).probabilities(["flurbo wrangler"]).matrix()
    assert np.allclose(found, before, atol=1e-3)
    assert unseen(alone).classify("flurbo wrangler")["stop_reason"].to_pylist() != ["exact_evidence"]
    assert alone.classify("flurbo wrangler")["code"].to_pylist() == ["2512"]


def test_it_finds_the_corrections_of_other_texts(taught):
    text = "head of the flurbo desk"
    rest = untaught(taught).learn([own for own in TAUGHT if own != text], [TAUGHT[own] for own in TAUGHT if own != text])
    wanted = rest.probabilities([text]).matrix()
    found = unseen(taught).probabilities([text]).matrix()
    nothing = untaught(taught).probabilities([text]).matrix()
    # Word frequencies count all corrections, which is why the numbers agree but for a little.
    assert np.abs(found - wanted).sum() < 0.25 * np.abs(nothing - wanted).sum()


def test_texts_that_nobody_corrected_are_answered_as_ever(taught):
    texts = ["shop manager", "primary school teacher"]
    assert unseen(taught).classify(texts).equals(taught.classify(texts))


def test_without_evidence_the_classifier_is_the_same(occupations, classifier_of):
    classifier = classifier_of(occupations)
    assert unseen(classifier) is classifier
    assert unseen(unseen(classifier.learn(["x y"], ["2512"]))).scorer.evidence is not None


def test_reports_answer_corrected_texts_as_if_they_were_new(taught):
    answers = unseen_answers(taught, list(TAUGHT), [[code] for code in TAUGHT.values()])
    assert "exact_evidence" not in answers["stop_reason"].to_pylist()
    assert taught.classify(list(TAUGHT))["stop_reason"].to_pylist() == ["exact_evidence"] * 3
