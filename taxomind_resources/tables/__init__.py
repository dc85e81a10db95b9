"""The tables people query: their names, columns and meaning. Every output is written with one of these schemas.

The docs, the DuckDB views, the zero-row files and the Dagster column metadata are all made from this package, one module for
each schema. Each table is partitioned by `taxonomy_key`, which is the name of a folder and therefore no column of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from taxomind_resources.tables import classification, growth, learning, models, reports, taxonomy, views
from taxomind_resources.tables.columns import Column, Table, View

TABLES: Final[tuple[Table, ...]] = (
    *taxonomy.TABLES,
    *views.TABLES,
    *classification.TABLES,
    *learning.TABLES,
    *growth.TABLES,
    *models.TABLES,
    *reports.TABLES,
)
VIEWS: Final[tuple[View, ...]] = classification.VIEWS
BY_NAME: Final[Mapping[str, Table]] = {table.full_name: table for table in TABLES}

__all__ = ["BY_NAME", "TABLES", "VIEWS", "Column", "Table", "View"]
