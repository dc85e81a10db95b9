"""The HTTP application: routes, errors, limits and logs put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI

from taxomind_app.api import errors
from taxomind_app.api.auth import Gate
from taxomind_app.api.config import service_settings
from taxomind_app.api.jobs import Service
from taxomind_app.api.limits import BodyLimit, PlainPaths, Rates
from taxomind_app.api.routes import classify, error_analysis, health, label, learn, taxonomies

if TYPE_CHECKING:
    from taxomind_resources.settings import ServiceSettings, Settings

_ROUTERS: Final = (health, taxonomies, label, learn, classify, error_analysis)


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
    )
    app.state.gate = Gate(settings.data, own)
    app.state.rates = Rates(own)
    app.state.service = Service(settings, own)
    errors.install(app)
    for module in _ROUTERS:
        app.include_router(module.router)
    app.add_middleware(BodyLimit, most=own.max_body_bytes)
    app.add_middleware(PlainPaths)
    return app
