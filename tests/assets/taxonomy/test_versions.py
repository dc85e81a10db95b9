"""Editions in the outputs: what the assets write when a taxonomy is revised, and what becomes of corrections."""

from __future__ import annotations

import pytest

from taxomind_assets.pending import pending_build
from taxomind_assets.taxonomy.revision_impact import touched
from taxomind_assets.taxonomy.revision_log import Author, carry_out, plan_revision, plan_undo
from taxomind_assets.taxonomy.versions import current_translation, current_version, stored_version
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings, load_settings

pytestmark = pytest.mark.slow

KEY = "animals"
LIMITS, ME = LimitSettings(), Author("me")
CORRECTIONS = (
    "correction_id,text,code,annotator,corrected_at\n"
    "1,barking puppy of the neighbours,dog,ann,2026-01-01T00:00:00Z\n"
    "2,poodle with a ribbon,dog,ann,2026-01-01T00:00:00Z\n"
    "3,purring,cat,ann,2026-01-01T00:00:00Z\n"
    "4,acorn on the ground,oak,ann,2026-01-01T00:00:00Z\n"
    "5,thorny stem,rose,ann,2026-01-01T00:00:00Z\n"
    "6,something that moves,a,ann,2026-01-01T00:00:00Z\n"
    "7,xyzzy,dog,ann,2026-01-01T00:00:00Z\n"
)
#: Dogs are split, trees and flowers put together, cats get another code, and animals another name.
REVISED = (
    "code,parent_code,label,definition,examples\n"
    "a,,Fauna,Living beings that move,\n"
    'poodle,a,Poodle,A dog with curls,"poodle\nribbon"\n'
    'puppy,a,Puppy,A young dog that barks,"barking puppy"\n'
    'feline,a,Cat,An animal that purrs,"purring kitten"\n'
    "p,,Plants,Living beings with leaves,\n"
    'green,p,Oak and rose,A tree with acorns or a flower with thorns,"acorn tree\nthorny flower"\n'
)
LINKS = "old_code,new_code\ndog,poodle\ndog,puppy\noak,green\nrose,green\ncat,feline\n"


@pytest.fixture
def revised(animals, tmp_path):
    """`revised()` puts the second edition in force; `.undo()` takes it back."""
    animals.put(KEY, "corrections", CORRECTIONS, "corrections.csv")
    build(animals)
    (tmp_path / "new.csv").write_text(REVISED)
    (tmp_path / "links.csv").write_text(LINKS)
    return animals


def build(project):
    assert project.run("build_taxonomy", KEY).success
    assert project.run("learning_pipe", KEY).success


def revise(project, tmp_path):
    files = {"source": tmp_path / "new.csv", "crosswalk": tmp_path / "links.csv"}
    plan = plan_revision(project.inbox, project.outputs, KEY, LIMITS, ME, **files)
    carry_out(project.inbox, plan)
    build(project)
    return plan


def undo(project):
    carry_out(project.inbox, plan_undo(project.inbox, project.outputs, KEY, LIMITS, ME))
    build(project)


def places(project):
    return {row["correction_id"]: row["code"] for row in project.sql("SELECT correction_id, code FROM learning.corrections")}


def evidence(project):
    return project.sql("SELECT code, count, vector_sum FROM learning.centroids ORDER BY code")


def test_the_first_version_is_of_the_first_edition(revised):
    (row,) = revised.sql("SELECT version, edition, follows FROM taxonomy.versions")
    assert (row["edition"], row["follows"]) == (0, None)
    assert revised.sql("SELECT DISTINCT from_edition, to_edition, relation FROM taxonomy.crosswalk") == [
        {"from_edition": 0, "to_edition": 0, "relation": "same"}
    ]


