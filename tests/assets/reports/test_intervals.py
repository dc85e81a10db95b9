from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import binomtest

from taxomind_assets.reports.intervals import bootstrap_sums, percentile_interval, wilson


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_scipy(case: tuple[int, int]) -> None:
    hits, n = case
    reference = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    low, high = wilson(hits, n)
    assert float(low) == pytest.approx(reference.low, abs=1e-12)
    assert float(high) == pytest.approx(reference.high, abs=1e-12)


def test_wilson_is_vectorised_and_knows_nothing_without_trials() -> None:
    low, high = wilson([0, 5, 10], [0, 10, 10])
    assert low.shape == (3,)
    assert (low[0], high[0]) == (0.0, 1.0)
    assert high[2] == 1.0
    assert low[1] < 0.5 < high[1]


def test_bootstrap_sums_resample_rows() -> None:
    generator = np.random.default_rng(1)
    values = generator.random((400, 1))
    features = csr_array(np.hstack([values, np.ones_like(values)]))
    sums = bootstrap_sums(features, resamples=1000, seed=3)
    assert sums.shape == (1000, 2)
    assert (sums[:, 1] == 400).all(), "every resample has as many rows as there are"
    means = sums[:, 0] / 400
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.15), "the standard error of a mean"
    assert np.array_equal(sums, bootstrap_sums(features, resamples=1000, seed=3))
    assert not np.array_equal(sums, bootstrap_sums(features, resamples=1000, seed=4))


def test_percentile_interval_holds_the_estimate_and_keeps_its_bounds() -> None:
    biased = np.linspace(0.2, 0.4, 101)  # resamples of a measure that is really 0.6
    low, high = percentile_interval(0.6, biased)
    assert low < 0.6 < high
    assert high - low == pytest.approx(0.19, abs=1e-9)
    assert percentile_interval(0.99, biased)[1] == 1.0
    assert percentile_interval(0.01, biased)[0] == 0.0
    assert percentile_interval(3.0, biased, highest=np.inf)[1] > 3.0
