"""The order in which labels are worth most."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taxomind_assets.learning.queue import ordered, uncertainty


def units(*rows):
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_even_answers_are_less_sure_than_clear_ones():
    sure, torn, lost = uncertainty(np.array([[0.97, 0.02, 0.01], [0.5, 0.49, 0.01], [0.34, 0.33, 0.33]], np.float32))
    assert sure < 0.2
    assert sure < torn < lost


def test_a_text_that_surely_belongs_nowhere_is_not_unsure():
    assert uncertainty(np.array([[0.01, 0.0, 0.01]], np.float32))[0] < 0.2


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 9)), elements=st.floats(0, 1, width=32)))
def test_uncertainty_lies_between_0_and_1(weights):
    shares = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1)
    found = uncertainty(shares.astype(np.float32))
    assert ((found >= 0) & (found <= 1)).all()


def test_of_equally_unsure_texts_one_among_many_alike_comes_first():
    vectors = units([1, 0, 0], [0, 1, 0.05], [0, 1, 0], [0, 1, -0.05])
    assert ordered(np.full(4, 0.8), vectors, 1)[0].row == 2


def test_the_second_text_is_not_one_like_the_first():
    vectors = units([0, 1, 0], [0, 1, 0.02], [1, 0.1, 0])
    rows = [rank.row for rank in ordered(np.array([0.9, 0.9, 0.6]), vectors, 3)]
    assert rows[1] == 2


def test_the_less_sure_of_two_texts_comes_first():
    vectors = units([1, 0], [0, 1])
    assert [rank.row for rank in ordered(np.array([0.2, 0.7]), vectors, 2)] == [1, 0]


@pytest.mark.parametrize(("size", "limit"), [(0, 5), (3, 0), (3, 2), (3, 9)])
def test_queue_is_as_long_as_wanted_and_possible(size, limit):
    found = ordered(np.linspace(0.1, 0.9, size), np.eye(max(size, 1), 4, dtype=np.float32)[:size], limit)
    assert len(found) == min(size, limit)
    assert len({rank.row for rank in found}) == len(found)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_every_text_gets_a_place_and_a_value_between_0_and_1(size, seed):
    random = np.random.default_rng(seed)
    found = ordered(random.random(size), units(*random.normal(size=(size, 5))), size)
    assert sorted(rank.row for rank in found) == list(range(size))
    assert all(0 <= rank.value <= 1 and 0 <= rank.density <= 1 for rank in found)
