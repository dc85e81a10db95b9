"""Groups of texts and their names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.growth.clusters import (
    NOISE,
    cluster_names,
    cluster_texts,
    default_min_size,
    keywords,
    typical_texts,
)
from taxomind_assets.growth.stop_words import stop_words

BILLS = [f"pay the {kind} bill" for kind in ("gas", "water", "phone", "power", "heating")]
RUNS = [f"ran {km} km by the {place}" for km, place in zip((5, 8, 10, 12), ("river", "lake", "river", "sea"), strict=True)]


def blobs(sizes: list[int], *, dimensions: int = 32, spread: float = 0.05, seed: int = 0) -> np.ndarray:
    """Unit vectors around as many directions as there are sizes, one after the other."""
    rng = np.random.default_rng(seed)
    middles = np.linalg.qr(rng.normal(size=(dimensions, len(sizes))))[0].T
    rows = np.concatenate(
        [middle + spread * rng.normal(size=(size, dimensions)) for middle, size in zip(middles, sizes, strict=True)]
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_texts_of_one_direction_become_one_group_numbered_by_size():
    labels = cluster_texts(blobs([6, 12, 9]), min_size=4)
    assert labels.tolist() == [2] * 6 + [0] * 12 + [1] * 9


def test_texts_that_are_too_few_or_alone_belong_to_no_group():
    vectors = np.concatenate([blobs([10, 10]), -blobs([1, 1], seed=3)])
    labels = cluster_texts(vectors, min_size=4)
    assert set(labels[:20].tolist()) == {0, 1}
    assert labels[20:].tolist() == [NOISE, NOISE]


def test_many_texts_are_grouped_by_density():
    labels = cluster_texts(blobs([900, 800, 700]))
    found = [np.bincount(labels[rows] + 1, minlength=4)[1:] for rows in (slice(0, 900), slice(900, 1700), slice(1700, 2400))]
    # Density leaves out texts at the edge, but mixes no two directions.
    assert all(counts.argmax() == group and counts.max() == counts.sum() for group, counts in enumerate(found))
    assert (labels != NOISE).mean() > 0.5


def test_texts_that_are_alike_are_one_group_and_scattered_ones_none():
    assert cluster_texts(blobs([8]), min_size=3).tolist() == [0] * 8
    scattered = np.eye(30, dtype=np.float32)
    assert set(cluster_texts(scattered, min_size=3).tolist()) == {NOISE}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_texts_than_a_group_are_no_group(count):
    assert cluster_texts(np.ones((count, 4), np.float32)).tolist() == [NOISE] * count


def test_empty_texts_have_zero_vectors_and_break_nothing():
    vectors = np.concatenate([blobs([8, 8]), np.zeros((3, 32), np.float32)])
    labels = cluster_texts(vectors, min_size=4)
    assert labels[16:].tolist() == [NOISE] * 3


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.integers(4, 9), st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_the_texts(groups, size, random):
    vectors = blobs([size] * groups)
    order = list(range(len(vectors)))
    random.shuffle(order)
    first, second = cluster_texts(vectors, min_size=3), cluster_texts(vectors[order], min_size=3)
    same = first[order][:, None] == first[order][None, :]
    assert np.array_equal(same, second[:, None] == second[None, :])


def test_smallest_group_grows_with_the_texts():
    assert [default_min_size(n) for n in (0, 40, 100, 400, 10_000)] == [3, 3, 5, 10, 15]


def test_keywords_tell_groups_apart_and_hold_no_function_words():
    words = keywords([*BILLS, *RUNS], np.array([0] * 5 + [1] * 4))
    assert words[0][0] == "bill"
    assert "the" not in {word for group in words.values() for word in group}
    assert any("km" in word or "ran" in word for word in words[1])


def test_a_word_counts_once_per_text():
    texts = ["spam spam spam spam cat", "the cat sat", "cat food", "dog walk", "dog food", "dog bed"]
    assert keywords(texts, np.array([0, 0, 0, 1, 1, 1]))[0][0] == "cat"


def test_keywords_keep_the_spelling_of_the_texts():
    texts = ["Rechnung bezahlen", "Rechnung prüfen", "die Rechnung", "Wald", "im Wald", "Wald und Wiese"]
    words = keywords(texts, np.array([0, 0, 0, 1, 1, 1]))
    assert (words[0][0], words[1][0]) == ("Rechnung", "Wald")


def test_background_shows_what_is_common():
    texts = ["order pizza now", "order pizza later", "order pizza please"]
    other = ["order a taxi", "order a book", "order flowers", "order shoes"]
    assert keywords(texts, np.zeros(3, np.int64), background=other)[0][0] == "order pizza"
    assert "order" not in keywords(texts, np.zeros(3, np.int64), background=other)[0]


def test_words_of_texts_without_a_group_stay_telling():
    texts = ["car tyres", "car brakes", "car oil", "cat food", "cat litter", "cat toys", "car battery", "car engine"]
    assert keywords(texts, np.array([0, 0, 0, 1, 1, 1, NOISE, NOISE]))[0][0].split()[0] == "car"


def test_function_words_are_those_of_the_languages_that_texts_are_in():
    english = stop_words(["the", "of", "and", "with", "car", "war", "after"])
    assert "should" in english
    assert not {"car", "war"} & english
    assert {"should", "dans", "car"} <= stop_words(["the", "with", "and", "dans", "avec", "une"])
    assert stop_words([]) == stop_words(["car"]) == frozenset()


def test_texts_without_words_get_a_name_all_the_same():
    assert keywords(["12", "13", "14"], np.zeros(3, np.int64)) == {0: ["12"]}


def test_scripts_without_spaces_are_named_by_pairs_of_characters():
    texts = ["请支付电费账单", "电费账单到期", "账单", "今天跑步五公里", "跑步很开心", "跑步"]
    words = keywords(texts, np.array([0, 0, 0, 1, 1, 1]))
    assert (words[0][0], words[1][0]) == ("账单", "跑步")


def test_noise_has_no_keywords():
    assert keywords(["a text", "another"], np.array([NOISE, NOISE])) == {}


def test_names_differ_even_when_keywords_do_not():
    names = cluster_names({0: ["bill", "gas"], 1: ["bill", "gas", "late"], 2: ["bill", "gas"], 3: ["Bill"]})
    assert names == {0: "Bill, gas", 1: "Bill, gas, late", 2: "Bill, gas 2", 3: "Bill"}


def test_typical_texts_are_those_in_the_middle():
    vectors = blobs([9, 9])
    labels = np.array([0] * 9 + [1] * 9)
    labels[17] = NOISE
    found = typical_texts(vectors, labels, 3)
    middle = vectors[:9].mean(axis=0)
    assert found[0] == np.argsort(-(vectors[:9] @ middle))[:3].tolist()
    assert 17 not in found[1]
    assert [len(places) for places in found.values()] == [3, 3]
