"""Long texts are split without loss."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from taxomind_resources.embedding.chunking import split_by_bytes, split_evenly

words = st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=60)


def letter_tokens(text: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Every letter is a token; words are runs of letters."""
    spans = [(at, number) for number, word in enumerate(re.finditer(r"\S+", text)) for at in range(*word.span())]
    return [(at, at + 1) for at, _ in spans], [number for _, number in spans]


@given(words, st.integers(1, 40))
def test_pieces_hold_every_token_and_none_is_over_the_limit(parts, limit):
    text = " ".join(parts)
    offsets, word_of = letter_tokens(text)
    pieces = split_evenly(text, offsets, word_of, limit)
    assert "".join(pieces).replace(" ", "") == text.replace(" ", "")
    assert max(len(piece.replace(" ", "")) for piece in pieces) <= limit


@given(words, st.integers(10, 40))
def test_words_stay_whole_when_they_fit(parts, limit):
    text = " ".join(parts)
    pieces = split_evenly(text, *letter_tokens(text), limit)
    if len(pieces) * 9 < limit:  # room to move each cut to the start of a word
        assert " ".join(pieces).split() == parts


def test_pieces_have_nearly_equal_size():
    text = " ".join(["word"] * 65)
    sizes = [len(piece.replace(" ", "")) for piece in split_evenly(text, *letter_tokens(text), 100)]
    assert sizes == [84, 88, 88] or max(sizes) - min(sizes) <= 8


def test_a_text_within_the_limit_stays_as_it_is():
    assert split_evenly("  a b ", *letter_tokens("  a b "), 2) == ["  a b "]


@given(st.text(min_size=1, max_size=300).filter(lambda text: text.strip() == text), st.integers(4, 64))
def test_splitting_by_bytes_keeps_all_but_white_space(text, most):
    pieces = split_by_bytes(text, most)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert max(len(piece.encode()) for piece in pieces) <= most
