"""With labels, confidences come true and a promised accuracy is kept."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from taxomind_assets.classification.calibration import Calibration, masses
from taxomind_assets.classification.label_calibration import (
    CONFIDENCE,
    TEMPERATURE_SHARE,
    LabelledLogits,
    calibrate,
    fewest_answers,
    fit_curve,
    fit_temperatures,
    lower_bound,
    promised_threshold,
    text_share,
)
from taxomind_assets.classification.routing import route
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

BRANCHES, LEAVES = 4, 5


@pytest.fixture(scope="module")
def tree() -> Taxonomy:
    tops = [Node(f"{a}", None, 1, (NodeText("en", f"top {a}"),)) for a in range(BRANCHES)]
    leaves = [Node(f"{a}{b}", f"{a}", 2, (NodeText("en", f"leaf {a}{b}"),)) for a in range(BRANCHES) for b in range(LEAVES)]
    return Taxonomy.build("k", [*tops, *leaves])


def labelled(tree: Taxonomy, size: int, temperature: float, seed: int) -> LabelledLogits:
    """Texts whose leaf is drawn from the softmax of their logits divided by `temperature`."""
    rng = np.random.default_rng(seed)
    leaves = np.flatnonzero(tree.is_leaf)
    logits = np.full((len(tree), size), -30.0, np.float32)
    logits[leaves] = rng.normal(0, 6, (leaves.size, size))
    chances = np.exp(logits[leaves] / temperature)
    chances /= chances.sum(axis=0)
    gold = [[int(leaves[rng.choice(leaves.size, p=chances[:, i])])] for i in range(size)]
    return LabelledLogits(logits, np.ones(size, np.float32), gold)


def test_a_curve_makes_noisy_labels_true(tree):
    """One text in five has another leaf than its logits say, however sure they are; no temperature tells that."""
    rng = np.random.default_rng(5)
    known = labelled(tree, 3_000, 1.0, seed=1)
    leaves = np.flatnonzero(tree.is_leaf)
    noisy = [[int(rng.choice(leaves))] if rng.random() < 0.2 else gold for gold in known.gold]
    known = LabelledLogits(known.logits, known.trusted, noisy)
    half = np.arange(1_500)
    plain = Calibration()
    curve = fit_curve(tree, known.take(half), plain)
    assert curve is not None
    assert curve[0] > 0
    assert curve[1] > 0

    def gap(calibration: Calibration) -> float:
        rest = known.take(half + 1_500)
        found = route(tree, masses(tree, rest.logits.copy(), calibration, rest.trusted), 1)
        right = np.array([leaf in gold for leaf, gold in zip(found.leaves[:, 0], rest.gold, strict=True)])
        sure = found.leaf_probabilities[:, 0] > 0.5
        return abs(float(found.leaf_probabilities[sure, 0].mean() - right[sure].mean()))

    assert gap(plain) > 0.1
    assert gap(Calibration(curve=curve)) < 0.06
    assert fit_curve(tree, known.take(half[:0]), plain) is None


def test_few_texts_bend_the_curve_little(tree):
    curve = fit_curve(tree, labelled(tree, 3, 1.0, seed=2), Calibration())
    assert curve == pytest.approx((1, 1, 0, 0), abs=0.5)


@pytest.mark.parametrize(("hits", "trials"), [(0, 0), (0, 9), (9, 9), (45, 50), (180, 200)])
def test_the_bound_is_that_of_clopper_and_pearson(hits, trials):
    expected = 0.0
    if hits:
        expected = binomtest(hits, trials).proportion_ci(confidence_level=1 - 2 * (1 - CONFIDENCE), method="exact").low
    assert lower_bound(hits, trials, CONFIDENCE) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_a_record_with_half_of_the_allowed_errors_begins_the_tests(target):
    answers = fewest_answers(target, CONFIDENCE)
    errors = round(answers * (1 - target) / 2)
    assert errors >= 3
    assert lower_bound(answers - errors, answers, CONFIDENCE) >= target


def test_equal_texts_fall_on_one_side():
    assert text_share("Head  nurse", "a") == text_share("head nurse", "a")
    shares = [text_share(f"text {i}", "a") for i in range(2000)]
    assert 0.2 < np.mean(np.array(shares) < TEMPERATURE_SHARE) < 0.3
    assert text_share("head nurse", "a") != text_share("head nurse", "b")


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_is_found(tree, temperature):
    found = fit_temperatures(tree, labelled(tree, 1500, temperature, 1), (1.0, 1.0))
    assert found[1] == pytest.approx(temperature, rel=0.15)
    assert found[0] == 1.0  # no text without trust: the prior stays


def test_few_labels_stay_near_the_prior(tree):
    found = fit_temperatures(tree, labelled(tree, 4, 3.0, 2), (1.0, 0.8))
    assert 0.6 < found[1] < 1.6  # four labels alone would say about 3


@pytest.mark.parametrize("target", [0.8, 0.9])
def test_the_promise_is_broken_as_seldom_as_the_bound_allows(tree, target):
    """Scores are deliberately overconfident: the threshold must make up for it."""
    fresh = labelled(tree, 6000, 1.4, 10_000)
    thresholds = [promised_threshold(tree, labelled(tree, 400, 1.4, seed), Calibration(), target) for seed in range(40)]
    proven = [threshold for threshold in thresholds if threshold is not None]
    assert len(proven) >= 20
    broken = sum(reached(tree, fresh, threshold) < target for threshold in proven)
    assert broken <= 10  # 4 of 40 are allowed on average; more than 10 have a chance of 0.2 %


def reached(tree: Taxonomy, texts: LabelledLogits, threshold: float) -> float:
    """Share of answered texts that are right, computed the long way round."""
    leaves = np.flatnonzero(tree.is_leaf)
    chances = np.exp(texts.logits[leaves].astype(np.float64))
    chances /= chances.sum(axis=0)
    right = answered = 0
    for column, gold in enumerate(texts.gold):
        best = int(leaves[np.argmax(chances[:, column])])
        top = int(tree.parents[best])
        branch = float(chances[tree.parents[leaves] == top, column].sum())
        node = best if chances[:, column].max() >= threshold else top if branch >= threshold else None
        if node is not None:
            answered += 1
            right += node in (gold[0], int(tree.parents[gold[0]]))
    return right / max(answered, 1)


def test_nothing_is_promised_without_labels(tree):
    nothing = labelled(tree, 0, 1.0, 0)
    assert promised_threshold(tree, nothing, Calibration(), 0.9) is None


def test_nothing_is_promised_when_scores_are_worthless(tree):
    texts = labelled(tree, 200, 1.0, 3)
    rng = np.random.default_rng(0)
    leaves = np.flatnonzero(tree.is_leaf)
    worthless = LabelledLogits(texts.logits, texts.trusted, [[int(rng.choice(leaves))] for _ in range(200)])
    assert promised_threshold(tree, worthless, Calibration(), 0.9) is None


def test_no_answer_is_more_likely_wrong_than_right():
    generous = Calibration(threshold=0.01, accuracy_target=0.8, proven=True)
    assert generous.threshold_for(0.8) == 0.5
    assert Calibration(threshold=0.01, accuracy_target=0.3, proven=True).threshold_for(0.3) == 0.3


def test_calibrating_keeps_temperature_and_threshold_apart(tree):
    texts = labelled(tree, 800, 2.0, 5)
    rng = np.random.default_rng(1)
    first = rng.random(800) < TEMPERATURE_SHARE
    found = calibrate(
        tree, texts, for_temperature=first, prior=Calibration(), accuracy_target=0.8, nowhere_energy=lambda _: None
    )
    assert found.proven
    assert found.proves(0.8)
    assert not found.proves(0.87)
    assert found.temperature == fit_temperatures(tree, texts.take(np.flatnonzero(first)), (1.0, 1.0))
    assert found.threshold_for(0.8) == max(found.threshold or 0, 0.5)
    assert found.threshold_for(0.87) == 0.87  # another target has not been shown
    assert Calibration.from_json(found.to_json()) == found


def test_one_fit_finds_thresholds_for_several_targets(tree):
    known = labelled(tree, 1_200, 1.4, seed=3)
    fits = np.arange(1_200) % 4 == 0
    found, other = (
        calibrate(
            tree, known, for_temperature=fits, prior=Calibration(), accuracy_target=target, nowhere_energy=lambda numbers: None
        )
        for target in (0.9, 0.8)
    )
    assert found.proven
    assert found.proves(0.9)
    assert found.proves(0.8)
    assert not found.proves(0.87)
    assert found.threshold_for(0.8) == other.threshold_for(0.8)
    assert other.threshold_for(0.9) == found.threshold_for(0.9)
    assert found.threshold_for(0.8) <= found.threshold_for(0.85) <= found.threshold_for(0.9)
    assert found.threshold_for(0.87) == 0.87
    assert Calibration.from_text(found.to_text()) == found
    assert Calibration.from_json({name: value for name, value in other.to_json().items() if name != "thresholds"}).proves(0.8)
