"""The HTTP application: routes, errors, limits and logs put together."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from taxomind_app.api import errors
from taxomind_app.api.auth import Gate
from taxomind_app.api.config import service_settings
from taxomind_app.api.jobs import Service
from taxomind_app.api.limits import BodyLimit, PlainPaths, Rates
from taxomind_app.api.logs import AuditLog
from taxomind_app.api.observe import Figures, Observed
from taxomind_app.api.reconcile import reconcile, take_up_abandoned
from taxomind_app.api.resident import Residents
from taxomind_app.api.routes import classify, error_analysis, health, label, learn, metrics, taxonomies
from taxomind_app.api.runs import Runs
from taxomind_app.api.sessions import Sessions
from taxomind_app.api.v1 import router as v1_router
from taxomind_app.web.pages import add_pages
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_resources.settings import ServiceSettings, Settings

_LOG: Final = logging.getLogger("taxomind.jobs")
_WATCH_S: Final = 2.0
#: Every so many turns everything is looked after, not only dead workers.
_TIDY_TURNS: Final = 30
_ROUTERS: Final = (health, metrics, taxonomies, label, learn, classify, error_analysis)


def create_app(settings: Settings, service: ServiceSettings | None = None) -> FastAPI:
    """The application over one data root.

    Args:
        settings: settings of the data root.
        service: settings of the service (default: those of `settings`, and the environment).

    Raises:
        Fault: `invalid_setting` when tokens are asked for and there is none; `storage_failed`.
    """
    own = service or service_settings(settings)
    app = FastAPI(
        title="taxomind",
        version=version("taxomind"),
        description="Text in, a place in a deep taxonomy out. Work is done by jobs: POST answers 202, status tells the rest.",
        redirect_slashes=False,
        # Their pages load scripts from elsewhere; the document itself is at /openapi.json.
        docs_url=None,
        redoc_url=None,
        lifespan=_watching,
    )
    app.state.gate = Gate(settings.data, own)
    app.state.rates = Rates(own)
    app.state.service = Service(settings, own)
    app.state.figures = Figures(app.state.service.jobs)
    errors.install(app)
    for module in _ROUTERS:
        app.include_router(module.router)
    app.state.sessions = Sessions(app.state.gate, settings.data)
    app.state.runs = Runs(settings.data)
    app.state.residents = Residents(app.state.service, own.resident)
    app.include_router(v1_router)
    add_pages(app)
    app.add_middleware(BodyLimit, most=own.max_body_bytes)
    app.add_middleware(PlainPaths)
    if own.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(own.cors_origins), allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Observed, figures=app.state.figures, audit=AuditLog(settings.data))
    return app


@asynccontextmanager
async def _watching(app: FastAPI) -> AsyncIterator[None]:
    """While the application runs, it looks after the jobs of workers that died."""
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(app.state.service, ended), name="watches jobs", daemon=True)
    thread.start()
    yield
    ended.set()
    await run_in_threadpool(thread.join)
    app.state.runs.close()


def _watch(service: Service, ended: threading.Event) -> None:
    for turn in itertools.count():
        try:
            if turn % _TIDY_TURNS:
                take_up_abandoned(service)
            else:
                reconcile(service)
        except Fault as fault:
            _LOG.error("jobs cannot be looked after: %s", fault.what)
        if ended.wait(_WATCH_S):
            return
