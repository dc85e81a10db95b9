"""Reading taxonomy files of any form: which form it is, and that nothing but a fault comes out of what cannot be read."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taxomind_assets.taxonomy.readers import detect_format, read_taxonomy, read_taxonomy_document
from taxomind_resources.faults import Fault
from tests.assets.taxonomy.reading import LIMITS, Read, refused


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "x", "csv"),
        ("a.TSV", "x", "csv"),
        ("a.json", "x", "json"),
        ("a.ttl", "x", "turtle"),
        ("a.rdf", "x", "rdfxml"),
        ("a", "code,parent_code,label\n", "csv"),
        ("a.txt", ' {"nodes": []}', "json"),
        ("a", "# note\n@prefix skos: <x> .", "turtle"),
        ("a", "<http://a/b> a <http://c> .", "turtle"),
        ("a", "<?xml version='1.0'?>", "rdfxml"),
    ],
)
def test_formats_are_known_by_suffix_else_by_content(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content)
    assert detect_format(tmp_path / name) == expected


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_text("code,parent_code,label\n1,,A\n")
    with pytest.raises(Fault, match="unsupported_format"):
        read_taxonomy(tmp_path / "a.docx", "key", LIMITS)


def test_a_file_without_parents_is_a_flat_label_set(read: Read) -> None:
    file = read("code,label,level\n1,Bug,1\n2,Feature,\n")
    assert [(node.code, node.parent_code, node.level) for node in file.taxonomy.nodes] == [("1", None, 1), ("2", None, 1)]
    assert not any("level" in warning.casefold() or "parent" in warning for warning in file.warnings)


def test_levels_below_the_top_need_a_parent_column(read: Read) -> None:
    fault = refused(read, "code,label,level\n1,Bug,1\n2,Crash,2\n")
    assert [(detail["kind"], detail["codes"]) for detail in fault.details] == [("level_without_parent", ["2"])]
    assert fault.details[0]["what"] == "1 node lies below the top, but there is no column parent_code: 2 (level 2, line 3)"


garbage = st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
near_csv = st.lists(st.sampled_from(["1", "2", "1.0", "-9", "NA", ",", ",", "\n", '"', "\r", ";", "a", "é", "\x00"])).map(
    lambda parts: ("code,parent_code,label\n" + "".join(parts)).encode()
)
near_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["code", "label", "parentCode", "level", "nodes", "taxonomy", "synonyms"]), inner, max_size=5
        )
    ),
).map(lambda value: json.dumps(value).encode())
near_turtle = st.lists(
    st.sampled_from(
        [
            "@prefix s: <http://www.w3.org/2004/02/skos/core#> .\n",
            "s:a ",
            "a s:Concept ",
            "; ",
            ". ",
            "s:broader ",
            '"x"@en ',
            "<",
            "[ ",
            "s:prefLabel ",
        ]
    )
).map(lambda parts: "".join(parts).encode())


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=garbage | near_csv | near_json | near_turtle,
    name=st.sampled_from(["t.csv", "t.tsv", "t.json", "t.ttl", "t.rdf", "t.txt", "t", "t.bin"]),
)
def test_no_bytes_raise_anything_but_a_fault(read: Read, content: bytes, name: str) -> None:
    with contextlib.suppress(Fault):
        assert len(read(content, name).taxonomy) >= 1


@settings(deadline=None, max_examples=150)
@given(
    document=near_json.map(json.loads)
    | st.fixed_dictionaries(
        {"nodes": st.lists(st.dictionaries(st.sampled_from(["code", "label", "level"]), st.none() | st.integers() | st.text()))}
    )
)
def test_no_document_raises_anything_but_a_fault(document: object) -> None:
    with contextlib.suppress(Fault):
        assert len(read_taxonomy_document(document, "key", LIMITS).taxonomy) >= 1
