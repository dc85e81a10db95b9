"""Which corrections count: whatever the order, the repetition and the spelling of what was delivered."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.learning.corrections import NEVER, CorrectionRow, settle
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

NODES = [("a", None), ("dog", "a"), ("cat", "a"), ("p", None), ("oak", "p"), ("rose", "p")]


def tree_of(*codes: str) -> Taxonomy:
    kept = [(code, parent) for code, parent in NODES if not codes or code in codes]
    return Taxonomy.build(
        "animals", [Node(code, parent, 1 if parent is None else 2, (NodeText("", code),)) for code, parent in kept]
    )


TREE = tree_of()


def row(correction_id="c1", text="my pet", code="dog", *, action="correct", annotator="", at=NEVER, file="f.csv"):
    codes = (code,) if isinstance(code, str) else tuple(code)
    return CorrectionRow(correction_id, action, text, codes if text else (), annotator, at, "", "", "", file)


def withdraw(correction_id="c1", at=NEVER):
    return row(correction_id, "", action="withdraw", at=at)


def applied(*rows, tree=TREE):
    return {(found.correction_id, found.text, found.code) for found in settle(rows, tree).applied}


def status(*rows, tree=TREE):
    return {(found.correction_id, found.status) for found in settle(rows, tree).corrections}


def test_a_row_that_is_there_twice_counts_once():
    found = settle([row(), row(file="a.csv"), row(file="z.csv")], TREE)
    assert [(item.correction_id, item.rows, item.source_file, item.status) for item in found.corrections] == [
        ("c1", 3, "a.csv", "applied")
    ]


def test_the_deepest_known_code_counts_and_the_first_on_a_tie():
    assert applied(row(code=("p", "oak", "unheard"))) == {("c1", "my pet", "oak")}
    assert applied(row(code=("rose", "oak"))) == {("c1", "my pet", "rose")}
    assert applied(row(code=("dog.0",))) == set()


def test_a_code_with_the_decimal_of_a_spreadsheet_is_the_code():
    tree = Taxonomy.build("numbers", [Node("52", None, 1, (NodeText("", "Sales"),))])
    assert applied(row(code="52.0"), tree=tree) == {("c1", "my pet", "52")}


def test_an_unknown_code_waits_until_the_taxonomy_has_it():
    waiting = row(code="cat")
    assert status(waiting, tree=tree_of("a", "dog")) == {("c1", "unknown_code")}
    assert status(waiting) == {("c1", "applied")}


def test_the_same_id_with_another_content_moves_to_the_later_one():
    older, newer = row(at=1), row(code="cat", at=2)
    for rows in ([older, newer], [newer, older]):
        assert applied(*rows) == {("c1", "my pet", "cat")}
        assert status(*rows) == {("c1", "superseded"), ("c1", "applied")}


def test_the_same_content_under_two_ids_counts_once_unless_two_people_say_it():
    twice = row("c1"), row("c2", "My  PET")
    assert status(*twice) == {("c1", "applied"), ("c2", "duplicate")}
    people = row("c1", annotator="anna"), row("c2", annotator="bo")
    assert len(applied(*people)) == 2


def test_taking_the_first_of_two_equal_corrections_back_lets_the_second_count():
    assert applied(row("c1"), row("c2"), withdraw("c1")) == {("c2", "my pet", "dog")}


def test_the_later_opinion_of_one_annotator_replaces_the_former():
    first, second = row("c1", annotator="anna", at=1), row("c2", code="cat", annotator="anna", at=2)
    assert applied(first, second) == {("c2", "my pet", "cat")}
    assert applied(first, second, withdraw("c2")) == {("c1", "my pet", "dog")}


def test_opinions_without_a_time_or_without_an_annotator_are_all_kept():
    assert len(applied(row("c1", annotator="anna"), row("c2", code="cat", annotator="anna"))) == 2
    assert len(applied(row("c1", at=1), row("c2", code="cat", at=2))) == 2


@pytest.mark.parametrize("withdrawn_at", [NEVER, 0, 5, 10**15])
def test_a_withdrawal_wins_whatever_the_clocks_said(withdrawn_at):
    assert applied(row(at=7), withdraw(at=withdrawn_at)) == set()


def test_a_withdrawn_correction_stays_so_when_its_file_comes_again_and_returns_by_a_restore():
    again = row(at=100)
    assert applied(row(at=7), withdraw(at=8), again) == set()
    restored = row("c1", "", action="restore", at=9)
    assert applied(row(at=7), withdraw(at=8), restored) == {("c1", "my pet", "dog")}
    assert applied(row(at=7), withdraw(at=8), restored, withdraw(at=10)) == set()


def test_a_restore_with_a_content_is_a_correction():
    restored = row("c1", code="cat", action="restore", at=9)
    assert applied(row(at=7), withdraw(at=8), restored) == {("c1", "my pet", "cat")}


def test_a_withdrawal_that_arrives_first_waits_for_its_correction():
    assert settle([withdraw()], TREE).dangling == ("c1",)
    assert applied(withdraw(), row()) == set()


def test_corrections_follow_the_codes_of_a_revision_and_wait_where_it_split_one():
    became = {"hound": ("dog",), "plant": ("oak", "rose"), "gone": ()}

    def translate(code, moment, known):
        return became.get(code, (code,))

    rows = [row("c1", code="hound"), row("c2", "a tree", code="plant"), row("c3", "a fish", code="gone")]
    found = {item.correction_id: item for item in settle(rows, TREE, translate).corrections}
    assert [(item.code, item.status) for item in found.values()] == [
        ("dog", "applied"),
        (None, "unknown_code"),
        (None, "unknown_code"),
    ]
    assert "oak, rose" in found["c2"].reason
    decided = settle(rows, TREE, translate, {"c2": "rose", "c3": "cat"})
    assert {item.correction_id: item.code for item in decided.applied} == {"c1": "dog", "c2": "rose"}


ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from(["c1", "c2", "c3"]),
        st.sampled_from(["my pet", "My pet", "a tree", ""]),
        st.sampled_from(["dog", "cat", "oak", "gone", ("a", "dog"), ("p", "-1")]),
        action=st.sampled_from(["correct", "correct", "confirm", "withdraw", "restore"]),
        annotator=st.sampled_from(["", "anna", "bo"]),
        at=st.sampled_from([NEVER, 1, 2, 3]),
        file=st.sampled_from(["f.csv", "g.csv"]),
    ),
    max_size=12,
)


@given(ROWS, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing_but_how_often_a_row_was_seen(rows, chance: random.Random):
    wanted = settle(rows, TREE)
    shuffled = rows + chance.choices(rows, k=len(rows)) if rows else []
    chance.shuffle(shuffled)
    found = settle(shuffled, TREE)

    def plain(settled):
        return [
            (c.correction_id, c.text, c.given_codes, c.annotator, c.corrected_at, c.code, c.status) for c in settled.corrections
        ]

    assert plain(found) == plain(wanted)
    assert found.dangling == wanted.dangling


@given(ROWS)
def test_what_counts_is_counted_once_and_is_never_withdrawn(rows):
    settled = settle(rows, TREE)
    counted = [(found.text.casefold(), found.code, found.annotator) for found in settled.applied]
    assert len(counted) == len(set(counted))
    withdrawn = {found.correction_id for found in settled.corrections if found.status == "withdrawn"}
    assert not withdrawn & {found.correction_id for found in settled.applied}
    assert all(found.code in TREE.position for found in settled.applied)
    stated = {item.correction_id for item in rows if item.text and item.action != "withdraw"}
    assert {found.correction_id for found in settled.corrections} == stated


@given(ROWS, st.sampled_from(["c1", "c2", "c3"]))
def test_a_withdrawal_leaves_what_would_be_there_without_the_correction(rows, victim):
    plain = [item for item in rows if item.action in {"correct", "confirm"}]
    without = [item for item in plain if item.correction_id != victim]
    assert applied(*plain, withdraw(victim)) == applied(*without)


def test_of_a_content_that_is_told_twice_the_later_proposed_label_counts_in_any_order():
    early, late = (
        CorrectionRow("c", "correct", "my pet", ("dog",), "", moment, "", "", "", "f", label)
        for moment, label in ((1, "Robots"), (2, "Robot dogs"))
    )
    for rows in ([early, late], [late, early]):
        (found,) = settle(rows, TREE).corrections
        assert found.proposed_label == "Robot dogs"
