"""Taxonomies as SKOS, in Turtle and RDF/XML."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxomind_assets.taxonomy.tree import NodeText
from taxomind_resources.faults import Fault
from tests.assets.taxonomy.reading import Read, kinds, refused, warned

TURTLE = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix c: <http://example.org/c/> .
c:scheme a skos:ConceptScheme ; skos:prefLabel "Berufe"@de , "Jobs"@en ; skos:hasTopConcept c:1 .
c:1 a skos:Concept ; skos:notation "1" ; skos:prefLabel "Managers"@en , "Directeurs"@fr ;
    skos:definition "People who lead."@en ; skos:narrower c:12 .
c:11 a skos:Concept ; skos:prefLabel "Chiefs"@en ; skos:altLabel "boss"@en , "patron"@fr ; skos:hiddenLabel "cheifs"@en ;
    skos:broader c:1 ; skos:example "head of a bank" ; skos:scopeNote "Not chefs."@en .
c:12 a skos:Concept ; skos:prefLabel "Others"@en .
"""


def test_skos_turtle_and_rdf_xml_are_the_same_taxonomy(read: Read) -> None:
    from rdflib import Graph

    turtle = read(TURTLE, "t.ttl")
    xml = read(Graph().parse(data=TURTLE, format="turtle").serialize(format="pretty-xml"), "t.rdf")
    assert xml.taxonomy == turtle.taxonomy
    assert turtle.taxonomy.display_name == "Jobs"
    top, chiefs, others = turtle.taxonomy.nodes
    assert top.texts == (NodeText("en", "Managers", "People who lead."), NodeText("fr", "Directeurs"))
    assert chiefs.texts == (
        NodeText("en", "Chiefs", "Not chefs.", ("head of a bank",), ("boss", "cheifs")),
        NodeText("fr", "patron"),
    )
    assert (chiefs.code, others.code) == ("11", "12")
    assert {chiefs.parent_code, others.parent_code} == {"1"}


def test_skos_several_broader_concepts_take_the_first_and_warn(read: Read) -> None:
    more = "c:2 a skos:Concept ; skos:prefLabel 'B'@en . c:21 a skos:Concept ; skos:prefLabel 'C'@en ; skos:broader c:2 , c:1 ."
    file = read(TURTLE + more, "t.ttl")
    assert file.taxonomy.nodes[file.taxonomy.position["21"]].parent_code == "1"
    assert warned(file, "21 (1, 2)")


def test_skos_broader_concepts_that_say_nothing_new_are_passed_over(read: Read) -> None:
    file = read(TURTLE + "c:111 a skos:Concept ; skos:prefLabel 'D'@en ; skos:broader c:1 , c:11 .", "t.ttl")
    assert file.taxonomy.nodes[file.taxonomy.position["111"]].parent_code == "11"
    assert not warned(file, "several broader")


def test_skos_problems_are_those_of_a_tree(read: Read) -> None:
    more = """c:a a skos:Concept ; skos:prefLabel "x"@en ; skos:broader c:b .
    c:b a skos:Concept ; skos:prefLabel "y"@en ; skos:broader c:a .
    c:o a skos:Concept ; skos:prefLabel "z"@en ; skos:broader <http://elsewhere.org/99> .
    c:d1 a skos:Concept ; skos:notation "d" ; skos:prefLabel "x"@en .
    c:d2 a skos:Concept ; skos:notation "d" ; skos:prefLabel "x"@fr ."""
    assert kinds(refused(read, TURTLE + more, name="t.ttl")) == {
        "cycle": ["a"],
        "missing_parent": ["o"],
        "duplicate_code": ["d"],
    }


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        ("@prefix broken", "t.ttl", "unreadable_file"),
        ("<a> <b> <c> .", "t.ttl", "invalid_taxonomy"),
        ("<?xml version='1.0'?><rdf:RDF>", "t.rdf", "unreadable_file"),
        ("<?xml version='1.0'?><a/>", "t.rdf", "invalid_taxonomy"),
    ],
)
def test_skos_that_cannot_be_read(read: Read, content: str, name: str, code: str) -> None:
    refused(read, content, code, name=name)


def test_skos_reads_no_other_file(read: Read, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden words")
    xml = f"""<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "{secret.as_uri()}">]>
    <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:skos="http://www.w3.org/2004/02/skos/core#">
    <skos:Concept rdf:about="urn:c:1"><skos:prefLabel xml:lang="en">A &x;</skos:prefLabel></skos:Concept></rdf:RDF>"""
    try:
        labels = [node.label for node in read(xml, "t.rdf").taxonomy.nodes]
    except Fault:
        labels = []
    assert not any("hidden" in label for label in labels)
