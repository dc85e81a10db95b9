"""GET /metrics: figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from taxomind_app.api.auth import CurrentCaller

router = APIRouter(tags=["health"])


@router.get("/metrics", operation_id="metrics", response_class=Response, include_in_schema=False)
def metrics(request: Request, caller: CurrentCaller) -> Response:
    """Requests, their time, jobs and workers in Prometheus's text format; needs the scope `read`."""
    caller.check("read")
    return Response(generate_latest(request.app.state.figures.registry), media_type=CONTENT_TYPE_LATEST)
