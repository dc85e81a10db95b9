"""Crosswalks: where a code of an earlier taxonomy went."""

from __future__ import annotations

from taxomind_assets.learning.moves import Moves

KNOWN = {"a", "b", "c"}


def test_a_move_applies_to_older_corrections_only():
    moves = Moves([(10, "x", "a")])
    assert moves.current("x", 5, KNOWN) == "a"
    assert moves.current("x", 15, KNOWN) == "x"


def test_two_codes_that_a_revision_swaps_go_one_step_each():
    moves = Moves([(10, "a", "b"), (10, "b", "a")])
    assert (moves.current("a", 5, KNOWN), moves.current("b", 5, KNOWN)) == ("b", "a")
    assert moves.current("a", 15, KNOWN) == "a"


def test_moves_of_several_revisions_follow_one_another():
    moves = Moves([(20, "y", "b"), (10, "x", "y")])
    assert moves.current("x", 5, KNOWN) == "b"
    assert moves.current("y", 15, KNOWN) == "b"


def test_without_times_only_codes_that_are_gone_move():
    moves = Moves([(-1, "x", "y"), (-1, "y", "c"), (-1, "a", "b")])
    assert moves.current("x", 5, KNOWN) == "c"
    assert moves.current("a", 5, KNOWN) == "a"
    assert Moves([(10, "x", "a")]).current("x", -1, KNOWN) == "a"
    assert Moves([(10, "b", "a")]).current("b", -1, KNOWN) == "b"


def test_a_circle_of_moves_ends():
    assert Moves([(-1, "x", "y"), (-1, "y", "x")]).current("x", 5, KNOWN) in {"x", "y"}


def test_a_code_that_was_split_stays_for_a_person_to_place():
    assert Moves([(10, "x", "a"), (10, "x", "b")]).current("x", 5, KNOWN) == "x"
