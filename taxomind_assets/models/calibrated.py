"""Scores to probabilities: softmax at a temperature that makes them true (Guo et al., 2017).

The temperature is fitted on validation rows, which the classifier has not seen; a prior keeps it near the classifier's own
starting point, so a few rows cannot do harm. It changes no order, so accuracy stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Weight of the prior on the logarithm of the temperature, in rows.
_PRIOR_ROWS: Final = 5.0
_RANGE: Final = (0.01, 20.0)
#: Rows under which a unit shares the temperature of all units.
FEWEST_ROWS: Final = 50


def probabilities(scores: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """float32 [b, c]; rows add up to 1."""
    scaled = scores / np.float32(temperature)
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    found: NDArray[np.float32] = (scaled / scaled.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def fitted_temperature(scored: list[tuple[NDArray[np.float32], NDArray[np.int64]]], start: float) -> float:
    """The temperature under which known classes are least surprising.

    Args:
        scored: scores float32 [m, c] and known classes int64[m], of one or several units.
        start: temperature without any rows.
    """
    from scipy.optimize import minimize_scalar

    given = [(scores.astype(np.float64), classes) for scores, classes in scored if classes.size]
    if not given:
        return start

    def surprise(log_temperature: Any) -> float:
        total = _PRIOR_ROWS * (float(log_temperature) - np.log(start)) ** 2
        for scores, classes in given:
            scaled = scores / np.exp(log_temperature)
            scaled -= scaled.max(axis=1, keepdims=True)
            total += float((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(classes.size), classes]).sum())
        return float(total)

    found = minimize_scalar(surprise, bounds=tuple(np.log(_RANGE)), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(found.x)), 4)
