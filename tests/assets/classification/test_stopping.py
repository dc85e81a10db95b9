from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.classification.calibration import Calibration, Masses, masses
from taxomind_assets.classification.routing import route
from taxomind_assets.classification.stopping import force_leaf, stop_by_mass
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

Trees = Callable[..., Taxonomy]
NUMBERS = st.lists(st.integers(0, 1000), min_size=1, max_size=25)
SEEDS = st.integers(0, 99)
PLAIN = Calibration()


def random_masses(tree: Taxonomy, texts: int, seed: int, calibration: Calibration = PLAIN) -> Masses:
    logits = np.random.default_rng(seed).normal(0, 4, (len(tree), texts)).astype(np.float32)
    return masses(tree, logits, calibration, np.ones(texts, np.float32))


@given(
    numbers=NUMBERS, seed=SEEDS, threshold=st.floats(0.01, 0.99), limit=st.none() | st.integers(1, 6), step=st.integers(1, 2)
)
def test_a_path_ends_at_its_deepest_node_over_the_threshold(
    tree_of: Trees, numbers: list[int], seed: int, threshold: float, limit: int | None, step: int
) -> None:
    tree = tree_of(numbers, step)
    mass = random_masses(tree, 4, seed)
    found = route(tree, mass, 5)
    decisions = stop_by_mass(tree, mass, found, threshold, max_depth=limit)
    for text in range(4):
        path = [node for node in found.path[text].tolist() if node != ROOT]
        reaching = [n for n, c in zip(path, found.confidences[text].tolist(), strict=False) if c >= np.float32(threshold)]
        allowed = [node for node in reaching if limit is None or tree.levels[node] <= limit]
        answer = allowed[-1] if allowed else ROOT
        assert decisions.nodes[text] == answer
        assert decisions.reasons[text] == _expected_reason(tree, answer, reaching)
        assert decisions.ambiguous[text] == (decisions.reasons[text] not in ("leaf_node_reached", "max_depth_reached"))


def _expected_reason(tree: Taxonomy, answer: int, reaching: list[int]) -> str:
    if answer == ROOT:
        return "max_depth_reached" if reaching else "insufficient_information"
    if tree.is_leaf[answer]:
        return "leaf_node_reached"
    return "max_depth_reached" if answer != reaching[-1] else "below_threshold"


@given(numbers=NUMBERS, seed=SEEDS, thresholds=st.tuples(st.floats(0.01, 0.99), st.floats(0.01, 0.99)))
def test_a_higher_threshold_never_ends_a_path_deeper(
    tree_of: Trees, numbers: list[int], seed: int, thresholds: tuple[float, float]
) -> None:
    tree = tree_of(numbers)
    mass = random_masses(tree, 4, seed)
    found = route(tree, mass, 5)
    low, high = (stop_by_mass(tree, mass, found, value).nodes for value in sorted(thresholds))
    depths = np.concatenate(([0], tree.depths))
    assert (depths[high + 1] <= depths[low + 1]).all()


@given(numbers=NUMBERS, seed=SEEDS)
def test_forced_answers_are_the_best_leaves(tree_of: Trees, numbers: list[int], seed: int) -> None:
    tree = tree_of(numbers)
    mass = random_masses(tree, 4, seed)
    found = route(tree, mass, 5)
    decisions = force_leaf(tree, mass, found, 0.5)
    assert tree.is_leaf[decisions.nodes].all()
    np.testing.assert_array_equal(decisions.nodes, found.leaves[:, 0])
    sure = found.leaf_probabilities[:, 0] >= 0.5
    assert decisions.reasons.tolist() == ["leaf_node_reached" if s else "forced_to_leaf" for s in sure]
    np.testing.assert_array_equal(decisions.ambiguous, ~sure)


def test_a_text_that_belongs_nowhere_says_so(tree_of: Trees) -> None:
    tree = tree_of([0, 1, 0])
    doubtful = random_masses(tree, 3, 0, Calibration(nowhere_energy=(1e3, 1e3)))
    decisions = stop_by_mass(tree, doubtful, route(tree, doubtful, 5), 0.5)
    assert decisions.nodes.tolist() == [ROOT] * 3
    assert decisions.reasons.tolist() == ["belongs_nowhere"] * 3
    assert decisions.ambiguous.all()


def test_no_texts_have_no_answers(tree_of: Trees) -> None:
    tree = tree_of([0, 1, 0])
    none = random_masses(tree, 0, 0)
    found = route(tree, none, 5)
    assert stop_by_mass(tree, none, found, 0.5).nodes.shape == (0,)
    assert force_leaf(tree, none, found, 0.5).alternatives.shape == (0, 3)
