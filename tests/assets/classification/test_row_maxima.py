from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.classification.row_maxima import RowMaxima


@given(owners=st.lists(st.integers(0, 6), max_size=30).map(sorted), columns=st.integers(0, 4), seed=st.integers(0, 99))
def test_maxima_are_those_of_a_loop_over_the_groups(owners: list[int], columns: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(len(owners), columns)).astype(np.float32)
    maxima = RowMaxima.of(np.array(owners, np.int32))
    found = maxima(rows[maxima.order].copy())
    assert sorted(maxima.groups.tolist()) == sorted(set(owners))
    assert found.shape == (len(set(owners)), columns)
    for group, row in zip(maxima.groups.tolist(), found, strict=True):
        np.testing.assert_array_equal(row, rows[np.array(owners) == group].max(axis=0))


def test_every_row_stands_in_the_order_once() -> None:
    maxima = RowMaxima.of(np.array([0, 0, 3, 3, 3, 5], np.int32))
    assert sorted(maxima.order.tolist()) == list(range(6))
    assert maxima.rounds == (3, 2, 1)
    assert maxima.groups[0] == 3  # the largest group first
