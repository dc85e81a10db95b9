"""GET /v1/taxonomies, their nodes, and search-as-you-type."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from taxomind_app.api.jobs import Place
from taxomind_app.api.v1.deps import Called, Key, Reading, problems
from taxomind_app.api.v1.models import NodeDetails, SearchAnswer, Taxonomies, TaxonomyRow
from taxomind_app.api.v1.report_models import Models
from taxomind_app.api.v1.shapes import node_of
from taxomind_resources.faults import Fault

router = APIRouter(prefix="/taxonomies", tags=["v1: taxonomies"])
_MOST_FOUND = 100


@router.get("", operation_id="v1_taxonomies", response_model=Taxonomies, responses=problems())
def taxonomies(called: Reading) -> dict[str, Any]:
    """The taxonomies of the tenant."""
    tenant = called.asked.tenant(called.tenant)
    return {"tenant": tenant, "taxonomies": [taxonomy_row(called, place) for place in called.service.places_of(tenant)]}


@router.get("/{key}", operation_id="v1_taxonomy", response_model=TaxonomyRow, responses=problems(404))
def taxonomy(key: Key, called: Reading) -> dict[str, Any]:
    """One taxonomy."""
    return taxonomy_row(called, called.place(key))


@router.get("/{key}/search", operation_id="v1_search", response_model=SearchAnswer, responses=problems(404, 409))
def search(
    key: Key,
    called: Reading,
    q: Annotated[str, Query(max_length=1000, description="what was typed: a code, or part of a label or alias")],
    limit: Annotated[int, Query(ge=1, le=_MOST_FOUND)] = 10,
) -> dict[str, Any]:
    """Nodes whose code, label or alias fits what was typed, in all languages."""
    hits = called.resident(called.place(key)).search().find(q, limit)
    return {"query": q, "nodes": [asdict(hit) for hit in hits]}


@router.get("/{key}/nodes/{code:path}", operation_id="v1_node", response_model=NodeDetails, responses=problems(404, 409))
def node(key: Key, code: str, called: Reading) -> dict[str, Any]:
    """A node with its texts, what is above it and what is below."""
    place = called.place(key)
    ready = called.resident(place).ready()
    tree = ready.classifier.tree
    if code not in tree.position:
        raise Fault("unknown_code", f"The taxonomy {place.key!r} has no such code.", value=code)
    counted = sum(found.code == code for found in ready.standing.applied)
    return node_of(tree, tree.nodes[tree.position[code]], counted)


@router.get("/{key}/models", operation_id="v1_models", response_model=Models, responses=problems(404))
def models(key: Key, called: Reading) -> dict[str, Any]:
    """The trained models, the latest first."""
    from taxomind_resources.model_store import ModelStore

    found = ModelStore(called.service.data).versions(called.place(key).stored)
    rows = [{"version": own.number, "state": own.state, "promoted": own.promoted, "details": own.record} for own in found]
    return {"models": rows}


def taxonomy_row(called: Called, place: Place) -> dict[str, Any]:
    """`models.TaxonomyRow` of a taxonomy."""
    from taxomind_app.api.results import tree_of

    version = called.service.indexes.current(place.stored)
    if version is None:
        return {"key": place.key, "is_ready": False}
    tree = tree_of(called.service.indexes.folder(place.stored, version))
    return {
        "key": place.key,
        "is_ready": True,
        "display_name": tree.display_name,
        "nodes": len(tree),
        "leaves": int(tree.is_leaf.sum()),
        "levels": {str(level): name for level, name in tree.level_names.items()},
        "languages": list(tree.languages),
        "taxonomy_version": tree.version,
        "index_version": version,
    }
