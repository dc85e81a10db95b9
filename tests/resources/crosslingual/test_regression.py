from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from taxomind_resources.crosslingual.regression import ridge


@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
def test_ridge_agrees_with_the_closed_form(penalty: float) -> None:
    rng = np.random.default_rng(1)
    dense = (rng.random((80, 30)) * (rng.random((80, 30)) < 0.2)).astype(np.float32)
    targets = rng.standard_normal((80, 70)).astype(np.float32)
    found = ridge(sparse.csr_array(dense), targets, penalty=penalty, steps=60)
    exact = np.linalg.solve(dense.T @ dense + penalty * np.eye(30), dense.T @ targets)
    assert np.abs(found - exact).max() < 1e-3


def test_ridge_tells_how_far_it_is_and_does_not_depend_on_threads() -> None:
    rng = np.random.default_rng(2)
    features = sparse.csr_array((rng.random((50, 40)) < 0.1).astype(np.float32))
    targets = rng.standard_normal((50, 130)).astype(np.float32)
    shares: list[float] = []
    one = ridge(features, targets, penalty=1.0, steps=5, threads=1, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert (ridge(features, targets, penalty=1.0, steps=5, threads=2) == one).all()


def test_features_that_never_occur_get_no_weight() -> None:
    features = sparse.csr_array(np.array([[1, 0, 0], [0, 0, 1]], np.float32))
    weights = ridge(features, np.ones((2, 8), np.float32), penalty=1.0, steps=4)
    assert (weights[1] == 0).all()
    assert weights[[0, 2]] == pytest.approx(0.5)
