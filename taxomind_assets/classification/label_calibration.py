"""Calibration with labels: a temperature that makes confidences true, and a threshold that keeps a promised accuracy.

The labelled texts are parted by a hash of the text. One part fits the temperatures, with the taxonomy's own calibration as
prior, so few labels cannot do harm. The other part, used for nothing else, finds the threshold: from the highest downwards,
thresholds are accepted as long as the Clopper-Pearson lower bound of the accuracy among the answered texts reaches the target
(fixed-sequence testing; Angelopoulos et al., 2021, "Learn then test"). The promise then holds for texts of the same kind with
the stated confidence, whatever the scores are worth; worse scores only answer fewer texts or stop higher up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.calibration import Calibration, masses
from taxomind_assets.classification.routing import route
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from taxomind_assets.classification.scoring import Scorer

#: Probability that the promise holds (one-sided).
CONFIDENCE: Final = 0.90
#: Targets for which a threshold is sought beside the one that is set, so that another target needs no new fit.
TARGETS: Final = (0.8, 0.85, 0.9, 0.95)
#: Share of the labelled texts that fits two temperatures; the threshold needs most of them to prove anything.
TEMPERATURE_SHARE: Final = 0.25
#: Weight of the prior on the logarithm of a temperature, in texts: with as many labelled texts both count the same.
_PRIOR_TEXTS: Final = 30.0
_TEMPERATURES: Final = (0.1, 5.0)
#: Weight of the prior on the curve, and the least slope at either end.
_CURVE_PRIOR: Final = 3.0
_LEAST_SLOPE: Final = 0.05
_SMALLEST_CHANCE: Final = 1e-6
#: Errors that the first test can bear at least.
_ERRORS: Final = 3
_BLOCK: Final = 128
_CANDIDATES: Final = 400


@dataclass(frozen=True)
class LabelledLogits:
    """Scored texts with known nodes.

    Attributes:
        logits: float32[n, b].
        trusted: float32[b], how far the encoder is trusted with each text.
        gold: b lists of right nodes (positions); internal nodes allowed.
    """

    logits: NDArray[np.float32]
    trusted: NDArray[np.float32]
    gold: Sequence[Sequence[int]]

    def take(self, columns: NDArray[np.int64]) -> LabelledLogits:
        """Some of the texts."""
        return LabelledLogits(self.logits[:, columns], self.trusted[columns], [self.gold[i] for i in columns.tolist()])

    def __len__(self) -> int:
        """Number of texts."""
        return int(self.trusted.size)


def score_labelled(
    scorer: Scorer, texts: Sequence[str], vectors: NDArray[np.float32], gold: Sequence[Sequence[int]]
) -> LabelledLogits:
    """Logits of labelled texts, in blocks."""
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(texts), _BLOCK)]
    trusted = scorer.trust.of(texts)
    logits = [scorer.logits(scorer.query(vectors[block], texts[block], trusted[block])) for block in blocks]
    return LabelledLogits(np.concatenate(logits, axis=1), trusted, gold)


def text_share(text: str, salt: str) -> float:
    """0 <= share < 1 by a hash of the normalised text: equal texts are never on two sides of a split."""
    return int.from_bytes(hashlib.sha256(f"{salt}|{normalise(text)}".encode()).digest()[:8], "big") / 2**64


def calibrate(
    tree: Taxonomy,
    labelled: LabelledLogits,
    *,
    for_temperature: NDArray[np.bool_],
    prior: Calibration,
    accuracy_target: float,
    nowhere_energy: Callable[[Calibration], tuple[float, float] | None],
) -> Calibration:
    """Fit temperatures on some of the texts and the threshold on the others.

    Args:
        tree: the taxonomy, n nodes.
        labelled: b scored texts.
        for_temperature: bool[b], texts that fit the temperatures (see `TEMPERATURE_SHARE` and `text_share`).
        prior: the calibration without labels.
        accuracy_target: share of answered texts whose answer must be the right node or above it.
        nowhere_energy: the energies of `Calibration.nowhere_energy` under new temperatures.

    Returns:
        The calibration; `proven` only when a threshold for the target passed the test. Thresholds for `TARGETS` come along,
        each with the stated confidence by itself.
    """
    fitted = replace(
        prior, temperature=fit_temperatures(tree, labelled.take(np.flatnonzero(for_temperature)), prior.temperature)
    )
    fitted = replace(fitted, nowhere_energy=nowhere_energy(fitted))
    fitted = replace(fitted, curve=fit_curve(tree, labelled.take(np.flatnonzero(for_temperature)), fitted))
    rest = labelled.take(np.flatnonzero(~for_temperature))
    wanted = sorted({*TARGETS, accuracy_target})
    shown = dict(zip(wanted, promised_thresholds(tree, rest, fitted, wanted), strict=True))
    threshold = shown.pop(accuracy_target)
    further = tuple((target, found) for target, found in shown.items() if found is not None)
    fitted = replace(fitted, thresholds=further)
    if threshold is None:
        return replace(fitted, threshold=None, proven=False)
    return replace(fitted, threshold=threshold, accuracy_target=accuracy_target, proven=True)


def fit_curve(tree: Taxonomy, labelled: LabelledLogits, calibration: Calibration) -> tuple[float, ...] | None:
    """The curve under which the probabilities of path nodes are how often they are right; None without texts.

    Maximum a posteriori with no change as prior; every text counts once, however long its path. Each depth has an offset of
    its own, since upper levels may be right more often than they say where leaves are less; what a path says never rises.
    """
    from scipy.optimize import minimize

    if not len(labelled):
        return None
    path, chances = _paths(tree, labelled, replace(calibration, curve=None))
    right = on_right_path(tree, path, labelled.gold)
    on_path = path != ROOT
    weights = (on_path / on_path.sum(axis=1, keepdims=True))[on_path]
    hits, kept = right[on_path], np.clip(chances[on_path].astype(np.float64), _SMALLEST_CHANCE, 1 - _SMALLEST_CHANCE)
    depths = np.broadcast_to(np.arange(path.shape[1]), path.shape)[on_path]
    design = np.column_stack((np.log(kept), -np.log1p(-kept), np.eye(path.shape[1])[depths]))
    start = np.array([1.0, 1.0, *np.zeros(path.shape[1])])

    def surprise(curve: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = design @ curve
        away = curve - start
        lost = weights @ np.logaddexp(0, np.where(hits, -odds, odds)) + _CURVE_PRIOR * (away @ away)
        pull = weights * (1 / (1 + np.exp(-odds)) - hits)
        return float(lost), design.T @ pull + 2 * _CURVE_PRIOR * away

    bounds = [(_LEAST_SLOPE, None)] * 2 + [(None, None)] * path.shape[1]  # slopes over 0: the curve never falls
    found = minimize(surprise, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return tuple(round(float(number), 4) for number in found)


def fit_temperatures(tree: Taxonomy, labelled: LabelledLogits, prior: tuple[float, float]) -> tuple[float, float]:
    """Temperatures under which the known leaves are most likely, without and with the encoder trusted."""
    leaves = tree.is_leaf
    place = np.cumsum(leaves) - 1
    known = np.array([i for i, nodes in enumerate(labelled.gold) if any(leaves[node] for node in nodes)], np.int64)
    found = []
    for mode in (0, 1):
        columns = known[(labelled.trusted[known] >= 0.5) == bool(mode)]
        gold = [[int(place[node]) for node in labelled.gold[i] if leaves[node]] for i in columns.tolist()]
        found.append(fit_temperature(labelled.logits[leaves][:, columns], gold, prior[mode]))
    return found[0], found[1]


def fit_temperature(scores: NDArray[np.float32], gold: Sequence[Sequence[int]], prior: float) -> float:
    """Temperature of leaf scores float32[k, b] by maximum a posteriori; the prior is log-normal around `prior`."""
    from scipy.optimize import minimize_scalar

    if not gold:
        return prior
    right = np.zeros(scores.shape, np.bool_)
    for column, places in enumerate(gold):
        right[places, column] = True

    def surprise(log_temperature: float) -> float:
        scaled = scores / np.float32(np.exp(log_temperature))
        weights = np.exp(scaled - scaled.max(axis=0))
        likely = np.maximum((weights * right).sum(axis=0) / weights.sum(axis=0), 1e-12)
        return float(-np.log(likely).sum() + _PRIOR_TEXTS * (log_temperature - np.log(prior)) ** 2)

    low, high = np.log(_TEMPERATURES).tolist()
    return round(float(np.exp(minimize_scalar(surprise, bounds=(low, high), method="bounded").x)), 4)


def promised_threshold(
    tree: Taxonomy, labelled: LabelledLogits, calibration: Calibration, accuracy_target: float, confidence: float = CONFIDENCE
) -> float | None:
    """`promised_thresholds` for one target."""
    return promised_thresholds(tree, labelled, calibration, [accuracy_target], confidence)[0]


def promised_thresholds(
    tree: Taxonomy,
    labelled: LabelledLogits,
    calibration: Calibration,
    accuracy_targets: Sequence[float],
    confidence: float = CONFIDENCE,
) -> list[float | None]:
    """Lowest thresholds under which the answered texts are right (or above the right node) often enough; None = none is.

    Args:
        labelled: texts that were used for nothing else.
        accuracy_targets: shares of answered texts to be right.
        confidence: one-sided probability that a share is reached.
    """
    if not len(labelled):
        return [None] * len(accuracy_targets)
    path, confidences = _paths(tree, labelled, calibration)
    right = on_right_path(tree, path, labelled.gold)
    thresholds = np.unique(confidences[path != ROOT])[::-1]
    if thresholds.size > _CANDIDATES:
        thresholds = thresholds[np.linspace(0, thresholds.size - 1, _CANDIDATES).astype(np.int64)]
    found = []
    for threshold in thresholds.tolist():
        depth = ((path != ROOT) & (confidences >= threshold)).sum(axis=1)
        hits = (depth > 0) & np.take_along_axis(right, np.maximum(depth - 1, 0)[:, None], axis=1)[:, 0]
        found.append((threshold, int(hits.sum()), int((depth > 0).sum())))
    return [_lowest(found, target, confidence) for target in accuracy_targets]


def _lowest(found: Sequence[tuple[float, int, int]], accuracy_target: float, confidence: float) -> float | None:
    """The last of the (threshold, right answers, answers), from the highest threshold downwards, before one fails the test."""
    first = fewest_answers(accuracy_target, confidence)
    lowest = None
    for threshold, hits, answered in found:
        if answered < first:
            continue
        if lower_bound(hits, answered, confidence) < accuracy_target:
            break
        lowest = threshold
    return None if lowest is None else round(float(lowest), 6)


def _paths(tree: Taxonomy, labelled: LabelledLogits, calibration: Calibration) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    paths, confidences = [], []
    for start in range(0, len(labelled), _BLOCK):
        part = labelled.take(np.arange(start, min(start + _BLOCK, len(labelled))))
        found = route(tree, masses(tree, part.logits.copy(), calibration, part.trusted), 1)
        paths.append(found.path)
        confidences.append(found.confidences)
    return np.concatenate(paths), np.concatenate(confidences)


def on_right_path(tree: Taxonomy, path: NDArray[np.int32], gold: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """bool[b, depth]: the path node is a known node of the text or above one."""
    right = np.zeros(path.shape, np.bool_)
    for row, nodes in enumerate(gold):
        for node in nodes:
            above = tree.paths[node]
            right[row] |= np.isin(path[row], above[above != ROOT])
    return right


@lru_cache(maxsize=64)
def fewest_answers(accuracy_target: float, confidence: float) -> int:
    """Answers from which the sequence of tests begins: as many as pass with half of the errors that the target allows.

    A shorter record would fail by a single error and end the sequence. The number depends on no label, so the tests stay valid.
    """
    answers = ceil(2 * _ERRORS / (1 - accuracy_target))
    while lower_bound(answers - round(answers * (1 - accuracy_target) / 2), answers, confidence) < accuracy_target:
        answers += 1
    return answers


def lower_bound(hits: int, trials: int, confidence: float) -> float:
    """One-sided Clopper-Pearson lower bound of a share (Clopper and Pearson, 1934); 0 without trials."""
    from scipy.stats import beta

    return 0.0 if hits == 0 else float(beta.ppf(1 - confidence, hits, trials - hits + 1))