def test_a_revision_makes_an_edition_with_a_changelog(revised, tmp_path):
    plan = revise(revised, tmp_path)
    rows = revised.sql("SELECT version, edition, follows FROM taxonomy.versions ORDER BY edition")
    assert [(row["version"], row["edition"], row["follows"]) for row in rows] == [
        (plan.before.version, 0, None),
        (plan.after.version, 1, plan.before.version),
    ]
    changes = revised.sql("SELECT kind, old_codes, new_codes, confidence FROM taxonomy.changes ORDER BY ALL")
    assert [(row["kind"], row["old_codes"], row["new_codes"]) for row in changes] == [
        ("merged", ["oak", "rose"], ["green"]),
        ("recoded", ["cat"], ["feline"]),
        ("renamed", ["a"], ["a"]),
        ("split", ["dog"], ["poodle", "puppy"]),
    ]
    assert {row["confidence"] for row in changes} == {None}
    (record,) = revised.sql("SELECT * FROM taxonomy.revisions")
    assert (record["number"], record["kind"], record["made_by"], record["links"]) == (1, "revise", "me", 5)


def test_every_code_is_found_in_either_edition(revised, tmp_path):
    revise(revised, tmp_path)
    query = "SELECT old_code, new_code, relation, targets FROM taxonomy.crosswalk WHERE from_edition = {} AND to_edition = {}"
    forth = revised.sql(query.format(0, 1) + " ORDER BY ALL")
    assert [tuple(row.values()) for row in forth] == [
        ("a", "a", "same", 1),
        ("cat", "feline", "recoded", 1),
        ("dog", "poodle", "split", 2),
        ("dog", "puppy", "split", 2),
        ("oak", "green", "merged", 1),
        ("p", "p", "same", 1),
        ("rose", "green", "merged", 1),
    ]
    back = {(row["old_code"], row["new_code"]) for row in revised.sql(query.format(1, 0))}
    assert back == {(row["new_code"], row["old_code"]) for row in forth}


def test_corrections_follow_their_codes(revised, tmp_path):
    before = revised.outputs.read("learning.corrections", KEY)
    revise(revised, tmp_path)
    found = places(revised)
    unsure = found.pop("7")
    assert unsure in {None, "poodle", "puppy"}
    assert found == {
        "1": "puppy",
        "2": "poodle",
        "3": "feline",
        "4": "green",
        "5": "green",
        "6": "a",
    }
    after = revised.outputs.read("learning.corrections", KEY)
    # What people said is not rewritten.
    assert after["given_codes"] == before["given_codes"]


def test_an_unsure_correction_is_listed_for_a_person_and_counts_meanwhile_where_it_most_probably_belongs(revised, tmp_path):
    revise(revised, tmp_path)
    rows = revised.sql("SELECT correction_id, options, code, confidence, status FROM taxonomy.reassignments ORDER BY ALL")
    assert [(row["correction_id"], row["status"]) for row in rows] == [("1", "moved"), ("2", "moved"), ("7", "unsure")]
    assert all(row["options"] == ["poodle", "puppy"] for row in rows)
    assert rows[2]["confidence"] < 0.8 <= min(rows[0]["confidence"], rows[1]["confidence"])
    assert places(revised)["7"] == (rows[2]["code"] if rows[2]["confidence"] > 0.5 else None)
    late = "correction_id,text,code,annotator,corrected_at\n8,xyzzy,puppy,ann,2030-01-01T00:00:00Z\n"
    revised.put(KEY, "corrections", late, "late.csv")
    build(revised)
    assert places(revised)["8"] == "puppy"


def test_merged_nodes_have_the_evidence_of_both_exactly(revised, tmp_path):
    before = {row["code"]: row for row in evidence(revised)}
    revise(revised, tmp_path)
    after = {row["code"]: row for row in evidence(revised)}
    assert after["green"]["count"] == 2
    summed = [a + b for a, b in zip(before["oak"]["vector_sum"], before["rose"]["vector_sum"], strict=True)]
    assert after["green"]["vector_sum"] == pytest.approx(summed, abs=1e-12)
    assert after["feline"]["vector_sum"] == before["cat"]["vector_sum"]


