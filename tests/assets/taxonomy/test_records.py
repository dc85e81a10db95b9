"""A taxonomy as a table and back, and the hashes that identify it."""

from __future__ import annotations

import dataclasses
import random

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.taxonomy.records import content_version, node_id, taxonomy_from_table, taxonomy_to_table
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.tables import BY_NAME

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
lists = st.lists(words, max_size=3, unique=True).map(tuple)


@st.composite
def node_texts(draw: st.DrawFn, language: str) -> NodeText:
    return NodeText(language, draw(words), draw(words | st.just("")), draw(lists), draw(lists), draw(lists))


@st.composite
def taxonomies(draw: st.DrawFn) -> Taxonomy:
    codes = draw(st.lists(words, min_size=1, max_size=8, unique=True))
    nodes = []
    for i, code in enumerate(codes):
        parent = draw(st.none() | st.sampled_from(codes[:i])) if i else None
        languages = draw(st.lists(st.sampled_from(["en", "fr", "pt-BR", ""]), min_size=1, max_size=3, unique=True))
        nodes.append(Node(code, parent, draw(st.integers(1, 9)), tuple(draw(node_texts(language)) for language in languages)))
    names = draw(st.dictionaries(st.integers(1, 9), words, max_size=3))
    tree = Taxonomy.build("key", nodes, display_name=draw(words | st.just("")), level_names=names)
    return dataclasses.replace(tree, version=content_version(tree))


@settings(deadline=None, max_examples=50)
@given(taxonomies())
def test_a_taxonomy_survives_the_way_through_its_table(taxonomy: Taxonomy) -> None:
    table = taxonomy_to_table(taxonomy)
    assert table.schema == BY_NAME["taxonomy.nodes"].arrow
    assert taxonomy_from_table(table, "key") == taxonomy
    assert table["path"].to_pylist() == [taxonomy.path_codes(i) for i in range(len(taxonomy))]
    assert table["is_leaf"].to_pylist() == taxonomy.is_leaf.tolist()


@settings(deadline=None, max_examples=50)
@given(taxonomies(), st.randoms())
def test_the_version_does_not_depend_on_the_order_of_rows(taxonomy: Taxonomy, chance: random.Random) -> None:
    nodes = list(taxonomy.nodes)
    chance.shuffle(nodes)
    shuffled = Taxonomy.build("other", nodes, display_name=taxonomy.display_name, level_names=taxonomy.level_names)
    assert content_version(shuffled) == taxonomy.version


def _tree(**changes: object) -> Taxonomy:
    text = dataclasses.replace(NodeText("en", "a", "d", ("e",), ("s",), ("n",)), **changes)  # type: ignore[arg-type]
    return Taxonomy.build("key", [Node("1", None, 1, (text,))])


def test_the_version_changes_with_every_text() -> None:
    changes: list[dict[str, object]] = [
        {},
        {"language": "fr"},
        {"label": "b"},
        {"definition": ""},
        {"examples": ()},
        {"aliases": ("s", "t")},
        {"negative_examples": ()},
        {"examples": ("e", "s"), "aliases": ()},
    ]
    versions = {content_version(_tree(**change)) for change in changes}
    assert len(versions) == len(changes)
    assert all(len(version) == 12 and int(version, 16) >= 0 for version in versions)


def test_the_version_changes_with_place_and_names() -> None:
    text = (NodeText("en", "a"),)
    top = [Node("1", None, 1, text), Node("2", None, 1, text)]
    below = [Node("1", None, 1, text), Node("2", "1", 2, text)]
    trees = [
        Taxonomy.build("key", top),
        Taxonomy.build("key", below),
        Taxonomy.build("key", below, display_name="Jobs"),
        Taxonomy.build("key", below, level_names={1: "group"}),
    ]
    assert len({content_version(tree) for tree in trees}) == 4


def test_node_ids_are_stable_and_tell_key_and_code_apart() -> None:
    assert node_id("isco", "5222") == node_id("isco", "5222")
    assert len(node_id("isco", "5222")) == 16
    assert len({node_id("a", "bc"), node_id("ab", "c"), node_id("a", "b"), node_id("b", "a")}) == 4


def test_a_table_without_its_metadata_still_gives_the_tree(tmp_path) -> None:  # type: ignore[no-untyped-def]
    taxonomy = _tree()
    pq.write_table(taxonomy_to_table(taxonomy), tmp_path / "nodes.parquet")
    read = pq.read_table(tmp_path / "nodes.parquet")
    assert taxonomy_from_table(read, "key") == taxonomy
    assert taxonomy_from_table(read.replace_schema_metadata(None), "key").nodes == taxonomy.nodes


def test_an_empty_table_is_an_empty_taxonomy() -> None:
    empty: pa.Table = BY_NAME["taxonomy.nodes"].arrow.empty_table()
    assert len(taxonomy_from_table(empty, "key")) == 0
