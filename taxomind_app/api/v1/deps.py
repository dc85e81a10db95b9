"""What the routes below /v1 are given: who asks (by token or by the session of the page), and which taxonomy is meant."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request

from taxomind_app.api.auth import Caller, Gate
from taxomind_app.api.deps import CurrentService
from taxomind_app.api.jobs import Asked, Place, Service
from taxomind_app.api.resident import Resident
from taxomind_app.api.sessions import check_csrf, check_origin, session_of
from taxomind_resources.token_store import Scope

CLASSIFY = "/v1/classify"
_BEARER = HTTPBearer(auto_error=False, scheme_name="HTTPBearer", description="A token, see `taxomind token create`.")
Key = Annotated[str, Path(min_length=1, max_length=200, description="key of a taxonomy")]
Tenant = Annotated[str, Query(max_length=1000, description="tenant; none = the first of the token")]


def calling(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> Caller:
    """Who sends this request, by its token or by the session of the review page, within the rate that is allowed.

    Raises:
        Fault: `unauthorized` or `rate_limited`.
    """
    gate: Gate = request.app.state.gate
    session = session_of(request) if credentials is None else None
    if session is not None:
        check_csrf(request, session)
        caller = session.caller
    else:
        if not gate.service.auth_enabled:
            check_origin(request)
        caller = gate.caller(credentials.credentials if credentials else None)
    request.state.token = caller.token
    # What is answered at once starts no work, whatever its method.
    is_answer = request.method in {"GET", "HEAD"} or request.url.path == CLASSIFY
    request.app.state.rates.check(caller.token, reads=is_answer)
    return caller


@dataclass(frozen=True)
class Called:
    """A request about one taxonomy or none."""

    caller: Caller
    service: Service
    request: Request
    tenant: str

    @property
    def asked(self) -> Asked:
        """As the stores know it; no two such requests are the same."""
        return Asked(self.caller, uuid.uuid4().hex, None, self.request.headers)

    def place(self, key: str) -> Place:
        """The taxonomy that is meant.

        Raises:
            Fault: `unknown_taxonomy`, `tenant_forbidden` or `invalid_key`.
        """
        return self.service.place(self.asked, key, self.tenant)

    def resident(self, place: Place) -> Resident:
        """The taxonomy in memory."""
        found: Resident = self.request.app.state.residents.of(place.stored)
        return found

    @property
    def name(self) -> str:
        """Who is noted as the one who said so, when the request does not say."""
        return self.caller.name


def allowing(scope: Scope) -> Callable[..., Called]:
    """Dependency: a request with a scope that is needed."""

    def called(
        request: Request, caller: Annotated[Caller, Depends(calling)], service: CurrentService, tenant: Tenant = ""
    ) -> Called:
        caller.check(scope)
        return Called(caller, service, request, tenant)

    return called


Reading = Annotated[Called, Depends(allowing("read"))]
Classifying = Annotated[Called, Depends(allowing("classify"))]
Learning = Annotated[Called, Depends(allowing("learn"))]
Deciding = Annotated[Called, Depends(allowing("admin"))]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for its description: problem documents (RFC 9457)."""
    from taxomind_app.api.v1.models import ProblemDocument

    content = {"application/problem+json": {"schema": ProblemDocument.model_json_schema()}}
    return {status: {"description": "a problem document", "content": content} for status in (401, 403, 422, 429, *statuses)}
