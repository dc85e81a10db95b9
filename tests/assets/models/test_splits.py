"""Training, validation and test rows never share a text."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.models.splits import NOT_SAID, TEST, TRAIN, VALIDATION, Shares, assign, identity, sampled

NAMES = [f"code {i}" for i in range(5)]
ROWS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 4), st.integers(0, 6), st.integers(-1, 2)), min_size=1, max_size=120
)


def _assign(rows, shares=None):
    texts, codes, groups, said = (np.array(column) for column in zip(*rows, strict=True))
    hashed = np.array([identity(f"text {text}") for text in texts], np.uint64)
    return assign(
        said.astype(np.int8),
        codes.astype(np.int64),
        hashed,
        groups.astype(np.uint64),
        shares or Shares(0.2, 0.2, 3),
        names=NAMES,
    )


@given(ROWS)
def test_equal_texts_are_never_in_two_splits(rows):
    found = _assign(rows)
    for text in {row[0] for row in rows}:
        assert len({split for split, row in zip(found.tolist(), rows, strict=True) if row[0] == text}) == 1


@given(ROWS)
def test_drawn_rows_of_one_group_stay_together(rows):
    free = [(text, code, group, NOT_SAID) for text, code, group, _ in rows]
    found = _assign(free)
    for group in {row[2] for row in free} - {0}:
        assert len({split for split, row in zip(found.tolist(), free, strict=True) if row[2] == group}) == 1


@given(ROWS)
def test_what_the_file_says_of_test_and_validation_stays(rows):
    found = _assign(rows)
    highest = {text: max(said for other, _, _, said in rows if other == text) for text, *_ in rows}
    for (text, *_), split in zip(rows, found.tolist(), strict=True):
        if highest[text] in (VALIDATION, TEST):
            assert split == highest[text]


@given(ROWS, st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows, random):
    rows = [(text, text % 5, 0, NOT_SAID) for text, *_ in rows]
    shuffled = list(rows)
    random.shuffle(shuffled)
    first = {row[0]: split for row, split in zip(rows, _assign(rows).tolist(), strict=True)}
    second = {row[0]: split for row, split in zip(shuffled, _assign(shuffled).tolist(), strict=True)}
    assert first == second


def test_every_code_keeps_a_training_row():
    rows = [(text, text % 5, 0, NOT_SAID) for text in range(10)]
    found = _assign(rows, Shares(0.5, 0.5, 1))
    for code in range(5):
        assert TRAIN in {split for split, row in zip(found.tolist(), rows, strict=True) if row[1] == code}


def test_shares_are_kept_within_each_code():
    rows = [(text, text % 4, 0, NOT_SAID) for text in range(4000)]
    found = _assign(rows, Shares(0.1, 0.2, 1))
    for code in range(4):
        own = [split for split, row in zip(found.tolist(), rows, strict=True) if row[1] == code]
        assert abs(own.count(TEST) - 200) <= 1
        assert abs(own.count(VALIDATION) - 80) <= 1


def test_nothing_is_drawn_where_the_file_names_the_rows():
    rows = [(0, 0, 0, TEST), (1, 0, 0, VALIDATION), *((text, 0, 0, TRAIN) for text in range(2, 60))]
    assert _assign(rows).tolist()[2:] == [TRAIN] * 58


def test_validation_is_drawn_from_training_rows_when_none_is_named():
    rows = [(0, 0, 0, TEST), *((text, 0, 0, TRAIN) for text in range(1, 101))]
    found = _assign(rows).tolist()
    assert found.count(VALIDATION) == 20
    assert found.count(TEST) == 1


def test_another_seed_draws_other_rows():
    rows = [(text, 0, 0, NOT_SAID) for text in range(200)]
    assert _assign(rows, Shares(0.2, 0.2, 1)).tolist() != _assign(rows, Shares(0.2, 0.2, 2)).tolist()


def test_further_rows_move_few_of_the_others():
    rows = [(text, 0, 0, NOT_SAID) for text in range(1000)]
    before, after = _assign(rows[:900]), _assign(rows)
    assert (before != after[:900]).mean() < 0.08


def test_texts_that_differ_in_case_and_space_only_are_equal():
    assert identity("The  Cat ") == identity("the cat")
    assert identity("the cat") != identity("the cats")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(1, 90), st.randoms())
def test_fewer_rows_keep_every_code_and_do_not_depend_on_the_order(codes, most, random):
    rows = [(code, identity(f"text {place}")) for place, code in enumerate(codes)]
    shuffled = list(rows)
    random.shuffle(shuffled)

    def drawn(own):
        strata, texts = (np.array(column) for column in zip(*own, strict=True))
        return {own[place] for place in sampled(strata.astype(np.int64), texts.astype(np.uint64), most, 7).tolist()}

    kept = drawn(rows)
    assert len(kept) == min(most, len(rows))
    assert drawn(shuffled) == kept
    if most >= len(set(codes)):
        assert {code for code, _ in kept} == set(codes)


def test_fewer_rows_have_the_shares_of_all():
    strata = np.array([0] * 600 + [1] * 300 + [2] * 100, np.int64)
    texts = np.array([identity(f"text {place}") for place in range(1000)], np.uint64)
    assert np.bincount(strata[sampled(strata, texts, 100, 1)]).tolist() == [60, 30, 10]
    assert sampled(strata, texts, 100, 1).tolist() != sampled(strata, texts, 100, 2).tolist()
