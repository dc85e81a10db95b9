"""Search-as-you-type over a taxonomy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.search import LONGEST_QUERY, NodeSearch, folded

TREE = Taxonomy.build(
    "jobs",
    [
        Node("2", None, 1, (NodeText("en", "Professionals"), NodeText("fr", "Professions intellectuelles"))),
        Node("25", "2", 2, (NodeText("en", "ICT Professionals"),)),
        Node("2512", "25", 3, (NodeText("en", "Software Developers", aliases=("programmer", "coder")),)),
        Node("2519", "25", 3, (NodeText("en", "Software and Applications Developers"), NodeText("de", "Softwareentwickler"))),
        Node("22", "2", 2, (NodeText("en", "Health Professionals"),)),
        Node("2221", "22", 3, (NodeText("en", "Nursing Professionals"), NodeText("fr", "Infirmières, cadres"))),
        Node("7", None, 1, (NodeText("en", "Craft Workers"), NodeText("ja", "技能工及び関連職業の従事者"))),
    ],
)


@pytest.fixture(scope="module")
def search():
    return NodeSearch(TREE)


def codes(search, query, limit=10):
    return [hit.code for hit in search.find(query, limit)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("2512", "2512"),
        ("software dev", "2512"),
        ("SOFTWARE DEVEL", "2512"),
        ("dev soft", "2512"),
        ("coder", "2512"),
        ("infirmieres", "2221"),
        ("entwickler", "2519"),
        ("nursng profesionals", "2221"),
        ("関連", "7"),
        ("craft", "7"),
    ],
)
def test_finds_the_node_that_was_meant_first(search, query, first):
    assert codes(search, query)[0] == first


def test_a_code_that_begins_so_comes_before_names_that_hold_it(search):
    assert codes(search, "25")[:3] == ["25", "2512", "2519"]


def test_a_node_with_all_words_that_were_begun_comes_first(search):
    assert codes(search, "soft app")[0] == "2519"


def test_each_node_comes_once_and_not_more_than_were_asked_for(search):
    found = codes(search, "pro", 3)
    assert len(found) == 3
    assert len(set(found)) == 3


def test_a_hit_says_what_was_matched_and_where_the_node_is(search):
    hit = search.find("programm")[0]
    assert (hit.matched, hit.kind, hit.language, hit.label) == ("programmer", "alias", "en", "Software Developers")
    assert hit.path_labels == ("Professionals", "ICT Professionals", "Software Developers")
    assert hit.is_leaf
    assert hit.level == 3


@pytest.mark.parametrize("query", ["", "   ", "zzzzqqqq", ".*", "(", "\\", "\n", "\u0301"])
def test_what_fits_nothing_finds_nothing(search, query):
    assert codes(search, query) == []


def test_an_empty_taxonomy_has_nothing_to_find():
    assert NodeSearch(Taxonomy.build("none", [])).find("a") == []


def test_no_nodes_are_given_when_none_are_wanted(search):
    assert search.find("craft", 0) == []


@given(st.text(max_size=2 * LONGEST_QUERY))
def test_any_text_can_be_typed(query):
    assert len(NodeSearch(TREE).find(query, 4)) <= 4


@given(st.sampled_from([name for node in TREE.nodes for text in node.texts for name in (text.label, *text.aliases)]))
def test_every_name_finds_its_own_node_first(name):
    hit = NodeSearch(TREE).find(name)[0]
    names = {folded(own) for node in TREE.nodes if node.code == hit.code for t in node.texts for own in (t.label, *t.aliases)}
    assert folded(name) in names


@given(st.data())
def test_what_has_been_typed_of_a_name_keeps_its_node_among_the_hits(data):
    node = data.draw(st.sampled_from(TREE.nodes))
    size = data.draw(st.integers(1, len(node.label)))
    assert node.code in codes(NodeSearch(TREE), node.label[:size])
