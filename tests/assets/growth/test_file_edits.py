"""Small changes of taxonomy files leave all else as it was written."""

from __future__ import annotations

import json

import pytest

from taxomind_assets.growth.file_edits import NewNode, with_alias, with_node, without_alias, without_node
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_resources.settings import LimitSettings

LIMITS = LimitSettings()
CSV = 'code,parent_code,label,aliases,note\r\na,,Animals,"beasts\ncreatures",kept as it is\r\nd,a,Dog,,\r\n'
JSON = {"displayName": "Living", "nodes": [{"code": "a", "label": "Animals"}, {"code": "d", "parentCode": "a", "label": "Dog"}]}
TTL = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
<http://x/a> a skos:Concept ; skos:notation "a" ; skos:prefLabel "Animals"@en , "Tiere"@de .
<http://x/d> a skos:Concept ; skos:notation "d" ; skos:prefLabel "Dog"@en ; skos:broader <http://x/a> .
"""
NODE = NewNode("g-cat", "a", "Cat, domestic", 2, ("purring | kitten",), "en")


@pytest.fixture(params=["csv", "tsv", "json", "ttl"])
def file(request, tmp_path):
    content = {"csv": CSV, "tsv": CSV.replace(",", "\t"), "json": json.dumps(JSON), "ttl": TTL}[request.param]
    path = tmp_path / f"taxonomy.{request.param}"
    path.write_bytes(content.encode())
    return path


def tree_of(path):
    return read_taxonomy(path, "k", LIMITS).taxonomy


def edited(change, path, *arguments):
    """The tree after a change, and the file that it is in."""
    made = change(path, tree_of(path), *arguments)
    target = path.with_name(f"after-{path.stem}{made.suffix}")
    target.write_bytes(made.content)
    return tree_of(target), target


def test_a_node_is_added_and_the_others_stay(file):
    before = tree_of(file)
    after, _ = edited(with_node, file, NODE)
    assert after.codes == [*before.codes, "g-cat"]
    node = after.nodes[after.position["g-cat"]]
    assert (node.label, node.parent_code, node.level) == ("Cat, domestic", "a", 2)
    assert [after.nodes[after.position[code]].texts for code in before.codes] == [node.texts for node in before.nodes]


def test_a_node_that_goes_again_leaves_the_former_taxonomy(file):
    before = tree_of(file)
    _, grown = edited(with_node, file, NODE)
    after, _ = edited(without_node, grown, "g-cat")
    assert after.version == before.version


def test_an_alias_comes_and_goes(file):
    before = tree_of(file)
    after, named = edited(with_alias, file, "d", "Hound")
    assert "Hound" in after.nodes[after.position["d"]].texts[0].aliases
    again, _ = edited(without_alias, named, "d", "Hound")
    assert again.version == before.version


def test_a_csv_file_keeps_every_byte_of_its_rows(tmp_path):
    path = tmp_path / "taxonomy.csv"
    path.write_bytes(CSV.encode())
    content = with_node(path, tree_of(path), NODE).content
    assert content.startswith(CSV.encode())
    assert content.endswith(b"\r\n")
    assert without_node(path, tree_of(path), "d").content == CSV.split("d,a,Dog")[0].encode()


def test_a_row_after_a_file_without_a_line_end_is_a_row_of_its_own(tmp_path):
    path = tmp_path / "taxonomy.csv"
    path.write_text("code,parent_code,label\na,,Animals")
    assert with_node(path, tree_of(path), NODE).content == b'code,parent_code,label\na,,Animals\ng-cat,a,"Cat, domestic"\n'


def test_a_flat_file_that_gets_a_child_becomes_a_document(tmp_path):
    path = tmp_path / "taxonomy.csv"
    path.write_text("code,label\na,Animals\n")
    made = with_node(path, tree_of(path), NODE)
    assert made.suffix == ".json"
    top = NewNode("p", None, "Plants", 1)
    assert with_node(path, tree_of(path), top).content == b"code,label\na,Animals\np,Plants\n"


def test_examples_with_a_bar_stay_whole(file):
    after, _ = edited(with_node, file, NODE)
    if file.suffix in {".json", ".ttl"}:
        assert after.nodes[after.position["g-cat"]].texts[0].examples == ("purring | kitten",)
