"""What the outputs say about a node index: its texts, and the model, settings and libraries that it was built with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from taxomind_assets.views.stored import text_columns
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taxomind_assets.views.index import NodeIndex
    from taxomind_assets.views.texts import NodeViewText, View
    from taxomind_resources.embedding import EmbeddingSpec
    from taxomind_resources.settings import Settings

_LIBRARIES: Final = ("taxomind", "numpy", "scipy", "scikit-learn", "lancedb", "openvino", "onnxruntime", "tokenizers")


def vector_rows(texts: Mapping[View, Sequence[NodeViewText]], lance_versions: Mapping[View, int]) -> pa.Table:
    """All texts with the LanceDB version that holds their vectors: `views.node_vectors`."""
    schema = BY_NAME["views.node_vectors"].arrow
    tables = [
        pa.table({**text_columns(rows), "lance_version": [lance_versions[view]] * len(rows)}, schema=schema)
        for view, rows in texts.items()
    ]
    return pa.concat_tables(tables)


def index_row(index: NodeIndex, spec: EmbeddingSpec, settings: Settings, key: str) -> pa.Table:
    """One row of `views.index_versions`."""
    shaping = settings.for_taxonomy(key).model_dump(mode="json", include={"embedding", "text"})
    shaping["embedding"].pop("api_key", None)
    row: dict[str, Any] = {
        "index_version": index.version,
        "taxonomy_version": index.tree.version,
        "model": f"{spec.model}@{spec.revision}" if spec.revision else spec.model,
        "vector_class": spec.vector_class,
        "dimensions": spec.dimensions,
        "vectors": int(index.vectors.shape[0]),
        "built_at": datetime.now(UTC),
        "settings": json.dumps(shaping, sort_keys=True),
        "libraries": json.dumps(_libraries()),
    }
    return pa.Table.from_pylist([row], schema=BY_NAME["views.index_versions"].arrow)


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
