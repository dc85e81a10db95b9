from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_assets.views import lexical
from taxomind_assets.views.lexical import BUCKET_BITS, GroupedTfidf, HashedTfidf, character_counts, word_counts
from taxomind_assets.views.texts import normalise

# Few letters: then no two n-grams share a bucket, and counts must be equal to the naive ones.
SMALL = st.lists(st.text("ab ", max_size=20), min_size=1, max_size=6)
DOCUMENTS = ["Shop managers", "Hotel managers", "Software developers", "Lehrkräfte im Sekundarbereich", "日本語 教師"]


def naive_characters(text: str) -> Counter[str]:
    words = [f" {word} " for word in normalise(text).split()]
    return Counter(word[i : i + n] for word in words for n in (3, 4, 5) for i in range(len(word) - n + 1))


def naive_words(text: str) -> Counter[str]:
    words = re.findall(r"\w+", normalise(text))
    return Counter([*words, *(f"{a} {b}" for a, b in pairwise(words))])


def gram_matrix(counters: list[Counter[str]]) -> np.ndarray:
    return np.array([[sum(a[gram] * b[gram] for gram in a) for b in counters] for a in counters], np.float32)


@given(texts=SMALL)
def test_character_ngrams_are_those_of_a_naive_count(texts: list[str]) -> None:
    counts = character_counts(texts)
    naive = [naive_characters(text) for text in texts]
    assert counts.shape == (len(texts), 1 << BUCKET_BITS)
    assert [sorted(row) for row in _rows(counts)] == [sorted(counter.values()) for counter in naive]
    np.testing.assert_array_equal((counts @ counts.T).toarray(), gram_matrix(naive))


@given(texts=SMALL)
def test_words_and_pairs_are_those_of_a_naive_count(texts: list[str]) -> None:
    counts = word_counts(texts)
    naive = [naive_words(text) for text in texts]
    assert [sorted(row) for row in _rows(counts)] == [sorted(counter.values()) for counter in naive]
    np.testing.assert_array_equal((counts @ counts.T).toarray(), gram_matrix(naive))


@given(text=st.text(max_size=30))
def test_any_text_has_as_many_character_ngrams_as_a_naive_count(text: str) -> None:
    assert character_counts([text]).sum() == sum(naive_characters(text).values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("C++/C# developer", ["c", "c", "developer"]),
        ("well-being", ["well", "being"]),
        ("snake_case 42", ["snake_case", "42"]),
        ("हिन्दी शिक्षक", ["हिन्दी", "शिक्षक"]),
        ("ครู โรงเรียน", ["ครู", "โรงเรียน"]),
        ("教師、医者", ["教師", "医者"]),
        ("...", []),
    ],
)
def test_words_are_runs_of_letters_marks_digits_and_underscores(text: str, words: list[str]) -> None:
    pairs = max(len(words) - 1, 0)
    assert word_counts([text]).sum() == len(words) + pairs
    together = word_counts([text, " ".join(words)])
    assert (together[[0]] != together[[1]]).nnz == 0


@pytest.mark.parametrize("count", [character_counts, word_counts])
def test_no_text_has_no_ngrams(count: Callable[..., object]) -> None:
    assert count([]).shape[0] == 0  # type: ignore[attr-defined]
    assert count(["", "  ", "\u200b"]).nnz == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("grams", ["character", "word"])
def test_case_width_and_composition_make_no_difference(grams: str) -> None:
    model = HashedTfidf.fit(DOCUMENTS, grams)  # type: ignore[arg-type]
    variants = ["SHOP MANAGERS", "ｓｈｏｐ ｍａｎａｇｅｒｓ", "Shop  managers"]
    scores = [GroupedTfidf(model, np.arange(5), 5)([text])[:, 0] for text in ["Shop managers", *variants]]
    for score in scores[1:]:
        np.testing.assert_array_equal(score, scores[0])
    composed, decomposed = (GroupedTfidf(model, np.arange(5), 5)([t]) for t in ("Lehrkräfte", "Lehrkra\u0308fte"))
    np.testing.assert_array_equal(composed, decomposed)


@given(texts=st.lists(st.text("abcdef ", min_size=3, max_size=25).filter(str.strip), min_size=1, max_size=8))
@pytest.mark.parametrize("grams", ["character", "word"])
def test_a_document_is_equal_to_itself(grams: str, texts: list[str]) -> None:
    model = HashedTfidf.fit(texts, grams)  # type: ignore[arg-type]
    scores = GroupedTfidf(model, np.arange(len(texts)), len(texts))(texts)
    own = np.diag(scores)
    np.testing.assert_allclose(own, 1, atol=1e-5)
    assert (scores <= 1 + 1e-5).all()
    assert (scores >= 0).all()


