"""The log of decisions: what stands, what was taken back, and what cannot be read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from taxomind_assets.growth.decisions import Decision, Standing, decisions_table, read_decisions, state_of, write_decisions
from taxomind_resources.faults import Fault
from taxomind_resources.inbox import Inbox

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def decided(number, action, label="Tax", **more):
    values = {"key": label.lower(), "details": {}, **more}
    return Decision(f"d{number}", NOW + timedelta(minutes=number), "anna", action, label, **values)


@pytest.fixture
def inbox(tmp_path):
    return Inbox(tmp_path, 0.0)


def test_decisions_are_read_in_the_order_in_which_they_were_made(inbox):
    second, first = decided(2, "skip", details={"count": 5}), decided(1, "reject", "Überweisung 税")
    write_decisions(inbox, "k", [second])
    write_decisions(inbox, "k", [first])
    assert read_decisions(inbox, "k") == [first, second]
    assert read_decisions(inbox, "other") == []


def test_the_same_file_twice_decides_once(inbox):
    write_decisions(inbox, "k", [decided(1, "reject")])
    (file,) = inbox.files("k", "decisions")
    (file.path.parent / "copy.jsonl").write_bytes(file.path.read_bytes() + b"\n")
    assert len(read_decisions(inbox, "k")) == 1


@pytest.mark.parametrize(
    "line",
    ["no json", "[]", '{"action": "add"}', json.dumps({"action": "eat"}), decided(1, "skip").to_line().replace("+00:00", "")],
)
def test_a_line_that_is_no_decision_stops_everything(inbox, line):
    inbox.put("k", "decisions", line.encode(), "bad.jsonl")
    with pytest.raises(Fault) as raised:
        read_decisions(inbox, "k")
    assert raised.value.code == "unreadable_file"


def test_a_rejection_stands_until_it_is_taken_back():
    reject = decided(1, "reject", details={"texts": ["a"]})
    again = decided(2, "reject_unattended")
    assert Standing.of([reject, again]).rejected == {"tax": reject}
    assert Standing.of([reject, again]).rejected_texts() == {"tax": ["a"]}
    assert Standing.of([reject, decided(3, "unreject")]).rejected == {}
    assert Standing.of([reject, decided(3, "undo", undoes="d1")]).rejected == {}
    assert list(Standing.of([reject, decided(3, "unreject"), decided(4, "reject")]).rejected) == ["tax"]


def test_a_skip_hides_until_its_days_are_over_or_the_candidate_has_grown_by_half():
    standing = Standing.of([decided(0, "skip", details={"count": 6})])
    soon = NOW + timedelta(days=6)
    assert standing.hidden_until("tax", 8, soon, 7) == NOW + timedelta(days=7)
    assert standing.hidden_until("tax", 9, soon, 7) is None
    assert standing.hidden_until("tax", 6, NOW + timedelta(days=7), 7) is None
    assert standing.hidden_until("other", 6, soon, 7) is None


def test_an_addition_that_was_not_carried_out_decides_nothing():
    add = decided(1, "add", code="g-tax", after_version="v2", details={"text_ids": ["a", "b"]})
    name = decided(2, "name_as_different", "Cash", code="g-money", after_version="v3")
    done = Standing.of([add, name], {"v2", "v3"})
    assert (done.decided_texts, list(done.rejected)) == ({"a", "b"}, ["cash"])
    killed = Standing.of([add, name], {"v1"})
    assert (killed.decided_texts, killed.rejected) == (frozenset(), {})


def test_every_decision_has_a_state():
    add = decided(1, "add", code="g-tax", after_version="v2")
    rows = [add, decided(2, "skip"), decided(3, "undo", undoes="d2")]

    def states(codes, versions):
        return [row["state"] for row in decisions_table(rows, codes, versions).to_pylist()]

    assert states({"g-tax"}, {"v2"}) == ["in_effect", "undone", "in_effect"]
    assert states(set(), {"v2"})[0] == "gone"
    assert states(set(), {"v1"})[0] == "not_done"
    assert state_of(add, Standing.of([add, decided(4, "undo", undoes="d1")]), set(), {"v2"}) == "undone"
