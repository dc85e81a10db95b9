"""Whether the texts of today are those of yesterday."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.reports.drift import FEWEST_TEXTS, NO_ANSWER, Counted, drift


def test_the_same_shares_are_no_drift_and_others_are():
    first = [Counted("d1", "A", 60, 50.0), Counted("d1", "B", 40, 30.0)]
    same = [Counted("d2", "A", 120, 100.0), Counted("d2", "B", 80, 60.0)]
    other = [Counted("d3", "A", 5, 4.0), Counted("d3", "B", 95, 80.0)]
    found = drift([*other, *first, *same])
    assert [row.period for row in found] == ["d1", "d2", "d3"]
    assert found[0].stability == 0
    assert found[1].stability < 0.01
    assert found[2].stability > 0.25


def test_texts_without_an_answer_count_as_texts_and_have_no_confidence():
    (found,) = drift([Counted("d1", NO_ANSWER, 5, 0.0), Counted("d1", "A", 15, 12.0)])
    assert (found.texts, found.answered, found.confidence) == (20, 0.75, pytest.approx(0.8))


def test_a_day_without_any_answer_has_no_confidence():
    (found,) = drift([Counted("d1", NO_ANSWER, 3, 0.0)])
    assert (found.answered, found.confidence, found.stability) == (0, None, None)


def test_days_with_few_texts_say_nothing_about_drift_and_are_not_its_base():
    few = Counted("d0", "B", FEWEST_TEXTS - 1, 1.0)
    found = drift([few, Counted("d1", "A", 100, 90.0), Counted("d2", "A", 100, 90.0)])
    assert [row.stability for row in found] == [None, 0, 0]


def test_nothing_counted_is_no_period():
    assert drift([]) == []


@given(st.lists(st.tuples(st.sampled_from(["d1", "d2"]), st.sampled_from(["", "A", "B"]), st.integers(1, 99)), max_size=8))
def test_all_texts_are_counted_and_the_index_is_never_negative(rows):
    found = drift(Counted(period, code, answers, answers / 2) for period, code, answers in rows)
    assert sum(row.texts for row in found) == sum(answers for *_, answers in rows)
    assert all(row.stability is None or row.stability >= 0 for row in found)
