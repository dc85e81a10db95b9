"""A taxonomy as rows of the table `taxonomy.nodes` and back, and the hashes that identify it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa

_METADATA: Final = b"taxomind"
_TEXT_FIELDS: Final = ("label", "definition", "examples", "aliases", "negative_examples", "language")
_ADDED_FIELDS: Final = ("language", "definition", "examples", "negative_examples")


def node_id(key: str, code: str) -> str:
    """16 hex digits that identify a node: SHA-256 of (taxonomy key, code). A rebuild does not change it."""
    return hashlib.sha256(f"{key}\0{code}".encode()).hexdigest()[:16]


def content_version(taxonomy: Taxonomy) -> str:
    """12 hex digits: SHA-256 of everything that the file said, in canonical form.

    Hashed are code, parent, level and all texts of every node (nodes by code, further languages by tag), the display name
    and the level names. Left out are the key, the order of rows and of siblings, and the time: the same content has the
    same version under any key. So are texts that enrichment added: they are no part of the file.
    """
    nodes = [
        [
            node.code,
            node.parent_code,
            node.level,
            *(_text_values(text) for text in (node.texts[0], *_by_language(node.texts[1:]))),
        ]
        for node in sorted(taxonomy.nodes, key=lambda node: node.code)
    ]
    content = [taxonomy.display_name, sorted(taxonomy.level_names.items()), nodes]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()[:12]


def added_version(taxonomy: Taxonomy) -> str:
    """The content version, followed by 12 hex digits over what enrichment added, if it added anything."""
    added = [[node.code, *(_text_values(text) for text in node.added)] for node in taxonomy.nodes if node.added]
    if not added:
        return taxonomy.version
    return f"{taxonomy.version}-{hashlib.sha256(json.dumps(added).encode()).hexdigest()[:12]}"


def _by_language(texts: tuple[NodeText, ...]) -> list[NodeText]:
    return sorted(texts, key=lambda text: text.language)


def _text_values(text: NodeText) -> list[object]:
    return [text.language, text.label, text.definition, text.examples, text.aliases, text.negative_examples]


def taxonomy_to_table(taxonomy: Taxonomy, table_name: str = "taxonomy.nodes") -> pa.Table:
    """The nodes in preorder with the schema of `taxonomy.nodes`, or of `taxonomy.enriched_nodes` with what was added.

    Display name and level names, which concern no single node, travel in the schema's metadata (key `taxomind`, JSON).
    """
    import pyarrow as pa

    from taxomind_resources.tables import BY_NAME

    nodes = taxonomy.nodes
    first = [node.texts[0] for node in nodes]
    columns: dict[str, list[Any]] = {
        "code": taxonomy.codes,
        "parent_code": [node.parent_code for node in nodes],
        "level": [node.level for node in nodes],
        "path": _path_codes(taxonomy),
        "is_leaf": taxonomy.is_leaf.tolist(),
        **{name: [getattr(text, name) for text in first] for name in _TEXT_FIELDS},
        "translations": [[{name: getattr(text, name) for name in _TEXT_FIELDS} for text in node.texts[1:]] for node in nodes],
        "added": [[{name: getattr(text, name) for name in _ADDED_FIELDS} for text in node.added] for node in nodes],
        "node_id": [node_id(taxonomy.key, code) for code in taxonomy.codes],
        "version": [taxonomy.version] * len(nodes),
    }
    schema = BY_NAME[table_name].arrow
    about = {"display_name": taxonomy.display_name, "level_names": taxonomy.level_names}
    table = pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)
    return table.replace_schema_metadata({_METADATA: json.dumps(about).encode()})


def _path_codes(taxonomy: Taxonomy) -> list[list[str]]:
    paths: list[list[str]] = []
    for code, parent in zip(taxonomy.codes, taxonomy.parents.tolist(), strict=True):
        paths.append([*(paths[parent] if parent >= 0 else ()), code])
    return paths


def taxonomy_from_table(table: pa.Table, key: str) -> Taxonomy:
    """The taxonomy that `taxonomy_to_table` wrote; the order of the rows need not be kept, that of siblings is the table's.

    Raises:
        ValueError: the rows do not form a tree.
    """
    rows = table.to_pylist()
    nodes = [
        Node(
            row["code"],
            row["parent_code"],
            row["level"],
            (_node_text(row), *map(_node_text, row["translations"] or ())),
            tuple(map(_node_text, row.get("added") or ())),
        )
        for row in rows
    ]
    about = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    return Taxonomy.build(
        key,
        nodes,
        version=rows[0]["version"] if rows else "",
        display_name=about.get("display_name", ""),
        level_names={int(level): name for level, name in about.get("level_names", {}).items()},
    )


def _node_text(row: dict[str, Any]) -> NodeText:
    return NodeText(
        language=row["language"] or "",
        label=row.get("label") or "",
        definition=row["definition"] or "",
        examples=tuple(row["examples"] or ()),
        aliases=tuple(row.get("aliases") or ()),
        negative_examples=tuple(row["negative_examples"] or ()),
    )
