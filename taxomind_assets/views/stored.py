"""Views of a taxonomy in the vector store: written by the view assets, read back by the node index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from taxomind_assets.views.texts import NodeViewText, View
    from taxomind_resources.embedding import Embedder, EmbeddingSpec
    from taxomind_resources.vector_store import VectorStore


@dataclass(frozen=True)
class StoredView:
    """A view at the version that its tag pins. `vectors`: float32[len(texts), d], in the order of the texts."""

    lance_version: int
    vectors: NDArray[np.float32]


def view_tag(taxonomy_version: str, spec: EmbeddingSpec) -> str:
    """The tag that pins a view of one taxonomy version and model."""
    return f"nodes-{taxonomy_version}-{spec.vector_class[:12]}"


def store_view(
    store: VectorStore, key: str, view: View, texts: Sequence[NodeViewText], *, embedder: Embedder, taxonomy_version: str
) -> int:
    """Embed the texts of a view, replace its table and pin it; returns the pinned version.

    Raises:
        Fault: `storage_failed`, or what the embedder raises.
    """
    vectors = embedder.embed([text.text for text in texts], "document")
    version = store.replace(key, view, _rows(view, texts, vectors, embedder.spec.dimensions))
    store.pin(key, view, version, view_tag(taxonomy_version, embedder.spec))
    return version


def load_view(store: VectorStore, key: str, view: View, texts: Sequence[NodeViewText], tag: str) -> StoredView:
    """The pinned vectors of exactly these texts.

    Raises:
        Fault: `index_stale` when the view has not been made for this taxonomy version and model; `storage_failed`.
    """
    version = store.tags(key, view).get(tag)
    if version is None:
        raise _stale(key, view, f"There are no vectors {view!r} of {key!r} for this version of the taxonomy and this model.")
    rows = store.read(key, view, tag)
    places = {identity: place for place, identity in enumerate(_identities(rows))}
    try:
        order = [places[text.code, text.language, text.text_hash] for text in texts]
    except KeyError as missing:
        raise _stale(key, view, f"The vectors {view!r} of {key!r} lack the text of node {missing.args[0][0]!r}.") from missing
    return StoredView(version, _matrix(rows)[order])


def text_columns(texts: Sequence[NodeViewText]) -> Mapping[str, list[Any]]:
    """The texts as columns."""
    return {name: [getattr(text, name) for text in texts] for name in ("code", "view", "language", "text", "text_hash")}


def _rows(view: View, texts: Sequence[NodeViewText], vectors: NDArray[np.float32], dimensions: int) -> pa.Table:
    import pyarrow as pa

    # Negative examples lie in the view of the examples.
    values = {**text_columns(texts), "view": [view] * len(texts)}
    columns: dict[str, Any] = {name: pa.array(column, pa.string()) for name, column in values.items()}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), dimensions)
    return pa.table(columns)


def _identities(rows: pa.Table) -> list[tuple[str, str, str]]:
    return list(zip(*(rows[name].to_pylist() for name in ("code", "language", "text_hash")), strict=True))


def _matrix(rows: pa.Table) -> NDArray[np.float32]:
    dimensions = rows.schema.field("vector").type.list_size
    values = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, dimensions)  # type: ignore[no-any-return]


def _stale(key: str, view: str, what: str) -> Fault:
    return Fault("index_stale", what, value=key, next_step=f"Materialise {view}_view.")
