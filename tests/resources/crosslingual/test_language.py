"""Telling English texts from others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_resources.crosslingual import Student
from taxomind_resources.crosslingual.language import LanguageProfile
from taxomind_resources.crosslingual.pairs import AlignedPair

ENGLISH = ("primary school teacher", "what is the balance of my account", "frozen vegetables", "Registered Nurse (RN)")
OTHERS = (
    "Grundschullehrerin",
    "caissier de supermarché",
    "nauczyciel szkoły podstawowej",
    "dipendente pubblico",
    "sjuksköterska",
)


@pytest.fixture(scope="module")
def shipped() -> LanguageProfile:
    return Student.load().profile


def test_the_shipped_profile_tells_english_from_other_languages(shipped: LanguageProfile) -> None:
    assert (shipped.english(ENGLISH) > 0).all()
    assert (shipped.english(OTHERS) < 0).all()


def test_texts_without_letters_are_left_open_and_other_scripts_are_not(shipped: LanguageProfile) -> None:
    assert shipped.english(["", "12.5", "?!"]).tolist() == [0, 0, 0]
    assert (shipped.english(["νοσοκόμος", "სკოლა", "教師", "учитель (B1)"]) <= -20).all()
    assert shipped.english([]).shape == (0,)


@settings(max_examples=30)
@given(st.lists(st.sampled_from([*ENGLISH, *OTHERS, "", "教師"]), max_size=7))
def test_a_text_is_judged_alone(shipped: LanguageProfile, texts: list[str]) -> None:
    together = shipped.english(texts)
    for row, text in enumerate(texts):
        assert together[row] == shipped.english([text])[0]


def test_a_profile_learns_the_languages_of_its_pairs(bilingual: list[AlignedPair]) -> None:
    profile = LanguageProfile.fit(bilingual)
    assert (profile.english(["red chair", "modern bridge"]) > 0).all()
    assert (profile.english(["chaise rouge", "passerelle moderne"]) < 0).all()
    again = LanguageProfile.fit(bilingual)
    assert (again.weights == profile.weights).all()


def test_pairs_in_english_only_take_every_text_for_english() -> None:
    profile = LanguageProfile.fit([AlignedPair("en", "red chair", "red chair")])
    assert (profile.english(["chaise rouge", "anything"]) > 0).all()
    assert np.isfinite(profile.weights).all()
