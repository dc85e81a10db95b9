"""Texts that people have corrected before, word for word: what they said is the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from taxomind_assets.classification.answers import Answers
from taxomind_assets.classification.stopping import EXACT
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.evidence_rows import EvidenceRows


def answer_by_evidence(tree: Taxonomy, rows: EvidenceRows, texts: Sequence[str], answers: Answers) -> Answers:
    """The answers, with those of texts that equal a corrected text (normalised) replaced by what people said.

    Agreeing corrections give their node. Otherwise the majority does, and the lowest common ancestor of the most frequent nodes
    when they tie; both are marked as ambiguous. Corrections that have no node in common below the root leave the answer as it
    is, marked as ambiguous. A confidence is the share of corrections at the node or below it.
    """
    known = [(place, found) for place, text in enumerate(texts) if (found := rows.rows_of(text))]
    if not known:
        return answers
    values: dict[str, Any] = {field.name: getattr(answers, field.name).copy() for field in fields(answers)}
    for place, found in known:
        _answer(tree, rows.nodes[list(found)], place, values)
    return Answers(**values)


def _answer(tree: Taxonomy, told: NDArray[np.int64], place: int, values: dict[str, Any]) -> None:
    """Write what people told of one text into the arrays of all answers."""
    nodes, counts = np.unique(told, return_counts=True)
    most = nodes[counts == counts.max()]
    node = int(most[0]) if most.size == 1 else _common_ancestor(tree, most)
    values["ambiguous"][place] = nodes.size > 1
    if node == ROOT:
        return
    path = tree.paths[node]
    shares = [np.mean((told >= above) & (told < tree.ends[above])) if above != ROOT else 0 for above in path.tolist()]
    values["nodes"][place] = node
    values["reasons"][place] = EXACT
    values["path"][place] = path
    values["confidences"][place] = shares
    values["details"][place] = None
    others = nodes[np.argsort(-counts, kind="stable")]
    others = others[others != node]
    for name, empty, filling in (("alternatives", ROOT, others), ("alternative_confidences", 0, _shares(tree, told, others))):
        row = values[name][place]
        row[:] = empty
        row[: others.size] = filling[: row.size]
    if tree.is_leaf[node]:
        ranked = values["leaves"][place]
        rest = ranked[ranked != node]
        ranked[:] = ROOT
        ranked[0] = node
        ranked[1 : rest.size + 1] = rest[: ranked.size - 1]
        values["leaf_confidence"][place] = shares[int(tree.depths[node]) - 1]


def _shares(tree: Taxonomy, told: NDArray[np.int64], nodes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Share of the corrections at or below each node, float32."""
    inside = (told[None, :] >= nodes[:, None]) & (told[None, :] < tree.ends[nodes][:, None])
    return np.asarray(inside.mean(axis=1), np.float32)


def _common_ancestor(tree: Taxonomy, nodes: NDArray[np.int64]) -> int:
    """The lowest node at or above all nodes; `ROOT` when there is none."""
    paths = tree.paths[nodes]
    same = (paths == paths[0]).all(axis=0) & (paths[0] != ROOT)
    depth = int(np.cumprod(same).sum())
    return int(paths[0, depth - 1]) if depth else ROOT
