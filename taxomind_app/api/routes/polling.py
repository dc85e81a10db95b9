"""Status and cancel, the same for every kind of job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response

from taxomind_app.api import wire
from taxomind_app.api.auth import CurrentCaller
from taxomind_app.api.deps import CurrentService, error_responses
from taxomind_resources.token_store import Scope

if TYPE_CHECKING:
    from pydantic import BaseModel


def add_polling(router: APIRouter, prefix: str, kinds: Sequence[str], scope: Scope, state: type[BaseModel]) -> None:
    """Add `GET <prefix>/{job_id}/status` and `POST <prefix>/{job_id}/cancel`.

    Args:
        router: where to.
        prefix: path of the route.
        kinds: kinds of jobs that are found there.
        scope: what a caller needs to cancel.
        state: model of the answer.
    """
    name = prefix.strip("/").replace("-", "_")
    described = {200: {"model": state}, **error_responses(404)}

    @router.get(f"{prefix}/{{job_id}}/status", operation_id=f"{name}_status", responses=described, response_class=Response)
    def status(job_id: str, caller: CurrentCaller, service: CurrentService) -> Response:
        """How far a job is, and what it came to."""
        return wire.status(service.find(caller, job_id, kinds), service.data)

    @router.post(f"{prefix}/{{job_id}}/cancel", operation_id=f"{name}_cancel", responses=described, response_class=Response)
    def cancel(job_id: str, caller: CurrentCaller, service: CurrentService) -> Response:
        """Stop a job; one that has ended stays as it is."""
        caller.check(scope)
        return wire.status(service.cancel(caller, service.find(caller, job_id, kinds)), service.data)
