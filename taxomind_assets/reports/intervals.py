"""How sure a figure is: 95 % intervals for shares and for everything else, vectorised.

Shares have a closed form (Wilson). Means, F1, area and calibration measures are functions of sums over texts, so one
bootstrap of those sums serves them all: a resample is a vector of counts, its sums are one matrix product.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array

CONFIDENCE_LEVEL = 0.95
RESAMPLES = 500
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE_LEVEL / 2)
_CHUNK = 50  # resamples handled at once: 50 x 100,000 counts are 40 MB


def wilson(hits: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % score interval of a share (Wilson 1927, without continuity correction).

    Args:
        hits: successes, any shape.
        n: trials, same shape; 0 gives the interval 0..1.

    Returns:
        (low, high), float64 of the same shape, within 0..1.
    """
    hits, n = np.asarray(hits, np.float64), np.asarray(n, np.float64)
    trials = np.maximum(n, 1)
    share = hits / trials
    scale = 1 + _Z**2 / trials
    centre = (share + _Z**2 / (2 * trials)) / scale
    half = _Z / scale * np.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    # At 0 and at n hits the exact ends are 0 and 1; the arithmetic misses them by a rounding error.
    low = np.where((n == 0) | (hits == 0), 0.0, np.clip(centre - half, 0, 1))
    high = np.where((n == 0) | (hits == n), 1.0, np.clip(centre + half, 0, 1))
    return low, high


def bootstrap_sums(features: csr_array, *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Column sums of `features` in resamples of its rows, drawn with replacement (Efron 1979).

    Args:
        features: [texts, columns]; at least one row.
        resamples: number of resamples.
        seed: the same seed gives the same sums.

    Returns:
        float64[resamples, columns].
    """
    texts = features.shape[0]
    generator = np.random.default_rng(seed)
    transposed = features.T.tocsr()
    parts = []
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        counts = np.empty((texts, size), np.float64)
        for column in range(size):
            drawn = generator.integers(0, texts, texts, dtype=np.int32)
            counts[:, column] = np.bincount(drawn, minlength=texts)
        parts.append((transposed @ counts).T)
    return np.concatenate(parts)


def percentile_interval(
    value: float, resampled: NDArray[np.float64], *, lowest: float = 0.0, highest: float = 1.0
) -> tuple[float, float]:
    """95 % percentile interval, moved so that the resamples are centred at the estimate.

    Resamples repeat texts, which lowers macro F1 and raises the calibration error; without the shift their intervals
    would lie beside the estimate.

    Args:
        value: the estimate from the texts themselves.
        resampled: float64[resamples], the same measure in each resample.
        lowest: least possible value.
        highest: greatest possible value.
    """
    tail = 100 * (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail]) + (value - resampled.mean())
    return float(max(min(low, value), lowest)), float(min(max(high, value), highest))
