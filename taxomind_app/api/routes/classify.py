"""POST /classify: labels by level."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from taxomind_app.api import wire
from taxomind_app.api.bodies import ClassifyBody, ContractRoute
from taxomind_app.api.deps import AskedClassify, CurrentService, error_responses
from taxomind_app.api.results import request_lines
from taxomind_app.api.routes.polling import add_polling
from taxomind_app.api.schemas import CamelAccepted, CamelState
from taxomind_app.api.sentences import check_sentences

router = APIRouter(tags=["classify"], route_class=ContractRoute)


@router.post(
    "/classify",
    status_code=202,
    operation_id="classify",
    responses={202: {"model": CamelAccepted}, **error_responses(404, 409, 413)},
    response_class=Response,
)
def classify(body: ClassifyBody, asked: AskedClassify, service: CurrentService) -> Response:
    """Give texts their labels by level; with `trace` also why."""
    place = service.place(asked, body.taxonomy_key, body.source_slug)
    check_sentences([sentence.fields for sentence in body.sentences], service)
    job = service.submit(
        asked,
        "classify",
        place,
        rows=len(body.sentences),
        message=f"{len(body.sentences):,} sentences accepted.",
        content=request_lines(body.sentences),
        in_inbox=True,
        parameters={"trace": body.trace},
    )
    return wire.accepted(job)


add_polling(router, "/classify", ("classify",), "classify", CamelState)
