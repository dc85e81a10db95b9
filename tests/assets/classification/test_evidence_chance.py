"""Nodes with corrections hold no advantage over nodes without any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taxomind_assets.classification.evidence_chance import chance, plausibility, share_due

GAINS = arrays(np.float32, (30, 4), elements=st.floats(0, 8, width=32))
PLAUSIBLE = arrays(np.float32, (30, 4), elements=st.floats(-4, 12, width=32))
COUNTS = arrays(np.float32, (30, 4), elements=st.integers(0, 9))
TRUSTED = np.array([1, 1, 0, 0.5], np.float32)


def price(gains, plausible, counts):
    return chance(gains, counts / (counts + 1), counts, plausible, TRUSTED)


@given(GAINS, PLAUSIBLE, COUNTS)
def test_nodes_whose_corrections_do_not_count_pay_nothing(gains, plausible, counts):
    found = price(gains * (counts > 0), plausible, counts)
    assert (found[counts == 0] == 0).all()
    assert np.isfinite(found).all()


@given(GAINS, PLAUSIBLE, COUNTS)
def test_nodes_with_as_many_corrections_pay_the_same(gains, plausible, counts):
    found = price(gains, plausible, counts)
    for column in range(found.shape[1]):
        for count in np.unique(counts[:, column]):
            same = found[counts[:, column] == count, column]
            np.testing.assert_allclose(same, same[0], atol=1e-4)


@given(GAINS, PLAUSIBLE, COUNTS, st.floats(0, 5))
def test_most_of_what_all_nodes_gain_is_taken_again(gains, plausible, counts, everywhere):
    before, after = price(gains, plausible, counts), price(gains + np.float32(everywhere), plausible, counts)
    known = np.minimum((counts > 0).sum(axis=0) / 20, 1)
    np.testing.assert_allclose(after - before, (counts > 0) * 0.7 * everywhere * known, atol=1e-3)


@given(GAINS, PLAUSIBLE, COUNTS)
def test_texts_do_not_depend_on_each_other(gains, plausible, counts):
    together = price(gains, plausible, counts)
    alone = chance(gains[:, :1], (counts / (counts + 1))[:, :1], counts[:, :1], plausible[:, :1], TRUSTED[:1])
    np.testing.assert_allclose(together[:, :1], alone, atol=1e-5)


def test_a_single_corrected_node_keeps_nearly_all_of_its_gain():
    one = np.ones((1, 1), np.float32)
    assert chance(6 * one, one / 2, one, one, one[0])[0, 0] < 0.8


def test_more_corrections_cost_more():
    gains, plausible = np.ones((3, 1), np.float32), np.zeros((3, 1), np.float32)
    counts = np.array([[1], [2], [5]], np.float32)
    found = chance(gains, counts / (counts + 1), counts, plausible, np.ones(1, np.float32))[:, 0]
    assert (np.diff(found) > 0).all()


def test_gains_of_nodes_that_a_text_hardly_belongs_to_do_not_matter():
    gains, counts, plausible = np.ones((60, 1), np.float32), np.ones((60, 1), np.float32), np.zeros((60, 1), np.float32)
    plausible[30:] = -30
    before = price_of_trusted(gains, plausible, counts)
    gains[30:] = 9
    np.testing.assert_allclose(price_of_trusted(gains, plausible, counts), before, atol=1e-4)


def price_of_trusted(gains, plausible, counts):
    return chance(gains, counts / (counts + 1), counts, plausible, np.ones(1, np.float32))


def test_the_price_is_due_where_corrected_and_uncorrected_leaves_are_many():
    assert share_due(0.5) == 1
    assert share_due(1.0) == 0
    assert 0 < share_due(0.94) < share_due(0.88) < 1
    assert share_due(0.0) < share_due(0.1) < 1


def test_characters_make_plausible_what_the_encoder_does_not_read():
    logits, characters = np.zeros((1, 2), np.float32), np.full((1, 2), 0.5, np.float32)
    found = plausibility(logits, characters, np.array([1, 0], np.float32))
    assert found[0, 0] == 0
    assert found[0, 1] == pytest.approx(3)
