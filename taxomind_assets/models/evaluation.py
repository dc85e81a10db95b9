"""How good a model is on texts with known codes: shares, F1 per code, calibration, coverage, and the measures of a tree.

What a tree needs comes from `reports` (the same code as the error report); what a flat classifier is judged by as well is
counted here. All measures compare codes; a text without an answer counts as wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.reports.curves import calibration_bin
from taxomind_assets.reports.estimates import estimate
from taxomind_assets.reports.intervals import wilson
from taxomind_assets.reports.judged import Judged, outcome_of, shared_depth
from taxomind_assets.taxonomy.tree import Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.models.pipeline import Predictions

RANKED: Final = 20
_TOP: Final = (3, 5)
#: Smallest probability that a known code is taken to have; a logarithm needs one.
_SMALLEST: Final = 1e-6
#: Measures of `reports.definitions` that say something of a model's single answer, and their names here.
_OF_THE_TREE: Final[Mapping[str, str]] = {
    "hP": "hP",
    "hR": "hR",
    "hF1": "hF1",
    "root_accuracy": "root_accuracy",
    "hierarchical_distance": "hierarchical_distance",
    "ece": "ece",
    "aurc": "aurc",
    "cover_90": "cover_90",
    "cover_95": "cover_95",
}
MEASURES: Final[Mapping[str, str]] = {
    "accuracy": "share of the texts whose answer is the known code",
    "macro_precision": "precision of each code, mean over codes that occur or are answered",
    "macro_recall": "recall of each code, the same mean",
    "macro_f1": "F1 of each code, the same mean",
    "weighted_precision": "precision of each code, mean over texts",
    "weighted_recall": "recall of each code, mean over texts",
    "weighted_f1": "F1 of each code, mean over texts",
    "micro_f1": "F1 over all decisions; with one code for each text it is the accuracy",
    "log_loss": "mean of -log of the probability of the known code",
    "brier": "mean squared distance between probabilities and the truth, over all codes",
    "top_3": "known code among the three most probable",
    "top_5": "known code among the five most probable",
    "hP": "hierarchical precision over node-and-ancestor sets",
    "hR": "hierarchical recall over node-and-ancestor sets",
    "hF1": "harmonic mean of hP and hR",
    "root_accuracy": "right top node",
    "hierarchical_distance": "edges between answer and known code",
    "ece": "calibration error of the confidence (15 bins)",
    "aurc": "area under the risk-coverage curve",
    "cover_90": "share of texts that can be answered at 90 % accuracy",
    "cover_95": "share of texts that can be answered at 95 % accuracy",
    "majority": "accuracy of always giving the most frequent code",
}


@dataclass(frozen=True)
class Measure:
    """A figure with its 95 % interval; None where there is none. `n`: texts it was measured on."""

    metric: str
    value: float | None
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """A model judged on n texts.

    Attributes:
        measures: by name, as `MEASURES`.
        classes: rows of `models.class_scores` (code, precision, recall, f1, support, answered).
        confusions: rows of `models.confusions` (right_code, wrong_code, texts), the most frequent first.
        bins: 15 bins of the confidence: (n, mean confidence, share right).
        answers: int64[n], positions of the answers; -1 = none.
        confidence: float32[n].
    """

    measures: dict[str, Measure]
    classes: list[dict[str, Any]]
    confusions: list[dict[str, Any]]
    bins: list[tuple[int, float, float]]
    answers: NDArray[np.int64]
    confidence: NDArray[np.float32]

    def value(self, metric: str) -> float | None:
        """One figure."""
        return self.measures[metric].value


def evaluate(tree: Taxonomy, predictions: Predictions, targets: NDArray[np.int64], *, resamples: int = 500) -> Evaluation:
    """Judge a model's answers.

    Args:
        tree: the taxonomy that `targets` belong to; answers are looked up in it by code.
        predictions: of n texts, at least one.
        targets: int64[n], positions of the known codes.
        resamples: resamples of the bootstrap for measures that are no shares; 0 = those get no intervals.
    """
    own = on_tree(tree, predictions)
    answered = own.any(axis=1)
    answers = np.where(answered, own.argmax(axis=1), -1).astype(np.int64)
    confidence = own.max(axis=1, initial=0.0).astype(np.float32)
    ranks = _ranks(own, targets)
    n = targets.size
    right = answers == targets
    classes = class_scores(tree, targets, answers)
    found = [_share("accuracy", right), *_means(classes, n), Measure("micro_f1", float(right.mean()), n)]
    found += [_share(f"top_{places}", ranks <= places) for places in _TOP]
    known = own[np.arange(n), targets].astype(np.float64)
    found.append(Measure("log_loss", float(-np.log(np.maximum(known, _SMALLEST)).mean()), n))
    found.append(Measure("brier", float((np.square(own, dtype=np.float64).sum(axis=1) - 2 * known + 1).mean()), n))
    found.append(_share("majority", targets == np.bincount(targets).argmax()))
    found += _tree_measures(tree, own, targets, answers, ranks=ranks, resamples=resamples)
    return Evaluation(
        {measure.metric: measure for measure in found},
        classes,
        _confusions(tree, targets, answers),
        _bins(confidence, right),
        answers,
        confidence,
    )


def on_tree(tree: Taxonomy, predictions: Predictions) -> NDArray[np.float32]:
    """Probabilities by the nodes of another edition, by code: float32 [b, nodes]. What codes it lost had goes to no node."""
    if predictions.tree.codes == tree.codes:
        return predictions.own
    place = np.array([tree.position.get(code, -1) for code in predictions.tree.codes], np.int64)
    own = np.zeros((predictions.own.shape[0], len(tree)), np.float32)
    own[:, place[place >= 0]] = predictions.own[:, place >= 0]
    return own


def class_scores(tree: Taxonomy, targets: NDArray[np.int64], answers: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each code that occurs or is answered; what would be 0 / 0 is 0."""
    n = len(tree)
    support = np.bincount(targets, minlength=n)
    given = np.bincount(answers[answers >= 0], minlength=n)
    hits = np.bincount(targets[answers == targets], minlength=n)
    rows = []
    for node in np.flatnonzero(support + given).tolist():
        precision, recall = hits[node] / max(given[node], 1), hits[node] / max(support[node], 1)
        rows.append(
            {
                "code": tree.codes[node],
                "label": tree.nodes[node].label,
                "precision": float(precision),
                "recall": float(recall),
                "f1": float(2 * hits[node] / max(given[node] + support[node], 1)),
                "support": int(support[node]),
                "answered": int(given[node]),
            }
        )
    return rows


