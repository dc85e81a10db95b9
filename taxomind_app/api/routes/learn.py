"""POST /learn: corrections of people, in the body or in a file elsewhere."""

from __future__ import annotations

import json

from fastapi import APIRouter
from starlette.responses import Response

from taxomind_app.api import wire
from taxomind_app.api.bodies import ContractRoute, LearnBody
from taxomind_app.api.deps import AskedLearn, CurrentService, error_responses
from taxomind_app.api.routes.polling import add_polling
from taxomind_app.api.schemas import CamelAccepted, CamelState
from taxomind_app.api.sentences import check_sentences
from taxomind_app.api.training_url import check_url

router = APIRouter(tags=["learn"], route_class=ContractRoute)


@router.post(
    "/learn",
    status_code=202,
    operation_id="learn",
    responses={202: {"model": CamelAccepted}, **error_responses(404, 409, 413)},
    response_class=Response,
)
def learn(body: LearnBody, asked: AskedLearn, service: CurrentService) -> Response:
    """Learn from annotations: of each sentence the deepest one whose code is known."""
    place = service.place(asked, body.taxonomy_key, body.source_slug)
    sentences = body.sentences or []
    check_sentences([item.get("fields") if isinstance(item, dict) else None for item in sentences], service)
    if body.training_url is not None:
        check_url(body.training_url, service.service)
    job = service.submit(
        asked,
        "learn",
        place,
        rows=len(sentences),
        message="Training data accepted." if body.training_url else f"{len(sentences):,} sentences accepted.",
        content=None if body.training_url else json.dumps({"sentences": sentences}, ensure_ascii=True).encode(),
        parameters={"url": body.training_url} if body.training_url else None,
    )
    return wire.accepted(job)


add_polling(router, "/learn", ("learn",), "learn", CamelState)
