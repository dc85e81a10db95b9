"""What is seen of every request: its id, a line in the log, figures for Prometheus, a line in the audit log."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from taxomind_app.api.logs import AuditLog

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from taxomind_resources.job_store import JobStore

_LOG: Final = logging.getLogger("taxomind.api")
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
#: Set where a route has not set its own.
_HEADERS: Final = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}


class _Jobs(Collector):
    """Jobs and workers, counted when they are asked for."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs

    def collect(self) -> Iterable[Metric]:
        """As `Collector.collect`."""
        found = GaugeMetricFamily("taxomind_jobs", "Jobs by kind and status.", labels=["kind", "status"])
        for (kind, status), number in sorted(self._jobs.counts().items()):
            found.add_metric([kind, status], number)
        yield found
        oldest = min((job.created_at for job in self._jobs.open_jobs() if job.status == "pending"), default=None)
        waits = 0.0 if oldest is None else max(0.0, time.time() - oldest)
        yield GaugeMetricFamily("taxomind_oldest_pending_seconds", "How long the oldest pending job has waited.", value=waits)
        yield GaugeMetricFamily("taxomind_workers", "Worker processes that are there.", value=len(self._jobs.workers()))


class Figures:
    """The figures of one application.

    Args:
        jobs: the job store.
    """

    def __init__(self, jobs: JobStore) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter("taxomind_requests_total", "Requests.", labels, registry=self.registry)
        self.seconds = Histogram(
            "taxomind_request_seconds", "Time to answer.", ["method", "route"], buckets=_SECONDS, registry=self.registry
        )
        self.registry.register(_Jobs(jobs))


class Observed:
    """Gives each request an id and notes what became of it.

    Args:
        app: the application.
        figures: where it is counted.
        audit: where requests that change something, or are refused, are noted.
    """

    def __init__(self, app: ASGIApp, figures: Figures, audit: AuditLog) -> None:
        self.app = app
        self.figures = figures
        self.audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_headers(message.get("headers", []), request_id)}
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self._note(scope, request_id, status, time.perf_counter() - started)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        method = scope["method"]
        route = getattr(scope.get("route"), "path", "(none)")
        self.figures.requests.labels(method, route, str(status)).inc()
        self.figures.seconds.labels(method, route).observe(seconds)
        client = scope.get("client") or ("", 0)
        values: dict[str, Any] = {
            "request_id": request_id,
            "method": method,
            "path": scope["path"][:300],
            "status": status,
            "token": scope["state"].get("token", ""),
            "client": client[0],
        }
        level = logging.DEBUG if method == "GET" and status < 400 else logging.INFO
        _LOG.log(level, "request", extra={**values, "ms": round(seconds * 1000, 1)})
        if method not in {"GET", "HEAD", "OPTIONS"} or status in {401, 403}:
            self.audit.note(**values)


def _with_headers(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    found = list(headers)
    present = {name.lower() for name, _ in found}
    own = {**_HEADERS, b"x-request-id": request_id.encode()}
    return found + [(name, value) for name, value in own.items() if name not in present]
