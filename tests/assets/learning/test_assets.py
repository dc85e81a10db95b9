"""The assets of learning in the real graph: what they write, what people see, and what follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from taxomind_app.definitions import defs
from taxomind_resources import embedding
from taxomind_resources.catalogue import Catalogue
from taxomind_resources.inbox import Inbox

ANIMALS = (
    "code,parent_code,label,examples\n"
    'a,,Animals,\ndog,a,Dog,"poodle\nbarking puppy"\ncat,a,Cat,"purring kitten"\n'
    'p,,Plants,\noak,p,Oak,"acorn tree"\nrose,p,Rose,"thorny flower"\n'
)
GIVEN = "correction_id,text,code,annotator\nc1,wug,dog,anna\nc2,big wug,dog,bo\nc3,small wug,dog,bo\nc4,wug,rose,bo\n,,cat,bo\n"


class Graph:
    """A project with the taxonomy `animals`, run by its real jobs over a small model of words."""

    def __init__(self, data: Path, instance: DagsterInstance) -> None:
        self.inbox, self.instance, self.catalogue = Inbox(data, 0.0), instance, Catalogue(data)
        instance.add_dynamic_partitions("taxonomy_key", ["animals"])

    def put(self, kind: str, content: str, name: str) -> None:
        self.inbox.put("animals", kind, content.encode(), name)

    def run(self, job: str) -> dict[str, dict[str, Any]]:
        """Metadata of what a job made, by asset."""
        done = defs.resolve_job_def(job).execute_in_process(partition_key="animals", instance=self.instance)
        events = [event for event in done.all_events if event.is_step_materialization]
        made = [event.step_materialization_data.materialization for event in events]
        return {m.asset_key.to_user_string(): {name: value.value for name, value in m.metadata.items()} for m in made}

    def sql(self, query: str) -> list[dict[str, Any]]:
        return self.catalogue.query(query).to_pylist()


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, household) -> Iterator[Graph]:
    monkeypatch.setenv("TAXOMIND_DATA", str(tmp_path / "graph"))
    monkeypatch.setenv("TAXOMIND_LIMITS__SETTLE_S", "0")
    monkeypatch.setattr(embedding, "load_embedder", lambda settings, data, recorded=None: household.embedder)
    with DagsterInstance.ephemeral() as instance:
        found = Graph(tmp_path / "graph", instance)
        found.put("taxonomy", ANIMALS, "taxonomy.csv")
        yield found


def test_learning_shows_what_it_did(graph):
    graph.run("build_taxonomy")
    graph.put("corrections", GIVEN, "given.csv")
    made = graph.run("learning_pipe")
    assert (made["corrections"]["applied"], made["corrections"]["rows refused"]) == (4, 1)
    assert "given.csv, line 6" in made["corrections"]["first refused rows"]
    evidence = made["evidence_centroids"]
    assert (evidence["texts"], evidence["nodes with evidence"], evidence["learned with this run"]) == (4, 2, 4)
    assert (evidence["contradictions"], evidence["touched"]) == (2, "dog, rose")
    assert "wug" in evidence["to review"]
    assert made["stop_calibration"]["corrected"] >= 3
    report = made["learning_report"]
    assert report["corrected texts"] == 3
    assert report["agreement of annotators (alpha)"] <= 0
    assert "without any correction" in report["result"]
    assert report["learned over time"].startswith("![")


def test_texts_are_answered_with_what_was_learned_and_say_with_which_version(graph):
    graph.run("build_taxonomy")
    graph.put("corrections", GIVEN, "given.csv")
    graph.put("texts", "text_id,text\nt1,big wug\n", "texts.csv")
    graph.run("learning_pipe")
    graph.run("inference")
    (answer,) = graph.sql("SELECT code, stop_reason, evidence_version FROM classification.results")
    (version,) = graph.sql("SELECT evidence_version FROM learning.evidence_versions")
    assert answer == {"code": "dog", "stop_reason": "exact_evidence", **version}


def test_answers_become_stale_with_new_evidence_and_are_never_changed_silently(graph):
    graph.run("build_taxonomy")
    graph.put("texts", "text_id,text\nt1,big wug\n", "texts.csv")
    graph.run("inference")
    before = graph.sql("SELECT * FROM classification.results")
    graph.put("corrections", GIVEN, "given.csv")
    made = graph.run("learning_pipe")
    assert made["evidence_centroids"]["stale batches"] == 1
    graph.run("inference")
    assert graph.sql("SELECT * FROM classification.results") == before
    (stale,) = graph.sql("SELECT source_file, texts, because, evidence_version FROM classification.stale_batches")
    assert stale == {"source_file": "texts.csv", "texts": 1, "because": ["evidence"], "evidence_version": ""}


def test_a_rebuild_keeps_the_evidence_and_a_revision_parks_and_restores_it(graph):
    graph.run("build_taxonomy")
    graph.put("corrections", GIVEN, "given.csv")
    first = graph.run("learning_pipe")["evidence_centroids"]["evidence version"]
    graph.put("taxonomy", ANIMALS.replace("Dog", "Hound"), "taxonomy.csv")
    assert graph.run("whole_job")["evidence_centroids"]["evidence version"] == first
    graph.put("taxonomy", ANIMALS.replace("rose,p,Rose,", "lily,p,Lily,"), "taxonomy.csv")
    assert graph.run("whole_job")["corrections"]["unknown code"] == 1
    graph.put("taxonomy", ANIMALS, "taxonomy.csv")
    assert graph.run("whole_job")["evidence_centroids"]["evidence version"] == first


def test_a_taxonomy_without_corrections_goes_through_the_whole_job(graph):
    made = graph.run("whole_job")
    assert made["evidence_centroids"]["evidence version"] == "none"
    assert "taxomind learn" in made["learning_report"]["note"]
    assert json.dumps(graph.sql("SELECT * FROM learning.corrections")) == "[]"
