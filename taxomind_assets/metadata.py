"""What the Dagster UI shows beside an asset: columns, where they come from, row counts, previews and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from dagster import (
    AssetKey,
    MetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableColumnDep,
    TableColumnLineage,
    TableSchema,
)

from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    import pyarrow as pa

PREVIEW_ROWS: Final = 10
_CELL_CHARACTERS: Final = 80

#: Columns of an output and the columns of other assets that each is made from.
ColumnSources = Mapping[str, Sequence[tuple[str, str]]]


def table_schema(table: str) -> TableSchema:
    """The columns of an output table as Dagster shows them."""
    columns = [TableColumn("taxonomy_key", "string", "the taxonomy", TableColumnConstraints(nullable=False))]
    for column in BY_NAME[table].columns:
        constraints = TableColumnConstraints(nullable=column.nullable)
        columns.append(TableColumn(column.name, str(column.type), column.meaning, constraints))
    return TableSchema(columns)


def table_metadata(table: str, sources: ColumnSources | None = None) -> dict[str, Any]:
    """Metadata that belongs to the definition of an asset that writes `table`."""
    metadata: dict[str, Any] = {
        "dagster/column_schema": table_schema(table),
        "dagster/table_name": table,
        "one row is": BY_NAME[table].row,
    }
    if sources:
        metadata["dagster/column_lineage"] = column_lineage(sources)
    return metadata


def same_columns(asset: str, table: str) -> dict[str, list[tuple[str, str]]]:
    """Column sources of an asset that takes over all columns of another one that writes `table`."""
    return {column.name: [(asset, column.name)] for column in BY_NAME[table].columns}


def column_lineage(sources: ColumnSources) -> TableColumnLineage:
    """Which columns of which assets each column is made from."""
    return TableColumnLineage(
        {column: [TableColumnDep(AssetKey(asset), name) for asset, name in origins] for column, origins in sources.items()}
    )


def preview(rows: pa.Table, columns: Sequence[str], *, limit: int = PREVIEW_ROWS) -> MetadataValue:
    """The first rows as a Markdown table; lists are joined by ' > ' when they are paths, else by '; '."""
    shown = rows.select(list(columns)).slice(0, limit).to_pylist()
    if not shown:
        return MetadataValue.md("*no rows*")
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[name], name) for name in columns) + " |" for row in shown]
    if rows.num_rows > limit:
        lines += ["", f"*{limit} of {rows.num_rows:,} rows*"]
    return MetadataValue.md("\n".join(lines))


def bullet_list(sentences: Sequence[str], *, limit: int = 50) -> MetadataValue:
    """Sentences as a Markdown list."""
    lines = [f"- {_escaped(sentence)}" for sentence in sentences[:limit]]
    if len(sentences) > limit:
        lines.append(f"- ... and {len(sentences) - limit:,} more")
    return MetadataValue.md("\n".join(lines) or "*none*")


def _cell(value: Any, column: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        value = (" > " if "path" in column else "; ").join(_item(item) for item in value)
    text = _escaped(str(value))
    return text if len(text) <= _CELL_CHARACTERS else text[: _CELL_CHARACTERS - 1] + "…"


def _item(value: Any) -> str:
    return str(value["code"]) if isinstance(value, Mapping) and "code" in value else str(value)


def _escaped(text: str) -> str:
    """Text that stays in its table cell and is shown as it is."""
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
