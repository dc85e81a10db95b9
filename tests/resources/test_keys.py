"""Taxonomy keys: what may name a taxonomy, and that no key can leave its folder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_resources.faults import Fault
from taxomind_resources.keys import key_folder, key_of_folder, validate_key


@pytest.mark.parametrize("key", ["ISCO", "acme_ISCO", "Job titles 2020", "métiers", "a.b-c_d", "100%", "職業"])
def test_usual_keys_are_allowed_and_kept(key):
    assert validate_key(key) == key
    assert key_of_folder(key_folder(key)) == key


@pytest.mark.parametrize(
    "key",
    ["", " a", "a ", ".", "..", "a/b", "a\\b", "a\nb", "a\x00b", "__none__", "__x", "a...b", "x" * 101, "職" * 30, "\ud800"],
)
def test_keys_that_could_harm_are_refused(key):
    with pytest.raises(Fault) as caught:
        validate_key(key)
    assert caught.value.code == "invalid_key"
    assert caught.value.allowed


@pytest.mark.parametrize("key", [None, 7, b"a", ["a"]])
def test_keys_that_are_no_text_are_refused(key):
    with pytest.raises(Fault):
        validate_key(key)


@given(st.text(max_size=110))
def test_a_folder_is_one_safe_name_and_gives_the_key_back(key):
    try:
        folder = key_folder(key)
    except Fault:
        return
    assert "/" not in folder
    assert "\\" not in folder
    assert not folder.startswith(".")
    assert folder.isascii()
    assert key_of_folder(folder) == key
