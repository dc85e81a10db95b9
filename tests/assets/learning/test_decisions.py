"""Decisions of people as lines of the inbox: what they come to, also when the clock is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.learning.corrections import CorrectionRow, settle
from taxomind_assets.learning.decisions import as_lines, chosen_ids, gone_back, now_moment, taken_back, taught
from taxomind_assets.learning.versions import Held
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.faults import Fault

TREE = Taxonomy.build("pets", [Node(code, None, 1, (NodeText("", code),)) for code in ("dog", "cat", "oak")])


def held(rows):
    return {Held(found.correction_id, found.code, found.text) for found in settle(rows, TREE).applied}


def placed(rows):
    return sorted((found.text, found.code) for found in settle(rows, TREE).applied)


def teach(rows, text, code, annotator="anna", now=100):
    return [*rows, taught(rows, text, code, annotator, confirm=False, now=now)]


def undo(rows, *ids, now=100):
    return [*rows, *taken_back(rows, ids, "anna", now=now)]


def test_a_person_who_teaches_a_text_again_means_the_last_code_even_if_the_clock_went_back():
    rows = teach([], "my pet", "dog", now=1000)
    rows = teach(rows, "My  pet", "cat", now=10)
    assert placed(rows) == [("My  pet", "cat")]


def test_what_was_taken_back_can_be_taught_again():
    rows = teach([], "my pet", "dog", now=1000)
    (own_id,) = {row.correction_id for row in rows}
    rows = undo(rows, own_id, now=10)
    assert placed(rows) == []
    rows = teach(rows, "my pet", "dog", now=5)
    assert placed(rows) == [("my pet", "dog")]
    assert {row.correction_id for row in rows} == {own_id}


def test_a_version_is_told_again_exactly():
    rows = teach(teach([], "my pet", "dog"), "a tree", "oak", "bo")
    wanted = held(rows)
    rows = teach(rows, "my pet", "cat")
    rows = undo(rows, *(item.correction_id for item in wanted if item.code == "oak"))
    rows = teach(rows, "one more", "dog")
    rows = [*rows, *gone_back(rows, TREE, wanted, "anna", now=1)]
    assert held(rows) == wanted


def test_going_back_needs_nothing_when_nothing_changed():
    rows = teach([], "my pet", "dog")
    assert gone_back(rows, TREE, held(rows), "anna", now=1) == []


def test_a_version_whose_code_is_gone_cannot_be_told_again():
    with pytest.raises(Fault) as caught:
        gone_back([], TREE, {Held("c1", "horse", "my pet")}, "anna", now=1)
    assert "horse" in str(caught.value.value)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("teach"), st.sampled_from(["my pet", "My pet", "a tree"]), st.sampled_from(["dog", "cat", "oak"])),
        st.tuples(st.just("undo"), st.integers(0, 5), st.none()),
        st.tuples(st.just("file"), st.sampled_from(["my pet", "a tree"]), st.sampled_from(["dog", "cat"])),
    ),
    max_size=10,
)


@given(STEPS, st.integers(0, 10), st.lists(st.integers(0, 50), min_size=11, max_size=11))
def test_every_state_that_ever_was_can_be_told_again(steps, place, clock):
    rows: list[CorrectionRow] = []
    states = [held(rows)]
    for number, (kind, what, code) in enumerate(steps):
        if kind == "teach":
            rows = teach(rows, what, code, ["anna", "bo"][number % 2], now=clock[number])
        elif kind == "file":
            rows = [*rows, CorrectionRow(f"f{number % 3}", "correct", what, (code,), "", clock[number], "", "", "", "f.csv")]
        else:
            known = sorted(item.correction_id for item in held(rows))
            rows = undo(rows, *known[what : what + 1], now=clock[number])
        states.append(held(rows))
    wanted = states[min(place, len(states) - 1)]
    rows = [*rows, *gone_back(rows, TREE, wanted, "anna", now=clock[-1])]
    assert sorted((item.code, item.text) for item in held(rows)) == sorted((item.code, item.text) for item in wanted)


def test_lines_are_what_the_reader_reads(household):
    rows = undo(teach([], "my  pet, “quoted”", "dog"), "other")
    household.put(as_lines(rows).decode(), "a.jsonl")
    household.learn()
    read = household.rows("correction_rows", "correction_id", "action", "text", "codes", "annotator", "source")
    assert sorted(read, key=repr) == sorted(
        ((row.correction_id, row.action, row.text and "my pet, “quoted”", list(row.codes), "anna", "cli") for row in rows),
        key=repr,
    )
    assert all(json.loads(line)["corrected_at"].startswith("1970") for line in as_lines(rows).splitlines())


def test_corrections_are_chosen_by_id_file_node_and_text():
    rows = [
        CorrectionRow("c1", "correct", "my pet", ("dog",), "", -1, "", "", "", "a.csv"),
        CorrectionRow("c2", "correct", "a tree", ("oak",), "", -1, "", "", "", "a.csv"),
        CorrectionRow("c2", "correct", "a tree", ("oak",), "", -1, "", "", "", "b.csv"),
        CorrectionRow("c3", "correct", "MY pet", ("cat",), "", -1, "", "", "", "b.csv"),
    ]
    settled = settle(rows, TREE)

    def ids(**named):
        return [found.correction_id for found in chosen_ids(settled, rows, **named)]

    assert ids(ids={"c1"}) == ["c1"]
    assert ids(files={"b.csv"}) == ["c2", "c3"]
    assert ids(nodes={"oak"}) == ["c2"]
    assert ids(texts={"my PET"}) == ["c1", "c3"]
    for missing in ({"ids": {"c9"}}, {"files": {"z.csv"}}, {"nodes": {"horse"}}, {"texts": {"fish"}}):
        with pytest.raises(Fault):
            ids(**missing)


def test_the_clock_of_decisions_counts_microseconds():
    assert 1.7e15 < now_moment() < 4e15
