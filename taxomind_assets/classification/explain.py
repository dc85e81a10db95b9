"""Why a text got its answer, level by level, with figures that add up.

At each step down the path the chosen child is set against its runner-up through the best leaf under each: the difference of
their logits is the sum of the differences of the views, so the view with the largest part decided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from taxomind_assets.classification.given_texts import checked_texts
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.calibration import Masses
    from taxomind_assets.classification.classifier import Classifier


def explain(classifier: Classifier, text: str) -> dict[str, Any]:
    """The answer to one text and the reasons for it, in JSON types (no NaN, no infinity).

    Returns:
        The answer's columns, `belongs` (probability that the text belongs here at all) and `levels`: per step `level`,
        `chosen` and `runner_up` (code, label, confidence), `deciding_view`, `views` (part of each view in the logit
        difference; they add up to `logit_difference`), `nearest_text` (the chosen node's text nearest to the query) and
        `nearest_correction` (code, text, similarity: the nearest corrected text at or below the chosen node, or None).
    """
    cleaned = checked_texts([text])[0]
    vectors = classifier.embedder.embed([cleaned], "query")
    answers = classifier.answers([cleaned], vectors)
    answer: dict[str, Any] = classifier.table([cleaned], answers).to_pylist()[0]
    if not cleaned:
        return {**answer, "belongs": 0.0, "levels": []}
    query = classifier.scorer.query(vectors, [cleaned])
    parts = classifier.scorer.contributions(query)
    # A single small block in float32 and the sum of its parts agree to rounding.
    logits = np.sum([*parts.values()], axis=0).astype(np.float32)
    mass = classifier.masses(logits, query.trusted)
    path = [node for node in answers.path[0].tolist() if node != ROOT]
    columns = {name: values[:, 0] for name, values in parts.items()}
    levels = [_step(classifier, mass, columns, node, vectors) for node in path]
    return {**answer, "belongs": _rounded(mass.belongs[0]), "levels": levels}


def _step(
    classifier: Classifier, mass: Masses, parts: dict[str, NDArray[np.float32]], chosen: int, vectors: NDArray[np.float32]
) -> dict[str, Any]:
    tree = classifier.index.tree
    step: dict[str, Any] = {
        "level": int(tree.levels[chosen]),
        "chosen": _described(tree, chosen, mass.confidences(_only(chosen))[0]),
        "runner_up": None,
        "deciding_view": None,
        "views": {},
        "logit_difference": None,
        "nearest_text": _nearest_text(classifier, vectors, chosen),
        "nearest_correction": _nearest_correction(classifier, vectors, chosen),
    }
    siblings = tree.children_of(int(tree.parents[chosen]))
    siblings = siblings[siblings != chosen]
    if not siblings.size:
        return step
    confidences = mass.of(siblings[None, :])[0]
    rival = int(siblings[int(np.argmax(confidences))])
    ours, theirs = _best_below(tree, mass, chosen), _best_below(tree, mass, rival)
    views = {name: _rounded(values[ours] - values[theirs]) for name, values in parts.items()}
    difference = sum(float(values[ours] - values[theirs]) for values in parts.values())
    sign = 1 if difference >= 0 else -1
    step |= {
        "runner_up": _described(tree, rival, mass.beside(_only(chosen), _only(rival)[None])[0, 0]),
        "deciding_view": max(views, key=lambda name: sign * views[name]),
        "views": views,
        "logit_difference": _rounded(difference),
    }
    return step


def _nearest_text(classifier: Classifier, vectors: NDArray[np.float32], node: int) -> dict[str, Any]:
    nearest = classifier.index.texts[classifier.scorer.nearest_texts(vectors, [node])[0]]
    return {"view": nearest.view, "language": nearest.language, "text": nearest.text}


def _nearest_correction(classifier: Classifier, vectors: NDArray[np.float32], node: int) -> dict[str, Any] | None:
    """The corrected text at or below a node that is nearest to the query."""
    evidence = classifier.scorer.evidence
    found = evidence.nearest_row(vectors[0], node) if evidence else None
    if evidence is None or found is None:
        return None
    row, cosine = found
    return {"code": evidence.rows.codes[row], "text": evidence.rows.texts[row], "similarity": _rounded(cosine)}


def _only(node: int) -> NDArray[np.int32]:
    return np.array([node], np.int32)


def _described(tree: Taxonomy, node: int, confidence: float) -> dict[str, Any]:
    return {"code": tree.codes[node], "label": tree.nodes[node].label, "confidence": _rounded(confidence)}


def _best_below(tree: Taxonomy, mass: Masses, node: int) -> int:
    """Leaf with the highest logit in the subtree of `node`."""
    inside = np.arange(node, tree.ends[node])
    leaves = inside[tree.is_leaf[inside]]
    return int(leaves[int(np.argmax(mass.logits[leaves, 0]))])


def _rounded(value: float) -> float:
    return round(float(value), 4)
