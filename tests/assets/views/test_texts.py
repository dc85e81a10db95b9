"""The one place that makes text: equal meaning of white space, composition and case; no field is ever lost."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.texts import (
    VIEWS,
    canonical_text,
    clean,
    node_texts,
    normalise,
    origin_of,
    path_text,
    text_hash,
    whole_text,
)
from taxomind_resources.settings import TextSettings

PLAIN = TextSettings()  # type: ignore[call-arg]


def _settings(*order: str, named: bool = False) -> TextSettings:
    return TextSettings(field_order=order, include_field_names=named)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  shop \t\r\n manager ", "shop manager"),
        ("a\u00a0\u3000b\u2003c", "a b c"),
        ("cafe\u0301", "caf\u00e9"),
        ("nul\x00 bell\x07 del\x7f c1\x9b", "nul bell del c1"),
        ("soft\u00adhyphen zero\u200bwidth \ufeffbom", "softhyphen zerowidth bom"),
        ("half \ud800pair", "half pair"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\x00", ""),
        ("Ünïted", "Ünïted"),
    ],
)
def test_clean_text(text: str, expected: str) -> None:
    assert clean(text) == expected


@settings(deadline=None)
@given(st.text())
def test_clean_text_is_stable_composed_and_storable(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned.encode().decode() == cleaned
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in cleaned)
    assert cleaned == cleaned.strip()
    assert "  " not in cleaned


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zs", "Zl", "Zp", "Cn"])))
def test_clean_keeps_every_visible_character(text: str) -> None:
    # Letters of typewriter width become plain ones.
    plain = "".join(unicodedata.normalize("NFKC", c) if "\uff01" <= c <= "\uffee" else c for c in text)
    assert clean(text) == " ".join(unicodedata.normalize("NFC", plain).split())


@settings(deadline=None)
@given(st.text())
def test_normalise_is_stable_and_blind_to_what_clean_changes(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert normalise(clean(text)) == normalise(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Shop  Manager", "shop manager"),
        ("STRASSE", "straße"),
        ("ﬁtter", "FITTER"),
        ("ＡＢＣ", "abc"),
        ("CAFE\u0301", "café"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
    ],
)
def test_normalise_takes_spellings_of_one_text_as_equal(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


def test_normalise_keeps_different_texts_apart() -> None:
    texts = ["shop manager", "shop-manager", "café", "cafe", "c++", "c"]
    assert len({normalise(text) for text in texts}) == len(texts)


# --- fields ------------------------------------------------------------------------------------------------------------


def test_fields_are_ordered_by_name_and_empty_ones_left_out() -> None:
    fields = {"job": " baker ", "Industry": "food", "zone": None, "note": "  ", "age": ""}
    assert canonical_text(fields, PLAIN) == "food\nbaker"
    assert canonical_text({}, PLAIN) == canonical_text({"a": None, "b": []}, PLAIN) == ""


def test_field_order_takes_patterns_without_case_first_match_wins() -> None:
    fields = {"Industry Description": "retail", "Job Description": "sells", "Job Title": "clerk", "A": "x"}
    assert canonical_text(fields, _settings("job t*", "JOB*", "ind*")) == "clerk\nsells\nretail\nx"
    assert canonical_text(fields, _settings("*industry*")) == "retail\nx\nsells\nclerk"


def test_field_names_are_written_only_when_wanted() -> None:
    assert canonical_text({"job": "baker", "place": "Lyon"}, _settings(named=True)) == "job: baker\nplace: Lyon"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (5.0, "5"),
        (2.5, "2.5"),
        (1e300, "1e+300"),
        (float("nan"), ""),
        (float("inf"), "inf"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        (["a", None, " b ", 3, ["c"]], "a, b, 3, c"),
        ({"é": 1, "b": [2]}, '{"é":1,"b":[2]}'),
        ({}, ""),
    ],
)
def test_values_of_any_json_type_become_text(value: Any, text: str) -> None:
    assert canonical_text({"field": value}, PLAIN) == text


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30)


@settings(deadline=None)
@given(
    st.dictionaries(words, st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=3000), min_size=1, max_size=6),
    st.lists(words.map(lambda word: word + "*"), max_size=3),
    st.booleans(),
)
def test_no_field_is_ever_lost(fields: dict[str, str], order: list[str], named: bool) -> None:
    lines = canonical_text(fields, _settings(*order, named=named)).split("\n")
    assert sorted(lines) == sorted(f"{name}: {value}" if named else value for name, value in fields.items())


@settings(deadline=None)
@given(st.dictionaries(words, words, max_size=6), st.randoms())
def test_the_order_in_which_fields_come_does_not_matter(fields: dict[str, str], chance: Any) -> None:
    items = list(fields.items())
    chance.shuffle(items)
    assert canonical_text(dict(items), PLAIN) == canonical_text(fields, PLAIN)


# --- nodes -------------------------------------------------------------------------------------------------------------


def _taxonomy() -> Taxonomy:
    english = NodeText("en", "Bakers ", "They bake.", ("baker", "BAKER", "oven  hand"), ("bread makers", "bakers"))
    french = NodeText("fr", "Boulangers", "", ("boulanger", "baker"))
    top = Node("7", None, 1, (NodeText("en", "Craft"), NodeText("fr", "Métiers")))
    return Taxonomy.build("key", [top, Node("7512", "7", 4, (english, french))])


def test_node_texts_hold_every_text_once_per_view() -> None:
    views = node_texts(_taxonomy())
    found = {view: [(text.code, text.language, text.text) for text in views[view]] for view in VIEWS}
    assert found == {
        "label": [
            ("7", "en", "Craft"),
            ("7", "fr", "Métiers"),
            ("7512", "en", "Bakers"),
            ("7512", "en", "bread makers"),
            ("7512", "fr", "Boulangers"),
        ],
        "definition": [("7512", "en", "They bake.")],
        "example": [("7512", "en", "baker"), ("7512", "en", "oven hand"), ("7512", "fr", "boulanger")],
    }
    assert all(text.view == view and text.text_hash == text_hash(text.text) for view in VIEWS for text in views[view])


def test_equal_texts_of_different_nodes_stay() -> None:
    nodes = [Node(code, None, 1, (NodeText("en", "Other"),)) for code in ("1", "2")]
    assert [text.code for text in node_texts(Taxonomy.build("key", nodes))["label"]] == ["1", "2"]


def test_text_hash_is_16_hex_digits_of_the_text() -> None:
    assert text_hash("a") == "ca978112ca1bbdca"
    assert len({text_hash("a"), text_hash("A"), text_hash("")}) == 3


def test_path_and_whole_text_take_the_language_where_it_is_there() -> None:
    taxonomy = _taxonomy()
    assert path_text(taxonomy, 1, "en") == "Craft > Bakers"
    assert path_text(taxonomy, 1, "fr") == "Métiers > Boulangers"
    assert path_text(taxonomy, 0, "de") == "Craft"
    assert whole_text(taxonomy, 1, "en") == "Bakers. They bake. baker. BAKER. oven hand."
    assert whole_text(taxonomy, 1, "fr") == "Boulangers. boulanger. baker."


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("\uff34\uff45\uff41\uff43\uff48\uff45\uff52\uff01", "Teacher!"),
        ("\uff11\uff12\u3000\uff08a\uff09", "12 (a)"),
        ("\uff76\uff9e\uff72\uff84\uff9e", "\u30ac\u30a4\u30c9"),
        ("10 m\u00b2, \u00bd, \ufb01n, \u2460", "10 m\u00b2, \u00bd, \ufb01n, \u2460"),
    ],
)
def test_letters_of_another_width_become_plain_and_nothing_else_does(given, expected):
    assert clean(given) == expected
    assert clean(clean(given)) == expected


def test_a_text_says_whether_a_language_model_wrote_it() -> None:
    added = NodeText("en", "", "Written later.", ("poodle", "terrier"), negative_examples=("hot dog",))
    node = Node("dog", None, 1, (NodeText("en", "Dog", "It barks.", ("poodle",)),), (added,))
    written = {
        "terrier": "enrichment",
        "Written later.": "enrichment",
        "hot dog": "enrichment",
        "poodle": "source",
        "Dog": "source",
    }
    assert {text: origin_of(node, text) for text in written} == written
    views = node_texts(Taxonomy.build("t", [node]))
    assert [(text.text, text.origin) for text in views["example"]] == [
        ("poodle", "source"),
        ("terrier", "enrichment"),
        ("hot dog", "enrichment"),
    ]
    assert whole_text(Taxonomy.build("t", [node]), 0, "en") == "Dog. It barks. poodle. Written later. poodle. terrier."
