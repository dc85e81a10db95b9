"""Every way in which a request can end badly: one shape for the contract's routes, problem documents (RFC 9457) on /v1."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

_LOG: Final = logging.getLogger("taxomind.api")
_VERSIONED: Final = "/v1"
_PROBLEM: Final = "application/problem+json"
#: Problems shown of a refused body.
_SHOWN: Final = 20
#: Codes of answers that no fault stands behind.
_PLAIN_CODES: Final[Mapping[int, str]] = {
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_format",
}
#: What must not be told outside: these faults speak of our storage.
_INTERNAL: Final = frozenset({"storage_failed"})


class TooManyRequests(Fault):
    """`rate_limited`, with the seconds to wait."""

    def __init__(self, retry_after_s: int, limit: str) -> None:
        super().__init__("rate_limited", f"More than {limit}.", next_step=f"Try again in {retry_after_s} seconds.")
        self.retry_after_s = retry_after_s


def install(app: FastAPI) -> None:
    """Make every error of an application a readable answer."""

    @app.exception_handler(Fault)
    def fault(request: Request, error: Fault) -> JSONResponse:
        return fault_response(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return validation_response(error.errors(), request.url.path)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        code = _PLAIN_CODES.get(error.status_code, "invalid_input")
        return answer(request.url.path, error.status_code, str(error.detail), code, headers=error.headers)

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        request_id = getattr(request.state, "request_id", "")
        _LOG.exception("unexpected error", exc_info=error, extra={"request_id": request_id})
        return answer(request.url.path, 500, f"Unexpected error; it is logged under {request_id}.", "internal_error")


def fault_response(error: Fault, path: str) -> JSONResponse:
    """A fault as an answer on a route."""
    headers = {}
    if error.kind.http_status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.retry_after_s)
    if error.code in _INTERNAL:
        _LOG.error("%s", error.render())
        return answer(path, error.kind.http_status, error.kind.title + ".", error.code, headers=headers)
    if path.startswith(_VERSIONED):
        return JSONResponse(error.problem(), error.kind.http_status, headers, media_type=_PROBLEM)
    extra = {"problems": error.details} if error.details else {}
    return answer(path, error.kind.http_status, sentence_of(error), error.code, headers=headers, **extra)


def sentence_of(error: Fault) -> str:
    """A fault in a line or two: what, value, allowed, the first problems."""
    parts = [error.what]
    if error.value is not None and error.value.strip("'\"") not in error.what:
        parts.append(f"Value: {error.value}.")
    if error.allowed:
        parts.append(f"Allowed: {error.allowed}.")
    parts += [f"{str(detail.get('what', detail)).rstrip('.')}." for detail in error.details[:_SHOWN]]
    return " ".join(parts)


def validation_response(found: Sequence[Mapping[str, Any]], path: str) -> JSONResponse:
    """Problems of a body: a list of `{loc, msg, type}`, without the values that were sent."""
    detail = [{"loc": list(item["loc"]), "msg": str(item["msg"]), "type": str(item["type"])} for item in found[:_SHOWN]]
    if path.startswith(_VERSIONED):
        first = detail[0] if detail else {"loc": [], "msg": "The body cannot be read."}
        text = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
        return answer(path, 422, text, "validation_error", details=detail)
    return answer(path, 422, detail, "validation_error")


def answer(
    path: str, status: int, detail: Any, code: str, *, headers: Mapping[str, str] | None = None, **extra: Any
) -> JSONResponse:
    """One error in the shape of its route."""
    own = dict(headers or {})
    if path.startswith(_VERSIONED):
        title = str(detail) if status < 500 else "The service failed"
        problem = {"type": f"urn:taxomind:fault:{code}", "title": title, "status": status, "detail": detail, "code": code}
        return JSONResponse({**problem, **extra}, status, own, media_type=_PROBLEM)
    return JSONResponse({"detail": detail, "code": code, **extra}, status, own)
