"""POST /v1/classify: answers at once."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from taxomind_app.api.bodies import ContractRoute
from taxomind_app.api.jobs import Service
from taxomind_app.api.v1.deps import Classifying, problems
from taxomind_app.api.v1.models import ClassifyAnswer, ClassifyBody
from taxomind_app.api.v1.shapes import answer_of, versions_of
from taxomind_resources.faults import Fault

router = APIRouter(tags=["v1: classify"], route_class=ContractRoute)


@router.post("/classify", operation_id="v1_classify", response_model=ClassifyAnswer, responses=problems(404, 409, 413))
def classify(body: ClassifyBody, called: Classifying) -> dict[str, Any]:
    """Answer some texts at once, on request with the reasons. Corrections that were accepted before count."""
    check_texts(body.texts, called.service, explain=body.explain)
    place = called.place(body.taxonomy)
    classifier = called.resident(place).ready().classifier
    if body.explain:
        explained = [classifier.explain(text) for text in body.texts]
        answers = [answer_of(classifier.tree, row, row) for row in explained]
    else:
        answers = [answer_of(classifier.tree, row) for row in classifier.classify(body.texts).to_pylist()]
    return {"taxonomy": place.key, "versions": versions_of(classifier.versions), "answers": answers}


def check_texts(texts: list[str], service: Service, *, explain: bool = False) -> None:
    """Refuse a request that is over a limit, naming limit and value.

    Raises:
        Fault: `too_large`.
    """
    name = "explained_texts" if explain else "sync_texts"
    most, longest = getattr(service.service, name), service.settings.limits.max_cell_characters
    if len(texts) > most:
        next_step = "Split the request, or send it to POST /classify, which answers by a job."
        allowed = f"at most {most:,} (service.{name})"
        raise Fault("too_large", f"The request has {len(texts):,} texts.", allowed=allowed, next_step=next_step)
    for number, text in enumerate(texts, 1):
        if len(text) > longest:
            allowed = f"at most {longest:,} characters (limits.max_cell_characters)"
            raise Fault("too_large", f"Text {number:,} has {len(text):,} characters.", allowed=allowed)
