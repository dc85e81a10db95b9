"""VIEWS: the texts of the nodes as vectors, and the index that classification starts from."""

from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, AssetsDefinition, BackfillPolicy, MaterializeResult, asset

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.metadata import column_lineage, preview, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.pending import IndexState, NodesState, embedding_digest
from taxomind_assets.taxonomy.assets import OWNERS, enriched_definitions
from taxomind_assets.views.texts import VIEWS, View
from taxomind_resources.dagster_resources import (
    EmbeddingResource,
    IndexStoreResource,
    OutputsResource,
    SettingsResource,
    VectorStoreResource,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.views.index import NodeIndex
    from taxomind_assets.views.texts import NodeViewText
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings
    from taxomind_resources.vector_store import VectorStore

_MEANING = {
    "label": "Labels and other names of the nodes, in every language, as vectors.",
    "definition": "Definitions of the nodes, in every language, as vectors.",
    "example": "Example texts of the nodes, one vector each, in every language.",
}
_SOURCES = {
    "label": ("label", "aliases", "translations"),
    "definition": ("definition", "translations"),
    "example": ("examples",),
}


def _view_asset(view: View) -> AssetsDefinition:
    sources = {name: [("enriched_definitions", column) for column in _SOURCES[view]] for name in ("text", "vector")}

    @asset(
        name=f"{view}_view",
        description=f"{_MEANING[view]} Only changed texts are embedded; the table is replaced as a whole, its version pinned.",
        deps=[enriched_definitions],
        partitions_def=taxonomy_keys,
        backfill_policy=BackfillPolicy.single_run(),
        group_name="views",
        kinds={"lancedb", "python"},
        owners=OWNERS,
        tags={"taxomind/stage": "views"},
        code_version="1",
        metadata={
            "one row is": f"an embedded {view} text of a node",
            "dagster/column_lineage": column_lineage({"code": [("enriched_definitions", "code")], **sources}),
        },
    )
    def view_asset(
        context: AssetExecutionContext, outputs: OutputsResource, vectors: VectorStoreResource, embedding: EmbeddingResource
    ) -> MaterializeResult[Any]:
        return for_each_key(context, lambda key: _embed_view(key, view, outputs, vectors, embedding.embedder(key)))

    return view_asset


label_view, definition_view, example_view = (_view_asset(view) for view in VIEWS)


@asset(
    deps=[enriched_definitions, label_view, definition_view, example_view],
    partitions_def=taxonomy_keys,
    backfill_policy=BackfillPolicy.single_run(),
    group_name="views",
    kinds={"python", "numpy", "parquet"},
    owners=OWNERS,
    tags={"taxomind/stage": "views"},
    code_version="1",
    metadata=table_metadata(
        "views.node_vectors",
        {name: [(f"{view}_view", name) for view in VIEWS] for name in ("code", "language", "text", "text_hash")},
    ),
)
def node_index(
    context: AssetExecutionContext,
    *,
    settings: SettingsResource,
    outputs: OutputsResource,
    vectors: VectorStoreResource,
    indexes: IndexStoreResource,
    embedding: EmbeddingResource,
) -> MaterializeResult[Any]:
    """The pinned views as one immutable index. It replaces the former one by one rename, so that readers see either."""
    opened = settings.load(), outputs.open(), vectors.open()
    result = for_each_key(context, lambda key: _index(key, *opened, indexes=indexes.open(), embedder=embedding.embedder(key)))
    outputs.publish()
    return result


def _embed_view(key: str, view: View, outputs: OutputsResource, vectors: VectorStoreResource, embedder: "Embedder") -> Written:
    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_assets.views.stored import store_view
    from taxomind_assets.views.texts import node_texts

    tree = stored_taxonomy(outputs.open(), key)
    texts = node_texts(tree)[view]
    version = store_view(vectors.open(), key, view, texts, embedder=embedder, taxonomy_version=tree.version)
    covered = len({text.code for text in texts})
    metadata: dict[str, Any] = {
        "texts": len(texts),
        "nodes covered": covered / len(tree),
        "languages": ", ".join(sorted({text.language for text in texts}) or ["-"]),
        "lance version": version,
        "taxonomy version": tree.version,
        "model": embedder.spec.model,
        "dimensions": embedder.spec.dimensions,
        "preview": preview(_text_rows(texts), ["code", "language", "text"]),
    }
    return Written(f"{_texts_version(texts)}-{embedder.spec.vector_class[:12]}", len(texts), metadata)


def _index(
    key: str,
    settings: "Settings",
    outputs: "Outputs",
    vectors: "VectorStore",
    *,
    indexes: "IndexStore",
    embedder: "Embedder",
) -> Written:
    import numpy as np

    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_assets.views.build import build_index
    from taxomind_assets.views.publication import index_row, vector_rows
    from taxomind_assets.views.stored import load_view, view_tag
    from taxomind_assets.views.texts import node_texts

    nodes = NodesState.parse(outputs.digest("taxonomy.enriched_nodes", key))
    tree = stored_taxonomy(outputs, key)
    texts = node_texts(tree)
    tag = view_tag(tree.version, embedder.spec)
    views = {view: load_view(vectors, key, view, texts[view], tag) for view in VIEWS}
    scoring = settings.for_taxonomy(key).scoring
    together = [text for view in VIEWS for text in texts[view]]
    index = build_index(
        tree,
        together,
        np.concatenate([views[view].vectors for view in VIEWS]),
        embedder,
        scoring.crosslingual,
        adapt=scoring.adapt,
    )
    for view in VIEWS:
        vectors.pin(key, view, views[view].lance_version, f"index-{index.version}")
    indexes.publish(key, index.version, index.save)
    outputs.write("views.index_versions", key, index_row(index, embedder.spec, settings, key), part=index.version)
    # Written last: it says that the index stands for this state of the inbox and of the settings.
    state = IndexState(tree.version, embedder.spec.vector_class, nodes.taxonomy_digest, embedding_digest(settings, key))
    rows = vector_rows(texts, {view: views[view].lance_version for view in VIEWS})
    outputs.write("views.node_vectors", key, rows, digest=state.digest())
    return Written(index.version, rows.num_rows, _index_metadata(index, embedder, rows))


def _index_metadata(index: "NodeIndex", embedder: "Embedder", rows: "pa.Table") -> dict[str, Any]:
    return {
        "index version": index.version,
        "taxonomy version": index.tree.version,
        "model": embedder.spec.model,
        "vector class": embedder.spec.vector_class,
        "nodes": len(index.tree),
        "vectors": int(index.vectors.shape[0]),
        "languages in which vectors lead": ", ".join(sorted(index.trusted_languages)) or "-",
        "preview": preview(rows, ["code", "view", "language", "text", "lance_version"]),
    }


def _text_rows(texts: "list[NodeViewText]") -> "pa.Table":
    import pyarrow as pa

    return pa.table(
        {name: pa.array([getattr(text, name) for text in texts], pa.string()) for name in ("code", "language", "text")}
    )


def _texts_version(texts: "list[NodeViewText]") -> str:
    import hashlib

    lines = "\n".join(f"{text.code}\t{text.language}\t{text.text_hash}" for text in texts)
    return hashlib.sha256(lines.encode()).hexdigest()[:12]
