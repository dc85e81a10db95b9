"""`taxomind token`: who may use the service."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_resources.faults import Fault
from taxomind_resources.token_store import SCOPES, Token

CREATE_EPILOG = """Examples

taxomind token create labelling-app --tenant acme --scope read --scope classify --scope learn

taxomind token create nightly --expires 90d
"""
LIST_EPILOG = """Examples

taxomind token list
"""
REVOKE_EPILOG = """Examples

taxomind token revoke 1a2b3c4d
"""
_SPANS: Final = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "y": 365 * 86400.0}


class ScopeChoice(StrEnum):
    """What a token may do."""

    READ = "read"
    CLASSIFY = "classify"
    LEARN = "learn"
    ADMIN = "admin"


def create(
    session: Session,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.", show_default=False)],
    tenants: Annotated[
        list[str] | None,
        typer.Option(
            "--tenant", metavar="SLUG", help="Tenant, repeatable; the first is the default, * = any (default: local)."
        ),
    ] = None,
    scopes: Annotated[
        list[ScopeChoice] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="read, classify, learn or admin, repeatable (default: all).",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="SPAN", help="When it ends: 12h, 90d, 6w or 1y (default: never).")
    ] = None,
) -> None:
    """Make a token and show it, this once. A running service knows it at once."""
    from taxomind_resources.keys import LOCAL_TENANT
    from taxomind_resources.token_store import TokenStore

    wanted = [scope.value for scope in scopes] if scopes else list(SCOPES)
    until = None if expires is None else time.time() + span_s(expires)
    token, secret = TokenStore(session.root).create(" ".join(name.split()), tenants or [LOCAL_TENANT], wanted, until)
    if session.json:
        session.print_json({**_shown(token), "token": secret})
        return
    session.say(styled("[bold]{secret}[/]", secret=secret))
    session.note(f"Token {token.id} for {', '.join(token.tenants)} may: {', '.join(token.scopes)}. It is not shown again.")


def list_(session: Session) -> None:
    """List the tokens; what they are is known to nobody."""
    from taxomind_app.cli.showing import plain_table
    from taxomind_resources.token_store import TokenStore

    rows = [_shown(token) for token in TokenStore(session.root).tokens()]
    if session.json:
        session.print_json(rows)
        return
    if not rows:
        session.say("There are none.")
        return
    table = plain_table("id", "name", "tenants", "scopes", "created", "state")
    for row in rows:
        table.add_row(row["id"], row["name"], ", ".join(row["tenants"]), ", ".join(row["scopes"]), row["created"], row["state"])
    session.out.print(table)


def revoke(
    session: Session, *, token: Annotated[str, typer.Argument(metavar="ID", help="Id or name.", show_default=False)]
) -> None:
    """Take a token back; a running service refuses it at once."""
    from taxomind_resources.token_store import TokenStore

    found = TokenStore(session.root).revoke(token)
    if session.json:
        session.print_json(_shown(found))
        return
    session.say(f"Token {found.id} ({found.name}) is revoked.")


def span_s(text: str) -> float:
    """Seconds of a span such as `90d`.

    Raises:
        Fault: `invalid_input`.
    """
    found = re.fullmatch(r"([1-9]\d{0,5})([hdwy])", text.strip())
    if not found:
        raise Fault("invalid_input", "The span cannot be read.", value=text, allowed="a number and h, d, w or y, such as 90d")
    return int(found[1]) * _SPANS[found[2]]


def _shown(token: Token) -> dict[str, Any]:
    state = "valid" if token.is_valid(time.time()) else "revoked" if token.revoked_at else "expired"
    times = {"created": token.created_at, "expires": token.expires_at, "revoked": token.revoked_at}
    stamps = {name: None if value is None else _stamp(value) for name, value in times.items()}
    return {"id": token.id, "name": token.name, "tenants": token.tenants, "scopes": token.scopes, **stamps, "state": state}


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
