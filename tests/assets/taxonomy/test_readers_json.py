"""Taxonomies as JSON, those of the labelling client included."""

from __future__ import annotations

import contextlib
import json

import pytest

from taxomind_resources.faults import Fault
from tests.assets.taxonomy.reading import Read, kinds, refused, warned

CLIENT = {
    "taxonomy": {
        "key": "key",
        "displayName": "Occupations",
        "description": None,
        "maxDepth": 4,
        "levelNames": {"1": "Major group", "2": "Sub-major group"},
        "nodes": [
            {
                "code": "5",
                "level": 1,
                "label": "Services",
                "definition": None,
                "examples": None,
                "parentCode": None,
                "isLeaf": False,
            },
            {"code": 52, "level": "2", "label": "Sales Workers", "definition": "", "parentCode": 5.0},
            {"code": "522", "level": 3, "label": "Shop", "parentCode": "52", "isLeaf": None, "examples": ["a | b", "c"]},
            {"code": "5222", "level": 4.0, "label": "Supervisors", "parentCode": "522", "examples": "head of a shop\nmanager"},
        ],
        "synonyms": [{"nodeCode": "5222", "synonym": "shop floor lead"}, {"nodeCode": 999, "synonym": "x"}, {"synonym": None}],
    }
}


def _json(document: object) -> str:
    return json.dumps(document)


def test_json_of_the_labelling_client(read: Read) -> None:
    file = read(_json(CLIENT), "taxonomy.json")
    taxonomy = file.taxonomy
    assert taxonomy.codes == ["5", "52", "522", "5222"]
    assert taxonomy.levels.tolist() == [1, 2, 3, 4]
    assert taxonomy.display_name == "Occupations"
    assert taxonomy.level_names == {1: "Major group", 2: "Sub-major group"}
    assert taxonomy.nodes[2].texts[0].examples == ("a | b", "c")
    assert taxonomy.nodes[3].texts[0].examples == ("head of a shop", "manager")
    assert taxonomy.nodes[3].texts[0].aliases == ("shop floor lead",)
    assert warned(file, "1 synonym left out, for no node has its code: 999")
    assert warned(file, "1 entries of synonyms")


def test_bare_json_forms_are_the_same_taxonomy(read: Read) -> None:
    nodes = [{"code": 1, "label": "A"}, {"code": 2.0, "label": "B", "parentCode": 1}]
    results = [read(_json(form), "taxonomy.json") for form in (nodes, {"nodes": nodes}, {"taxonomy": {"nodes": nodes}})]
    assert len({file.taxonomy.version for file in results}) == 1
    assert results[0].taxonomy.codes == ["1", "2"]


def test_json_null_equals_absent(read: Read) -> None:
    names = ["definition", "examples", "parentCode", "isLeaf", "level", "aliases", "language"]
    body = {"maxDepth": None, "levelNames": None, "displayName": None, "synonyms": None, "key": None}
    full = read(_json({"taxonomy": {**body, "nodes": [{"code": "1", "label": "A", **dict.fromkeys(names)}]}}), "t.json")
    bare = read(_json({"taxonomy": {"nodes": [{"code": "1", "label": "A"}]}}), "t.json")
    assert (full.taxonomy, full.warnings) == (bare.taxonomy, bare.warnings)


def test_json_max_depth_below_the_deepest_node_is_refused(read: Read) -> None:
    nodes = [{"code": "1", "label": "A"}, {"code": "11", "label": "B", "parentCode": "1"}]
    fault = refused(read, _json({"maxDepth": 1, "nodes": nodes}), name="t.json")
    assert kinds(fault) == {"over_max_depth": ["11"]}
    assert kinds(refused(read, _json({"maxDepth": "two", "nodes": nodes}), name="t.json")) == {"bad_value": ["maxDepth"]}
    assert len(read(_json({"maxDepth": 2, "nodes": nodes}), "t.json").taxonomy) == 2


def test_json_nodes_bad_by_themselves_are_refused_by_number(read: Read) -> None:
    nodes = [
        {"code": "1", "label": "A"},
        "no node",
        {"code": True, "label": "B"},
        {"code": "2", "label": ["C"]},
        {"code": "\ud800", "label": "D"},
    ]
    file = read(_json(nodes), "t.json")
    assert [(row.line, row.reason_code) for row in file.rejected] == [
        (2, "bad_type"),
        (3, "bad_code"),
        (4, "bad_type"),
        (5, "bad_code"),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "unreadable_file"),
        ("[" * 100_000, "unreadable_file"),
        ('[{"code": NaN}]', "unreadable_file"),
        ('{"nodes": ' + "1" * 5000 + "}", "unreadable_file"),
        ("null", "invalid_taxonomy"),
        ('{"nodes": []}', "invalid_taxonomy"),
        ('{"nodes": {"code": 1}}', "invalid_taxonomy"),
        ('{"taxonomy": "ISCO"}', "invalid_taxonomy"),
    ],
)
def test_json_that_is_no_taxonomy(read: Read, content: str, code: str) -> None:
    refused(read, content, code, name="t.json")


@pytest.mark.parametrize("depth", [100, 900, 980, 990])
@pytest.mark.parametrize("part", ["code", "label", "level", "isLeaf", "definition", "language", "examples"])
def test_json_nested_deeply_is_refused_without_a_crash(read: Read, part: str, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    with contextlib.suppress(Fault):
        file = read(
            f'{{"maxDepth": null, "nodes": [{{"code": 1, "label": "A"}}, {{"code": 2, "label": "B", "{part}": {deep}}}]}}',
            "t.json",
        )
        assert file.taxonomy.codes[0] == "1"
    with contextlib.suppress(Fault):
        read(
            f'{{"maxDepth": {deep}, "levelNames": {deep}, "displayName": {deep}, "synonyms": {deep}, "nodes": [{deep}]}}',
            "t.json",
        )
