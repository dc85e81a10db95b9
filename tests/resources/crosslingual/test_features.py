from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_resources.crosslingual import features
from taxomind_resources.crosslingual.features import feature_counts, feature_keys
from taxomind_resources.faults import Fault

BITS = 20


def keys_of(text: str) -> list[int]:
    return sorted(feature_keys([text])[1].tolist())


def test_feature_hashes_are_those_of_version_one() -> None:
    """The values are part of trained weights: a change here needs a new `FEATURES_VERSION` and new weights."""
    rows, keys = feature_keys(["Ärztin", "東京 LED", "ab"])
    assert features.FEATURES_VERSION == 1
    assert list(zip(rows.tolist(), (f"{key:016x}" for key in keys.tolist()), strict=True)) == EXPECTED


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Ingénieur Électricien", "ingenieur electricien"),
        ("STRASSE", "Straße"),
        ("ＡＢＣ工業", "abc工業"),
        ("cafe\u0301", "café"),
        ("a\u00adb\u200bc", "abc"),
        ("nurse,  (night)", "nurse night"),
        ("Οδηγός", "ΟΔΗΓΟΣ"),
        ("한국어", "한국어"),
    ],
)
def test_features_ignore_case_accents_width_and_punctuation(left: str, right: str) -> None:
    assert keys_of(left) == keys_of(right) != []


def test_words_have_grams_with_marks_and_long_words_are_features_themselves() -> None:
    assert len(keys_of("ab")) == 2 + 1  # " ab", "ab ", " ab "
    assert len(keys_of("abcd")) == 4 + 3 + 2 + 1  # " abcd " has four 3-grams, three 4-grams, two 5-grams; and the word
    assert not set(keys_of("baker")) & set(keys_of("mill"))
    assert set(keys_of("baker")) < set(keys_of("baker mill"))
    assert set(keys_of("baker mill")) == set(keys_of("baker")) | set(keys_of("mill"))


def test_scripts_without_spaces_give_grams_of_one_to_three() -> None:
    assert len(keys_of("東京都")) == 3 + 2 + 1
    assert set(keys_of("京都")) < set(keys_of("東京都"))
    assert set(keys_of("LED")) < set(keys_of("LED東京"))


@pytest.mark.parametrize("text", ["", " ", "\n\t", "?!…", "、。", "🙂🙂", "\u0301"])
def test_texts_without_letters_have_no_feature(text: str) -> None:
    assert keys_of(text) == []


@pytest.mark.parametrize("text", ["\ud800", "a\ud800b", "\U0010ffff", "हिन्दी", "አማርኛ", "\x00\x01x", "ﷺ", "İ"])
def test_odd_characters_are_features_and_no_error(text: str) -> None:
    assert keys_of(text)


def test_counts_are_per_text_and_sum_repeats() -> None:
    counts = feature_counts(["mill", "", "mill mill", "mill\nmill"], BITS)
    dense = counts.toarray()
    assert counts.shape == (4, 1 << BITS)
    assert counts.dtype == np.float32
    assert dense[1].sum() == 0
    assert (dense[2] == 2 * dense[0]).all()
    assert (dense[3] == dense[2]).all()


@given(st.lists(st.text(max_size=12), max_size=12))
def test_features_of_a_text_do_not_depend_on_its_neighbours(texts: list[str]) -> None:
    rows, keys = feature_keys(texts)
    for row, text in enumerate(texts):
        assert sorted(keys[rows == row].tolist()) == keys_of(text)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"title number {number} 東京" for number in range(40)] + ["x" * 500, ""]
    whole = feature_counts(texts, BITS)
    monkeypatch.setattr(features, "BLOCK_TEXTS", 7)
    monkeypatch.setattr(features, "_BLOCK_CHARACTERS", 90)
    assert len(list(features.blocks(texts))) > 6
    assert (feature_counts(texts, BITS) != whole).nnz == 0


def test_only_the_first_characters_of_a_giant_text_count() -> None:
    start = "abcd " * (features.MAX_CHARACTERS // 5)
    assert keys_of(start) == keys_of(start + "zzzz " * 1000)


@pytest.mark.parametrize("texts", ["one string", [None], ["a", 3]])
def test_what_is_no_list_of_strings_is_refused(texts: object) -> None:
    with pytest.raises(Fault) as caught:
        feature_keys(texts)  # type: ignore[arg-type]
    assert caught.value.code == "invalid_input"


EXPECTED = [
    (0, "83d659e1859a28d9"),
    (0, "a24d97e2b73ab6b6"),
    (0, "b691de7aa296cc66"),
    (0, "1c94eb0d9d5d0a15"),
    (0, "724471b67038b76b"),
    (0, "9f2a59314e6684ff"),
    (1, "a57b9871848cc53c"),
    (1, "3ae4aea4eb5cfa2e"),
    (1, "35e6f36075dd9425"),
    (2, "04258dd4abe4a99c"),
    (2, "cab5d972f9de3e29"),
    (0, "45fcb08b30dab54d"),
    (0, "c8038daceedd5065"),
    (0, "4614c8786881d28d"),
    (0, "320b4e9ca788e30d"),
    (0, "52c6f4a1fbead965"),
    (1, "57dca289568335a7"),
    (1, "7d0c5b950823b43b"),
    (2, "99a58bd5ddb161f6"),
    (0, "14c84f657f0c169d"),
    (0, "c4e127cc88198e97"),
    (0, "d90ee6f325902200"),
    (0, "eec7c86ad5ff05ff"),
    (1, "4b1e95bd4a44933a"),
    (0, "80c11aea04305149"),
    (1, "66bf97ab80de433d"),
    (1, "54d0c42a665865df"),
    (1, "1739d644553fba81"),
]
