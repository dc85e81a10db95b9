"""LEARNING: corrections of people, and the evidence that they make."""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from dagster import AssetExecutionContext, AssetSpec, BackfillPolicy, MaterializeResult, asset

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.metadata import bullet_list, preview, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.taxonomy.assets import OWNERS, enriched_definitions
from taxomind_assets.views.assets import node_index
from taxomind_resources.dagster_resources import (
    EmbeddingResource,
    InboxResource,
    IndexStoreResource,
    OutputsResource,
    SettingsResource,
)

if TYPE_CHECKING:
    from taxomind_assets.learning.gathering import Gathered
    from taxomind_assets.learning.reading import ReadFile
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

_SHOWN: Final = ["text", "code", "annotator", "corrected_at", "status", "reason"]
_SAMPLES: Final = 10

correction_files = AssetSpec(
    "correction_files",
    description="Corrections as they were handed in: `inbox/<key>/corrections/*.csv`, `.jsonl` or `.parquet`.",
    group_name="inbox",
    kinds={"file"},
    owners=OWNERS,
    tags={"taxomind/stage": "inbox"},
    partitions_def=taxonomy_keys,
)


@asset(
    deps=[correction_files, enriched_definitions, node_index],
    partitions_def=taxonomy_keys,
    backfill_policy=BackfillPolicy.single_run(),
    group_name="learning",
    kinds={"python", "parquet"},
    owners=OWNERS,
    tags={"taxomind/stage": "learning"},
    code_version="1",
    metadata=table_metadata(
        "learning.corrections",
        {name: [("correction_files", name)] for name in ("correction_id", "text", "annotator", "corrected_at")}
        | {"code": [("correction_files", "code"), ("enriched_definitions", "code")]},
    ),
)
def corrections(
    context: AssetExecutionContext, settings: SettingsResource, inbox: InboxResource, outputs: OutputsResource
) -> MaterializeResult[Any]:
    """What all files of corrections come to: each correction once, whatever was delivered twice, withdrawn or given again.

    Nothing is added up: all files are read, those that are known from what was kept of them. Rows that cannot be used are in
    `learning.rejected_rows`; corrections whose code the taxonomy does not have wait until it does. Those whose node a revision
    split are decided among its parts by the classifier; the unsure ones are in `taxonomy.reassignments`.
    """
    opened = settings.load(), inbox.open(), outputs.open()
    result = for_each_key(context, lambda key: _accept(key, *opened))
    outputs.publish()
    return result


@asset(
    deps=[corrections, node_index],
    partitions_def=taxonomy_keys,
    backfill_policy=BackfillPolicy.single_run(),
    group_name="learning",
    kinds={"python", "numpy", "parquet"},
    owners=OWNERS,
    tags={"taxomind/stage": "learning"},
    code_version="1",
    metadata=table_metadata("learning.centroids", {"code": [("corrections", "code")], "vector_sum": [("corrections", "text")]}),
)
def evidence_centroids(
    context: AssetExecutionContext,
    *,
    settings: SettingsResource,
    outputs: OutputsResource,
    indexes: IndexStoreResource,
    embedding: EmbeddingResource,
) -> MaterializeResult[Any]:
    """The corrections that count, as vectors: the texts themselves, and per node their plain sum and count.

    Sums know no order, and taking a correction back restores what was before. Evidence belongs to codes, not to an index: it
    outlives rebuilds, and another model only embeds its texts anew. Answers that were made with other evidence stay as they are
    and are listed in `classification.stale_batches`.
    """
    opened = settings.load(), outputs.open(), indexes.open()
    result = for_each_key(context, lambda key: _gather(key, *opened, embedder=embedding.embedder(key)))
    outputs.publish()
    return result


def _accept(key: str, settings: "Settings", inbox: "Inbox", outputs: "Outputs") -> Written:
    import hashlib

    from taxomind_assets.learning.corrections import by_status
    from taxomind_assets.learning.gathering import CORRECTIONS, accept_corrections

    settled, read = accept_corrections(key, settings, inbox, outputs)
    counts = by_status(settled.corrections)
    table = outputs.read(CORRECTIONS, key)
    metadata: dict[str, Any] = {
        **{status.replace("_", " "): count for status, count in counts.items()},
        **_input(read),
        "withdrawals that wait for their correction": len(settled.dangling),
        "preview": preview(table.sort_by([("corrected_at", "descending")]), _SHOWN),
    }
    if not read:
        metadata["note"] = f"There are no corrections; put them into inbox/{key}/corrections, or use `taxomind learn`."
    lines = [f"{found.correction_id}\t{found.text}\t{found.code}\t{found.status}" for found in settled.corrections]
    return Written(hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16], len(settled.corrections), metadata)


def _input(read: "list[ReadFile]") -> dict[str, Any]:
    """What was read, and what was refused."""
    refused = Counter(row.reason_code for file in read for row in file.rejected)
    examples = [f"{row.source_file}, line {row.line}: {row.reason}" for file in read for row in file.rejected][:_SAMPLES]
    problems = [f"{file.source_file}: {file.problem}" for file in read if file.problem]
    return {
        "files": len(read),
        "rows accepted": sum(len(file.rows) for file in read),
        "rows refused": refused.total(),
        "refused": bullet_list([*problems, *(f"{reason}: {count:,} rows" for reason, count in sorted(refused.items()))]),
        "first refused rows": bullet_list(examples),
    }


def _gather(key: str, settings: "Settings", outputs: "Outputs", indexes: "IndexStore", *, embedder: "Embedder") -> Written:
    from taxomind_assets.classification.staleness import described, note_stale_batches
    from taxomind_assets.learning.gathering import CENTROIDS, gather_evidence

    found = gather_evidence(key, outputs, embedder)
    nodes = outputs.read(CENTROIDS, key, columns=["code", "count", "updated_at"])
    kinds = Counter(found.reviews["kind"].to_pylist())
    stale = note_stale_batches(key, settings, outputs, indexes)
    metadata: dict[str, Any] = {
        "evidence version": found.evidence.version or "none",
        "texts": len(found.evidence),
        "nodes with evidence": nodes.num_rows,
        "contradictions": kinds["contradiction"],
        "outliers": kinds["outlier"],
        "stale batches": len(stale),
        "stale": bullet_list(described(stale)),
        "to review": preview(found.reviews, ["kind", "text", "code", "other_codes", "reason"]),
        "preview": preview(nodes.sort_by([("updated_at", "descending"), ("count", "descending")]), nodes.column_names),
        **_change(found),
    }
    return Written(found.evidence.version or "none", nodes.num_rows, metadata)


def _change(found: "Gathered") -> dict[str, Any]:
    """What this run learned and forgot."""
    sentences = [
        f"{sign} {item.text} -> {item.code}"
        for sign, items in (("+", found.added), ("-", found.removed))
        for item in sorted(items)
    ]
    return {
        "learned with this run": len(found.added),
        "taken back with this run": len(found.removed),
        "nodes touched": len(found.touched),
        "touched": ", ".join(found.touched[:50]) or "-",
        "changes": bullet_list(sentences, limit=2 * _SAMPLES),
    }
