from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.classification.calibration import Calibration, Masses, curved, masses, noise_texts
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

Trees = Callable[..., Taxonomy]
NUMBERS = st.lists(st.integers(0, 1000), min_size=1, max_size=25)
FLAT = Calibration()


def random_logits(tree: Taxonomy, texts: int, seed: int, spread: float = 4.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (len(tree), texts)).astype(np.float32)


def computed(tree: Taxonomy, logits: np.ndarray, calibration: Calibration = FLAT, **options: bool) -> Masses:
    trusted = np.linspace(0, 1, logits.shape[1], dtype=np.float32)
    return masses(tree, logits.copy(), calibration, trusted, **options)


def naive_subtrees(tree: Taxonomy, logits: np.ndarray, penalty: float) -> np.ndarray:
    values = logits.astype(np.float64) - penalty * ~tree.is_leaf[:, None]
    own = np.exp(values) / np.exp(values).sum(axis=0)
    total = np.zeros_like(own)
    for node in range(len(tree)):
        for above in tree.paths[node]:
            if above != ROOT:
                total[above] += own[node]
    return total


@given(numbers=NUMBERS, seed=st.integers(0, 99))
def test_probabilities_are_softmax_sums_over_subtrees(tree_of: Trees, numbers: list[int], seed: int) -> None:
    tree = tree_of(numbers)
    logits = random_logits(tree, 3, seed)
    found = computed(tree, logits).matrix()
    np.testing.assert_allclose(found, naive_subtrees(tree, logits, FLAT.internal_penalty).T, atol=1e-5)


@given(numbers=NUMBERS, seed=st.integers(0, 99), spread=st.sampled_from([0.1, 4.0, 40.0]))
def test_probabilities_never_rise_down_a_path_and_children_share_their_parents(
    tree_of: Trees, numbers: list[int], seed: int, spread: float
) -> None:
    tree = tree_of(numbers)
    found = computed(tree, random_logits(tree, 4, seed, spread)).matrix()
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found[:, tree.children_of(ROOT)].sum(axis=1), 1, atol=1e-5)
    for node in range(len(tree)):
        children = tree.children_of(node)
        assert (found[:, children] <= found[:, [node]]).all()  # exactly, not to rounding
        assert (found[:, children].sum(axis=1) <= found[:, node] + 1e-5).all()


@given(numbers=NUMBERS, seed=st.integers(0, 99))
def test_a_text_has_the_same_probabilities_alone_and_among_others(tree_of: Trees, numbers: list[int], seed: int) -> None:
    tree = tree_of(numbers)
    logits = random_logits(tree, 6, seed)
    trusted = np.ones(6, np.float32)
    calibration = Calibration(nowhere_energy=(1.0, 2.0))
    together = masses(tree, logits.copy(), calibration, trusted).matrix()
    alone = [masses(tree, logits[:, [i]].copy(), calibration, trusted[:1]).matrix()[0] for i in range(6)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@given(numbers=NUMBERS, seed=st.integers(0, 99))
def test_single_probabilities_are_those_of_the_matrix(tree_of: Trees, numbers: list[int], seed: int) -> None:
    tree = tree_of(numbers)
    found = computed(tree, random_logits(tree, 5, seed), Calibration(nowhere_energy=(0.0, 3.0)))
    nodes = np.random.default_rng(seed).integers(-1, len(tree), (5, 2, 3)).astype(np.int32)
    expected = np.where(nodes == ROOT, 0, found.matrix()[np.arange(5)[:, None, None], nodes])
    np.testing.assert_array_equal(found.of(nodes), expected)
    picked = np.array([4, 0, 4])
    np.testing.assert_array_equal(
        found.of(nodes[:3], picked), np.where(nodes[:3] < 0, 0, found.matrix()[picked[:, None, None], nodes[:3]])
    )


def test_extreme_logits_stay_finite(tree_of: Trees) -> None:
    tree = tree_of([0, 1, 1, 0])
    logits = np.array([[1e6, -1e6, 0], [-1e6, -1e6, 0], [1e6, -1e6, 0], [0, -1e6, 0]], np.float32)
    found = computed(tree, logits, Calibration(nowhere_energy=(1.0, 1.0)))
    for values in (found.matrix(), found.energy, found.belongs):
        assert np.isfinite(values).all()
    assert found.belongs[0] == 1
    assert found.belongs[1] == pytest.approx(0, abs=1e-6)


def test_higher_temperature_means_less_certain(tree_of: Trees) -> None:
    tree = tree_of([0, 0, 0, 0])
    logits = random_logits(tree, 1, 0)
    tops = [
        masses(tree, logits.copy(), Calibration(temperature=(t, t)), np.ones(1, np.float32)).matrix().max() for t in (0.5, 1, 2)
    ]
    assert tops[0] > tops[1] > tops[2]


def test_temperature_and_threshold_energy_follow_the_trust_in_the_encoder(tree_of: Trees) -> None:
    tree = tree_of([0, 0, 0])
    logits = np.zeros((3, 2), np.float32)
    calibration = Calibration(temperature=(2.0, 1.0), nowhere_energy=(-9.0, 9.0))
    found = masses(tree, logits, calibration, np.array([0, 1], np.float32))
    np.testing.assert_allclose(found.energy, [2 * np.log(3), np.log(3)], rtol=1e-6)
    assert found.belongs[0] > 0.99
    assert found.belongs[1] < 0.01


def test_belonging_nowhere_takes_probability_from_every_node(tree_of: Trees) -> None:
    tree = tree_of([0, 1, 0])
    logits = random_logits(tree, 1, 3)
    calibration = Calibration(nowhere_energy=(float(computed(tree, logits).energy[0]),) * 2)
    doubted, sure = computed(tree, logits, calibration), computed(tree, logits, calibration, abstain=False)
    assert doubted.belongs[0] == pytest.approx(0.5, abs=1e-5)
    assert sure.belongs[0] == 1
    np.testing.assert_allclose(doubted.matrix(), sure.matrix() / 2, rtol=1e-5)


def test_a_calibration_survives_json_and_its_version_follows_its_numbers() -> None:
    calibration = Calibration((0.5, 0.75), 2.0, (1.5, -2.0), 0.25, 0.9, 0.8, True)
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert again == calibration
    assert again.version == calibration.version
    assert Calibration().version != calibration.version
    assert Calibration.from_json(json.loads(json.dumps(Calibration().to_json()))) == Calibration()


def test_the_threshold_is_a_default_until_labels_have_shown_one() -> None:
    assert Calibration().threshold_for(0.8) == 0.6
    assert Calibration().threshold_for(0.7) == 0.5
    assert Calibration().threshold_for(0.4) == 0.4
    shown = Calibration(threshold=0.65, accuracy_target=0.8, proven=True)
    assert shown.threshold_for(0.8) == 0.65
    assert shown.threshold_for(0.9) == 0.9
    assert Calibration(curve=(1.0, 1.0, 0.0)).threshold_for(0.8) == 0.8
    assert shown.proves(0.8)
    assert not shown.proves(0.9)


def test_the_noise_list_holds_at_least_two_hundred_different_texts() -> None:
    assert len(set(noise_texts())) == len(noise_texts()) >= 200


@given(
    chances=st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20),
    a=st.floats(0.05, 5),
    b=st.floats(0.05, 5),
    c=st.floats(-5, 5),
)
def test_a_curve_keeps_the_order_of_probabilities(chances: list[float], a: float, b: float, c: float) -> None:
    ordered = np.sort(np.array(chances, np.float32))
    found = curved(ordered, (a, b, c), np.ones(ordered.size, int))
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= -1e-6).all()


