"""Jobs that make a taxonomy's index: a new taxonomy, a build, an enrichment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.api.executor import Executor
    from taxomind_resources.jobs import Job


def build(executor: Executor, job: Job) -> str:
    """Do such a job; returns its message.

    Raises:
        Fault: what an asset raised; `unknown_taxonomy` when there is no file to build from.
        KeyboardInterrupt: the job was taken away.
    """
    from taxomind_app.api.executor import BUILD, LEARN, Run
    from taxomind_app.api.restoring import keep_former
    from taxomind_assets.pending import pending_build

    service, key = executor.service, job.stored_key
    if job.kind == "taxonomies":
        document = service.read_input(job)
        keep_former(service, job)
        service.inbox.put(key, "taxonomy", json.dumps(document, ensure_ascii=True).encode(), "taxonomy.json")
    waiting, _ = pending_build(key, service.settings, service.inbox, service.outputs)
    if job.kind == "taxonomies" and not waiting and service.indexes.current(key) is not None:
        return f"{_ready(executor, key)} Nothing has changed."
    # Evidence belongs to codes: that of codes that remain is made anew for the new index.
    corrected = bool(service.inbox.digest(key, "corrections"))
    config: dict[str, dict[str, Any]] = {"enriched_definitions": {"ask": True}} if job.kind == "enrich" else {}
    executor.run(job, Run("whole_job" if corrected else "build_taxonomy", [*BUILD, *(LEARN if corrected else ())], config))
    return _ready(executor, key)


def _ready(executor: Executor, key: str) -> str:
    from taxomind_app.api.results import tree_of

    version = executor.service.indexes.current(key)
    if version is None:
        raise Fault("storage_failed", "The build has written no index.", value=key)
    nodes = len(tree_of(executor.service.indexes.folder(key, version)))
    return f"Index version {version} ready: {nodes:,} nodes."
