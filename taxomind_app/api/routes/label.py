"""POST /label: codes by level, with probabilities."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from taxomind_app.api import wire
from taxomind_app.api.bodies import ContractRoute, LabelBody
from taxomind_app.api.deps import AskedClassify, CurrentService, error_responses
from taxomind_app.api.results import request_lines
from taxomind_app.api.routes.polling import add_polling
from taxomind_app.api.schemas import LabelAccepted, LabelState
from taxomind_app.api.sentences import check_sentences

router = APIRouter(tags=["label"], route_class=ContractRoute)


@router.post(
    "/label",
    status_code=202,
    operation_id="label",
    responses={202: {"model": LabelAccepted}, **error_responses(404, 409, 413)},
    response_class=Response,
)
def label(body: LabelBody, asked: AskedClassify, service: CurrentService) -> Response:
    """Give texts their codes. The same batch with the same body is the same job, unless that has failed."""
    place = service.place(asked, body.taxonomy_key, body.source_slug)
    check_sentences([sentence.fields for sentence in body.sentences], service)
    job = service.submit(
        asked,
        "label",
        place,
        rows=len(body.sentences),
        message=f"{len(body.sentences):,} sentences accepted.",
        content=request_lines(body.sentences),
        in_inbox=True,
        batch_id=body.batch_id,
    )
    return wire.accepted(job)


add_polling(router, "/label", ("label",), "classify", LabelState)
