"""Random trees with scores, candidates and hits, for tests of strategies."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from taxomind_assets.classification.rules import candidate_subgraph
from taxomind_assets.classification.strategies import run_strategy
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from tests.assets.classification.routed_trees import Hits, answer, make_tree

FOUR_LEVELS = {
    "A": None, "B": None, "A1": "A", "A2": "A", "A11": "A1", "A12": "A1", "A111": "A11", "A112": "A11", "B1": "B", "B2": "B",
}  # fmt: skip


def ran(name: str, tree: Taxonomy, scores: np.ndarray, options: object = None, hits: Hits | None = None) -> tuple:
    """(code, reason, ambiguous, alternatives) of one text, all nodes candidates."""
    found = hits or (np.full((1, 1), ROOT, np.int32), np.full((1, 1), -np.inf, np.float32))
    decisions = run_strategy(name, tree, scores, np.ones(scores.shape, np.bool_), found, options=options)
    return answer(tree, decisions)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Taxonomy, np.ndarray, np.ndarray, Hits]:
    """A random tree with scores, candidates and hits of some texts; scores have many ties."""
    size, texts, width = draw(st.integers(1, 14)), draw(st.integers(1, 3)), draw(st.integers(0, 4))
    parents: dict[str, str | None] = {}
    for i in range(size):
        parent = draw(st.integers(-1, i - 1))
        parents[f"n{i}"] = None if parent < 0 else f"n{parent}"
    tree = make_tree(parents)
    numbers = draw(st.lists(st.integers(-4, 32), min_size=size * texts, max_size=size * texts))
    scores = (np.array(numbers, np.float32) / np.float32(32)).reshape(texts, size)
    nodes = np.full((texts, width), ROOT, np.int32)
    for text in range(texts):
        found = draw(st.lists(st.integers(0, size - 1), max_size=width, unique=True))
        nodes[text, : len(found)] = found
    weights = draw(st.lists(st.integers(0, 8), min_size=texts * width, max_size=texts * width))
    near = np.where(nodes == ROOT, -np.inf, np.array(weights, np.float32).reshape(texts, width) / 8).astype(np.float32)
    hits = nodes, near
    every = draw(st.booleans())
    return tree, scores, np.ones(scores.shape, np.bool_) if every else candidate_subgraph(tree, hits), hits
