"""Tokens of the service: who may ask what for which tenants. Only hashes of them are kept.

A token is 256 random bits, so that its plain SHA-256 cannot be guessed from; slow hashes are for what people choose. The file
is read again when it has changed: tokens are made and revoked while the service runs.

    <data>/service/tokens.json
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from taxomind_resources.faults import Fault
from taxomind_resources.files import locked, replace_bytes
from taxomind_resources.keys import is_tenant

Scope = Literal["read", "classify", "learn", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
#: Stands for every tenant.
ANY: Final = "*"
PREFIX: Final = "tmx_"
_SECRET_BYTES: Final = 32


@dataclass(frozen=True)
class Token:
    """What is kept of a token. Times are seconds since 1970 in UTC.

    Attributes:
        id: 8 hex digits, for lists and logs.
        name: for people.
        sha256: hex digest of the token.
        tenants: slugs that it may name, the first one is the default; `*` = any.
        scopes: what it may do.
        expires_at: None = never.
    """

    id: str
    name: str
    sha256: str
    tenants: tuple[str, ...]
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Whether it may be used at a time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def token_hash(secret: str) -> str:
    """Hex digest under which a token is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def check_tenants(tenants: Sequence[str]) -> tuple[str, ...]:
    """Tenants without repeats, in their order.

    Raises:
        Fault: `invalid_input` when there is none, or one is no slug.
    """
    bad = [tenant for tenant in tenants if tenant != ANY and not is_tenant(tenant)]
    if bad or not tenants:
        allowed = "1 to 63 characters of a-z, 0-9 and inner '-', or '*' for any"
        raise Fault("invalid_input", "A token needs the tenants that it is for.", value=bad or list(tenants), allowed=allowed)
    return tuple(dict.fromkeys(tenants))


class TokenStore:
    """The tokens below one data root.

    Args:
        data: data root.
    """

    def __init__(self, data: Path) -> None:
        self.path = data / "service" / "tokens.json"
        self._read: tuple[tuple[int, int], list[Token]] = ((0, 0), [])

    def tokens(self) -> list[Token]:
        """All tokens, the oldest first, those that were revoked as well.

        Raises:
            Fault: `storage_failed`.
        """
        try:
            status = self.path.stat()
            state = status.st_mtime_ns, status.st_size
            if self._read[0] != state:
                rows = json.loads(self.path.read_text(encoding="utf-8"))
                own = [Token(**{**row, "tenants": tuple(row["tenants"]), "scopes": tuple(row["scopes"])}) for row in rows]
                self._read = state, own
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise Fault("storage_failed", "The file of tokens cannot be read.", value=self.path.name) from error
        return self._read[1]

    def create(
        self, name: str, tenants: Sequence[str], scopes: Sequence[str], expires_at: float | None = None
    ) -> tuple[Token, str]:
        """Make a token; its text is told here once and kept nowhere.

        Raises:
            Fault: `invalid_input` (tenants or scopes) or `storage_failed`.
        """
        if not scopes or not set(scopes) <= set(SCOPES):
            raise Fault("invalid_input", "A token needs scopes.", value=list(scopes), allowed=", ".join(SCOPES))
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        kept = tuple(scope for scope in SCOPES if scope in scopes)
        token = Token(secrets.token_hex(4), name, token_hash(secret), check_tenants(tenants), kept, time.time(), expires_at)
        with locked(self.path.with_suffix(".lock")):
            self._write([*self.tokens(), token])
        return token, secret

    def revoke(self, token_id: str) -> Token:
        """Revoke a token by its id or, when only one has it, its name.

        Raises:
            Fault: `invalid_input` when there is no such token, or several; `storage_failed`.
        """
        with locked(self.path.with_suffix(".lock")):
            known = self.tokens()
            found = [token for token in known if token.revoked_at is None and token_id in {token.id, token.name}]
            if len(found) != 1:
                allowed = ", ".join(token.id for token in known if token.revoked_at is None) or "(there is none)"
                raise Fault("invalid_input", f"{len(found)} tokens are called so.", value=token_id, allowed=allowed)
            revoked = Token(**{**asdict(found[0]), "revoked_at": time.time()})
            self._write([revoked if token.id == revoked.id else token for token in known])
        return revoked

    def find(self, secret: str) -> Token | None:
        """The valid token with this text; every one is compared, in constant time."""
        return find_token(secret, self.tokens())

    def _write(self, tokens: Sequence[Token]) -> None:
        rows = [asdict(token) for token in tokens]
        replace_bytes(self.path, (json.dumps(rows, indent=1) + "\n").encode())
        self.path.chmod(0o600)


def find_token(secret: str, tokens: Sequence[Token]) -> Token | None:
    """The valid one among `tokens` with this text; every one is compared, in constant time."""
    own, now, found = token_hash(secret), time.time(), None
    for token in tokens:
        if hmac.compare_digest(token.sha256, own) and token.is_valid(now):
            found = token
    return found