@pytest.mark.parametrize("grams", ["character", "word"])
def test_texts_that_share_nothing_score_zero(grams: str) -> None:
    model = HashedTfidf.fit(["abc abcd", "def ghi"], grams)  # type: ignore[arg-type]
    scores = GroupedTfidf(model, np.arange(2), 2)(["xyz zyx", "abc"])
    assert scores[:, 0].tolist() == [0, 0]
    assert scores[0, 1] > 0
    assert scores[1, 1] == 0


@given(order=st.permutations(range(len(DOCUMENTS))), extra=st.lists(st.text(max_size=20), max_size=4))
@pytest.mark.parametrize("grams", ["character", "word"])
def test_a_text_scores_the_same_alone_and_among_others(grams: str, order: list[int], extra: list[str]) -> None:
    model = HashedTfidf.fit(DOCUMENTS, grams)  # type: ignore[arg-type]
    texts = [DOCUMENTS[i] + " senior" for i in order]
    together = GroupedTfidf(model, np.arange(5), 5)([*extra, *texts])[:, len(extra) :]
    alone = np.concatenate([GroupedTfidf(model, np.arange(5), 5)([text]) for text in texts], axis=1)
    np.testing.assert_array_equal(together, alone)


@given(
    texts=st.lists(st.text("abc ", max_size=12), max_size=7),
    groups=st.lists(st.integers(0, 3), min_size=5, max_size=5),
    weights=st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=7, max_size=7),
)
@pytest.mark.parametrize(("setting", "value"), [("_DENSE_DOCUMENTS", 0), ("_DENSE_NUMBERS", 1), ("_DENSE_NUMBERS", 13)])
def test_dense_and_sparse_sums_in_blocks_of_any_size_agree(
    setting: str, value: int, texts: list[str], groups: list[int], weights: list[float]
) -> None:
    model = HashedTfidf.fit(["abc cab", "ab", "bca bca ab", "cc", "a b c abcabc"], "character", max_documents=4)
    grouped = GroupedTfidf(model, np.array(groups, np.int64), 4)
    own = np.array(weights[: len(texts)], np.float32)
    expected = grouped(texts, own)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexical, setting, value)
        np.testing.assert_allclose(grouped(texts, own), expected, atol=1e-5)
    np.testing.assert_allclose(expected, grouped(texts) * own, atol=1e-5)
    assert expected.shape == (4, len(texts))


@given(groups=st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_a_group_scores_like_its_nearest_document(groups: list[int]) -> None:
    model = HashedTfidf.fit(DOCUMENTS, "character")
    each = GroupedTfidf(model, np.arange(5), 5)(["shop developer", "hotel"])
    grouped = GroupedTfidf(model, np.array(groups, np.int64), 4)(["shop developer", "hotel"])
    for group in range(4):
        members = [i for i, own in enumerate(groups) if own == group]
        expected = each[members].max(axis=0) if members else np.zeros(2)
        np.testing.assert_allclose(grouped[group], expected)


def test_frequent_ngrams_leave_the_product_but_not_the_length() -> None:
    texts = [f"managers of {name}" for name in ("banks", "hotels", "farms", "shops", "mines")]
    pruned = HashedTfidf.fit(texts, "word", max_documents=2)
    whole = HashedTfidf.fit(texts, "word")
    scores = GroupedTfidf(pruned, np.arange(5), 5)(["managers of banks", "managers of"])
    exact = GroupedTfidf(whole, np.arange(5), 5)(["managers of banks", "managers of"])
    assert np.argmax(scores[:, 0]) == np.argmax(exact[:, 0]) == 0
    assert 0 < scores[0, 0] < exact[0, 0]
    assert (scores[:, 1] == 0).all()
    assert (exact[:, 1] > 0).all()


def test_rare_words_weigh_more_than_frequent_ones() -> None:
    model = HashedTfidf.fit(["hotel managers", "shop managers", "farm managers", "hotel clerks"], "word")
    scores = GroupedTfidf(model, np.arange(4), 4)(["clerks managers"])[:, 0]
    assert scores[3] > scores[1] > 0


def _rows(counts: object) -> list[list[float]]:
    return [counts[[i]].data.tolist() for i in range(counts.shape[0])]  # type: ignore[attr-defined, index]
