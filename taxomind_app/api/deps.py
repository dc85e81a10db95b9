"""What routes are given."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Header
from starlette.requests import Request

from taxomind_app.api.auth import CurrentCaller
from taxomind_app.api.jobs import Asked, Service
from taxomind_resources.token_store import Scope

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", max_length=200, description="the same key is the same request")
]


def current_service(request: Request) -> Service:
    """The stores."""
    service: Service = request.app.state.service
    return service


CurrentService = Annotated[Service, Depends(current_service)]


def asking(scope: Scope) -> Callable[..., Awaitable[Asked]]:
    """Dependency: who asks, with a scope that is needed, and what makes two requests the same."""

    async def asked(request: Request, caller: CurrentCaller, key: IdempotencyKey = None) -> Asked:
        caller.check(scope)
        body = await request.body()
        digest = hashlib.sha256(request.url.path.encode() + b"\n" + body).hexdigest()
        return Asked(caller, digest, key or None, request.headers)

    return asked


AskedAdmin = Annotated[Asked, Depends(asking("admin"))]
AskedClassify = Annotated[Asked, Depends(asking("classify"))]
AskedLearn = Annotated[Asked, Depends(asking("learn"))]


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for its description."""
    from taxomind_app.api.schemas import Problem

    return {status: {"model": Problem} for status in (401, 403, 422, 429, *statuses)}
