"""Sums over postings are the products of sparse matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from taxomind_assets.views import postings
from taxomind_assets.views.postings import summed_postings


def random_matrix(rows: int, columns: int, seed: int) -> sparse.csr_array:
    random = np.random.default_rng(seed)
    dense = random.random((rows, columns)).astype(np.float32) * (random.random((rows, columns)) < 0.4)
    return sparse.csr_array(dense.astype(np.float32))


@settings(deadline=None)
@given(b=st.integers(0, 7), v=st.integers(1, 9), m=st.integers(1, 6), seed=st.integers(0, 99))
def test_sums_are_the_product(b: int, v: int, m: int, seed: int) -> None:
    queries, rows = random_matrix(b, v, seed), random_matrix(v, m, seed + 1)
    found = summed_postings(queries, rows)
    assert found.dtype == np.float32
    assert np.allclose(found, queries.toarray() @ rows.toarray())


def test_sums_of_a_text_are_the_same_alone_and_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, rows = random_matrix(9, 30, 1), random_matrix(30, 11, 2)
    together = summed_postings(queries, rows)
    monkeypatch.setattr(postings, "_NUMBERS", 30)  # two texts at a time
    assert np.array_equal(summed_postings(queries, rows), together)
    alone = [summed_postings(sparse.csr_array(queries[[row]]), rows)[0] for row in range(9)]
    assert np.array_equal(np.stack(alone), together)
