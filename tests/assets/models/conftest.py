"""Material of the tests of models: a small tree, texts that words tell apart, and what plug-ins may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from taxomind_assets.models.contracts import Batch, Surroundings
from taxomind_assets.models.fitting import Examples
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.embedding import Embedder
from tests.assets.models.things import LEAVES, NODES, labelled_table, rows_of


@pytest.fixture(scope="session")
def tree() -> Taxonomy:
    """Eight nodes on three levels."""
    nodes = [Node(code, parent, 1, (NodeText("en", code, f"about {' and '.join(words)}"),)) for code, parent, words in NODES]
    levels: dict[str, int] = {}
    found = []
    for node in nodes:
        levels[node.code] = levels.get(node.parent_code or "", 0) + 1
        found.append(Node(node.code, node.parent_code, levels[node.code], node.texts))
    return Taxonomy.build("things", found, version="1" * 12)


@pytest.fixture(scope="session")
def examples(tree: Taxonomy) -> Examples:
    """240 texts of leaves, and 48 that stop at `food`."""
    rows = rows_of((*LEAVES, "food"))
    nodes = np.array([tree.position[code] for _, code in rows], np.int64)
    return Examples([text for text, _ in rows], nodes, np.ones(len(rows), np.bool_))


@pytest.fixture(scope="session")
def labelled(tree: Taxonomy) -> pa.Table:
    """`models.labelled_texts` of the same texts, with drawn splits."""
    return labelled_table(tree, rows_of((*LEAVES, "food")))


@pytest.fixture(scope="session")
def surroundings(embedder: Embedder) -> Surroundings:
    """One thread and the embedded model."""
    return Surroundings(lambda: embedder, seed=7, threads=1)


@pytest.fixture
def batches() -> Callable[..., Callable[[], list[Batch]]]:
    """`batches(texts, tokenize)`: texts in batches of 16, anew at each call."""

    def make(texts: list[str], tokenize: Callable[..., list[list[str]]] | None = None) -> Callable[[], list[Batch]]:
        return lambda: [Batch(texts[start : start + 16], tokenize) for start in range(0, len(texts), 16)]

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder for one plug-in."""
    path = tmp_path / "part"
    path.mkdir()
    return path
