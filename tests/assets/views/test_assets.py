"""Nodes as vectors, and the index made of them."""

from __future__ import annotations

import numpy as np
import pytest

from taxomind_assets.pending import IndexState
from taxomind_assets.views.index import NodeIndex
from taxomind_assets.views.stored import load_view, view_tag
from taxomind_resources.embedding import EmbeddingSpec
from taxomind_resources.faults import Fault
from taxomind_resources.vector_store import VectorStore


@pytest.fixture
def built(animals):
    assert animals.run("build_taxonomy", "animals").success
    return animals


def test_every_view_holds_its_texts_at_a_pinned_version(built, word_embedder, metadata):
    store = VectorStore(built.data / "vectors")
    tag = view_tag(built.sql("SELECT DISTINCT version FROM taxonomy.nodes")[0]["version"], word_embedder.spec)
    assert {view: store.read("animals", view, tag).num_rows for view in ("label", "definition", "example")} == {
        "label": 6,
        "definition": 6,
        "example": 5,
    }


def test_the_published_index_holds_the_vectors_of_the_views(built, word_embedder):
    index = NodeIndex.load(built.indexes.folder("animals"))
    for text, vector in zip(index.texts, index.vectors, strict=True):
        assert np.allclose(vector, index.placed(word_embedder.embed([text.text], "document"))[0], atol=2e-3)


def test_the_outputs_name_the_version_of_each_vector(built):
    rows = built.sql(
        "SELECT view, count(*) AS n, min(lance_version) AS version FROM views.node_vectors GROUP BY view ORDER BY view"
    )
    assert rows == [
        {"view": "definition", "n": 6, "version": 1},
        {"view": "example", "n": 5, "version": 1},
        {"view": "label", "n": 6, "version": 1},
    ]
    index = built.sql("SELECT index_version, dimensions, vectors, model FROM views.index_versions")
    assert index == [{"index_version": built.indexes.current("animals"), "dimensions": 64, "vectors": 17, "model": "words"}]


def test_what_was_built_says_what_it_was_built_from(built, word_embedder):
    state = IndexState.parse(built.outputs.digest("views.node_vectors", "animals"))
    assert state.taxonomy_digest == built.inbox.digest("animals", "taxonomy")
    assert state.vector_class == word_embedder.spec.vector_class


def test_building_again_gives_the_same_index_and_versions(built):
    first = built.indexes.current("animals")
    assert built.run("build_taxonomy", "animals").success
    assert built.indexes.current("animals") == first
    assert len(built.sql("SELECT * FROM views.index_versions")) == 1
    assert [version.number for version in VectorStore(built.data / "vectors").versions("animals", "label")] == [1]


def test_a_changed_definition_replaces_one_view_only(built):
    text = (built.data / "inbox/animals/taxonomy.csv").read_text()
    built.put("animals", "taxonomy", text.replace("barks", "barks and bites"))
    first = built.indexes.current("animals")
    assert built.run("build_taxonomy", "animals").success
    assert built.indexes.current("animals") != first
    store = VectorStore(built.data / "vectors")
    versions = {view: store.versions("animals", view)[-1].number for view in ("label", "definition", "example")}
    assert versions == {"label": 1, "definition": 2, "example": 1}


def test_a_taxonomy_of_labels_alone_is_built(project):
    project.put("bare", "taxonomy", "code,parent_code,label\na,,Apples\nb,,Bears\n")
    assert project.run("build_taxonomy", "bare").success
    assert len(NodeIndex.load(project.indexes.folder("bare")).texts) == 2


def test_the_checks_show_coverage_and_currency(animals):
    result = animals.run("build_taxonomy", "animals")
    checks = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert checks["views_cover_the_nodes"].metadata["nodes with a example vector"].value == pytest.approx(4 / 6)
    assert all(evaluation.passed and evaluation.partition == "animals" for evaluation in checks.values())


def test_the_check_tells_that_the_index_is_of_another_model(built, word_embedder):
    from taxomind_assets.views.checks import _staleness

    index = built.indexes.current("animals")
    assert _staleness("animals", built.outputs, index, word_embedder.spec.vector_class).problems == ()
    assert "another embedding model" in _staleness("animals", built.outputs, index, "0" * 32).problems[0]


def test_a_view_of_another_model_is_not_taken_for_this_one(built):
    store = VectorStore(built.data / "vectors")
    other = EmbeddingSpec("local", "other", None, "other", "", "", "mean", "right", 128, 64, "float32")
    with pytest.raises(Fault) as caught:
        load_view(store, "animals", "label", [], view_tag("0" * 12, other))
    assert caught.value.code == "index_stale"
    assert "label_view" in caught.value.next_step


def test_negative_examples_lie_in_the_view_of_the_examples_under_a_role_of_their_own(project):
    project.put("pets", "taxonomy", "code,label,examples,negative_examples\ndog,Dog,poodle,hot dog stand\ncat,Cat,tabby,\n")
    assert project.run("build_taxonomy", "pets").success
    rows = project.sql("SELECT code, text FROM views.node_vectors WHERE view = 'negative'")
    assert rows == [{"code": "dog", "text": "hot dog stand"}]
    index = NodeIndex.load(project.indexes.folder("pets"))
    assert [index.texts[row].text for row in index.rows_of("negative")] == ["hot dog stand"]
