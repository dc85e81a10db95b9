from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.classification.calibration import Calibration, Masses, masses
from taxomind_assets.classification.routing import best_leaves, competitors, route
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

Trees = Callable[..., Taxonomy]
NUMBERS = st.lists(st.integers(0, 1000), min_size=1, max_size=25)
SEEDS = st.integers(0, 99)


def random_masses(tree: Taxonomy, texts: int, seed: int) -> Masses:
    # Whole numbers, so that ties are frequent.
    logits = np.random.default_rng(seed).integers(0, 6, (len(tree), texts)).astype(np.float32)
    return masses(tree, logits, Calibration(), np.ones(texts, np.float32))


@given(numbers=NUMBERS, seed=SEEDS, k=st.integers(1, 30))
def test_best_leaves_are_those_of_a_stable_sort(tree_of: Trees, numbers: list[int], seed: int, k: int) -> None:
    tree = tree_of(numbers)
    logits = random_masses(tree, 4, seed).logits
    leaves = [node for node in range(len(tree)) if tree.is_leaf[node]]
    found = best_leaves(tree, logits, k)
    for text in range(4):
        expected = sorted(leaves, key=lambda leaf: (-logits[leaf, text], leaf))[:k]
        assert found[text].tolist() == expected


@given(numbers=NUMBERS, seed=SEEDS)
def test_the_route_leads_to_the_best_leaf_with_falling_confidence(tree_of: Trees, numbers: list[int], seed: int) -> None:
    tree = tree_of(numbers)
    mass = random_masses(tree, 4, seed)
    found = route(tree, mass, 5)
    np.testing.assert_array_equal(found.path, tree.paths[found.leaves[:, 0]])
    np.testing.assert_array_equal(found.leaf_probabilities, mass.of(found.leaves))
    np.testing.assert_allclose(found.confidences, mass.of(found.path), atol=1e-6)
    assert (np.diff(found.confidences, axis=1) <= 0).all()
    assert (found.confidences[found.path == ROOT] == 0).all()


@given(numbers=NUMBERS, seed=SEEDS, count=st.integers(0, 6), k=st.integers(1, 30), place=st.integers(-1, 1000))
def test_competitors_stand_beside_the_stop_best_first_without_repeats(
    tree_of: Trees, numbers: list[int], seed: int, count: int, k: int, place: int
) -> None:
    tree = tree_of(numbers)
    mass = random_masses(tree, 3, seed)
    found = route(tree, mass, k)
    stop = ROOT if place < 0 else place % len(tree)
    stops = np.full(3, stop, np.int32)
    nodes, values = competitors(tree, mass, found, stops, count)
    assert nodes.shape == values.shape == (3, count)
    for text in range(3):
        kept = [node for node in nodes[text].tolist() if node != ROOT]
        assert stop not in kept
        assert len(set(kept)) == len(kept)
        assert (np.diff(values[text]) <= 0).all()
        allowed = found.leaves[text] if stop != ROOT and tree.is_leaf[stop] else tree.children_of(stop)
        assert set(kept) <= set(allowed.tolist())
        np.testing.assert_allclose(values[text, : len(kept)], mass.of(nodes)[text, : len(kept)], atol=1e-6)


@given(numbers=NUMBERS, seed=SEEDS)
def test_competitors_at_the_root_are_the_likeliest_top_nodes(tree_of: Trees, numbers: list[int], seed: int) -> None:
    tree = tree_of(numbers)
    mass = random_masses(tree, 3, seed)
    nodes, _ = competitors(tree, mass, route(tree, mass, len(tree)), np.full(3, ROOT, np.int32), 3)
    tops = tree.children_of(ROOT)
    for text in range(3):
        assert mass.of(nodes)[text, 0] == mass.matrix()[text, tops].max()
