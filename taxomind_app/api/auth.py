"""Who asks: tokens, what they may do, and for which tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from taxomind_app.api.config import environment_tokens
from taxomind_resources.faults import Fault
from taxomind_resources.keys import LOCAL_TENANT, is_tenant, tenant_slug
from taxomind_resources.token_store import ANY, SCOPES, Scope, Token, TokenStore, find_token

if TYPE_CHECKING:
    from pathlib import Path

    from taxomind_resources.settings import ServiceSettings

#: Headers that tell a tenant, the first one that is there counts.
_HOST_HEADERS: Final = ("origin", "referer", "x-forwarded-host", "x-original-host", "host")
_UNKNOWN: Final = "unknown"
_BEARER: Final = HTTPBearer(auto_error=False, description="A token of `taxomind token create`, or one of API_TOKENS.")


@dataclass(frozen=True)
class Caller:
    """Who sends a request.

    Attributes:
        token: id of the token; `anonymous` where none is asked for.
        tenants: tenants that may be named, the first one is the default; `*` = any.
        scopes: what may be done.
        name: who is noted as the one who said so, when the request says nothing.
    """

    token: str
    tenants: tuple[str, ...]
    scopes: frozenset[str]
    name: str = "anonymous"

    @property
    def default_tenant(self) -> str:
        """The tenant of requests that name none."""
        return next((tenant for tenant in self.tenants if tenant != ANY), LOCAL_TENANT)

    @property
    def is_any_tenant(self) -> bool:
        """Whether it names tenants freely, also by the address that it calls."""
        return ANY in self.tenants

    def may_see(self, tenant: str) -> bool:
        """Whether what belongs to a tenant may be shown."""
        return self.is_any_tenant or tenant in self.tenants

    def tenant(self, source_slug: str, headers: Mapping[str, str] | None = None) -> str:
        """The tenant that a request is for: the one it names, else the default.

        Args:
            source_slug: `sourceSlug` of the body.
            headers: headers of the request; they tell the tenant of a caller who may name any and has no default.

        Raises:
            Fault: `tenant_forbidden`.
        """
        slug = tenant_slug(source_slug)
        if slug:
            if not is_tenant(slug) or not self.may_see(slug):
                allowed = ", ".join(tenant for tenant in self.tenants if tenant != ANY)
                raise Fault("tenant_forbidden", f"The token is not for the tenant {slug[:63]!r}.", allowed=allowed)
            return slug
        if self.tenants == (ANY,) and headers is not None:
            return slug_of_host(next((headers[name] for name in _HOST_HEADERS if headers.get(name)), ""))
        return self.default_tenant

    def check(self, scope: Scope) -> None:
        """Refuse what the token does not allow.

        Raises:
            Fault: `scope_forbidden`.
        """
        if scope not in self.scopes:
            raise Fault("scope_forbidden", f"The token has no scope {scope!r}.", allowed=", ".join(sorted(self.scopes)))


class Gate:
    """Knows the tokens.

    Args:
        data: data root.
        service: settings.

    Raises:
        Fault: `invalid_setting` when tokens are asked for and there is none.
    """

    def __init__(self, data: Path, service: ServiceSettings) -> None:
        self.service = service
        self.store = TokenStore(data)
        self._environment: list[Token] = environment_tokens(service)
        if service.auth_enabled and not self._environment and not self.store.tokens():
            next_step = "Make one: `taxomind token create NAME`, or set API_TOKENS, or service.auth_enabled to false."
            raise Fault("invalid_setting", "Tokens are asked for, and there is none.", value=True, next_step=next_step)

    def caller(self, secret: str | None) -> Caller:
        """Who has this token.

        Raises:
            Fault: `unauthorized`.
        """
        if not self.service.auth_enabled:
            return Caller("anonymous", (*self.service.tenants, ANY), frozenset(SCOPES))
        if secret is None:
            raise Fault("unauthorized", "The header `Authorization: Bearer <token>` is missing.")
        # Both are asked always, so that the time tells nothing.
        found = [find_token(secret, self._environment), self.store.find(secret)]
        token = next((item for item in found if item is not None), None)
        if token is None:
            raise Fault("unauthorized", "The token is not valid.")
        return Caller(token.id, token.tenants, frozenset(token.scopes), token.name)


def slug_of_host(text: str) -> str:
    """The tenant that a host name stands for.

    The first of a comma list, without port, a leading `www` and the last label, dots as '-'; an address keeps all its parts.
    """
    host = text.split(",")[0].strip().lower()
    host = host.partition("://")[2].partition("/")[0] if "://" in host else host
    host = host.rpartition("@")[2]
    if not (host.startswith("[") or host.count(":") > 1):
        host = host.partition(":")[0]
    bare = host.partition("]")[0].lstrip("[")
    try:
        return tenant_slug(str(ip_address(bare))) or _UNKNOWN
    except ValueError:
        labels = [label for label in host.split(".") if label]
    if labels[:1] == ["www"] and len(labels) > 1:
        labels = labels[1:]
    if len(labels) > 1:
        labels = labels[:-1]
    slug = tenant_slug("-".join(labels))
    return slug if is_tenant(slug) else _UNKNOWN


def current_caller(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> Caller:
    """Dependency: who sends this request, within the rate that is allowed.

    Raises:
        Fault: `unauthorized` or `rate_limited`.
    """
    gate: Gate = request.app.state.gate
    caller = gate.caller(credentials.credentials if credentials else None)
    request.state.token = caller.token
    request.app.state.rates.check(caller.token, reads=request.method in {"GET", "HEAD"})
    return caller


CurrentCaller = Annotated[Caller, Depends(current_caller)]
