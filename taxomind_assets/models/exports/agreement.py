"""The gate: does an exported variant answer as the model that it was made from?

Logits of baseline and optimised graph must be those of their reference up to rounding; 8-bit weights may move probabilities a
little, and neither answers nor their quality. One text alone must be answered as in a batch. Where the two best nodes of the
reference are as good as equal, either may win.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Texts that lie at the edges: nothing to go on, one letter, other scripts, emoji, and far too long.
EDGE_TEXTS: Final = ("", "a", "?!", "42", "naïve façade", "猫が寝ている", "кошка спит", "قطة", "🐱🐱 🎉", "word " * 400)


@dataclass(frozen=True)
class Limits:
    """What a variant may differ by.

    Attributes:
        logit: largest difference of a logit; None = not asked.
        probability: mean over texts of the largest difference of a probability.
        agreement: share of the texts that get the same node, those that are as good as equal left out.
        lost: accuracy and macro F1 that may be lost.
        alone: largest difference of a probability between a text alone and the same text in a batch.
        alone_agreement: share of the texts that get the same node alone and in a batch.
    """

    logit: float | None
    probability: float
    agreement: float
    lost: float
    alone: float
    alone_agreement: float


#: Classifiers of rows, transformers, and 8 bits.
ROWS: Final = Limits(1e-4, 1e-4, 1.0, 0.0, 1e-4, 1.0)
TEXTS: Final = Limits(1e-3, 1e-3, 1.0, 0.0, 1e-4, 1.0)
INT8: Final = Limits(None, 0.02, 0.98, 0.005, 0.05, 0.99)
#: Best and second-best probability that are as good as equal.
NEAR_TIE: Final = 1e-3


@dataclass(frozen=True)
class Answers:
    """What a model says of n texts.

    Attributes:
        logits: one float32 [n, c] per classifier.
        own: float32 [n, nodes], probabilities of the nodes.
        alone: float32 [m, nodes], those of the first m texts, each asked alone.
    """

    logits: Sequence[NDArray[np.float32]]
    own: NDArray[np.float32]
    alone: NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """How far a variant is from its reference; `reasons`: what it fails by, none = it may be served.

    Attributes:
        logit: largest difference of a logit.
        probability: mean over texts of the largest difference of a probability.
        largest: largest difference of a probability.
        agreement: share of the texts with the same node, near ties left out.
        near_ties: texts whose two best nodes are as good as equal.
        alone: largest difference of a probability between a text alone and in a batch.
        alone_agreement: share of the texts with the same node alone and in a batch.
        reasons: what is over the limits.
    """

    logit: float
    probability: float
    largest: float
    agreement: float
    near_ties: int
    alone: float
    alone_agreement: float
    reasons: tuple[str, ...]


def compared(reference: Answers, variant: Answers, lost: Sequence[float], limits: Limits) -> Agreement:
    """Compare a variant with its reference.

    Args:
        reference: answers of what it was made from.
        variant: its own, of the same texts.
        lost: accuracy and macro F1 that the variant has less than the reference.
        limits: what is allowed.
    """
    logit = max((_largest(a, b) for a, b in zip(reference.logits, variant.logits, strict=True)), default=0.0)
    away = np.abs(reference.own - variant.own).max(axis=1, initial=0.0)
    tied = near_ties(reference.own)
    same, _ = _agreement(reference.own, variant.own)
    batch = variant.own[: len(variant.alone)]
    alone_same, _ = _agreement(batch, variant.alone)
    found = Agreement(
        logit, _mean(away), float(away.max(initial=0.0)), same, int(tied.sum()), _largest(batch, variant.alone), alone_same, ()
    )
    broken = not all(np.isfinite(own).all() for own in (*variant.logits, variant.own))
    reasons = ["it gives numbers that are none"] if broken else _reasons(found, max(lost, default=0.0), limits)
    return Agreement(**{**found.__dict__, "reasons": tuple(reasons)})


def near_ties(own: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Texts whose two best nodes are as good as equal, bool[n]."""
    if own.shape[1] < 2:
        return np.zeros(len(own), np.bool_)
    best = np.partition(own, -2, axis=1)[:, -2:]
    return np.asarray((best[:, 1] - best[:, 0] < NEAR_TIE) & own.any(axis=1), np.bool_)


def _reasons(found: Agreement, lost: float, limits: Limits) -> list[str]:
    over = [
        (limits.logit is not None and found.logit > limits.logit, f"logits differ by {found.logit:.2g}"),
        (found.probability > limits.probability, f"probabilities differ by {found.probability:.2g} on average"),
        (found.agreement < limits.agreement, f"{found.agreement:.2%} of the answers are the same"),
        (lost > limits.lost, f"accuracy or macro F1 falls by {100 * lost:.2f} points"),
        (found.alone > limits.alone, f"a text alone differs from a batch by {found.alone:.2g}"),
        (found.alone_agreement < limits.alone_agreement, f"{found.alone_agreement:.2%} of the answers are the same in a batch"),
    ]
    return [reason for is_over, reason in over if is_over]


def _agreement(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[float, int]:
    """Share of the rows with the same best node, near ties of the first left out, and how many rows count."""
    if not len(a):
        return 1.0, 0
    counted = ~near_ties(a)
    same = (a.argmax(axis=1) == b.argmax(axis=1))[counted]
    return _mean(same) if same.size else 1.0, int(same.size)


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if values.size else 0.0


def _largest(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a - b).max(initial=0.0))
