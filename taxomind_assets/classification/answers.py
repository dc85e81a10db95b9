"""Answers of many texts as arrays, and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from taxomind_assets.classification.stopping import EMPTY
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_resources.arrow_arrays import numbers_array, texts_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Answers:
    """Answers of b texts; positions are those of the tree, `ROOT` (-1) pads and means none.

    Attributes:
        nodes: int32[b], the answers.
        reasons: object[b] of str.
        ambiguous: bool[b].
        path: int32[b, depth], nodes down to the best leaf (or, under the older rules, to the answer).
        confidences: float32[b, depth].
        alternatives: int32[b, a] and their `alternative_confidences` float32[b, a].
        leaves: int32[b, k], ranked leaf candidates; `leaf_confidence` float32[b] belongs to the first.
        details: object[b], figures of the validation by the older rules (mapping) or None.
    """

    nodes: NDArray[np.int32]
    reasons: NDArray[np.object_]
    ambiguous: NDArray[np.bool_]
    path: NDArray[np.int32]
    confidences: NDArray[np.float32]
    alternatives: NDArray[np.int32]
    alternative_confidences: NDArray[np.float32]
    leaves: NDArray[np.int32]
    leaf_confidence: NDArray[np.float32]
    details: NDArray[np.object_]

    @classmethod
    def concatenate(cls, parts: Sequence[Answers]) -> Answers:
        """Answers of consecutive blocks as one."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def take(self, rows: NDArray[np.int64]) -> Answers:
        """Answers in another order, repeats allowed."""
        return Answers(*(getattr(self, f.name)[rows] for f in fields(self)))

    def without(self, empty: NDArray[np.bool_]) -> Answers:
        """The same with no answer for the rows marked as empty texts."""
        if not empty.any():
            return self
        values: dict[str, Any] = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        for name in ("nodes", "path", "alternatives", "leaves"):
            values[name][empty] = ROOT
        for name in ("confidences", "alternative_confidences", "leaf_confidence"):
            values[name][empty] = 0
        values["reasons"][empty] = EMPTY
        values["ambiguous"][empty] = True
        return Answers(**values)


def _lists(values: pa.Array, kept: NDArray[np.bool_]) -> pa.ListArray:
    """Rows of the kept entries of a [b, w] matrix whose entries are `values` (flattened, kept ones only)."""
    offsets = np.concatenate(([0], np.cumsum(kept.sum(axis=1)))).astype(np.int32)
    return pa.ListArray.from_arrays(numbers_array(offsets), values)


def answers_table(tree: Taxonomy, texts: Sequence[str], answers: Answers) -> pa.Table:
    """Answers with codes and labels; columns as in `classification.results`, without those of batch and versions."""
    codes, labels = tree.names
    answered = answers.nodes != ROOT
    picked = numbers_array(np.maximum(answers.nodes, 0), null=~answered)
    depth = np.where(answered, tree.depths[np.maximum(answers.nodes, 0)], 0)
    on_path = (np.arange(answers.path.shape[1]) < depth[:, None]) & (answers.path != ROOT)
    last = np.maximum(depth - 1, 0)
    confidence = np.where(answered, np.take_along_axis(answers.confidences, last[:, None], axis=1)[:, 0], 0.0)
    other = answers.alternatives != ROOT
    other_nodes = numbers_array(answers.alternatives[other])
    alternatives = pa.StructArray.from_arrays(
        [codes.take(other_nodes), labels.take(other_nodes), numbers_array(answers.alternative_confidences[other])],
        ["code", "label", "confidence"],
    )
    ranked = answers.leaves != ROOT
    empty = (answers.reasons == EMPTY).tolist()
    return pa.table(
        {
            "text": texts_array(texts),
            "code": codes.take(picked),
            "label": labels.take(picked),
            "level": numbers_array(np.where(answered, tree.levels[np.maximum(answers.nodes, 0)], 0).astype(np.int32)),
            "path": _lists(codes.take(numbers_array(answers.path[on_path])), on_path),
            "confidence": numbers_array(confidence.astype(np.float32)),
            "level_confidences": _lists(numbers_array(answers.confidences[on_path]), on_path),
            "stop_reason": texts_array(answers.reasons.tolist()),
            "ambiguous": numbers_array(answers.ambiguous),
            "alternatives": _lists(alternatives, other),
            "top_codes": _lists(codes.take(numbers_array(answers.leaves[ranked])), ranked),
            "leaf_confidence": numbers_array(answers.leaf_confidence.astype(np.float32)),
            **_validation(answers.details),
            "error_code": texts_array("empty_text" if nothing else None for nothing in empty),
            "error": texts_array("There is no text to classify." if nothing else None for nothing in empty),
        }
    )


_VALIDATION = {
    "validation_status": pa.string(),
    "validation_override_code": pa.string(),
    "validation_margin": pa.float32(),
    "validation_stability_gap": pa.float32(),
}


def _validation(details: NDArray[np.object_]) -> dict[str, pa.Array]:
    """Columns of the scoped validation; null where it was not asked for."""
    if not any(details):
        return {name: pa.nulls(len(details), type_) for name, type_ in _VALIDATION.items()}
    known = [detail or {} for detail in details]
    return {name: pa.array([detail.get(name) for detail in known], type_) for name, type_ in _VALIDATION.items()}
