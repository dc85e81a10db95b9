"""One classifier over all codes, one per parent, one per level: units, classes of rows, and mass that adds up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.models.hierarchy import own_mass, unit_nodes, units_of
from taxomind_resources.faults import Fault


def units(tree, examples, hierarchy, fewest=8):
    return units_of(tree, hierarchy, examples.nodes, examples.labelled, fewest)


def names(tree, unit):
    return [tree.codes[node] for node in unit.classes]


def test_flat_is_one_unit_over_the_codes_that_have_texts(tree, examples):
    (unit,) = units(tree, examples, "flat")
    assert names(tree, unit) == ["cat", "dog", "food", "bread", "hot", "cold"]


def test_each_parent_with_enough_texts_gets_a_unit(tree, examples):
    found = {unit.name: names(tree, unit) for unit in units(tree, examples, "per_parent")}
    assert found == {
        "node:": ["animals", "food"],
        "node:animals": ["cat", "dog"],
        "node:food": ["food", "bread", "soup"],  # texts that stop at food are a class of their own
        "node:soup": ["hot", "cold"],
    }


def test_each_level_gets_a_unit(tree, examples):
    found = {unit.name: names(tree, unit) for unit in units(tree, examples, "per_level")}
    assert found == {
        "level:1": ["animals", "food"],
        "level:2": ["cat", "dog", "food", "bread", "soup"],
        "level:3": ["hot", "cold"],
    }


def test_a_parent_with_too_few_texts_has_no_classifier_and_keeps_its_mass(tree, examples):
    found = units(tree, examples, "per_parent", fewest=60)
    assert [unit.name for unit in found] == ["node:"]
    given = [np.full((1, len(unit.classes)), 1 / len(unit.classes), np.float32) for unit in found]
    own = own_mass(tree, found, given)[0]
    assert own[tree.position["food"]] == pytest.approx(0.5)
    assert own[tree.position["hot"]] == 0
    assert own.sum() == pytest.approx(1)


def test_texts_of_the_taxonomy_never_say_stop_here(tree, examples):
    labelled = examples.nodes != tree.position["food"]
    found = {unit.name: names(tree, unit) for unit in units_of(tree, "per_parent", examples.nodes, labelled, 8)}
    assert found["node:food"] == ["bread", "soup"]
    assert found["node:"] == ["animals", "food"]  # but they tell food from animals
    (flat,) = units_of(tree, "flat", examples.nodes, labelled, 8)
    assert "food" not in names(tree, flat)


def test_rows_get_the_class_that_they_lie_below(tree, examples):
    by_name = {unit.name: unit for unit in units(tree, examples, "per_parent")}
    unit = by_name["node:food"]
    rows, classes = unit.places(unit_nodes(tree, unit, examples.nodes, examples.labelled))
    expected = {"bread": "bread", "hot": "soup", "cold": "soup", "food": "food"}
    for row, place in zip(rows.tolist(), classes.tolist(), strict=True):
        assert tree.codes[unit.classes[place]] == expected[tree.codes[examples.nodes[row]]]
    assert rows.size == sum(tree.codes[node] in expected for node in examples.nodes.tolist())


@pytest.mark.parametrize("hierarchy", ["flat", "per_parent", "per_level"])
def test_mass_adds_up_to_one(tree, examples, hierarchy):
    found = units(tree, examples, hierarchy)
    random = np.random.default_rng(0)
    given = [random.dirichlet(np.ones(len(unit.classes)), 20).astype(np.float32) for unit in found]
    np.testing.assert_allclose(own_mass(tree, found, given).sum(axis=1), 1, rtol=1e-5)


@given(
    st.lists(st.integers(0, 30), min_size=4, max_size=25), st.integers(0, 1000), st.sampled_from(["per_parent", "per_level"])
)
def test_mass_adds_up_to_one_on_any_tree(tree_of, numbers, seed, hierarchy):
    tree = tree_of(numbers)
    random = np.random.default_rng(seed)
    nodes = random.integers(0, len(tree), 40)
    labelled = random.random(40) < 0.7
    try:
        found = units_of(tree, hierarchy, nodes, labelled, 1)
    except Fault:  # too few texts; see the test of one code
        return
    given = [random.dirichlet(np.ones(len(unit.classes)), 3).astype(np.float32) for unit in found]
    own = own_mass(tree, found, given)
    assert (own >= 0).all()
    np.testing.assert_allclose(own.sum(axis=1), 1, rtol=1e-4)


def test_sure_units_lead_to_their_leaf(tree, examples):
    for hierarchy in ("per_parent", "per_level"):
        found = units(tree, examples, hierarchy)
        wanted = {tree.position[code] for code in ("food", "soup", "cold")}
        given = []
        for unit in found:
            # "food" is a class of the root's unit (go there) and of its own one (stop there): only the first is wanted
            stop = tree.position["food"] if unit.name in {"node:food", "level:2"} else -1
            sure = np.array([[node in wanted and node != stop for node in unit.classes]], np.float32)
            given.append(sure if sure.any() else np.full_like(sure, 1 / sure.size))
        assert own_mass(tree, found, given)[0].argmax() == tree.position["cold"]


def test_one_code_is_too_few(tree, examples):
    only = examples.nodes == tree.position["cat"]
    with pytest.raises(Fault) as raised:
        units_of(tree, "flat", examples.nodes[only], examples.labelled[only], 8)
    assert raised.value.code == "too_few_labels"
