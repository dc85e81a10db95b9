"""The published description against the service (CC-52): no 5xx, every answer as it is described. A bounded number of tries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.app.api.conftest import SECRET, taxonomy

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemathesis import Case
    from schemathesis.schemas import APIOperation, BaseSchema

    from tests.app.api.conftest import Served

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def described(make_served: Callable[..., Served]) -> BaseSchema:
    """The description of a service that knows a taxonomy; nobody does its jobs."""
    served = make_served(service={"requests_per_minute": 100_000, "max_sentences": 5})
    served.post("/taxonomies", taxonomy("0"))
    return schemathesis.openapi.from_asgi("/openapi.json", served.app)


# The plug-in for pytest lags behind its versions, so the operations are gone through here.
@pytest.mark.parametrize(
    "path",
    ["/taxonomies", "/taxonomies/{taxonomy}/build", "/label", "/learn", "/classify", "/error-analysis"]
    + [f"/{kind}/{{job_id}}/{what}" for kind in ("taxonomies", "label", "learn") for what in ("status", "cancel")],
)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_as_described(path: str, mode: GenerationMode, described: BaseSchema) -> None:
    operations = [found.ok() for found in described.include(path=path).get_all_operations()]
    assert operations
    for operation in operations:
        fuzz(operation, mode)


def fuzz(operation: APIOperation, mode: GenerationMode) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=12, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True
    )
    def answered(case: Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {SECRET}"}, checks=CHECKS)

    answered()
