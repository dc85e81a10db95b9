"""Vectors of the nodes, and the indexes made of them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from taxomind_resources.tables.columns import INT, TEXT, TIME, Table, column

TABLES: Final[tuple[Table, ...]] = (
    Table(
        "views",
        "node_vectors",
        "an embedded text of a node (the vectors themselves are in LanceDB)",
        (
            column("code", TEXT, "node"),
            column("view", TEXT, "label, definition, example, or negative for a text that belongs elsewhere"),
            column("language", TEXT, "language of the text, '' when not stated"),
            column("text", TEXT, "the text that was embedded"),
            column("text_hash", TEXT, "16 hex digits of the text's SHA-256"),
            column("lance_version", pa.int64(), "version of the LanceDB table that holds the vector"),
        ),
    ),
    Table(
        "views",
        "index_versions",
        "a built node index",
        (
            column("index_version", TEXT, "hash of everything that the index depends on"),
            column("taxonomy_version", TEXT, "taxonomy version it was built from"),
            column("model", TEXT, "embedding model and revision"),
            column("vector_class", TEXT, "hash of everything that changes a vector"),
            column("dimensions", INT, "length of a vector"),
            column("vectors", INT, "number of vectors"),
            column("built_at", TIME, "when it was built"),
            column("settings", TEXT, "settings that shaped it, as JSON"),
            column("libraries", TEXT, "library versions, as JSON"),
        ),
    ),
)
