"""Sessions of the review page: a signed cookie that stands for a token, and what keeps other sites from using it.

The cookie names a token and its end, signed by a key of this data root; it holds no secret, survives restarts, and is worth
nothing once the token is revoked. It is HttpOnly and SameSite=Strict. What changes anything needs a header besides that only
our own pages can know (a signature of the cookie). Without tokens there is no session; then a browser's request must come from
the page itself, at an address that no other site can pretend to be.

    <data>/service/session.key
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.requests import Request

from taxomind_app.api.auth import Caller, Gate
from taxomind_app.api.config import environment_tokens
from taxomind_resources.faults import Fault
from taxomind_resources.files import locked, replace_bytes, storage_faults

if TYPE_CHECKING:
    from pathlib import Path

    from taxomind_resources.token_store import Token

COOKIE: Final = "taxomind_session"
HEADER: Final = "x-csrf-token"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_KEY_BYTES: Final = 32


@dataclass(frozen=True)
class Session:
    """A session. `csrf`: what the header of requests that change something must say."""

    caller: Caller
    csrf: str


class Sessions:
    """Makes and reads cookies.

    Args:
        gate: knows the tokens.
        data: data root.
    """

    def __init__(self, gate: Gate, data: Path) -> None:
        self._gate = gate
        self._file = data / "service" / "session.key"
        self._key = b""

    @property
    def seconds(self) -> int:
        """How long a session lasts."""
        return int(self._gate.service.session_hours * 3600)

    def open(self, secret: str) -> str:
        """The cookie of a new session.

        Raises:
            Fault: `unauthorized` when the token is not valid; `storage_failed`.
        """
        caller = self._gate.caller(secret)
        content = f"{caller.token}.{int(time.time()) + self.seconds}"
        return f"{content}.{self._signature('session', content)}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None when it is none of ours, over, or its token is no longer valid.

        Raises:
            Fault: `storage_failed`.
        """
        content, _, signature = cookie.rpartition(".")
        token_id, _, end = content.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature("session", content).encode()):
            return None
        token = self._token(token_id)
        if token is None or not end.isdigit() or int(end) < time.time():
            return None
        return Session(Caller(token.id, token.tenants, frozenset(token.scopes), token.name), self._signature("csrf", content))

    def _token(self, token_id: str) -> Token | None:
        now = time.time()
        known = [*environment_tokens(self._gate.service), *self._gate.store.tokens()]
        return next((token for token in known if token.id == token_id and token.is_valid(now)), None)

    def _signature(self, purpose: str, content: str) -> str:
        return hmac.new(self._secret(), f"{purpose}\0{content}".encode(), hashlib.sha256).hexdigest()

    def _secret(self) -> bytes:
        """The key of this data root; made once, whoever needs it first."""
        if not self._key:
            with suppress(FileNotFoundError):
                self._key = self._read_key()
        if len(self._key) != _KEY_BYTES:
            with locked(self._file.with_suffix(".lock")):
                if not self._file.is_file():
                    replace_bytes(self._file, secrets.token_bytes(_KEY_BYTES))
                    self._file.chmod(0o600)
                self._key = self._read_key()
        return self._key

    def _read_key(self) -> bytes:
        try:
            return self._file.read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            with storage_faults(self._file):
                raise error


def session_of(request: Request) -> Session | None:
    """The session that a request belongs to; with tokens off everybody is one.

    Raises:
        Fault: `storage_failed`.
    """
    gate: Gate = request.app.state.gate
    if not gate.service.auth_enabled:
        return Session(gate.caller(None), "")
    sessions: Sessions = request.app.state.sessions
    return sessions.read(request.cookies.get(COOKIE, ""))


def check_origin(request: Request) -> None:
    """Refuse what another site's page sends through a browser to a service that asks for no token.

    Raises:
        Fault: `unauthorized`.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None:
        return  # no browser
    host = request.headers.get("host", "")
    is_own = site in {None, "same-origin", "none"} and (origin is None or urlsplit(origin).netloc == host)
    if not (is_own and _is_address(urlsplit(f"//{host}").hostname or "")):
        raise Fault("unauthorized", "The request comes from the page of another site.", value=origin or site)


def check_csrf(request: Request, session: Session, given: str | None = None) -> None:
    """Refuse what was not sent by one of our own pages.

    Args:
        request: the request.
        session: its session.
        given: what a form says, in place of the header.

    Raises:
        Fault: `unauthorized`.
    """
    if request.method in SAFE:
        return
    if not request.app.state.gate.service.auth_enabled:
        check_origin(request)
        return
    own = given if given is not None else request.headers.get(HEADER, "")
    if not hmac.compare_digest(own.encode(), session.csrf.encode()):
        raise Fault("unauthorized", f"The header `{HEADER}` of the review page is missing.")


def _is_address(host: str) -> bool:
    """Whether a host name cannot be made to point elsewhere: an address, or this machine."""
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return True
