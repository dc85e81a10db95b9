from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.reports import curves


def _curve(correct: list[bool], confidence: list[float], n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    group = curves.confidence_groups(np.array(confidence))
    return curves.risk_coverage(np.bincount(group), np.bincount(group, correct), np.int64(n or len(correct)))


def test_equal_confidences_enter_together() -> None:
    coverage, accuracy = _curve([True, True, False, True], [0.9, 0.8, 0.5, 0.5])
    assert coverage.tolist() == [0.25, 0.5, 1.0]
    assert accuracy.tolist() == [1.0, 1.0, 0.75]
    assert curves.area_under_risk(coverage, accuracy) == pytest.approx(0.125)
    assert curves.coverage_at(coverage, accuracy, 0.9) == 0.5
    assert curves.coverage_at(coverage, accuracy, 0.75) == 1.0
    assert curves.coverage_at(*_curve([False], [1.0]), 0.9) == 0.0


def test_texts_that_can_never_be_answered_lower_the_coverage() -> None:
    coverage, _ = _curve([True, True], [0.9, 0.8], n=4)
    assert coverage.tolist() == [0.25, 0.5]


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=60))
def test_curve_bounds(pairs: list[tuple[bool, float]]) -> None:
    coverage, accuracy = _curve([ok for ok, _ in pairs], [confidence for _, confidence in pairs])
    assert (np.diff(coverage) > 0).all()
    assert coverage[-1] == 1.0
    assert accuracy[-1] == pytest.approx(np.mean([ok for ok, _ in pairs]))
    assert 0 <= curves.area_under_risk(coverage, accuracy) <= 1
    assert curves.coverage_at(coverage, accuracy, 0.9) >= curves.coverage_at(coverage, accuracy, 0.95)


def test_joined_groups_keep_the_order_and_the_size() -> None:
    confidence = np.random.default_rng(0).random(10_000)
    group = curves.confidence_groups(confidence, 100)
    assert group.max() == 99
    assert np.bincount(group).tolist() == [100] * 100
    ordered = np.argsort(-confidence)
    assert (np.diff(group[ordered]) >= 0).all()


def test_calibration_bins_are_closed_at_the_top() -> None:
    assert curves.calibration_bin(np.array([-1.0, 0.0, 0.0666, 0.0667, 1.0, 2.0])).tolist() == [0, 0, 0, 1, 14, 14]


def test_thinned_curves_keep_both_ends() -> None:
    coverage = np.arange(1, 5001) / 5000
    kept = curves.thinned(coverage, 100)
    assert len(kept) == 100
    assert (kept[0], kept[-1]) == (0, 4999)
    assert curves.thinned(coverage[:5], 100).tolist() == [0, 1, 2, 3, 4]
