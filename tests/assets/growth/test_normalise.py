"""The comparison key of labels: which spellings are one label."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.growth.normalise import Words, comparison_key, is_generic


@pytest.mark.parametrize(
    ("label", "key"),
    [
        *((spelling, "ai/agent") for spelling in ("AI/Agent", "ai/agents", "AI Agent", "AI_Agent", "AI-Agent")),
        *((spelling, "ai/agent") for spelling in ("  AI/Agent  ", "AI//Agent", "/AI/Agent/", "AI\u2013Agent", "AI | Agents")),
        *(("Climbing", "climbing"), ("mechanisms", "mechanism"), ("AI", "ai"), ("OS", "os"), ("RAG", "rag")),
        *(("", ""), (None, ""), ("  / - ", ""), ("...", "")),
        *(("companies", "company"), ("boxes", "box"), ("processes", "process")),
        *(("C++", "c++"), ("C#", "c#"), (".NET", ".net"), ("R&D", "r&d"), ("Node.js", "node.js")),
        ("\uff21\uff29", "ai"),
        *(("Business", "business"), ("class", "class"), ("News", "news")),
        *(("Analysis", "analysis"), ("analyses", "analysis")),
        *((word, word.lower()) for word in ("physics", "series", "HTTPS", "campus", "lens")),
        *(("OSes", "os"), ("LLMs", "llm"), ("indices", "index"), ("matrices", "matrix"), ("knives", "knife")),
        ("Arts & Crafts", "art/and/craft"),
        *(("Tech > AI", "tech/ai"), ("Tech\\AI", "tech/ai"), ("Tech › AI", "tech/ai"), ("Tech » AI", "tech/ai")),
        *(("Women's shoes", "womens/shoe"), ("“Tax”", "“tax”"), ("(Tax), [news]!", "tax/news")),
    ],
)
def test_spellings_of_a_label_have_one_key(label, key):
    assert comparison_key(label) == key


def test_other_languages_keep_their_words_and_accents():
    assert comparison_key("Autos Häuser", "de") == "autos/häuser"
    assert comparison_key("Résumés", "fr") != comparison_key("Resumes", "fr")
    assert comparison_key("Houses", "en-GB") == comparison_key("house", "en")


def test_nested_and_plain_labels_have_different_keys():
    assert comparison_key("AI/Agent") != comparison_key("Tech/AI/Agent")


@given(st.text(max_size=60))
def test_any_text_has_a_key_that_is_its_own_key(text):
    for language in ("en", "de"):
        key = comparison_key(text, language)
        assert comparison_key(key, language) == key


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_case_makes_no_difference_in_english(text):
    assert comparison_key(text.upper()) == comparison_key(text.lower())


def test_no_two_labels_of_a_public_taxonomy_merge_but_by_number_case_and_signs(isco08):
    seen: dict[str, str] = {}
    for node in isco08.nodes:
        for label in (text.label for text in node.texts if text.language == "en"):
            other = seen.setdefault(comparison_key(label), label)
            words = ["".join(c if c.isalnum() else " " for c in own.casefold()).split() for own in (label, other)]
            assert all(one[:-4] == two[: len(one[:-4])] for one, two in zip(*words, strict=True)), (label, other)


def test_a_taxonomy_has_words_of_its_own():
    words = Words.with_more({"Lexica": "lexicon"}, ["Tiles"])
    assert comparison_key("lexica", words=words) == "lexicon"
    assert comparison_key("Tiles", words=words) == "tiles"
    assert comparison_key("Tiles") == "tile"


@pytest.mark.parametrize("label", ["Other", "misc", "Miscellaneous", "General", "unknown", "none", "Various", "not applicable"])
def test_words_that_say_nothing_are_generic(label):
    assert is_generic(comparison_key(label))
    assert not is_generic(comparison_key(f"{label} taxes"))


def test_the_built_in_lists_lead_to_keys_that_stay():
    from taxomind_assets.growth.normalise import PLAIN_WORDS

    for plural, singular in PLAIN_WORDS.irregular.items():
        assert comparison_key(plural) == singular
