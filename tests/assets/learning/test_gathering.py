"""Files to corrections to evidence: exactly once, whatever happens; exact when something is taken back."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taxomind_resources.embedding import EmbeddingSpec
from taxomind_resources.faults import Fault

GIVEN = "correction_id,text,code,annotator\nc1,my pet,dog,anna\nc2,your pet,cat,bo\nc3,a tree,oak,\n"


def test_corrections_become_sums_counts_and_texts(household):
    household.put(GIVEN + "c4,my  puppy,dog,bo\n", "a.csv")
    found = household.learn()
    assert household.rows("centroids", "code", "count") == [("cat", 1), ("dog", 2), ("oak", 1)]
    total = household.embedder.embed(["my pet", "my puppy"], "query").astype(np.float64).sum(axis=0)
    sums = dict(household.rows("centroids", "code", "vector_sum"))
    assert np.allclose(sums["dog"], total, atol=1e-6)
    assert found.touched == ["cat", "dog", "oak"]
    assert [row[0] for row in household.rows("evidence", "text")] == ["a tree", "my pet", "my puppy", "your pet"]


def test_a_second_run_changes_nothing_and_embeds_nothing(household):
    household.put(GIVEN, "a.csv")
    household.learn()
    before = household.state(), household.rows("centroids", "code", "updated_at")
    household.embedder.embedded.clear()
    found = household.learn()
    assert household.embedder.embedded == []
    assert (household.state(), household.rows("centroids", "code", "updated_at")) == before
    assert (found.touched, len(household.rows("evidence_versions", "number"))) == ([], 1)


def test_only_the_corrected_node_changes(household):
    household.put(GIVEN, "a.csv")
    household.learn()
    before = {row[0]: row for row in household.rows("centroids", "code", "count", "vector_sum", "updated_at")}
    household.put("text,code\nmy old dog,dog\n", "b.csv")
    household.embedder.embedded.clear()
    assert household.learn().touched == ["dog"]
    assert household.embedder.embedded == ["my old dog"]
    after = {row[0]: row for row in household.rows("centroids", "code", "count", "vector_sum", "updated_at")}
    assert {code for code in after if after[code] != before[code]} == {"dog"}


def test_taking_a_correction_back_restores_the_sums(household):
    household.put(GIVEN, "a.csv")
    household.learn()
    before = household.state()
    household.put("correction_id,text,code\nc9,my old pet,dog\n", "b.csv")
    household.learn()
    assert household.state()["sums"] != before["sums"]
    household.put("correction_id,action\nc9,withdraw\n", "c.csv")
    household.learn()
    after = household.state()
    assert (after["counts"], after["evidence"], after["sums"]) == (before["counts"], before["evidence"], before["sums"])


def test_a_file_that_is_deleted_takes_its_corrections_with_it(household):
    household.put(GIVEN, "a.csv")
    household.put("text,code\nmy old pet,dog\n", "b.csv").unlink()
    household.learn()
    (household.folder / "a.csv").unlink()
    household.learn()
    assert household.rows("centroids", "code") == household.rows("evidence", "text") == []


def test_evidence_survives_another_version_of_the_taxonomy_and_is_parked_while_its_code_is_gone(household):
    household.put(GIVEN, "a.csv")
    household.learn()
    before = household.state()["sums"]
    household.revise("a", "dog", "p", "oak")
    household.learn()
    assert household.applied() == [("a tree", "oak"), ("my pet", "dog")]
    assert ("c2", "unknown_code") in household.rows("corrections", "correction_id", "status")
    household.revise("a", "dog", "cat", "p", "oak", "rose")
    household.learn()
    assert household.state()["sums"] == before


def test_another_model_embeds_the_texts_anew_and_keeps_the_version(household):
    household.put(GIVEN, "a.csv")
    version = household.learn().evidence.version
    former = household.outputs.parts("learning.evidence", "animals")
    household.embedder.spec = EmbeddingSpec("local", "other", None, "other", "", "", "mean", "right", 128, 16, "float32")
    with pytest.raises(Fault) as caught:
        household.learn()
    assert caught.value.code == "index_stale"
    household.revise("a", "dog", "cat", "p", "oak", "rose")
    assert household.learn().evidence.version == version
    parts = household.outputs.parts("learning.evidence", "animals")
    assert len(parts) == 1
    assert parts != former


def test_contradictions_and_outliers_are_listed_and_count_all_the_same(household):
    lines = [("a big dog", "dog"), ("one small dog", "dog"), ("purring cat", "cat"), ("a small cat", "cat"), ("purring", "dog")]
    lines += [("my pet", "dog"), ("my pet", "cat"), ("living", "a"), ("living", "dog")]
    household.put("".join(json.dumps({"text": text, "code": code}) + "\n" for text, code in lines), "a.jsonl")
    household.learn()
    reviews = household.rows("reviews", "kind", "text", "code", "other_codes")
    assert [row for row in reviews if row[0] == "contradiction"] == [
        ("contradiction", "my pet", "cat", ["dog"]),
        ("contradiction", "my pet", "dog", ["cat"]),
    ]
    assert ("outlier", "purring", "dog", ["cat"]) in reviews
    assert len(household.applied()) == len(lines)


LINES = st.fixed_dictionaries(
    {"correction_id": st.sampled_from(["c1", "c2", "c3", "c4"]), "text": st.sampled_from(["my pet", "a tree", "my old pet"])},
    optional={
        "code": st.sampled_from(["dog", "cat", "oak", "horse"]),
        "annotator": st.sampled_from(["anna", "bo"]),
        "corrected_at": st.sampled_from(["2026-01-01", "2026-01-02T00:00:00Z"]),
        "action": st.sampled_from(["withdraw", "restore", "confirm"]),
    },
)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(LINES, min_size=1, max_size=8), st.data())
def test_any_interleaving_of_files_kills_and_withdrawals_ends_in_the_same_state(household_in, lines, data):
    clean = household_in()
    clean.put("".join(json.dumps(line) + "\n" for line in lines), "all.jsonl")
    clean.learn()
    torn = household_in()
    # Each line lands in one or two files, the files in any order, and any run may be killed before any of its writes.
    places = data.draw(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=2), min_size=len(lines), max_size=len(lines)))
    order = data.draw(st.permutations(range(4)))
    for number in order:
        content = "".join(json.dumps(line) + "\n" for line, own in zip(lines, places, strict=True) if number in own)
        if content:
            torn.put(content, f"file{number}.jsonl")
        for kill_at in data.draw(st.lists(st.integers(0, 8), max_size=2)):
            torn.learn(kill_at)
    torn.learn()
    assert torn.state() == clean.state()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(LINES, min_size=1, max_size=6), st.integers(0, 8))
def test_a_run_that_is_killed_leaves_evidence_that_can_be_read(household_in, lines, kill_at):
    house = household_in()
    house.put(GIVEN, "a.csv")
    house.learn()
    house.put("".join(json.dumps(line) + "\n" for line in lines), "b.jsonl")
    house.learn(kill_at)
    texts = house.rows("evidence", "text", "vector")
    assert all(len(vector) == 16 for _, vector in texts)
    house.learn()
    again = house.state()
    house.learn()
    assert house.state() == again


def test_thousands_of_files_are_learned_once_and_cost_little_the_second_time(household):
    number = 2_000
    for i in range(number):
        (household.folder / f"c{i:05d}.jsonl").write_text(json.dumps({"text": f"pet number {i}", "code": "dog"}) + "\n")
    household.learn()
    assert household.rows("centroids", "code", "count") == [("dog", number)]
    household.put('{"text": "one more pet", "code": "cat"}\n', "more.jsonl")
    started = time.process_time()
    found = household.learn()
    assert found.touched == ["cat"]
    assert time.process_time() - started < 2.0
