"""`taxomind query`: SQL over the tables."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa

EPILOG = """Examples

taxomind query "SELECT code, label FROM taxonomy.nodes WHERE level = 1"

taxomind query "SELECT text, label, confidence FROM classification.results ORDER BY confidence" --csv

taxomind query "SHOW ALL TABLES"
"""
_MOST_ROWS: Final = 200


def query(
    session: Session,
    *,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the tables.", show_default=False)],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Ask the tables in SQL (DuckDB). Reads only; the DuckDB file of the data root holds the same tables."""
    from taxomind_resources.catalogue import Catalogue

    if as_csv and session.json:
        raise Fault("invalid_input", "There are two formats.", allowed="either --csv or --json")
    rows = Catalogue(session.root).query(sql)
    if session.json:
        session.print_json(rows.to_pylist())
    elif as_csv:
        _print_csv(rows)
    else:
        _print_table(session, rows)


def _print_csv(rows: pa.Table) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows.column_names)
    for batch in rows.to_batches():
        writer.writerows(
            [_csv_cell(value) for value in row] for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)
        )


def _print_table(session: Session, rows: pa.Table) -> None:
    from rich.text import Text

    from taxomind_app.cli.showing import plain_table

    table = plain_table()
    for name, kind in zip(rows.column_names, rows.schema.types, strict=True):
        table.add_column(name, justify="right" if _is_number(kind) else "left", overflow="fold")
    for row in rows.slice(0, _MOST_ROWS).to_pylist():
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    session.out.print(table)
    if rows.num_rows > _MOST_ROWS:
        session.note(f"{_MOST_ROWS} of {rows.num_rows:,} rows; --csv and --json print all.")


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(_csv_cell(value))


def _csv_cell(value: Any) -> Any:
    """Lists of codes joined by '|', other nested values as JSON, the rest as it is."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "|".join(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