@given(numbers=NUMBERS, seed=st.integers(0, 99), a=st.floats(0.2, 3), c=st.floats(-3, 3))
def test_nodes_beside_an_answer_share_what_it_leaves_and_nodes_below_share_its_own(
    tree_of: Trees, numbers: list[int], seed: int, a: float, c: float
) -> None:
    tree = tree_of(numbers)
    curve = (a, a, *[c] * int(tree.depths.max()))
    found = computed(tree, random_logits(tree, len(tree), seed), Calibration(curve=curve))
    nodes = np.arange(len(tree), dtype=np.int32)
    own = found.confidences(nodes)
    parents = tree.parents[nodes]
    assert (own <= np.where(parents == ROOT, 1, found.of(np.maximum(parents, 0)))).all()
    for node in nodes.tolist():
        children = tree.children_of(node).astype(np.int32)
        siblings = tree.children_of(int(tree.parents[node])).astype(np.int32)
        siblings = siblings[siblings != node]
        answers = np.full(len(tree), node, np.int32)
        below = found.beside(answers, np.repeat(children[None], len(tree), axis=0))
        aside = found.beside(answers, np.repeat(siblings[None], len(tree), axis=0))
        assert (below.sum(axis=1) <= found.confidences(answers) + 1e-5).all()
        # What a nearly certain answer leaves is a difference of float32 numbers near 1, so its shares are known roughly.
        unsure = found.subtree[node] * found.belongs < 1 - 1e-4
        assert (aside[unsure].sum(axis=1) + found.confidences(answers)[unsure] <= 1 + 1e-3).all()
        assert (aside.max(axis=1, initial=0) <= 1 - found.confidences(answers) + 1e-6).all()


def test_without_a_curve_nodes_keep_their_probabilities_whatever_they_stand_beside(tree_of: Trees) -> None:
    tree = tree_of([3, 1, 4, 1, 5, 9, 2, 6])
    found = computed(tree, random_logits(tree, 5, 1))
    nodes = np.arange(len(tree), dtype=np.int32)
    others = np.repeat(np.array([[*nodes, ROOT]], np.int32), 5, axis=0)
    for node in [ROOT, *nodes[tree.is_leaf].tolist()]:
        shown = found.beside(np.full(5, node, np.int32), others)
        if node != ROOT:
            aside = [other for other in nodes.tolist() if tree.parents[node] != other and tree.is_leaf[other]]
            np.testing.assert_allclose(shown[:, aside], found.of(others)[:, aside], atol=1e-5)
        else:
            np.testing.assert_allclose(shown, found.of(others), atol=1e-5)


def test_a_straight_curve_changes_nothing() -> None:
    chances = np.linspace(0.001, 0.999, 50, dtype=np.float32)
    np.testing.assert_allclose(curved(chances, (1.0, 1.0, 0.0), np.ones(50, int)), chances, atol=1e-5)
    assert curved(chances, None, np.ones(50, int)) is chances


def test_each_depth_has_its_own_offset() -> None:
    chances = np.full((3, 2), 0.5, np.float32)
    found = curved(chances, (1.0, 1.0, 1.0, -1.0), np.array([[1], [2], [3]]))
    expected = 1 / (1 + np.exp([-1, 1, 1]))  # deeper nodes than were seen take the last offset
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 2, axis=1), atol=1e-6)
