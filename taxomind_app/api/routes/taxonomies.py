"""POST /taxonomies, /taxonomies/{key}/build and /enrich."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Body
from starlette.responses import Response

from taxomind_app.api import wire
from taxomind_app.api.bodies import ContractRoute, KeyBody, TaxonomyBody
from taxomind_app.api.deps import AskedAdmin, CurrentService, error_responses
from taxomind_app.api.jobs import Asked, Place, Service
from taxomind_app.api.routes.polling import add_polling
from taxomind_app.api.schemas import SnakeAccepted, SnakeState
from taxomind_resources.faults import Fault
from taxomind_resources.jobs import BUILDS, Kind
from taxomind_resources.keys import stored_key

router = APIRouter(tags=["taxonomies"], route_class=ContractRoute)
_ACCEPTED: dict[int | str, dict[str, Any]] = {202: {"model": SnakeAccepted}, **error_responses(404, 409, 413)}


@router.post("/taxonomies", status_code=202, operation_id="taxonomies", responses=_ACCEPTED, response_class=Response)
def sync(body: TaxonomyBody, asked: AskedAdmin, service: CurrentService) -> Response:
    """Check a taxonomy, keep it and build its index; the former index answers until the new one is ready."""
    from taxomind_assets.taxonomy.readers import read_taxonomy_document
    from taxomind_assets.taxonomy.rows import as_text

    name = as_text(body.taxonomy.get("key")) or ""
    tenant = asked.tenant(body.source_slug)
    place = Place(tenant, name, stored_key(tenant, name))
    document = without_nulls(body.taxonomy)
    found = read_taxonomy_document(document, name, service.settings.for_taxonomy(place.stored).limits, name="taxonomy")
    if found.rejected:
        details = [{"what": f"node {row.line}: {row.reason}", "lines": [row.line]} for row in found.rejected[:100]]
        what = f"{len(found.rejected):,} nodes of the taxonomy cannot be used."
        raise Fault("invalid_taxonomy", what, details=details)
    nodes = len(found.taxonomy)
    job = service.submit(
        asked,
        "taxonomies",
        place,
        rows=nodes,
        message=f"Taxonomy {name!r} accepted: {nodes:,} nodes.",
        content=json.dumps({"taxonomy": {**document, "key": place.stored}}, ensure_ascii=True).encode(),
    )
    return wire.accepted(job)


def without_nulls(value: Any) -> Any:
    """The same document without keys whose value is null."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def _start(kind: Kind, taxonomy: str, asked: Asked, service: Service, body: KeyBody | None) -> Response:
    place = service.place(asked, taxonomy, body.source_slug if body else "")
    word = "Enrichment" if kind == "enrich" else "Build"
    return wire.accepted(service.submit(asked, kind, place, rows=1, message=f"{word} of {place.key!r} accepted."))


OptionalBody = Annotated[KeyBody | None, Body()]


@router.post(
    "/taxonomies/{taxonomy}/build", status_code=202, operation_id="build", responses=_ACCEPTED, response_class=Response
)
def build(
    taxonomy: str,
    asked: AskedAdmin,
    service: CurrentService,
    body: OptionalBody = None,
) -> Response:
    """Build a taxonomy's index anew from its file."""
    return _start("build", taxonomy, asked, service, body)


@router.post(
    "/taxonomies/{taxonomy}/enrich", status_code=202, operation_id="enrich", responses=_ACCEPTED, response_class=Response
)
def enrich(
    taxonomy: str,
    asked: AskedAdmin,
    service: CurrentService,
    body: OptionalBody = None,
) -> Response:
    """Let the language model of the settings write texts for the nodes, then build the index anew."""
    return _start("enrich", taxonomy, asked, service, body)


add_polling(router, "/taxonomies", BUILDS, "admin", SnakeState)
