"""OpenTelemetry: requests are traced when its SDK is installed (`taxomind[telemetry]`) and an exporter is named."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from typing import Final

_ADDRESSES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def start_tracing(name: str, environment: Mapping[str, str] | None = None) -> bool:
    """Send spans to the address of OTEL_EXPORTER_OTLP_ENDPOINT; returns whether that is done.

    The application makes the spans by itself; without a provider they cost nothing.

    Args:
        name: name of the service.
        environment: variables to read (default: the process environment).
    """
    variables = os.environ if environment is None else environment
    has_parts = _is_installed("opentelemetry.sdk") and _is_installed("opentelemetry.exporter.otlp.proto.http")
    if not has_parts or not any(variables.get(address) for address in _ADDRESSES):
        return False
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
