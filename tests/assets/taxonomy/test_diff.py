"""What changed between two versions, with a crosswalk and without one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taxomind_assets.taxonomy.crosswalk import Crosswalk, Link
from taxomind_assets.taxonomy.diff import find_changes
from taxomind_assets.taxonomy.diff_links import guess_links
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.taxonomy.versions import comparison
from tests.benchmarks.editions import make_editions


def node(code, parent=None, label="", examples=(), language="en", **texts):
    level = 1 if parent is None else 2
    return Node(code, parent, level, (NodeText(language, label or f"Label of {code}", examples=tuple(examples), **texts),))


def tree(*nodes):
    return Taxonomy.build("living", nodes, version="-".join(node.code for node in nodes))


def changed(old, new, *links):
    crosswalk = Crosswalk.between([Link(*link) for link in links], old.codes, new.codes)
    return [(change.kind, change.old_codes, change.new_codes) for change in find_changes(old, new, crosswalk)]


ANIMALS = node("a", label="Animals")
PLANTS = node("p", label="Plants")
DOG = node("dog", "a", "Dogs", ("poodle", "terrier"))
CAT = node("cat", "a", "Cats", ("siamese", "persian"))


def test_equal_versions_have_no_changes():
    assert changed(tree(ANIMALS, DOG), tree(ANIMALS, DOG)) == []


def test_nodes_are_added_and_removed():
    assert changed(tree(ANIMALS, DOG), tree(ANIMALS, CAT)) == [("added", (), ("cat",)), ("removed", ("dog",), ())]


def test_a_new_label_in_any_language_is_a_renaming():
    both = replace(DOG, texts=(*DOG.texts, NodeText("fr", "Chiens")))
    other = replace(DOG, texts=(*DOG.texts, NodeText("fr", "Canins")))
    (change,) = find_changes(tree(ANIMALS, both), tree(ANIMALS, other), Crosswalk())
    assert (change.kind, change.old, change.new, change.confidence) == ("renamed", "Chiens", "Canins", None)


def test_another_parent_is_a_move_unless_the_parent_only_has_another_code():
    old = tree(ANIMALS, PLANTS, DOG)
    assert changed(old, tree(ANIMALS, PLANTS, replace(DOG, parent_code="p"))) == [("moved", ("dog",), ("dog",))]
    recoded = tree(replace(ANIMALS, code="A"), PLANTS, replace(DOG, parent_code="A"))
    assert changed(old, recoded, ("a", "A")) == [("recoded", ("a",), ("A",))]


def test_other_examples_are_an_edit_whatever_their_order():
    text = DOG.texts[0]
    assert changed(tree(DOG_TOP), tree(replace(DOG_TOP, texts=(replace(text, examples=("terrier", "poodle")),)))) == []
    assert changed(tree(DOG_TOP), tree(replace(DOG_TOP, texts=(replace(text, examples=("boxer",)),)))) == [
        ("edited", ("dog",), ("dog",))
    ]


DOG_TOP = replace(DOG, parent_code=None)


def test_a_crosswalk_tells_splits_mergers_and_regroupings():
    old = tree(*(node(code) for code in "abcdefg"))
    new = tree(*(node(code) for code in ("a1", "a2", "bc", "d1", "d2", "f", "g")))
    links = [("a", "a1"), ("a", "a2"), ("b", "bc"), ("c", "bc"), ("d", "d1"), ("d", "d2"), ("e", "d2")]
    assert changed(old, new, *links) == [
        ("split", ("a",), ("a1", "a2")),
        ("merged", ("b", "c"), ("bc",)),
        ("regrouped", ("d", "e"), ("d1", "d2")),
    ]


def test_a_node_that_keeps_its_code_through_a_split_is_compared_with_itself():
    old, new = tree(ANIMALS, DOG), tree(ANIMALS, replace(DOG, texts=(NodeText("en", "Other dogs"),)), node("pug", "a", "Pugs"))
    kinds = [kind for kind, *_ in changed(old, new, ("dog", "dog"), ("dog", "pug"))]
    assert kinds == ["split", "renamed", "edited"]


def guessed(old, new):
    return {(guess.link.old_code, guess.link.new_code) for guess in guess_links(old, new)}


def test_a_node_under_another_code_is_recognised_by_its_texts():
    assert guessed(tree(ANIMALS, DOG, CAT), tree(ANIMALS, replace(DOG, code="d2"), CAT)) == {("dog", "d2")}


def test_a_node_whose_examples_are_shared_out_was_split():
    poodles, terriers = node("d1", "a", "Poodles", ("poodle",)), node("d2", "a", "Terriers", ("terrier",))
    assert guessed(tree(ANIMALS, DOG, CAT), tree(ANIMALS, poodles, terriers, CAT)) == {("dog", "d1"), ("dog", "d2")}


def test_a_fresh_node_that_took_examples_along_is_a_part_of_the_one_that_stays():
    rest = replace(DOG, texts=(NodeText("en", "Dogs", examples=("poodle",)),))
    found = guessed(tree(ANIMALS, DOG, CAT), tree(ANIMALS, rest, node("pug", "a", "Terriers", ("terrier",)), CAT))
    assert found == {("dog", "dog"), ("dog", "pug")}


def test_a_fresh_node_that_only_repeats_an_example_is_new():
    copy = node("pug", "a", "Small dogs", ("terrier",))
    assert guessed(tree(ANIMALS, DOG, CAT), tree(ANIMALS, DOG, copy, CAT)) == set()


def test_a_node_whose_texts_stand_in_one_that_stays_was_merged_into_it():
    both = replace(CAT, texts=(NodeText("en", "Cats and dogs", examples=("siamese", "persian", "poodle", "terrier")),))
    assert guessed(tree(ANIMALS, DOG, CAT), tree(ANIMALS, both)) == {("dog", "cat")}


def test_nodes_that_have_nothing_in_common_are_not_linked():
    assert guessed(tree(ANIMALS, DOG), tree(ANIMALS, node("x", "a", "Volcanoes", ("lava",)))) == set()


@pytest.mark.parametrize("seed", range(3))
def test_a_real_revision_is_guessed_from_its_texts(isco08, seed):
    editions = make_editions(isco08, seed)
    found = guessed(editions.old, editions.new)
    wanted = {(link.old_code, link.new_code) for link in editions.links}
    assert len(found & wanted) >= 0.97 * max(len(found), len(wanted))


def test_a_guess_is_marked_with_its_confidence(isco08):
    editions = make_editions(isco08)
    found = comparison(editions.old, editions.new)
    assert all(0 < change.confidence <= 1 for change in found.changes if change.kind in {"split", "merged", "recoded"})
    assert all(note.startswith("guessed, 0.") or note == "guessed, 1.00" for old, new, note in found.rows() if old and new)


def test_a_given_crosswalk_outweighs_every_guess(isco08):
    editions = make_editions(isco08)
    found = comparison(editions.old, editions.new, None, editions.links)
    assert {(old, new) for old, new, _ in found.rows()} == {(link.old_code, link.new_code) for link in editions.links}
    assert all(change.confidence is None for change in found.changes)


numbers = st.lists(st.integers(0, 10), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(numbers, numbers)
def test_every_node_of_both_versions_is_accounted_for(tree_of, first, second):
    old, new = tree_of(first), tree_of(second)
    found = comparison(old, new)
    lost = {change.old_codes[0] for change in found.changes if change.kind == "removed"}
    fresh = {change.new_codes[0] for change in found.changes if change.kind == "added"}
    assert lost == {code for code in old.codes if not found.crosswalk.forward(code)}
    assert fresh == {code for code in new.codes if not found.crosswalk.backward(code)}
    assert len(new) == len(fresh) + len({target for code in old.codes for target in found.crosswalk.forward(code)})
