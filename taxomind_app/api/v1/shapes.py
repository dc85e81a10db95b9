"""Rows of the classifier and the tables as the answers of /v1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

_VERSIONS = ("taxonomy_version", "index_version", "evidence_version", "calibration_version", "settings_version")


def answer_of(tree: Taxonomy, row: Mapping[str, Any], explanation: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`models.Answer` of a row of `Classifier.classify`, or of `Classifier.explain` when that is given."""
    path = [
        {**ref(tree, code), "level": tree.nodes[tree.position[code]].level, "confidence": rounded(confidence)}
        for code, confidence in zip(row["path"], row["level_confidences"], strict=True)
    ]
    alternatives = [{**item, "confidence": rounded(item["confidence"])} for item in row["alternatives"] or ()]
    names = ("text", "code", "label", "level", "stop_reason", "ambiguous", "error_code", "error")
    own = {name: row[name] for name in names} | {"confidence": rounded(row["confidence"])}
    own |= {"path": path, "alternatives": alternatives}
    if explanation is not None:
        own |= {"belongs": explanation["belongs"], "reasons": explanation["levels"]}
    return own


def versions_of(row: Mapping[str, Any]) -> dict[str, str]:
    """`models.Versions` of `Classifier.versions` or of an answer."""
    return {name: row[name] for name in _VERSIONS}


def ref(tree: Taxonomy, code: str) -> dict[str, str]:
    """`models.NodeRef` of a code."""
    return {"code": code, "label": tree.nodes[tree.position[code]].label}


def node_of(tree: Taxonomy, node: Node, corrections: int) -> dict[str, Any]:
    """`models.NodeDetails` of a node."""
    place = tree.position[node.code]
    return {
        "code": node.code,
        "label": node.label,
        "level": node.level,
        "is_leaf": bool(tree.is_leaf[place]),
        "path": [ref(tree, code) for code in tree.path_codes(place)],
        "children": [ref(tree, tree.codes[child]) for child in tree.children_of(place).tolist()],
        "texts": [texts_of(text) for text in node.texts],
        "added": [texts_of(text) for text in node.added],
        "corrections": corrections,
    }


def texts_of(text: NodeText) -> dict[str, Any]:
    """`models.NodeTexts` of the texts in one language."""
    return {
        "language": text.language,
        "label": text.label,
        "definition": text.definition,
        "examples": list(text.examples),
        "aliases": list(text.aliases),
        "negative_examples": list(text.negative_examples),
    }


def finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without NaN and infinities, which are no JSON numbers: null instead."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()}


def rounded(value: float) -> float:
    """A probability with four decimals."""
    return round(float(value), 4)
