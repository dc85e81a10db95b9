"""Tokens: kept as hashes, known at once, ended by time or by hand."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from taxomind_resources.faults import Fault
from taxomind_resources.token_store import SCOPES, TokenStore, check_tenants


def test_a_token_is_found_by_its_text_alone_and_its_text_is_kept_nowhere(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    token, secret = store.create("app", ["acme", "local", "acme"], ["learn", "read"])
    assert store.find(secret) == token
    assert store.find(secret + "x") is None
    assert store.find("\ud800") is None
    assert secret.encode() not in store.path.read_bytes()
    assert (token.tenants, token.scopes, len(secret)) == (("acme", "local"), ("read", "learn"), 47)
    assert store.path.stat().st_mode & 0o077 == 0


def test_another_process_knows_a_new_token_and_a_revoked_one_at_once(tmp_path: Path) -> None:
    running, command = TokenStore(tmp_path), TokenStore(tmp_path)
    assert running.tokens() == []
    token, secret = command.create("app", ["local"], SCOPES)
    assert running.find(secret) == token
    command.revoke("app")
    assert running.find(secret) is None
    assert [found.id for found in running.tokens()] == [token.id]


def test_a_token_ends_when_its_time_is_over(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    _, secret = store.create("old", ["local"], ["read"], time.time() - 1)
    _, later = store.create("new", ["local"], ["read"], time.time() + 60)
    assert store.find(secret) is None
    assert store.find(later) is not None


@pytest.mark.parametrize("tenants", [[], ["Acme"], ["a_b"], ["-a"], [""], ["a" * 64]])
def test_tenants_are_slugs(tenants: list[str]) -> None:
    with pytest.raises(Fault) as refused:
        check_tenants(tenants)
    assert refused.value.code == "invalid_input"


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    with pytest.raises(Fault, match="scopes"):
        store.create("a", ["local"], ["root"])
    with pytest.raises(Fault, match="0 tokens"):
        store.revoke("nobody")
    store.create("twin", ["local"], ["read"])
    store.create("twin", ["local"], ["read"])
    with pytest.raises(Fault, match="2 tokens"):
        store.revoke("twin")
    store.path.write_text("{")
    with pytest.raises(Fault) as damaged:
        TokenStore(tmp_path).tokens()
    assert damaged.value.code == "storage_failed"
