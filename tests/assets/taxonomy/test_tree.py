"""The tree in memory, against definitions written out node by node."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.taxonomy.tree import ROOT, Node, NodeText, Taxonomy, nearest_common, subtree_sums


def _node(code: str, parent: str | None, level: int = 1) -> Node:
    return Node(code, parent, level, (NodeText("en", f"label {code}"),))


def _tree(parents: list[int]) -> Taxonomy:
    """Node i hangs on node parents[i] (smaller than i), or on the top for -1; rows come in a shuffled order."""
    nodes = [_node(str(i), None if parent < 0 else str(parent)) for i, parent in enumerate(parents)]
    order = sorted(range(len(nodes)), key=lambda i: (i * 7919) % 101)
    return Taxonomy.build("key", [nodes[i] for i in order])


@st.composite
def trees(draw: st.DrawFn) -> Taxonomy:
    size = draw(st.integers(1, 40))
    return _tree([draw(st.integers(-1, i - 1)) for i in range(size)])


def _ancestors(tree: Taxonomy, node: int) -> list[int]:
    """The node itself and all above it, from the top."""
    path: list[int] = []
    while node != ROOT:
        path.insert(0, node)
        parent = tree.nodes[node].parent_code
        node = ROOT if parent is None else tree.codes.index(parent)
    return path


def _below(tree: Taxonomy, node: int) -> set[int]:
    return {other for other in range(len(tree)) if node in _ancestors(tree, other)}


@settings(deadline=None, max_examples=60)
@given(trees())
def test_preorder_makes_every_subtree_a_slice(tree: Taxonomy) -> None:
    for node in range(len(tree)):
        assert set(range(node, tree.ends[node])) == _below(tree, node)


@settings(deadline=None, max_examples=60)
@given(trees())
def test_arrays_agree_with_walks_over_parents(tree: Taxonomy) -> None:
    for node in range(len(tree)):
        path = _ancestors(tree, node)
        children = [other for other in range(len(tree)) if tree.parents[other] == node]
        leaves = [other for other in _below(tree, node) if tree.is_leaf[other]]
        assert tree.depths[node] == len(path)
        assert tree.paths[node].tolist() == path + [ROOT] * (tree.depth - len(path))
        assert tree.path_codes(node) == [tree.codes[i] for i in path]
        assert tree.path_labels(node) == [f"label {tree.codes[i]}" for i in path]
        assert tree.children_of(node).tolist() == children
        assert tree.is_leaf[node] == (not children)
        assert tree.leaf_counts[node] == len(leaves)
    assert tree.children_of(ROOT).tolist() == [i for i in range(len(tree)) if tree.parents[i] == ROOT]


@settings(deadline=None, max_examples=60)
@given(trees(), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_subtree_sums_adds_up_every_subtree(tree: Taxonomy, texts: int, seed: int) -> None:
    own = np.random.default_rng(seed).random((texts, len(tree)), np.float32)
    expected = [[sum(float(row[other]) for other in _below(tree, node)) for node in range(len(tree))] for row in own]
    np.testing.assert_allclose(subtree_sums(tree, own), expected, rtol=1e-9, atol=1e-12)


def test_subtree_sums_of_no_texts_is_empty() -> None:
    assert subtree_sums(_tree([-1, 0]), np.empty((0, 2))).shape == (0, 2)


@settings(deadline=None, max_examples=60)
@given(trees(), st.data())
def test_nearest_common_is_the_deepest_shared_ancestor(tree: Taxonomy, data: st.DataObject) -> None:
    nodes = data.draw(st.lists(st.integers(0, len(tree) - 1), min_size=1, max_size=5))
    shared = set.intersection(*(set(_ancestors(tree, node)) for node in nodes))
    expected = max(shared, key=lambda node: tree.depths[node]) if shared else ROOT
    assert nearest_common(tree, nodes) == expected


def test_siblings_keep_the_order_of_the_input() -> None:
    tree = Taxonomy.build("key", [_node("b", None), _node("b2", "b"), _node("a", None), _node("b1", "b")])
    assert tree.codes == ["b", "b2", "b1", "a"]
    assert tree.position["b1"] == 2


@pytest.mark.parametrize(
    "nodes",
    [
        [_node("1", None), _node("1", None)],
        [_node("1", "2"), _node("2", "1")],
        [_node("1", None), _node("2", "9")],
        [_node("1", "1")],
    ],
    ids=["duplicate", "cycle", "orphan", "self"],
)
def test_build_refuses_what_is_no_tree(nodes: list[Node]) -> None:
    with pytest.raises(ValueError, match="do not form a tree"):
        Taxonomy.build("key", nodes)


def test_build_handles_a_chain_of_many_nodes_without_recursion() -> None:
    chain = [_node(str(i), None if i == 0 else str(i - 1)) for i in range(20_000)]
    tree = Taxonomy.build("key", chain)
    assert tree.depth == 20_000
    assert tree.ends.tolist() == [20_000] * 20_000


def test_languages_begin_with_the_primary_one() -> None:
    texts = (NodeText("fr", "oui"), NodeText("en", "yes"))
    tree = Taxonomy.build(
        "key", [Node("1", None, 1, texts), Node("2", None, 1, (NodeText("fr", "non"), NodeText("de", "nein")))]
    )
    assert tree.languages == ["fr", "en", "de"]


def test_levels_are_the_nodes_own() -> None:
    assert Taxonomy.build("key", [_node("1", None, 1), _node("2", "1", 3)]).levels.tolist() == [1, 3]
