"""Stored evidence as classifiers read it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.learning.stored import evidence_state, stored_evidence
from taxomind_assets.taxonomy.stored import stored_taxonomy

GIVEN = "text,code\nmy pet,dog\na tree,oak\nmy cat,cat\n"


@pytest.fixture
def index_for(household, random_index):
    def make():
        tree = stored_taxonomy(household.outputs, "animals")
        index = random_index(tree, dimensions=16)
        return dataclasses.replace(index, spec=json.loads(household.embedder.spec.to_json()))

    return make


def test_without_corrections_there_is_no_evidence(household, index_for):
    found = stored_evidence(household.outputs, "animals", index_for())
    assert (len(found), found.version, found.vectors.shape) == (0, "", (0, 16))
    assert evidence_state(household.outputs, "animals") == ""


def test_evidence_is_read_as_it_was_made(household, index_for):
    household.put(GIVEN, "a.csv")
    made = household.learn().evidence
    found = stored_evidence(household.outputs, "animals", index_for())
    assert (found.texts, found.codes, found.version) == (made.texts, made.codes, made.version)
    assert np.array_equal(found.vectors, made.vectors)


def test_an_index_takes_what_its_taxonomy_and_its_model_know(household, index_for):
    household.put(GIVEN, "a.csv")
    household.learn()
    former = index_for()
    household.revise("a", "dog", "p", "oak")
    assert stored_evidence(household.outputs, "animals", index_for()).codes == ("dog", "oak")
    other = dataclasses.replace(former, spec={**former.spec, "weights_digest": "other"})
    assert len(stored_evidence(household.outputs, "animals", other)) == 0


def test_the_state_of_evidence_changes_when_it_is_written(household):
    household.put(GIVEN, "a.csv")
    household.learn()
    before = evidence_state(household.outputs, "animals")
    assert before == evidence_state(household.outputs, "animals") != ""
    household.put("text,code\nmy old pet,dog\n", "b.csv")
    household.learn()
    assert evidence_state(household.outputs, "animals") != before


def test_a_text_on_which_several_agree_has_several_rows():
    vectors = np.eye(3, dtype=np.float32)
    evidence = Evidence.of(["b", "a", "b"], ["y", "x", "y"], vectors)
    codes, sums, counts = evidence.sums()
    assert (evidence.texts, codes, counts.tolist()) == (("a", "b", "b"), ["x", "y"], [1, 2])
    assert np.allclose(sums, [[0, 1, 0], [1, 0, 1]])
    assert evidence.version == Evidence.of(["b", "b", "a"], ["y", "y", "x"], vectors).version
    assert evidence.version != Evidence.of(["b", "a"], ["y", "x"], vectors[:2]).version


def test_reading_evidence_imports_no_heavy_library():
    heavy = "[m for m in ('pandas', 'duckdb', 'lancedb') if m in sys.modules]"
    code = f"import sys; import taxomind_assets.learning.stored; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
