"""Settled a few rows at a time, corrections are the same as settled all at once, and what is not touched is not looked at."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.learning import ledger as module
from taxomind_assets.learning.corrections import NEVER, CorrectionRow, settle, unchanged
from taxomind_assets.learning.ledger import Ledger, held_of
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

TREE = Taxonomy.build("t", [Node(code, None, 1, (NodeText("en", code),)) for code in ("a", "b", "c")])


def row(own: str, action: str, text: str, code: str, annotator: str, at: int) -> CorrectionRow:
    return CorrectionRow(own, action, text, (code,), annotator, at, "", "", "", "f")


ROWS = st.lists(
    st.builds(
        lambda own, action, text, code, annotator, at: CorrectionRow(
            own, action, text, (code,), annotator, at, "", "", "", "f"
        ),
        st.sampled_from(["1", "2", "3", "4"]),
        st.sampled_from(["correct", "correct", "confirm", "withdraw", "restore"]),
        st.sampled_from(["pet", "Pet ", "tree", "house", ""]),
        st.sampled_from(["a", "b", "gone"]),
        st.sampled_from(["", "anna", "bo"]),
        st.sampled_from([NEVER, 1, 2, 3]),
    ),
    max_size=14,
)


def empty() -> Ledger:
    return Ledger(TREE, unchanged, {})


@given(ROWS, st.lists(st.integers(1, 4), max_size=14))
def test_rows_that_come_one_by_one_are_settled_as_all_at_once(rows: list[CorrectionRow], sizes: list[int]) -> None:
    found, left = empty(), rows
    for size in [*sizes, len(rows)]:
        found, left = found.with_rows(left[:size]), left[size:]
    whole = settle(rows, TREE)
    assert found.settled() == whole
    assert found.held == {held_of(correction) for correction in whole.applied}


def test_only_what_new_rows_touch_is_looked_at() -> None:
    many = [row(str(n), "correct", f"text {n}", "a", "anna", n) for n in range(500)]
    found = empty().with_rows(many)
    looked: list[str] = []

    def watched(rows, *arguments):
        own = list(rows)
        looked.extend(item.correction_id for item in own)
        return settle(own, *arguments)

    with patch.object(module, "settle", watched):
        later = found.with_rows([row("new", "correct", "TEXT 7", "b", "anna", 10**6)])
    assert sorted(looked) == ["7", "new"]
    assert [own.status for own in later.corrections["7"]] == ["superseded"]
    assert (len(found.held), len(later.held - found.held), len(found.held - later.held)) == (500, 1, 1)


def test_what_is_said_about_a_text_is_found_by_id_annotator_and_text() -> None:
    said = [("1", "pet", "anna"), ("2", "PET", "anna"), ("3", "pet", "bo"), ("4", "tree", "anna")]
    rows = [row(own, "correct", text, "a", who, 1) for own, text, who in said]
    found = empty().with_rows([*rows, row("1", "withdraw", "", "a", "", 2)])
    assert [(item.correction_id, item.action) for item in found.about("4", "anna", "Pet")] == [
        ("1", "correct"), ("1", "withdraw"), ("2", "correct"), ("4", "correct"),
    ]  # fmt: skip
