"""Measures of a confidence: what accuracy it buys at which coverage, and how far it is from the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CALIBRATION_BINS = 15
ACCURACY_TARGETS = (90, 95)  # per cent
_ROUNDING = 1e-12


def confidence_groups(confidence: NDArray[np.float64], most: int | None = None) -> NDArray[np.int64]:
    """Number of each text's group of equal confidences; 0 = the most confident.

    Args:
        confidence: float64[n].
        most: at most this many groups; neighbouring groups are joined so that all hold about equally many texts.

    Returns:
        int64[n].
    """
    values, group = np.unique(-confidence, return_inverse=True)
    group = group.reshape(-1).astype(np.int64)
    if most is None or len(values) <= most:
        return group
    sizes = np.bincount(group)
    texts_before = np.cumsum(sizes) - sizes
    joined = texts_before * most // len(confidence)
    return np.asarray(np.unique(joined, return_inverse=True)[1].reshape(-1)[group], np.int64)


def risk_coverage(texts: ArrayLike, hits: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The coverage-accuracy curve; texts of equal confidence enter together (El-Yaniv and Wiener 2010).

    Args:
        texts: [..., groups], texts per group, the most confident group first.
        hits: [..., groups], right ones among them.
        n: [...], all texts, also those that can never be answered.

    Returns:
        (coverage, accuracy), float64[..., groups]; accuracy is 0 where nothing is covered yet.
    """
    covered = np.cumsum(np.asarray(texts, np.float64), axis=-1)
    right = np.cumsum(np.asarray(hits, np.float64), axis=-1)
    accuracy = np.divide(right, covered, out=np.zeros_like(covered), where=covered > 0)
    return covered / np.maximum(np.asarray(n, np.float64), 1)[..., None], accuracy


def area_under_risk(coverage: NDArray[np.float64], accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area under the risk-coverage curve (lower is better), the risk constant between two points.

    Args:
        coverage: float64[..., groups].
        accuracy: float64[..., groups].

    Returns:
        float64[...].
    """
    width = np.diff(coverage, axis=-1, prepend=0.0)
    return np.asarray((width * (1 - accuracy)).sum(axis=-1))


def coverage_at(coverage: NDArray[np.float64], accuracy: NDArray[np.float64], target: float) -> NDArray[np.float64]:
    """Largest coverage with at least the accuracy `target`; 0 when none has it.

    Args:
        coverage: float64[..., groups].
        accuracy: float64[..., groups].
        target: 0..1.

    Returns:
        float64[...].
    """
    return np.asarray(np.where((accuracy >= target) & (coverage > 0), coverage, 0.0).max(axis=-1, initial=0.0))


def calibration_bin(confidence: NDArray[np.float64], bins: int = CALIBRATION_BINS) -> NDArray[np.int64]:
    """Number of the equal-width bin of each confidence (cut to 0..1): int64[n], 0..bins - 1."""
    return np.minimum((np.clip(confidence, 0, 1) * bins).astype(np.int64), bins - 1)


def thinned(coverage: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Places of at most about `points` points of a curve, evenly spread over the coverage; first and last are kept.

    Args:
        coverage: float64[groups], rising.
        points: at least 2.
    """
    if len(coverage) <= points:
        return np.arange(len(coverage))
    wanted = np.linspace(coverage[0], coverage[-1], points)
    return np.unique(np.searchsorted(coverage, wanted - _ROUNDING).clip(0, len(coverage) - 1))
