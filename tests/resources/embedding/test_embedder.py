"""The way that all providers share, over a small real encoder."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_resources.embedding import embedder as embedder_module
from taxomind_resources.embedding.cache import VectorCache
from taxomind_resources.embedding.embedder import TextEmbedder, prepared
from taxomind_resources.faults import Fault

BOTH = frozenset({"query", "document"})


def test_rows_are_unit_vectors_in_the_order_of_the_texts(letter_embedder):
    vectors = letter_embedder.embed(["aa", "bb", "ab"], "query")
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, 26)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0].argmax() == 0
    assert vectors[1].argmax() == 1


def test_blank_texts_get_zero_rows_and_are_never_encoded(letter_embedder, letters):
    vectors = letter_embedder.embed(["", "  \n", "a"], "document")
    assert not vectors[:2].any()
    assert vectors[2].any()
    assert letters.asked == ["a"]


def test_no_texts_give_no_rows(letter_embedder):
    assert letter_embedder.embed([], "query").shape == (0, 26)
    assert letter_embedder.word_pieces([]).shape == (0,)


def test_repeated_texts_are_encoded_once(letter_embedder, letters):
    vectors = letter_embedder.embed(["nurse", "cook", " nurse ", "nurse", "cook"], "query")
    assert sorted(letters.asked) == ["cook", "nurse"]
    np.testing.assert_array_equal(vectors[[0, 0, 1]], vectors[[2, 3, 4]])


def test_composed_and_decomposed_letters_are_the_same_text(letter_embedder, letters):
    word = "infirmi\N{LATIN SMALL LETTER E WITH GRAVE}re"
    vectors = letter_embedder.embed([word, unicodedata.normalize("NFD", word)], "query")
    assert letters.asked == [word]
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_lone_surrogates_are_embedded_like_the_replacement_character(letter_embedder, letters):
    letter_embedder.embed(["a\ud800b"], "query")
    assert letters.asked == ["a\N{REPLACEMENT CHARACTER}b"]


def test_max_chars_cuts_before_the_prompt_is_added():
    assert prepared("  nurse assistant ", 6) == "nurse"
    assert prepared("nurse", None) == "nurse"


def test_one_string_instead_of_a_list_is_refused(letter_embedder):
    with pytest.raises(Fault) as caught:
        letter_embedder.embed("nurse", "query")
    assert caught.value.code == "invalid_input"


def test_a_value_that_is_no_string_is_named_with_its_row_and_type(letter_embedder):
    with pytest.raises(Fault, match=r"Text 1 is of type NoneType") as caught:
        letter_embedder.embed(["nurse", None], "query")
    assert caught.value.code == "invalid_input"


def test_vectors_that_are_not_numbers_are_refused(letters, monkeypatch):
    monkeypatch.setattr(letters, "encode", lambda texts, kind: np.full((len(texts), 26), np.nan, np.float32))
    with pytest.raises(Fault) as caught:
        TextEmbedder(letters, None, frozenset()).embed(["a"], "query")
    assert caught.value.code == "model_unavailable"


def test_many_blocks_give_what_one_block_gives(letter_embedder, monkeypatch):
    texts = [f"{'abcdefg'[i % 7] * (i % 5)}{'xyz'[i % 3]}" for i in range(100)] + ["", "x"]
    whole = letter_embedder.embed(texts, "query")
    monkeypatch.setattr(embedder_module, "BLOCK_TEXTS", 7)
    np.testing.assert_array_equal(letter_embedder.embed(texts, "query"), whole)
    np.testing.assert_array_equal(letter_embedder.word_pieces(texts), [len(text.split()) for text in texts])


@given(st.lists(st.text(max_size=8), max_size=12))
def test_a_text_has_the_same_vector_alone_and_among_others(make_letters, texts):
    subject = TextEmbedder(make_letters(), None, frozenset())
    together = subject.embed(texts, "query")
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(subject.embed([text], "query")[0], together[row])


def test_a_second_call_takes_identical_vectors_from_the_cache(letters, tmp_path):
    cache = VectorCache(tmp_path / "c.sqlite", 26, 2**30)
    subject = TextEmbedder(letters, cache, BOTH)
    made = subject.embed(["nurse", "cook"], "query")
    mixed = subject.embed(["driver", "cook", "nurse"], "query")
    assert letters.asked == ["nurse", "cook", "driver"]
    np.testing.assert_array_equal(mixed[[2, 1]], made)
    reopened = TextEmbedder(letters, VectorCache(tmp_path / "c.sqlite", 26, 2**30), BOTH)
    np.testing.assert_array_equal(reopened.embed(["nurse", "cook"], "query"), made)
    assert len(letters.asked) == 3


def test_cached_vectors_are_unit_vectors_near_the_exact_ones(letters, tmp_path):
    exact = TextEmbedder(letters, None, frozenset()).embed(["nurse", "cook"], "query")
    cached = TextEmbedder(letters, VectorCache(tmp_path / "c.sqlite", 26, 2**30), BOTH).embed(["nurse", "cook"], "query")
    np.testing.assert_allclose(np.linalg.norm(cached, axis=1), 1, atol=1e-6)
    assert (cached * exact).sum(axis=1).min() > 1 - 1e-6


def test_the_cache_keeps_texts_with_another_prompt_apart(make_letters, tmp_path):
    encoder = make_letters(query_prompt="query: ", document_prompt="passage: ")
    subject = TextEmbedder(encoder, VectorCache(tmp_path / "c.sqlite", 26, 2**30), BOTH)
    query = subject.embed(["nurse"], "query")
    document = subject.embed(["nurse"], "document")
    assert encoder.asked == ["nurse", "nurse"]
    assert not np.array_equal(query, document)


def test_queries_are_not_kept_when_only_documents_are(letters, tmp_path):
    cache = VectorCache(tmp_path / "c.sqlite", 26, 2**30)
    subject = TextEmbedder(letters, cache, frozenset({"document"}))
    query = subject.embed(["nurse"], "query")
    assert cache.count() == 0
    document = subject.embed(["nurse"], "document")
    assert cache.count() == 1
    np.testing.assert_array_equal(query, document)
