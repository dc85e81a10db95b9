"""Rows for any table, whatever its columns are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from taxomind_resources.tables import BY_NAME


@pytest.fixture(scope="session")
def rows_of() -> Callable[..., pa.Table]:
    """`rows_of(table, column=[...], ...)`: rows with those columns; each other column holds one plain value of its type."""
    return _rows_of


def _rows_of(table: str, **columns: list[Any]) -> pa.Table:
    schema = BY_NAME[table].arrow
    count = len(next(iter(columns.values())))
    filled = {field.name: [_plain(field.type)] * count for field in schema}
    return pa.table(filled | columns, schema=schema)


def _plain(type_: pa.DataType) -> Any:
    if pa.types.is_list(type_):
        return []
    if pa.types.is_timestamp(type_):
        return datetime(2026, 1, 1, tzinfo=UTC)
    return pa.scalar("1").cast(type_).as_py()
