"""Whether the texts of today are those of yesterday: answers by period, set against the first ones.

The population stability index compares the shares of the top nodes (and of no answer) in a period with those of the first
period: below 0.1 it says little, above 0.25 much (Siddiqi, 2006, "Credit risk scorecards"). Shares are smoothed by half a text,
so that an empty cell is no infinity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_ANSWER: Final = ""
#: Texts of a period below which its figures are noise.
FEWEST_TEXTS: Final = 20


@dataclass(frozen=True)
class Counted:
    """Answers of one period under one top node; `code` '' = no answer. `confidence`: sum over the answers."""

    period: str
    code: str
    answers: int
    confidence: float


@dataclass(frozen=True)
class Period:
    """What the answers of a period were like.

    Attributes:
        period: its name, for example a day as an ISO date.
        texts: texts that were answered or not.
        answered: share with an answer (0..1).
        confidence: mean confidence of the answers (0..1); None = there is none.
        stability: population stability index against the first period with enough texts; None = too few texts.
    """

    period: str
    texts: int
    answered: float
    confidence: float | None
    stability: float | None


def drift(counted: Iterable[Counted]) -> list[Period]:
    """Figures of all periods, in order of their names."""
    rows = list(counted)
    periods, codes = sorted({row.period for row in rows}), sorted({row.code for row in rows})
    table, confidence = np.zeros((len(periods), len(codes))), np.zeros(len(periods))
    for row in rows:
        table[periods.index(row.period), codes.index(row.code)] += row.answers
        confidence[periods.index(row.period)] += row.confidence
    stable = _stability(table)
    found = []
    for place, name in enumerate(periods):
        texts = int(table[place].sum())
        answers = texts - int(table[place, codes.index(NO_ANSWER)] if NO_ANSWER in codes else 0)
        mean = float(confidence[place] / answers) if answers else None
        found.append(Period(name, texts, answers / max(texts, 1), mean, stable[place]))
    return found


def _stability(table: NDArray[np.float64]) -> Sequence[float | None]:
    sizes = table.sum(axis=1)
    enough = np.flatnonzero(sizes >= FEWEST_TEXTS)
    if not enough.size:
        return [None] * len(sizes)
    shares = (table + 0.5) / (sizes[:, None] + 0.5 * table.shape[1])
    first = shares[enough[0]]
    index = ((shares - first) * np.log(shares / first)).sum(axis=1)
    return [float(value) if size >= FEWEST_TEXTS else None for value, size in zip(index, sizes, strict=True)]
