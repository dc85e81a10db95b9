"""What inputs still ask for, read from the files alone."""

from __future__ import annotations

import pytest

from taxomind_assets.pending import IndexState, NodesState, pending
from taxomind_resources.settings import load_settings

TEXTS = "text\na barking puppy\n"
LABELLED = "text,code\na barking puppy,dog\n"


def asked(project, key="animals"):
    return pending(key, load_settings(), project.inbox, project.outputs, project.indexes)


def test_a_new_taxonomy_asks_to_be_built_and_its_texts_wait(animals):
    animals.put("animals", "texts", TEXTS)
    found = asked(animals)
    assert found.build
    assert not found.texts


def test_nothing_is_asked_for_when_everything_is_done(animals):
    animals.put("animals", "texts", TEXTS)
    animals.put("animals", "labelled", LABELLED)
    assert animals.run("whole_job", "animals").success
    found = asked(animals)
    assert (found.build, found.texts, found.report, found.stale_report, found.waiting) == ("", "", "", "", ())


def test_new_files_are_asked_for_by_kind(animals):
    animals.run("whole_job", "animals")
    animals.put("animals", "texts", TEXTS)
    assert asked(animals).texts
    animals.put("animals", "labelled", LABELLED)
    assert asked(animals).report


def test_a_new_index_makes_the_report_stale_but_not_new(animals):
    animals.put("animals", "labelled", LABELLED)
    animals.run("whole_job", "animals")
    text = (animals.data / "inbox/animals/taxonomy.csv").read_text()
    animals.put("animals", "taxonomy", text.replace("Rose,", "Rosebush,"))
    assert asked(animals).build
    animals.run("build_taxonomy", "animals")
    found = asked(animals)
    assert (bool(found.build), bool(found.report), bool(found.stale_report)) == (False, False, True)


def test_a_refused_file_is_not_asked_for_again(animals):
    animals.put("animals", "taxonomy", "code,parent_code,label\na,zz,A\n")
    animals.run("build_taxonomy", "animals")
    found = asked(animals)
    assert not found.build
    assert "was refused" in found.waiting[0]


def test_two_taxonomy_files_are_remarked(animals):
    animals.put("animals", "taxonomy", "code,parent_code,label\na,,A\n")
    (animals.data / "inbox/animals/taxonomy.json").write_text("{}")
    assert "2 files" in asked(animals).waiting[0]


@pytest.mark.parametrize(("name", "value", "asks"), [("MODEL", "other", True), ("BATCH_TOKENS", "512", False)])
def test_only_settings_that_change_vectors_ask_for_a_build(animals, monkeypatch, name, value, asks):
    animals.run("build_taxonomy", "animals")
    monkeypatch.setenv(f"TAXOMIND_EMBEDDING__{name}", value)
    assert bool(asked(animals).build) is asks


def test_texts_without_a_taxonomy_wait(project):
    project.put("orphan", "texts", TEXTS)
    found = asked(project, "orphan")
    assert not found.build
    assert not found.texts
    assert "wait for a taxonomy" in found.waiting[0]


def test_states_come_back_as_they_were_written():
    state = IndexState("v", "c", "d", "e")
    assert IndexState.parse(state.digest()) == state
    assert NodesState.parse(NodesState("v", "d").digest()) == NodesState("v", "d")
    assert IndexState.parse(None) == IndexState.parse("damaged") == IndexState("", "", "", "")
