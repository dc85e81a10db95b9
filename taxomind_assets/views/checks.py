"""Checks of the stage VIEWS."""

from typing import TYPE_CHECKING, Final

from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check

from taxomind_assets.by_key import Checked, check_each_key
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.pending import IndexState, NodesState
from taxomind_assets.views.assets import node_index
from taxomind_resources.dagster_resources import EmbeddingResource, IndexStoreResource, OutputsResource
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_resources.outputs import Outputs

_COVERED: Final = """
    SELECT code, nodes.code IS NULL AS strange, coalesce(vectors.views, []) AS views
    FROM (SELECT code FROM taxonomy.enriched_nodes WHERE taxonomy_key = $key) AS nodes
    FULL JOIN (
        SELECT code, list(DISTINCT view) AS views FROM views.node_vectors WHERE taxonomy_key = $key GROUP BY code
    ) AS vectors USING (code)
    ORDER BY code
"""
_VIEWS: Final = ("label", "definition", "example")


@asset_check(
    asset=node_index,
    partitions_def=taxonomy_keys,
    description="Every node has a vector of a label; shows how many have a definition and examples.",
)
def views_cover_the_nodes(context: AssetCheckExecutionContext, outputs: OutputsResource) -> AssetCheckResult:
    """A node without a label vector could never be an answer."""
    return check_each_key(context, lambda key: _coverage(key, outputs))


@asset_check(
    asset=node_index,
    partitions_def=taxonomy_keys,
    description="The published index was built from the current nodes with the embedding model that the settings name.",
)
def index_is_current(
    context: AssetCheckExecutionContext, outputs: OutputsResource, indexes: IndexStoreResource, embedding: EmbeddingResource
) -> AssetCheckResult:
    """A stale index still answers, but not about the taxonomy that people see."""
    written, built = outputs.open(), indexes.open()

    def check(key: str) -> Checked:
        return _staleness(key, written, built.current(key), embedding.embedder(key).spec.vector_class)

    return check_each_key(context, check)


def _coverage(key: str, outputs: OutputsResource) -> Checked:
    rows = outputs.query(_COVERED, {"key": key}).to_pylist()
    nodes = [row for row in rows if not row["strange"]]
    lacking = [row["code"] for row in nodes if "label" not in row["views"]]
    strange = [row["code"] for row in rows if row["strange"]]
    problems = [f"{len(lacking)} nodes have no label vector: {', '.join(lacking[:20])}"] if lacking else []
    problems += [f"{len(strange)} vectors belong to no node: {', '.join(strange[:20])}"] if strange else []
    covered = {view: sum(view in row["views"] for row in nodes) for view in _VIEWS}
    shares = {f"nodes with a {view} vector": covered[view] / max(len(nodes), 1) for view in _VIEWS}
    return Checked(tuple(problems), {"nodes": len(nodes), **shares})


def _staleness(key: str, outputs: "Outputs", index_version: str | None, vector_class: str) -> Checked:
    if index_version is None:
        raise Fault("index_missing", f"The taxonomy {key!r} has no node index.")
    state = IndexState.parse(outputs.digest("views.node_vectors", key))
    nodes = NodesState.parse(outputs.digest("taxonomy.enriched_nodes", key))
    recorded = outputs.read("views.index_versions", key, columns=["taxonomy_version", "vector_class"], parts=[index_version])
    index = recorded.to_pylist()[0] if recorded.num_rows else {"taxonomy_version": "", "vector_class": ""}
    problems = []
    if {state.taxonomy_version, index["taxonomy_version"]} != {nodes.taxonomy_version}:
        problems.append(
            f"the index is of taxonomy version {index['taxonomy_version']}, the nodes are of {nodes.taxonomy_version}"
        )
    if {state.vector_class, index["vector_class"]} != {vector_class}:
        problems.append("the index was built with another embedding model than the settings name")
    return Checked(tuple(problems), {"index version": index_version, "taxonomy version": nodes.taxonomy_version})
