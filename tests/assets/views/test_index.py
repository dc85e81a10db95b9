from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from taxomind_assets.taxonomy.tree import ROOT, Node, NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex, index_version, indexed_texts, trusted_languages, unit_rows
from taxomind_assets.views.texts import VIEWS, NodeViewText, node_texts
from taxomind_resources.faults import Fault
from taxomind_resources.index_store import INDEX_FORMAT

Trees = Callable[..., Taxonomy]
Indexes = Callable[..., NodeIndex]


def texts_of(tree: Taxonomy) -> list[NodeViewText]:
    return [text for view in VIEWS for text in node_texts(tree)[view]]


@pytest.fixture
def saved(occupations: NodeIndex, tmp_path: Path) -> Path:
    occupations.save(tmp_path)
    return tmp_path


def test_a_loaded_index_is_the_saved_one(occupations: NodeIndex, saved: Path) -> None:
    again = NodeIndex.load(saved)
    assert again.tree.nodes == occupations.tree.nodes
    assert (again.tree.key, again.version, again.texts) == (occupations.tree.key, occupations.version, occupations.texts)
    assert (again.spec, again.languages) == (dict(occupations.spec), dict(occupations.languages))
    assert (again.trusted_languages, again.calibration) == (occupations.trusted_languages, occupations.calibration)
    np.testing.assert_allclose(again.vectors, occupations.vectors, atol=1e-6)


def test_an_index_of_another_format_is_stale(saved: Path) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    (saved / "manifest.json").write_text(json.dumps(manifest | {"format": INDEX_FORMAT + 1}))
    with pytest.raises(Fault) as fault:
        NodeIndex.load(saved)
    assert fault.value.code == "index_stale"
    assert str(INDEX_FORMAT) in fault.value.render()


@pytest.mark.parametrize("name", ["manifest.json", "nodes.parquet", "texts.parquet", "vectors.npy"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_a_damaged_index_is_a_fault(saved: Path, name: str, damage: str) -> None:
    file = saved / name
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "other": b"[1, 2]"}[damage])
    with pytest.raises(Fault) as fault:
        NodeIndex.load(saved)
    assert fault.value.code == "storage_failed"


@pytest.mark.parametrize("change", [{"calibration": {"heat": 1}}, {"calibration": None}, {"languages": 5}, {"key": None}])
def test_a_manifest_with_odd_values_is_a_fault(saved: Path, change: dict[str, object]) -> None:
    manifest = json.loads((saved / "manifest.json").read_text())
    values = {name: value for name, value in (manifest | change).items() if value is not None}
    (saved / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(Fault, match="storage_failed"):
        NodeIndex.load(saved)


def test_vectors_of_other_texts_are_a_fault(saved: Path, occupations: NodeIndex) -> None:
    np.save(saved / "vectors.npy", occupations.vectors[1:].astype(np.float16))
    with pytest.raises(Fault, match="vectors for"):
        NodeIndex.load(saved)


def test_texts_stand_by_node_and_role(tree_of: Trees, random_index: Indexes) -> None:
    index = random_index(tree_of([0, 1, 1, 0, 2]))
    assert (np.diff(index.owners) >= 0).all()
    for row, text in enumerate(index.texts):
        assert index.tree.codes[index.owners[row]] == text.code
    by_role = [index.rows_of(role) for role in ("label", "definition", "example", "negative")]
    assert sorted(np.concatenate(by_role).tolist()) == list(range(len(index.texts)))
    assert index.naming_rows.tolist() == sorted([*by_role[0].tolist(), *by_role[1].tolist()])


def test_whole_and_path_vectors_are_means_of_unit_length(tree_of: Trees, random_index: Indexes) -> None:
    index = random_index(tree_of([0, 1, 2, 0, 3]))
    label = {code: index.vectors[i] for i, (code, view) in enumerate((t.code, t.view) for t in index.texts) if view == "label"}
    for node, code in enumerate(index.tree.codes):
        path = sum(label[index.tree.codes[above]] for above in index.tree.paths[node] if above != ROOT)
        np.testing.assert_allclose(index.path_vectors[node], path / np.linalg.norm(path), atol=1e-5)
        own = sum(index.vectors[i] for i, text in enumerate(index.texts) if text.code == code)  # one text per view here
        np.testing.assert_allclose(index.whole_vectors[node], own / np.linalg.norm(own), atol=1e-5)


def test_negative_examples_are_no_part_of_a_node(random_index: Indexes) -> None:
    def index(*negatives: str) -> NodeIndex:
        text = NodeText("en", "Cooks", "They cook.", ("cook",), (), negatives)
        made = random_index(Taxonomy.build("cooks", [Node("1", None, 1, (text,))]))
        return replace(made, vectors=np.eye(16, dtype=np.float32)[: len(made.texts)])

    np.testing.assert_array_equal(index("chef").whole_vectors, index().whole_vectors)
    assert index("chef").documents == index().documents


def test_documents_hold_every_name_and_example_in_its_language(occupations: NodeIndex) -> None:
    tree, documents = occupations.tree, occupations.documents
    lawyers = tree.position["2611"]
    own = [text for node, text in documents["text"] if node == lawyers]
    texts = tree.nodes[lawyers].texts
    assert own == [part for text in texts for part in (text.label, *text.aliases, *text.examples)]
    assert len({text.language for text in texts}) == 4
    for kind in ("whole", "path"):
        nodes = [node for node, _ in documents[kind]]
        assert nodes == sorted(nodes)
        assert nodes.count(lawyers) == len(tree.nodes[lawyers].texts)


def test_only_texts_of_trusted_languages_are_indexed_where_a_node_has_them() -> None:
    tree = Taxonomy.build(
        "t",
        [
            Node("1", None, 1, (NodeText("en", "Cooks"), NodeText("de", "Köche", "Sie kochen."))),
            Node("2", None, 1, (NodeText("de", "Anwälte", "", ("Notar",)),)),
        ],
    )
    texts = texts_of(tree)
    kept = indexed_texts(tree, texts, frozenset({"en"}))
    assert [(t.code, t.text) for t in kept] == [("1", "Cooks"), ("2", "Anwälte"), ("2", "Notar")]
    assert len(indexed_texts(tree, texts, frozenset())) == len(texts)


def test_languages_are_trusted_by_their_fertility() -> None:
    fertility = {"en": 1.2, "fr": 1.7, "de": 1.6}
    assert trusted_languages(fertility, multilingual=False) == {"en"}
    assert trusted_languages(fertility, multilingual=True) == {"en", "fr", "de"}


def test_the_version_follows_texts_model_and_taxonomy_not_their_order_of_views(tree_of: Trees) -> None:
    tree = replace(tree_of([0, 1, 1]), version="1")
    texts, spec = texts_of(tree), {"model": "m"}
    version = index_version(tree, spec, texts)
    assert len(version) == 12
    assert index_version(tree, dict(spec), list(texts)) == version
    changed = [replace(texts[0], text="other", text_hash="0" * 16), *texts[1:]]
    others = {
        index_version(tree, spec, changed),
        index_version(tree, {"model": "n"}, texts),
        index_version(replace(tree, version="2"), spec, texts),
        index_version(tree, spec, texts[1:]),
    }
    assert len(others | {version}) == 5


def test_rows_get_length_one_and_zero_rows_stay_zero() -> None:
    rows = unit_rows(np.array([[3, 4], [0, 0], [1e-12, 0]], np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
