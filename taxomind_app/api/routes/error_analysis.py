"""POST /error-analysis: how well the answers fit what people have said."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from taxomind_app.api import wire
from taxomind_app.api.bodies import ContractRoute, ErrorAnalysisBody
from taxomind_app.api.deps import AskedClassify, CurrentService, error_responses
from taxomind_app.api.jobs import Place
from taxomind_app.api.routes.polling import add_polling
from taxomind_app.api.schemas import AnalysisState, SnakeAccepted

router = APIRouter(tags=["error analysis"], route_class=ContractRoute)


@router.post(
    "/error-analysis",
    status_code=202,
    operation_id="error_analysis",
    responses={202: {"model": SnakeAccepted}, **error_responses(404, 409, 413)},
    response_class=Response,
)
def analyse(
    asked: AskedClassify,
    service: CurrentService,
    body: Annotated[ErrorAnalysisBody | None, Body()] = None,
) -> Response:
    """Measure the answers of one taxonomy, or of all of the tenant, on texts whose codes are known."""
    own = body or ErrorAnalysisBody()  # type: ignore[call-arg]
    if own.taxonomy_key is None:
        place = Place(asked.tenant(own.source_slug), "", "")
    else:
        place = service.place(asked, own.taxonomy_key, own.source_slug)
    job = service.submit(
        asked,
        "error-analysis",
        place,
        rows=1,
        message="Error analysis accepted.",
        parameters={"dataset": own.dataset, "max_rows": own.max_rows},
    )
    return wire.accepted(job)


add_polling(router, "/error-analysis", ("error-analysis",), "classify", AnalysisState)
