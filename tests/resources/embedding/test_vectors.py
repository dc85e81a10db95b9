"""Matrix operations shared by the providers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taxomind_resources.embedding.vectors import mean_of_chunks, rounded_unit_rows, token_batches, unit_rows


def test_unit_rows_leaves_zero_rows_and_its_input_alone():
    given_rows = np.array([[3, 4], [0, 0]], dtype=np.float32)
    np.testing.assert_allclose(unit_rows(given_rows), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert given_rows[0, 0] == 3


def test_rounding_twice_is_rounding_once():
    rows = unit_rows(np.random.default_rng(1).normal(size=(50, 384)).astype(np.float32))
    once = rounded_unit_rows(rows)
    np.testing.assert_allclose(np.linalg.norm(once, axis=1), 1, atol=1e-6)
    assert (once * rows).sum(axis=1).min() > 1 - 1e-6


def test_chunks_are_averaged_per_text():
    chunks = unit_rows(np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32))
    mean = mean_of_chunks(chunks, np.array([0, 1, 1, 2]), 3)
    np.testing.assert_allclose(mean, [[1, 0], [0.5**0.5, 0.5**0.5], [0, 1]], rtol=1e-6)


@given(st.lists(st.integers(1, 300), max_size=200), st.integers(64, 1024))
def test_batches_hold_every_text_once_within_the_token_budget(lengths, budget):
    array = np.array(lengths, dtype=np.int64)
    batches = list(token_batches(array, budget))
    assert sorted(np.concatenate(batches).tolist() if batches else []) == list(range(len(lengths)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * array[rows].max() <= budget
