"""Which answers a person should look at first: the order in which labels are worth most.

A label is worth much where the classifier is unsure, and where many other texts are like the text: then it decides them as well
(Settles and Craven, 2008, "An analysis of active learning strategies for sequence labeling tasks", information density). Texts
like one that stands in the queue already add little, so each is worth less by its likeness to those before it (Carbonell and
Goldstein, 1998, maximal marginal relevance).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: How much of its worth a text keeps when it stands alone.
_ALONE: Final = 0.35
#: How strongly likeness to texts before it in the queue counts.
_DIVERSITY: Final = 0.85
#: Equally likely places that are as unsure as can be.
_EVEN: Final = 10


@dataclass(frozen=True)
class Ranked:
    """A place in the queue.

    Attributes:
        row: row of the texts that were given.
        value: what a label is worth (0..1), before the texts ahead of it are considered.
        uncertainty: how unsure the answer is (0..1).
        density: share of the other texts that are like it, by cosine (0..1).
    """

    row: int
    value: float
    uncertainty: float
    density: float


def uncertainty(shares: NDArray[np.float32]) -> NDArray[np.float64]:
    """How unsure b answers are, float64[b] from 0 to 1: the mean of a small margin and of an even spread.

    Args:
        shares: float32[b, c], probabilities of the c places that a text may belong to, each excluding the others; what a row
            lacks to 1 is the probability that it belongs nowhere.
    """
    nowhere = np.clip(1.0 - shares.sum(axis=1, dtype=np.float64), 0.0, 1.0)
    every = np.column_stack((shares.astype(np.float64), nowhere))
    best = np.partition(every, every.shape[1] - 2, axis=1)[:, -2:]
    spread = -np.sum(every * np.log(np.maximum(every, 1e-12)), axis=1) / np.log(_EVEN)
    found: NDArray[np.float64] = 0.5 * (1.0 - (best[:, 1] - best[:, 0])) + 0.5 * np.clip(spread, 0.0, 1.0)
    return np.clip(found, 0.0, 1.0)


def ordered(uncertain: NDArray[np.float64], vectors: NDArray[np.float32], limit: int) -> list[Ranked]:
    """The queue.

    Args:
        uncertain: float64[b], how unsure the answers are (0..1).
        vectors: float32[b, d], unit rows.
        limit: texts in the queue at most.

    Returns:
        The places, the most valuable first.
    """
    size = uncertain.size
    if not size or limit < 1:
        return []
    similar = np.clip((vectors @ vectors.T).astype(np.float64), 0.0, 1.0)
    np.fill_diagonal(similar, 0.0)
    density = similar.sum(axis=1) / max(size - 1, 1)
    # Relative to the densest, because the scale of cosines differs from one encoder to the next.
    value = uncertain * (_ALONE + (1 - _ALONE) * density / max(float(density.max()), 1e-9))
    places: list[Ranked] = []
    likeness, left = np.zeros(size), np.ones(size, np.bool_)
    for _ in range(min(limit, size)):
        worth = np.where(left, value * (1 - _DIVERSITY * likeness), -np.inf)
        row = int(worth.argmax())
        places.append(Ranked(row, float(value[row]), float(uncertain[row]), float(density[row])))
        left[row] = False
        likeness = np.maximum(likeness, similar[row])
    return places
