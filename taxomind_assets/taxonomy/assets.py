"""TAXONOMY: from a file in the inbox to checked nodes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetExecutionContext,
    AssetSpec,
    BackfillPolicy,
    Config,
    MaterializeResult,
    MetadataValue,
    asset,
)
from pydantic import Field

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.metadata import bullet_list, preview, same_columns, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.pending import REFUSED, NodesState
from taxomind_resources.dagster_resources import EmbeddingResource, InboxResource, OutputsResource, SettingsResource
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox, InboxFile
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

OWNERS = ["team:taxomind"]

taxonomy_file = AssetSpec(
    "taxonomy_file",
    description="The taxonomy as it was handed in: `inbox/<key>/taxonomy.csv`, `.json`, `.ttl`, `.rdf` or `.xml`.",
    group_name="inbox",
    kinds={"file"},
    owners=OWNERS,
    tags={"taxomind/stage": "inbox"},
    partitions_def=taxonomy_keys,
)


@asset(
    deps=[taxonomy_file],
    partitions_def=taxonomy_keys,
    backfill_policy=BackfillPolicy.single_run(),
    group_name="taxonomy",
    kinds={"python", "parquet"},
    owners=OWNERS,
    tags={"taxomind/stage": "taxonomy"},
    code_version="1",
    metadata=table_metadata("taxonomy.nodes"),
)
def raw_taxonomy(
    context: AssetExecutionContext, settings: SettingsResource, inbox: InboxResource, outputs: OutputsResource
) -> MaterializeResult[Any]:
    """The nodes of the taxonomy file, checked as a tree, one row per node.

    Rows that are bad by themselves go to `taxonomy.rejected_rows`. A file that is no tree is refused as a whole: every
    problem is listed, and the last good version stays in place. Every version is kept in `taxonomy.node_history`.
    """
    found = settings.load(), inbox.open(), outputs.open()
    result = for_each_key(context, lambda key: _read(key, *found))
    outputs.publish()
    return result


class EnrichmentConfig(Config):
    """Whether a language model is asked in this run."""

    ask: bool = Field(False, description="ask even though enrichment.enabled is false; it is an error when that cannot be done")
    limit: int | None = Field(None, ge=0, description="ask about so many nodes and languages at most; null = about all")


@asset(
    deps=[raw_taxonomy],
    partitions_def=taxonomy_keys,
    backfill_policy=BackfillPolicy.single_run(),
    group_name="taxonomy",
    kinds={"python", "parquet", "openai"},
    owners=OWNERS,
    tags={"taxomind/stage": "taxonomy"},
    code_version="2",
    metadata=table_metadata("taxonomy.enriched_nodes", same_columns("raw_taxonomy", "taxonomy.nodes")),
)
def enriched_definitions(
    context: AssetExecutionContext,
    config: EnrichmentConfig,
    *,
    settings: SettingsResource,
    outputs: OutputsResource,
    embedding: EmbeddingResource,
) -> MaterializeResult[Any]:
    """The nodes with definitions, examples and phrases that a language model wrote beside those of the file.

    Every text is checked, marked and kept with what it has cost in `taxonomy.enrichment`; what was paid once is never asked
    again. Without `enrichment.enabled`, or without a key for the language model, the nodes pass through.
    """
    opened, store = settings.load(), outputs.open()
    result = for_each_key(context, lambda key: _enrich(key, opened, store, embedding, config=config, log=context.log.info))
    outputs.publish()
    return result


def _read(key: str, settings: "Settings", inbox: "Inbox", outputs: "Outputs") -> Written:
    from taxomind_assets.taxonomy.readers import read_taxonomy
    from taxomind_assets.taxonomy.stored import write_taxonomy
    from taxomind_assets.taxonomy.versions import read_log

    # The digest comes first: a file that is replaced while it is read is seen as new afterwards.
    digest, log_digest = inbox.digest(key, "taxonomy"), inbox.digest(key, "revisions")
    file = inbox.taxonomy_file(key)
    if file is None:
        allowed = "taxonomy.csv, .json, .ttl, .rdf or .xml"
        raise Fault("unknown_taxonomy", f"The inbox folder of {key!r} holds no taxonomy file.", value=key, allowed=allowed)
    try:
        found = read_taxonomy(file.path, key, settings.for_taxonomy(key).limits)
    except Fault as fault:
        _refuse(key, file, fault, digest, outputs)
        raise
    log = read_log(inbox, key)
    nodes = write_taxonomy(outputs, key, file.name, found, digest, log=log, log_digest=log_digest)
    outputs.delete_part("taxonomy.rejected_rows", key, REFUSED)
    tree = found.taxonomy
    metadata: dict[str, Any] = {
        "version": tree.version,
        "source file": MetadataValue.path(str(file.path)),
        "nodes": len(tree),
        "leaves": int(tree.is_leaf.sum()),
        "depth": tree.depth,
        "languages": ", ".join(tree.languages),
        "rejected rows": len(found.rejected),
        "remarks": bullet_list(found.warnings),
        "top nodes": _top_nodes(tree),
        "preview": preview(nodes, ["code", "path", "level", "label", "definition", "examples"]),
    }
    return Written(tree.version, len(tree), metadata)


def _refuse(key: str, file: "InboxFile", fault: Fault, digest: str, outputs: "Outputs") -> None:
    from taxomind_assets.taxonomy.readers import rejected_file
    from taxomind_assets.taxonomy.stored import rejected_table

    rows = rejected_table("taxonomy.rejected_rows", rejected_file(file.path, fault))
    outputs.write("taxonomy.rejected_rows", key, rows, digest=digest, part=REFUSED)


def _enrich(
    key: str,
    settings: "Settings",
    outputs: "Outputs",
    embedding: EmbeddingResource,
    *,
    config: EnrichmentConfig,
    log: Callable[[str], object],
) -> Written:
    from taxomind_assets.taxonomy.enrichment_step import enrich_key
    from taxomind_assets.taxonomy.records import added_version, taxonomy_to_table
    from taxomind_assets.taxonomy.stored import stored_taxonomy

    digest = outputs.digest("taxonomy.nodes", key) or ""
    tree, about = enrich_key(
        stored_taxonomy(outputs, key, "taxonomy.nodes"),
        settings.for_taxonomy(key),
        outputs,
        embedder=lambda: embedding.embedder(key),
        asked=config.ask,
        limit=config.limit,
        log=log,
    )
    nodes = taxonomy_to_table(tree, "taxonomy.enriched_nodes")
    outputs.write("taxonomy.enriched_nodes", key, nodes, digest=NodesState(tree.version, digest).digest())
    defined = sum(any(text.definition for text in (*node.texts, *node.added)) for node in tree.nodes)
    exemplified = sum(any(text.examples for text in (*node.texts, *node.added)) for node in tree.nodes)
    metadata: dict[str, Any] = {
        **about,
        "nodes with a definition": defined / len(tree),
        "nodes with examples": exemplified / len(tree),
        "preview": preview(nodes, ["code", "label", "definition", "examples", "added"]),
    }
    return Written(added_version(tree), len(tree), metadata)


def _top_nodes(tree: "Taxonomy") -> MetadataValue:
    lines = ["| code | label | nodes below | leaves |", "|---|---|---|---|"]
    for top in tree.children_of(-1).tolist()[:50]:
        below = int(tree.ends[top]) - top - 1
        label = tree.nodes[top].label.replace("|", "\\|")
        lines.append(f"| {tree.codes[top]} | {label} | {below} | {int(tree.leaf_counts[top])} |")
    return MetadataValue.md("\n".join(lines))
