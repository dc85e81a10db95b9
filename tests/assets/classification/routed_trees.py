"""Small trees, scores and hits by code, for tests of routing."""

from __future__ import annotations

from typing import Any

import numpy as np

from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.rules import route_by_rules
from taxomind_assets.taxonomy.tree import ROOT, Node, NodeText, Taxonomy
from taxomind_resources.settings import RetrievalSettings, RoutingSettings

Hits = tuple[np.ndarray, np.ndarray]


def make_tree(parents: dict[str, str | None], levels: dict[str, int] | None = None) -> Taxonomy:
    depth: dict[str | None, int] = {None: 0}
    nodes = []
    for code, parent in parents.items():
        depth[code] = depth[parent] + 1
        level = levels[code] if levels else depth[code]
        nodes.append(Node(code, parent, level, (NodeText("en", f"Label {code}"),)))
    return Taxonomy.build("T", nodes)


def row(tree: Taxonomy, **scores: float) -> np.ndarray:
    """Scores of one text; nodes not named score 0."""
    values = np.zeros((1, len(tree)), np.float32)
    for code, score in scores.items():
        values[0, tree.position[code]] = score
    return values


def hits_of(tree: Taxonomy, **scores: float) -> Hits:
    nodes = np.array([[tree.position[code] for code in scores]], np.int32).reshape(1, len(scores))
    return nodes, np.array([list(scores.values())], np.float32).reshape(1, len(scores))


def rules(**values: Any) -> RoutingSettings:
    return RoutingSettings.model_validate(values)


def retrieval(**values: Any) -> RetrievalSettings:
    return RetrievalSettings.model_validate(values)


def routed(
    tree: Taxonomy, scores: np.ndarray, start: str | None = None, **values: Any
) -> tuple[str | None, str, bool, list[str]]:
    """Route one text with every node as a candidate: (code, reason, ambiguous, alternatives)."""
    candidates = np.ones(scores.shape, np.bool_)
    beams = np.full((1, 1), ROOT if start is None else tree.position[start], np.int32)
    return answer(tree, route_by_rules(tree, scores, candidates, beams, rules(**values)))


def answer(tree: Taxonomy, decisions: Decisions, text: int = 0) -> tuple[str | None, str, bool, list[str]]:
    node = int(decisions.nodes[text])
    alternatives = [tree.codes[i] for i in decisions.alternatives[text].tolist() if i != ROOT]
    code = None if node == ROOT else tree.codes[node]
    return code, decisions.reasons[text], bool(decisions.ambiguous[text]), alternatives


FAMILY = {"A": None, "B": None, "A1": "A", "A2": "A", "A3": "A", "A4": "A", "A11": "A1", "A12": "A1", "B1": "B", "B11": "B1"}