def test_taking_a_revision_back_restores_everything(revised, tmp_path):
    def state():
        index = revised.indexes.current(KEY)
        return places(revised), evidence(revised), revised.outputs.read("taxonomy.nodes", KEY).to_pylist(), index

    before = state()
    revise(revised, tmp_path)
    assert state() != before
    undo(revised)
    assert state() == before
    assert [row["kind"] for row in revised.sql("SELECT kind FROM taxonomy.revisions ORDER BY number")] == ["revise", "undo"]


def test_a_decision_stays_when_it_is_asked_again(revised, tmp_path, monkeypatch):
    revise(revised, tmp_path)
    first = revised.outputs.read("taxonomy.reassignments", KEY)
    monkeypatch.setenv("TAXOMIND_ROUTING__ACCURACY_TARGET", "0.999999")
    build(revised)
    assert revised.outputs.read("taxonomy.reassignments", KEY) == first


def test_a_node_that_is_added_later_belongs_to_the_same_edition(revised, tmp_path):
    revise(revised, tmp_path)
    revised.inbox.put(KEY, "taxonomy", (REVISED + "ant,a,Ant,,\n").encode(), "taxonomy.csv")
    build(revised)
    assert revised.sql("SELECT edition FROM taxonomy.versions ORDER BY created_at DESC LIMIT 1") == [{"edition": 1}]
    translation = current_translation(revised.inbox, revised.outputs, KEY)
    assert translation.codes("cat", stored_first(revised)) == ("feline",)
    assert places(revised)["3"] == "feline"


def stored_first(project):
    return project.sql("SELECT version FROM taxonomy.versions ORDER BY created_at LIMIT 1")[0]["version"]


def test_a_code_without_successor_is_parked_and_comes_back(revised, tmp_path):
    (tmp_path / "links.csv").write_text(LINKS.replace("cat,feline", "cat,"))
    revise(revised, tmp_path)
    assert places(revised)["3"] is None
    undo(revised)
    assert places(revised)["3"] == "cat"


def test_a_better_crosswalk_asks_for_a_new_build(revised, tmp_path):
    revise(revised, tmp_path)
    assert waiting(revised) == ""
    undo(revised)
    (tmp_path / "links.csv").write_text(LINKS.replace("dog,puppy\n", ""))
    files = {"source": tmp_path / "new.csv", "crosswalk": tmp_path / "links.csv"}
    carry_out(revised.inbox, plan_revision(revised.inbox, revised.outputs, KEY, LIMITS, ME, **files))
    assert waiting(revised)
    build(revised)
    assert waiting(revised) == ""
    assert places(revised)["1"] == "poodle"


def waiting(project):
    return pending_build(KEY, load_settings(), project.inbox, project.outputs)[0]


def test_a_plan_says_what_it_touches(revised, tmp_path):
    files = {"source": tmp_path / "new.csv", "crosswalk": tmp_path / "links.csv"}
    plan = plan_revision(revised.inbox, revised.outputs, KEY, LIMITS, ME, **files)
    assert touched(revised.outputs, KEY, plan.record.crosswalk) == {
        "same": {"corrections": 1, "answers": 0},
        "recoded": {"corrections": 1, "answers": 0},
        "merged": {"corrections": 2, "answers": 0},
        "split": {"corrections": 3, "answers": 0},
    }


def test_a_damaged_record_stops_the_build_and_is_named(revised):
    revised.put(KEY, "revisions", "{}", "0001.json")
    result = revised.run("build_taxonomy", KEY)
    assert not result.success
    assert "0001.json" in result.failure_data_for_node("raw_taxonomy").user_failure_data.description
    assert len(revised.sql("SELECT * FROM taxonomy.nodes")) == 6


def test_a_version_is_found_by_its_beginning(revised):
    version = current_version(revised.outputs, KEY)
    assert stored_version(revised.outputs, KEY, version[:5]).version == version
    for name in ("zzz", ""):
        with pytest.raises(Fault, match="no version"):
            stored_version(revised.outputs, KEY, name)
