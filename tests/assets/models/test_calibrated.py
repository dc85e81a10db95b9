"""Scores become probabilities at a temperature that validation rows teach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.models.calibrated import fitted_temperature, probabilities


def drawn(temperature, rows=4000, classes=4, seed=0):
    """Scores, and classes as often as the scores over this temperature say."""
    random = np.random.default_rng(seed)
    scores = random.normal(scale=3, size=(rows, classes)).astype(np.float32)
    chances = probabilities(scores, temperature)
    known = (chances.cumsum(axis=1) < random.random((rows, 1))).sum(axis=1).clip(max=classes - 1)
    return scores, known.astype(np.int64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_answers_is_found(temperature):
    assert fitted_temperature([drawn(temperature)], 1.0) == pytest.approx(temperature, rel=0.1)


def test_a_few_rows_move_it_little_and_none_not_at_all():
    scores, known = drawn(4.0)
    assert fitted_temperature([], 1.5) == 1.5
    assert fitted_temperature([(scores[:0], known[:0])], 1.5) == 1.5
    far, near = (abs(np.log(fitted_temperature([(scores[:n], known[:n])], 1.0))) for n in (4000, 3))
    assert near < far


@given(st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=5), st.floats(0.05, 10))
def test_probabilities_add_up_and_keep_the_order(rows, temperature):
    scores = np.array(rows, np.float32)
    found = probabilities(scores, temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-4)
    best = found[np.arange(len(scores)), scores.argmax(axis=1)]
    np.testing.assert_allclose(best, found.max(axis=1))
