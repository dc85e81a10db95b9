"""Taxonomy keys: what may name a taxonomy, and that no key can leave its folder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxomind_resources.faults import Fault
from taxomind_resources.keys import key_folder, key_of_folder, stored_key, tenant_of, tenant_slug, validate_key


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


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("acme", "acme"),
        ("  Acme & Söhne!", "acme-s-hne"),
        ("__", ""),
        ("A  B--C", "a-b-c"),
        ("api.example.com", "api-example-com"),
    ],
)
def test_a_name_becomes_a_slug(text: str, slug: str) -> None:
    assert tenant_slug(text) == slug


def test_two_pairs_of_tenant_and_key_never_share_a_stored_key() -> None:
    pairs = [("local", "ISCO"), ("acme", "ISCO"), ("local", "acme_ISCO"), ("acme", "acme_ISCO"), ("acme", "b:c"), ("b", "c")]
    stored = [stored_key(*pair) for pair in pairs]
    assert len(set(stored)) == len(pairs)
    assert [tenant_of(key) for key in stored] == pairs


def test_a_plain_key_cannot_be_that_of_a_tenant() -> None:
    with pytest.raises(Fault) as refused:
        stored_key("local", "acme:ISCO")
    assert refused.value.code == "invalid_key"
    assert tenant_of(stored_key("local", "A:b")) == ("local", "A:b")
