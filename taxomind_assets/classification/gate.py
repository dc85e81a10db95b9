"""A learned gate: at each step towards the best leaf, go on or stop.

A logistic regression per taxonomy on what a step looks like: how probable the node, its best children and the one on the path
are, how many children there are, how deep it is and how long the text is. It learns from labelled texts how far down their
known nodes lie and where the path to the best leaf goes astray. It promises no accuracy, unlike the threshold of `stopping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.calibration import masses
from taxomind_assets.classification.label_calibration import LabelledLogits, on_right_path
from taxomind_assets.classification.routing import route
from taxomind_assets.classification.stopping import GATE, NOWHERE, end_paths, stop_by_mass
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.calibration import Calibration, Masses
    from taxomind_assets.classification.decisions import Decisions
    from taxomind_assets.classification.routing import Route

#: What the gate looks at, in the order of its weights.
FEATURES: Final = (
    "parent probability",
    "probability of the child on the path",
    "probability of the best other child",
    "margin between the two",
    "gap between parent and child",
    "spread of the children",
    "level",
    "log of the number of children",
    "log of the words of the text",
)
#: Labelled texts, and steps where a path should have ended, under which there is no gate.
FEWEST_TEXTS: Final = 50
FEWEST_STOPS: Final = 10
#: Mark of stop reasons where `mass` stood in for a gate that does not exist.
NO_GATE: Final = "no_gate"
#: Probability from which the path goes on, and from which a text belongs in the taxonomy.
_LIKELY: Final = 0.5
_BLOCK: Final = 128
_ITERATIONS: Final = 1000


def step_features(tree: Taxonomy, masses: Masses, route: Route, texts: Sequence[str]) -> NDArray[np.float32]:
    """What each step of b paths looks like.

    Step i leads from the path's node i - 1 (the root for i = 0) to its node i.

    Args:
        tree: the taxonomy.
        masses: probabilities of its nodes for b texts.
        route: their paths.
        texts: b texts.

    Returns:
        float32[b, depth, f] in the order of `FEATURES`; 0 where a path has no such step.
    """
    features = np.zeros((*route.path.shape, len(FEATURES)), np.float32)
    words = np.log1p(np.fromiter((len(text.split()) for text in texts), np.float32, len(texts)))
    for step in range(route.path.shape[1]):
        rows = np.flatnonzero(route.path[:, step] != ROOT)
        if rows.size:
            features[rows, step] = _features_at(tree, masses, route.path[rows], rows, step=step, words=words[rows])
    return features


def _features_at(
    tree: Taxonomy,
    masses: Masses,
    path: NDArray[np.int32],
    rows: NDArray[np.int64],
    *,
    step: int,
    words: NDArray[np.float32],
) -> NDArray[np.float32]:
    """float32[r, f]: features of one step of the texts `rows` int64[r], all of which take it."""
    parents = path[:, step - 1] if step else np.full(rows.size, ROOT, np.int32)
    parent = masses.of(parents, rows) if step else masses.belongs[rows]
    level = tree.levels[parents] if step else np.zeros(rows.size, np.int32)
    starts, members = tree.children
    counts = (starts[parents + 2] - starts[parents + 1]).astype(np.int64)
    first = np.concatenate(([0], np.cumsum(counts)[:-1]))  # place of each text's children in one long list
    owner = np.repeat(np.arange(rows.size), counts)
    children = members[np.arange(owner.size) - first[owner] + starts[parents + 1][owner]]
    values = masses.of(children, rows[owner])
    best = masses.of(path[:, step], rows)
    spread = np.maximum.reduceat(values, first) - np.minimum.reduceat(values, first)
    others = np.maximum.reduceat(np.where(children == path[owner, step], 0, values), first)
    columns = [parent, best, others, best - others, parent - best, spread, level, np.log1p(counts), words]
    return np.stack(columns, axis=1).astype(np.float32)


def fit_gate(
    tree: Taxonomy, labelled: LabelledLogits, texts: Sequence[str], calibration: Calibration
) -> tuple[float, ...] | None:
    """Fit the gate of a taxonomy.

    A path goes on while its next node is a known node of the text or above one. It should have ended at the first step that
    does not: at the deepest known node, when that has children, or where the path leaves the right way. Steps after that
    teach nothing. Every level has the same weight, so the many steps at the top do not outvote those below.

    Args:
        tree: the taxonomy.
        labelled: b scored texts with known nodes.
        texts: the b texts themselves.
        calibration: the numbers that make probabilities of their scores.

    Returns:
        Intercept and weights, 1 + f numbers; None with fewer than `FEWEST_TEXTS` texts or `FEWEST_STOPS` stops.
    """
    if len(labelled) < FEWEST_TEXTS:
        return None
    features, goes_on, level = _labelled_steps(tree, labelled, texts, calibration)
    stops = int((~goes_on).sum())
    if stops < FEWEST_STOPS or stops == goes_on.size:
        return None
    from sklearn.linear_model import LogisticRegression

    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1
    steps = np.bincount(level)
    weights = goes_on.size / (np.count_nonzero(steps) * steps[level])
    model = LogisticRegression(max_iter=_ITERATIONS).fit((features - mean) / scale, goes_on, sample_weight=weights)
    slopes = model.coef_[0] / scale
    return (float(model.intercept_[0] - slopes @ mean), *slopes.tolist())


def _labelled_steps(
    tree: Taxonomy, labelled: LabelledLogits, texts: Sequence[str], calibration: Calibration
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """(float64[s, f] features, bool[s] whether the path goes on, int64[s] number of the step) of all steps that teach."""
    features, goes_on, level = [], [], []
    for start in range(0, len(labelled), _BLOCK):
        columns = np.arange(start, min(start + _BLOCK, len(labelled)))
        part = labelled.take(columns)
        mass = masses(tree, part.logits.copy(), calibration, part.trusted)
        found = route(tree, mass, 1)
        right = on_right_path(tree, found.path, part.gold)
        before: NDArray[np.int64] = np.cumsum(right, axis=1) - right  # right nodes before this one
        teaches = (found.path != ROOT) & (before == np.arange(right.shape[1]))
        features.append(step_features(tree, mass, found, texts[start : start + _BLOCK])[teaches])
        goes_on.append(right[teaches])
        level.append(np.nonzero(teaches)[1])
    return np.concatenate(features).astype(np.float64), np.concatenate(goes_on), np.concatenate(level)


def stop_by_gate(
    tree: Taxonomy,
    masses: Masses,
    route: Route,
    texts: Sequence[str],
    gate: tuple[float, ...],
    *,
    max_depth: int | None = None,
    alternatives: int = 3,
) -> Decisions:
    """Follow each path as long as the gate says so.

    The labelled texts all belong in the taxonomy, so the gate knows nothing of those that do not: a text that more likely
    belongs nowhere gets no answer.

    Args:
        gate: intercept and weights, see `fit_gate`.
        max_depth: deepest level (the node's own level) of an answer; None = no limit.
    """
    odds = step_features(tree, masses, route, texts) @ np.array(gate[1:]) + gate[0]
    # Odds of 1 to 1 and above are a probability of a half and above.
    goes_on = (route.path != ROOT) & (odds >= 0) & (masses.belongs >= _LIKELY)[:, None]
    depth = np.logical_and.accumulate(goes_on, axis=1).sum(axis=1)
    return end_paths(tree, masses, route, depth, GATE, max_depth=max_depth, alternatives=alternatives)


def decide_by_gate(
    tree: Taxonomy,
    masses: Masses,
    route: Route,
    texts: Sequence[str],
    *,
    calibration: Calibration,
    threshold: float,
    max_depth: int | None = None,
    alternatives: int = 3,
) -> Decisions:
    """`stop_by_gate`, or `stop_by_mass` where labels were too few for a gate; the stop reasons then say so."""
    if calibration.gate is not None:
        return stop_by_gate(tree, masses, route, texts, calibration.gate, max_depth=max_depth, alternatives=alternatives)
    found = stop_by_mass(tree, masses, route, threshold, max_depth=max_depth, alternatives=alternatives)
    # A text that belongs nowhere would get no answer from a gate either.
    marked = [reason if reason == NOWHERE else f"{reason}|{NO_GATE}" for reason in found.reasons.tolist()]
    reasons = np.empty(len(marked), object)
    reasons[:] = marked
    return replace(found, reasons=reasons)
