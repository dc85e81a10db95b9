"""The asset `enriched_definitions`: passes through without a model, enriches with one, never fails a build for want of it."""

from __future__ import annotations

import json

import pytest
from dagster import RunConfig

from taxomind_assets.pending import pending
from taxomind_assets.taxonomy.assets import EnrichmentConfig
from taxomind_assets.views.index import NodeIndex
from taxomind_resources import llm
from taxomind_resources.settings import load_settings
from tests.assets.taxonomy.zoo import EMPTY


@pytest.fixture
def model(animals, llm_server, monkeypatch):
    """A project whose settings name the language model; its clients end with the test."""
    llm_server.model = lambda data: json.dumps(
        {**EMPTY, "examples": [f"something that only a {data['label'].lower()} does"], "negative_phrases": ["a stone"]}
    )
    monkeypatch.setenv("TAXOMIND_LLM__BASE_URL", llm_server.url)
    monkeypatch.setenv("TAXOMIND_LLM__REQUESTS_PER_MINUTE", "60000")
    monkeypatch.setenv("TAXOMIND_ENRICHMENT__ENABLED", "true")
    made = dict(llm.client._SHARED)
    yield animals
    for key in set(llm.client._SHARED) - set(made):
        llm.client._SHARED.pop(key).close()


def test_without_a_key_nodes_pass_through_and_the_metadata_says_why(animals, metadata, monkeypatch):
    monkeypatch.setenv("TAXOMIND_ENRICHMENT__ENABLED", "true")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = animals.run("build_taxonomy", "animals")
    assert result.success
    assert "OpenAI wants a key" in metadata(result, "enriched_definitions")["enrichment"]
    assert animals.sql("SELECT count(*) AS n FROM taxonomy.enriched_nodes WHERE len(added) > 0") == [{"n": 0}]


def test_a_run_that_is_asked_to_ask_fails_without_a_key(animals, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = RunConfig({"enriched_definitions": EnrichmentConfig(ask=True)})
    result = animals.run("build_taxonomy", "animals", config=config)
    failure = result.failure_data_for_node("enriched_definitions").user_failure_data
    assert "[invalid_setting]" in failure.description


def test_added_texts_reach_tables_index_and_metadata(model, metadata):
    result = model.run("build_taxonomy", "animals")
    shown = metadata(result, "enriched_definitions")
    assert shown["questions"] == 6
    assert shown["input tokens"] == 600
    assert shown["cost in US dollars"] == 0.0
    assert shown["nodes with added texts"] == 6
    added = model.sql("SELECT added FROM taxonomy.enriched_nodes WHERE code = 'dog'")[0]["added"]
    assert added[0]["examples"] == ["something that only a dog does"]
    assert model.sql("SELECT examples FROM taxonomy.enriched_nodes WHERE code = 'dog'") == [
        {"examples": ["poodle", "barking puppy"]}
    ]
    index = NodeIndex.load(model.indexes.folder("animals"))
    origins = {text.text: (text.view, text.origin) for text in index.texts if text.code == "dog"}
    assert origins["something that only a dog does"] == ("example", "enrichment")
    assert origins["poodle"] == ("example", "source")
    assert index.tree.nodes[index.tree.position["dog"]].added[0].examples == ("something that only a dog does",)
    run = model.sql('SELECT questions, accepted, "left" FROM taxonomy.enrichment_runs')
    assert run == [{"questions": 6, "accepted": 12, "left": 0}]


def test_a_build_later_asks_nothing_and_keeps_what_was_added(model, metadata, llm_server, monkeypatch):
    model.run("build_taxonomy", "animals")
    first = model.indexes.current("animals")
    asked = len(llm_server.requests)
    monkeypatch.setenv("TAXOMIND_ENRICHMENT__ENABLED", "false")
    result = model.run("build_taxonomy", "animals")
    assert len(llm_server.requests) == asked
    assert metadata(result, "enriched_definitions")["nodes with added texts"] == 6
    assert model.indexes.current("animals") == first


def test_apply_false_keeps_the_texts_in_their_table_only(model, monkeypatch):
    monkeypatch.setenv("TAXOMIND_ENRICHMENT__APPLY", "false")
    model.run("build_taxonomy", "animals")
    assert model.sql("SELECT count(*) AS n FROM taxonomy.enriched_nodes WHERE len(added) > 0") == [{"n": 0}]
    assert model.sql("SELECT count(*) AS n FROM taxonomy.enrichment WHERE status = 'accepted'")[0]["n"] == 12


def test_switching_enrichment_on_asks_for_a_build_and_is_done_after_it(model, monkeypatch):
    def waits() -> str:
        return pending("animals", load_settings(), model.inbox, model.outputs, model.indexes).build

    monkeypatch.setenv("TAXOMIND_ENRICHMENT__ENABLED", "false")
    model.run("build_taxonomy", "animals")
    assert not waits()
    monkeypatch.setenv("TAXOMIND_ENRICHMENT__ENABLED", "true")
    assert waits()
    model.run("build_taxonomy", "animals")
    assert not waits()


def test_an_endpoint_that_fails_does_not_fail_the_build(model, metadata, llm_server):
    llm_server.always = "500"
    result = model.run("build_taxonomy", "animals")
    assert result.success
    assert metadata(result, "enriched_definitions")["failed questions"] == 6
    failures = metadata(result, "enriched_definitions")["failures"]
    assert "500" in failures
