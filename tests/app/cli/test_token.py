"""`taxomind token` and the refusals of `taxomind serve`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxomind_resources.token_store import TokenStore


def test_a_token_is_made_listed_and_revoked(call: Callable[..., Any], tmp_path: Path) -> None:
    made = call(
        "token", "create", "labelling app", "--tenant", "acme", "--scope", "learn", "--expires", "90d", "--data", tmp_path
    )
    secret = made.out.strip()
    token = TokenStore(tmp_path).find(secret)
    assert token is not None
    assert (made.code, token.tenants, token.scopes) == (0, ("acme",), ("learn",))
    listed = json.loads(call("token", "list", "--json", "--data", tmp_path).out)
    assert [(row["id"], row["name"], row["state"]) for row in listed] == [(token.id, "labelling app", "valid")]
    assert secret not in call("token", "list", "--data", tmp_path).out
    assert call("token", "revoke", token.id, "--data", tmp_path).code == 0
    assert "revoked" in call("token", "list", "--data", tmp_path).out
    assert TokenStore(tmp_path).find(secret) is None
    assert call("token", "revoke", token.id, "--data", tmp_path).code == 2


def test_the_service_does_not_start_open_or_without_tokens(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("API_TOKENS", raising=False)
    opened = call("serve", "--no-auth", "--host", "0.0.0.0", "--data", tmp_path)
    assert (opened.code, "Without tokens" in opened.err) == (2, True)
    without = call("serve", "--data", tmp_path)
    assert (without.code, "taxomind token create" in without.err) == (2, True)
