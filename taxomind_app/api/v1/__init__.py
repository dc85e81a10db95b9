"""Our own routes below /v1: synchronous answers, and all that the review page does."""

from __future__ import annotations

from fastapi import APIRouter

from taxomind_app.api.v1 import classifying, correcting, growing, jobs, reporting, taxonomies

PREFIX = "/v1"
router = APIRouter(prefix=PREFIX)
for _module in (classifying, taxonomies, correcting, growing, reporting, jobs):
    router.include_router(_module.router)
