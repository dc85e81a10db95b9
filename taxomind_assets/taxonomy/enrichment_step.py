"""The step of the asset graph that enriches one taxonomy: asks where it may, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dagster import MetadataValue

from taxomind_assets.metadata import bullet_list, preview
from taxomind_assets.taxonomy.enrichment import Enricher, Report, enricher, with_enrichment
from taxomind_assets.taxonomy.enrichment_checks import REFUSALS
from taxomind_assets.taxonomy.enrichment_store import TABLE, EnrichmentStore
from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name, locked

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

    Log = Callable[[str], object]

_OFF: Final = "none: enrichment.enabled is false, the nodes are as the file gave them"


def enrich_key(
    tree: Taxonomy,
    settings: Settings,
    outputs: Outputs,
    *,
    embedder: Callable[[], Embedder],
    asked: bool,
    limit: int | None,
    log: Log,
) -> tuple[Taxonomy, dict[str, Any]]:
    """The taxonomy with what enrichment has added, and metadata about it.

    Questions are asked when the settings or the caller say so. A language model that cannot be asked is an error only to
    a caller who wants it; else the nodes pass through with what is known from former runs.

    Args:
        tree: the taxonomy as the file gave it.
        settings: those of the taxonomy.
        outputs: where enrichment is kept.
        embedder: loads the model that finds similar nodes.
        asked: the caller wants questions to be asked.
        limit: most questions of this run.
        log: takes a line.

    Raises:
        Fault: `storage_failed`; with `asked` also `invalid_setting`, and what the embedder raises.
    """
    key = tree.key
    lock = settings.data / "cache" / "llm" / f"{folder_name(key)}.lock"
    metadata: dict[str, Any] = {"enrichment": _OFF}
    store = EnrichmentStore(outputs, key)
    if settings.enrichment.enabled or asked:
        with locked(lock):
            store = EnrichmentStore(outputs, key)
            try:
                # Loading the embedder costs seconds: only when there is something to ask.
                work = enricher(tree, store, settings, lambda labels: embedder().embed(labels, "document"))
                metadata = _run(work, limit, log)
            except Fault as fault:
                if asked or fault.code != "invalid_setting":
                    raise
                log(fault.render())
                metadata = {"enrichment": f"none: {fault.what} {fault.next_step}"}
    enriched = with_enrichment(tree, store.found) if settings.enrichment.apply else tree
    return enriched, metadata | _described(enriched, outputs)


def _run(work: Enricher, limit: int | None, log: Log) -> dict[str, Any]:
    plan = work.plan(limit)
    log(f"Enrichment, estimate: {plan.estimate}; {plan.known:,} questions are answered already")
    if not plan.subjects:
        return {"enrichment": "up to date: every question is answered already"}
    report = work.run(plan, lambda done, total, spent: log(f"Enrichment, {done:,} of {total:,} questions: {spent}"))
    for code, language, fault in report.failed:
        log(f"Enrichment of {code} {language} failed: {fault.what}")
    return report_metadata(report)


def report_metadata(report: Report) -> dict[str, Any]:
    """What a run has done, for the UI."""
    spent = report.spent
    metadata: dict[str, Any] = {
        "enrichment": f"{spent}; {sum(report.accepted.values()):,} texts accepted, {sum(report.refused.values()):,} refused",
        "questions": spent.questions,
        "failed questions": len(report.failed),
        "input tokens": spent.input_tokens,
        "output tokens": spent.output_tokens,
        "seconds": report.seconds,
        "questions left": report.left,
    }
    if spent.cost is not None:
        metadata["cost in US dollars"] = spent.cost
    if report.estimate.cost is not None:
        metadata["estimated cost in US dollars"] = report.estimate.cost
    if report.stopped:
        metadata["stopped"] = report.stopped
    if report.refused:
        metadata["refused"] = bullet_list(
            [f"{count:,}: {REFUSALS[reason]}" for reason, count in sorted(report.refused.items())]
        )
    if report.failed:
        metadata["failures"] = bullet_list([f"{code} {language}: {fault.what}" for code, language, fault in report.failed])
    return metadata


def _described(enriched: Taxonomy, outputs: Outputs) -> dict[str, Any]:
    added = [text for node in enriched.nodes for text in node.added]
    if not added:
        return {}
    texts = outputs.read(TABLE, enriched.key)
    shown: MetadataValue[Any] = preview(texts, ["code", "language", "kind", "text", "status", "model"])
    return {
        "nodes with added texts": sum(bool(node.added) for node in enriched.nodes),
        "added definitions": sum(bool(text.definition) for text in added),
        "added examples": sum(len(text.examples) for text in added),
        "added negative examples": sum(len(text.negative_examples) for text in added),
        "added texts": shown,
    }
