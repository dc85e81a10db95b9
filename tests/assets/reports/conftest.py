"""A small tree with equal labels in two branches, and makers of targets and results for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest

from taxomind_assets.reports.judging import judge
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

#     a           b
#   aa  ab        ba      (ab and ba share a label)
#  aaa aab
LABELS = {"a": "Animals", "aa": "Mammals", "aaa": "Dogs", "aab": "Cats", "ab": "Other", "b": "Toys", "ba": "Other"}
TEXTS = {"aaa": {"examples": ("poodle",)}, "aa": {"definition": "Warm blooded beasts."}, "aab": {"aliases": ("Felines",)}}


@pytest.fixture(scope="session")
def tree() -> Taxonomy:
    nodes = [
        Node(code, code[:-1] or None, len(code), (NodeText("en", label, **TEXTS.get(code, {})),))
        for code, label in LABELS.items()
    ]
    return Taxonomy.build("toys", nodes)


def _targets(golds: Sequence[str | Sequence[str]], **columns: Sequence[Any]) -> pa.Table:
    n = len(golds)
    table = {
        "dataset": ["file.csv"] * n,
        "text_id": [f"t{i:05d}" for i in range(n)],
        "text": [f"text {i}" for i in range(n)],
        "language": ["en"] * n,
        "codes": pa.array([[gold] if isinstance(gold, str) else list(gold) for gold in golds], pa.list_(pa.string())),
    }
    return pa.table(table | columns)


def _results(codes: Sequence[str | None], **columns: Sequence[Any]) -> pa.Table:
    ids = [f"t{i:05d}" for i in range(len(codes))]
    return pa.table({"text_id": pa.array(ids, pa.string()), "code": pa.array(codes, pa.string())} | columns)


@pytest.fixture(scope="session")
def targets() -> Callable[..., pa.Table]:
    return _targets


@pytest.fixture(scope="session")
def results() -> Callable[..., pa.Table]:
    return _results


@pytest.fixture(scope="session")
def judged(tree: Taxonomy) -> Callable[..., pa.Table]:
    """judged(golds, codes, **result columns) -> reports.errors."""
    return lambda golds, codes, **columns: judge(tree, _targets(golds), _results(codes, **columns))
