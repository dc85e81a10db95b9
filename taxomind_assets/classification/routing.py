"""From probabilities to a path: best leaves, the way down to them, and what competes at each step.

Decisions follow the summed probability, never a greedy descent on the texts of internal nodes, which loses half of the
accuracy (measured). The path to the best leaf is the route; the runner-up beside each of its nodes explains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.calibration import Masses


@dataclass(frozen=True)
class Route:
    """Routes of b texts.

    Attributes:
        leaves: int32[b, k], best leaves, best first, padded with `ROOT`.
        leaf_probabilities: float32[b, k].
        path: int32[b, depth], nodes down to the best leaf, padded with `ROOT`.
        confidences: float32[b, depth], probability of each path node; never rising.
    """

    leaves: NDArray[np.int32]
    leaf_probabilities: NDArray[np.float32]
    path: NDArray[np.int32]
    confidences: NDArray[np.float32]


def best_leaves(tree: Taxonomy, logits: NDArray[np.float32], k: int) -> NDArray[np.int32]:
    """The k leaves with the highest logits for each text, int32[b, k]; ties go to the earlier leaf in preorder.

    Neighbouring leaves are taken together, as many as let the k best groups hold about as many leaves as there are groups:
    the k best leaves are all in the k groups with the best leaves, so only those are looked through.
    """
    leaves = np.flatnonzero(tree.is_leaf).astype(np.int32)
    k = min(k, leaves.size)
    size = max(1, isqrt(leaves.size // max(k, 1)))
    groups, b = -(-leaves.size // size), logits.shape[1]
    scores = np.full((groups * size, b), -np.inf, np.float32)
    scores[: leaves.size] = logits[leaves]
    best = np.sort(_largest(scores.reshape(groups, size, b).max(axis=1).T, k), axis=1)
    members = (best[:, :, None] * size + np.arange(size)).reshape(b, k * size)
    picked = _largest(scores[members, np.arange(b)[:, None]], k)
    found: NDArray[np.int32] = leaves[np.take_along_axis(members, picked, axis=1)]
    return found


def _largest(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Places of the k largest numbers of each row, int64[b, k], the largest first; of equal ones the first."""
    width = scores.shape[1]
    if k >= width:
        return np.argsort(-scores, axis=1, kind="stable")
    scores = np.ascontiguousarray(scores)
    top = np.argpartition(scores, width - k, axis=1)[:, width - k :]
    top.sort(axis=1)  # in order of their places, so that the stable sort below breaks ties by it
    values = np.take_along_axis(scores, top, axis=1)
    # A partition keeps any of those that tie for the last place.
    tied = np.flatnonzero((scores >= values.min(axis=1, keepdims=True)).sum(axis=1) > k)
    if tied.size:
        top[tied] = np.sort(np.argsort(-scores[tied], axis=1, kind="stable")[:, :k], axis=1)
        values[tied] = np.take_along_axis(scores[tied], top[tied], axis=1)
    return np.take_along_axis(top, np.argsort(-values, axis=1, kind="stable"), axis=1)


def route(tree: Taxonomy, masses: Masses, k: int) -> Route:
    """Route b texts and keep their k best leaves."""
    leaves = best_leaves(tree, masses.logits, k)
    path = tree.paths[leaves[:, 0]]
    confidences = np.minimum.accumulate(masses.of(path), axis=1)
    return Route(leaves, masses.of(leaves), path, np.where(path == ROOT, 0.0, confidences).astype(np.float32))


def competitors(
    tree: Taxonomy, masses: Masses, route_: Route, stops: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Next best nodes at the stop, best first.

    Below an internal stop (or the root): its children; at a leaf: the other best leaves. They are looked for among the
    ancestors of the best leaves, which hold all but a negligible share of the probability.

    Args:
        stops: int32[b], node where each path ends, `ROOT` = no answer.
        count: nodes wanted.

    Returns:
        (int32[b, count] padded with `ROOT`, float32[b, count] their probabilities beside the stops).
    """
    b = stops.size
    if count == 0 or not b:
        return np.full((b, count), ROOT, np.int32), np.zeros((b, count), np.float32)
    depth = np.where(stops == ROOT, 0, tree.depths[np.maximum(stops, 0)])
    at_leaf = (stops != ROOT) & tree.is_leaf[np.maximum(stops, 0)]
    below = tree.paths[route_.leaves, np.minimum(depth, tree.depth - 1)[:, None]]
    under = (stops[:, None] == ROOT) | (tree.parents[np.maximum(below, 0)] == stops[:, None])
    found = np.where(at_leaf[:, None], route_.leaves, np.where(under, below, ROOT))
    found = np.where(found == stops[:, None], ROOT, found)
    # The same child stands under several leaves: keep its first appearance only.
    order = np.argsort(found, axis=1, kind="stable")
    ordered = np.take_along_axis(found, order, axis=1)
    repeated = np.zeros_like(ordered, np.bool_)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    ordered = np.where(repeated, ROOT, ordered)
    values = masses.beside(stops, ordered)
    best = np.argsort(-values, axis=1, kind="stable")[:, :count]
    nodes, values = np.take_along_axis(ordered, best, axis=1), np.take_along_axis(values, best, axis=1)
    if nodes.shape[1] == count:
        return nodes.astype(np.int32), values
    padding = (0, 0), (0, count - nodes.shape[1])
    return np.pad(nodes, padding, constant_values=ROOT).astype(np.int32), np.pad(values, padding)
