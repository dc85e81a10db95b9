"""Evidence versions: a log of changes from which each state can be told."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taxomind_assets.learning.stored import VERSIONS, current_evidence_version
from taxomind_assets.learning.versions import Held, held_by, with_version
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO, THREE = Held("c1", "dog", "my pet"), Held("c2", "cat", "your pet"), Held("c1", "cat", "my pet")


def logged(*states):
    log = BY_NAME[VERSIONS].arrow.empty_table()
    for version, held in states:
        log, _, _ = with_version(log, held, version, NOW)
    return log


def test_each_version_holds_what_it_held():
    log = logged(("v1", [ONE]), ("v2", [ONE, TWO]), ("v3", [THREE]), ("v1", [ONE])).to_pylist()
    assert held_by(log, "v1") == {ONE}
    assert held_by(log, "v2") == {ONE, TWO}
    assert held_by(log, "v3") == {THREE}
    assert held_by(log) == {ONE}
    assert held_by(log, "") == set()


def test_a_version_is_a_change_and_no_change_is_none():
    log = logged(("v1", [ONE]))
    again, added, removed = with_version(log, [ONE], "v1", NOW)
    assert (again.num_rows, added, removed) == (1, set(), set())
    rows = logged(("v1", [ONE]), ("v2", [TWO, THREE])).to_pylist()
    assert [(row["number"], row["parent_version"], row["corrections"], row["nodes"]) for row in rows] == [
        (1, "", 1, 1),
        (2, "v1", 2, 1),
    ]
    assert [item["correction_id"] for item in rows[1]["added"]] == ["c1", "c2"]


def test_the_same_evidence_under_another_name_is_a_version_without_changes():
    log, added, removed = with_version(logged(("v1", [ONE])), [ONE], "another name", NOW)
    assert (added, removed) == (set(), set())
    assert held_by(log.to_pylist(), "another name") == held_by(log.to_pylist(), "v1") == {ONE}
    swapped, added, _ = with_version(logged(("v1", [ONE])), [ONE._replace(correction_id="c9")], "v1", NOW)
    assert (swapped.num_rows, {item.correction_id for item in added}) == (2, {"c9"})


def test_an_unknown_version_names_those_there_are():
    with pytest.raises(Fault) as caught:
        held_by(logged(("v1", [ONE])).to_pylist(), "v9")
    assert caught.value.allowed == "v1"


def test_the_current_version_is_the_last_one(household):
    assert current_evidence_version(household.outputs, "animals") == ""
    household.put("text,code\nmy pet,dog\n", "a.csv")
    first = household.learn().evidence.version
    assert current_evidence_version(household.outputs, "animals") == first
    household.put("text,code\nmy pet,cat\n", "a.csv")
    assert household.learn().evidence.version == current_evidence_version(household.outputs, "animals") != first
