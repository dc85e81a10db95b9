"""Corrections that a person should look at: those that contradict each other, and those that look out of place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.views.texts import normalise
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from taxomind_assets.learning.corrections import Correction
    from taxomind_assets.taxonomy.tree import Taxonomy

REVIEWS: Final = "learning.reviews"
#: How much nearer a text must be to the evidence of a sibling than to that of its own node, as a difference of cosines.
OUTLIER_MARGIN: Final = 0.2


def contradictions(tree: Taxonomy, applied: Iterable[Correction]) -> list[dict[str, Any]]:
    """Corrections whose text others place elsewhere. A node and one above it agree: one of them only says less."""
    placed: dict[str, list[Correction]] = {}
    for found in applied:
        placed.setdefault(normalise(found.text), []).append(found)
    rows = []
    for same in placed.values():
        codes = sorted({found.code for found in same if found.code})
        if len(codes) < 2:
            continue
        above = {code: set(tree.path_codes(tree.position[code])) for code in codes}
        for found in same:
            own = found.code or ""
            others = [code for code in codes if code not in above[own] and own not in above[code]]
            if others:
                votes = ", ".join(f"{sum(item.code == code for item in same)} for {code}" for code in codes)
                rows.append(_row(found, "contradiction", others, None, f"The text is placed at {len(codes)} nodes: {votes}."))
    return rows


def outliers(tree: Taxonomy, applied: Sequence[Correction], vectors: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Corrections that are nearer to the evidence of a sibling than to the other evidence of their own node (TX-68).

    They count all the same; a node's only correction is never one.

    Args:
        tree: the taxonomy.
        applied: e corrections with known codes.
        vectors: float32[e, d], unit rows.
    """
    nodes = np.array([tree.position[found.code or ""] for found in applied], np.int64)
    families: dict[int, list[int]] = {}
    for row, parent in enumerate(tree.parents[nodes].tolist() if nodes.size else []):
        families.setdefault(parent, []).append(row)
    rows = []
    for members in families.values():
        places = np.array(members, np.int64)
        lead, nearest = _lead_of_siblings(nodes[places], vectors[places].astype(np.float64))
        for i in np.flatnonzero(lead >= OUTLIER_MARGIN).tolist():
            found, other = applied[members[i]], tree.codes[nearest[i]]
            reason = f"It is nearer to the evidence of {other} than to the other evidence of {found.code}, by {lead[i]:.2f}."
            rows.append(_row(found, "outlier", [other], float(lead[i]), reason))
    return rows


def _lead_of_siblings(nodes: NDArray[np.int64], vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How much nearer each text is to a sibling's evidence than to its own node's other evidence, and which sibling's."""
    found, own = np.unique(nodes, return_inverse=True)
    if found.size < 2:
        return np.full(nodes.size, -np.inf), nodes
    sums = np.zeros((found.size, vectors.shape[1]))
    np.add.at(sums, own, vectors)
    counts = np.bincount(own)
    similar = vectors @ _units(sums).T
    rest = np.einsum("ed,ed->e", vectors, _units(sums[own] - vectors))
    similar[np.arange(nodes.size), own] = -np.inf
    lead = np.where(counts[own] > 1, similar.max(axis=1) - rest, -np.inf)
    return lead, found[similar.argmax(axis=1)]


def _units(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float64] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 1e-9)
    return units


def reviews_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """The rows of `learning.reviews`, by kind, text and id."""
    import pyarrow as pa

    ordered = sorted(rows, key=lambda row: (row["kind"], normalise(row["text"]), row["correction_id"]))
    return pa.Table.from_pylist(ordered, schema=BY_NAME[REVIEWS].arrow)


def _row(found: Correction, kind: str, others: list[str], difference: float | None, reason: str) -> dict[str, Any]:
    return {
        "correction_id": found.correction_id,
        "text": found.text,
        "code": found.code,
        "annotator": found.annotator,
        "kind": kind,
        "other_codes": others,
        "difference": difference,
        "reason": reason,
    }