def data_digest(pairs: Iterable[tuple[str, str]]) -> str:
    """16 hex digits over texts (as hashes) with their codes, whatever their order: equal = the same rows."""
    digest = hashlib.sha256()
    for text, code in sorted(pairs):
        digest.update(f"{text}\t{code}\n".encode())
    return digest.hexdigest()[:16]


def _share(metric: str, hits: NDArray[np.bool_]) -> Measure:
    low, high = wilson(hits.sum(), hits.size)
    return Measure(metric, float(hits.mean()), int(hits.size), float(low), float(high))


def _means(classes: list[dict[str, Any]], n: int) -> list[Measure]:
    support = np.array([row["support"] for row in classes], np.float64)
    found = []
    for name in ("precision", "recall", "f1"):
        values = np.array([row[name] for row in classes])
        found.append(Measure(f"macro_{name}", float(values.mean()), n))
        found.append(Measure(f"weighted_{name}", float(values @ support / support.sum()), n))
    return found


def _ranks(own: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of the known code among all, from 1; of equal ones the first in the taxonomy comes first. No answer = last."""
    mine = own[np.arange(targets.size), targets][:, None]
    before = (own > mine) | ((own == mine) & (np.arange(own.shape[1]) < targets[:, None]))
    ranks = before.sum(axis=1) + 1
    return np.asarray(np.where(mine[:, 0] > 0, ranks, own.shape[1] + 1), np.int64)


def _tree_measures(
    tree: Taxonomy,
    own: NDArray[np.float32],
    targets: NDArray[np.int64],
    answers: NDArray[np.int64],
    *,
    ranks: NDArray[np.int64],
    resamples: int,
) -> list[Measure]:
    target, answer = targets.astype(np.int32), answers.astype(np.int32)
    shared = shared_depth(tree, target, answer)
    leaves = own * tree.is_leaf
    has_leaf = np.asarray(leaves.any(axis=1), np.bool_)
    judged = Judged(
        target=target,
        answer=answer,
        shared=shared,
        outcome=outcome_of(tree, target, answer, shared),
        confidence=own.max(axis=1, initial=0.0).astype(np.float64),
        leaf_confidence=leaves.max(axis=1, initial=0.0).astype(np.float64),
        has_leaf=has_leaf,
        leaf_right=has_leaf & (leaves.argmax(axis=1) == targets),
        place=np.where(ranks <= RANKED, ranks, 0).astype(np.int32),
        ambiguous=np.zeros(targets.size, np.bool_),
    )
    found = estimate(tree, judged, resamples=resamples)
    return [
        Measure(name, item.value, item.n, item.low, item.high)
        for own_name, name in _OF_THE_TREE.items()
        if (item := found.get((own_name, None))) is not None
    ]


def _confusions(tree: Taxonomy, targets: NDArray[np.int64], answers: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Pairs of a known code and a wrong answer."""
    wrong = np.flatnonzero((answers != targets) & (answers >= 0))
    pairs, counts = np.unique(np.stack([targets[wrong], answers[wrong]], axis=1), axis=0, return_counts=True)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -counts))
    return [
        {"right_code": tree.codes[pairs[i, 0]], "wrong_code": tree.codes[pairs[i, 1]], "texts": int(counts[i])}
        for i in order.tolist()
    ]


def _bins(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> list[tuple[int, float, float]]:
    places = calibration_bin(confidence.astype(np.float64))
    n = np.bincount(places, minlength=15)
    mean = np.bincount(places, confidence, 15) / np.maximum(n, 1)
    share = np.bincount(places, right, 15) / np.maximum(n, 1)
    return list(zip(n.tolist(), mean.tolist(), share.tolist(), strict=True))
