"""The door for people: views over the parquet outputs, in a small DuckDB file and as SQL text.

    <data>/taxomind.duckdb    schemas and views; no rows of its own; opens in DuckDB 1.0 and later
    <data>/taxomind.sql       the same views, for `duckdb -init`

Views see new rows by themselves, so the file changes only when a view does. It is replaced by a rename and never opened by a
run: somebody who holds it open keeps working and stops nobody. Paths in the views are absolute; after the data root was moved,
`publish` makes the file anew.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from taxomind_resources.faults import Fault
from taxomind_resources.files import publishing, replace_bytes, storage_faults, sweep_temporary
from taxomind_resources.keys import EMPTY_KEY
from taxomind_resources.outputs import Outputs
from taxomind_resources.tables import TABLES, VIEWS, Table, View

if TYPE_CHECKING:
    import duckdb

#: The oldest file format that has all that the views need; newer formats cannot be opened by older clients.
STORAGE_VERSION: Final = "v1.0.0"
#: How connections are opened; what else a query may not do is set on the open connection.
CONNECTION_CONFIG: Final[Mapping[str, Any]] = MappingProxyType({"autoinstall_known_extensions": False})
#: Tables first: views are made of them.
_EVERY: Final[tuple[Table | View, ...]] = (*TABLES, *VIEWS)
_KEY_MEANING: Final = "key of the taxonomy that the row belongs to"
_TRIES: Final = 12
#: Seconds to wait before the second try; each further wait is as much longer.
_PAUSE_S: Final = 0.01


class Catalogue:
    """The views over the outputs of one data root.

    Args:
        data: data root.
        connect: opens the connections in memory that queries use; None = duckdb's own `connect`.
    """

    def __init__(
        self, data: Path, connect: Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]] | None = None
    ) -> None:
        self.file = data.absolute() / "taxomind.duckdb"
        self.script = data.absolute() / "taxomind.sql"
        self._outputs = Outputs(data.absolute())
        self._connect = connect or _connection

    def publish(self, force: bool = False) -> bool:
        """Write both files if the views they should hold differ from those they hold; returns whether it wrote.

        Args:
            force: write in any case (somebody may have changed the file).

        Raises:
            Fault: `storage_failed`.
        """
        self._outputs.ensure_empty_tables()
        script = self._script()
        if not force and self.file.is_file() and _text(self.script) == script:
            return False
        sweep_temporary(self.file.parent)
        with publishing(self.file) as temporary:
            self._build(temporary)
        with storage_faults(self.file):
            # Changes that somebody made to the former file and did not finish would be applied to this one.
            self.file.with_name(f"{self.file.name}.wal").unlink(missing_ok=True)
        # Last, since its text says that the publication is complete.
        replace_bytes(self.script, script.encode())
        return True

    def query(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """Answer one `SELECT` over the views; reads the outputs and nothing else, and changes nothing.

        Uses a connection of its own in memory: it works while others hold the DuckDB file. Times come in UTC.

        Args:
            sql: one statement; `?` or `$name` stand for parameters.
            parameters: their values.

        Raises:
            Fault: `invalid_input` (the statement), `storage_failed` (an output cannot be read).
        """
        import duckdb

        self._outputs.ensure_empty_tables()
        tries = _TRIES
        while True:
            tries -= 1
            try:
                with self._connect() as opened, closing(opened) as connection:
                    return self._answer(connection, sql, parameters)
            except duckdb.Error as error:
                # A file may be removed between listing and reading it; the next try does not list it.
                if not isinstance(error, duckdb.IOException) or not tries:
                    raise self._fault(error, sql) from error
                time.sleep(_PAUSE_S * (_TRIES - tries))

    def statements(self) -> list[str]:
        """The SQL that makes schemas, views and comments, in order, each without its semicolon."""
        schemas = dict.fromkeys(table.schema for table in _EVERY)
        made = [f"CREATE SCHEMA IF NOT EXISTS {_name(schema)}" for schema in schemas]
        return made + [statement for table in _EVERY for statement in [self._view(table), *_comments(table)]]

    def _answer(
        self, connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None
    ) -> pa.Table:
        import duckdb

        found = connection.extract_statements(sql)
        if len(found) != 1 or found[0].type not in {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}:
            raise Fault("invalid_input", "Only one statement that reads can be answered.", value=sql, allowed="one SELECT")
        connection.execute("SET TimeZone = 'UTC'")
        # Making a view lists its files, so only those are made whose name the statement contains (all for `SHOW ALL TABLES`).
        lowered = sql.lower()
        for table in _mentioned(lowered):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_name(table.schema)}")
            connection.execute(self._view(table))
        # DuckDB compares patterns with this list as they are written, the files found by them as they are.
        allowed = ", ".join(_literal(f"{folder}/") for folder in (self._outputs.root, _glob_literal(self._outputs.root)))
        connection.execute(f"SET allowed_directories = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        with warnings.catch_warnings():
            # DuckDB 2 advises another call, which does not take parameters there.
            warnings.simplefilter("ignore", UserWarning)
            return connection.execute(sql, parameters).to_arrow_table()

    def _fault(self, error: duckdb.Error, sql: str) -> Fault:
        import duckdb

        # Damaged files raise errors of several classes; all name the file.
        if str(self._outputs.root) in str(error) and not isinstance(error, duckdb.PermissionException):
            return Fault("storage_failed", f"An output cannot be read: {error}", value=sql)
        # A name that is unknown: the schema or the table (CatalogException), or a column (BinderException).
        next_step = '`taxomind query "SHOW ALL TABLES"` lists tables and columns.'
        known = isinstance(error, duckdb.CatalogException | duckdb.BinderException)
        what, allowed = f"DuckDB: {error}", "one SELECT over the views"
        return Fault("invalid_input", what, value=sql, allowed=allowed, next_step=next_step if known else None)

    def _build(self, path: Path) -> None:
        import duckdb

        if any(character in str(path) for character in "?\\"):
            next_step = "Choose another data root."
            raise Fault(
                "storage_failed",
                "DuckDB keeps no file below a folder with '?' or '\\' in its name.",
                value=str(path),
                next_step=next_step,
            )
        try:
            with _connection() as connection:
                connection.execute(f"ATTACH {_literal(path)} AS catalogue (STORAGE_VERSION {_literal(STORAGE_VERSION)})")
                connection.execute("USE catalogue")
                for statement in self.statements():
                    connection.execute(statement)
                connection.execute("CHECKPOINT catalogue")
                connection.execute("USE memory")
                connection.execute("DETACH catalogue")
        except duckdb.Error as error:
            raise Fault("storage_failed", f"The views cannot be made: {error}", value=str(path)) from error

    def _script(self) -> str:
        head = "-- Made by taxomind, which replaces it: the views of taxomind.duckdb, for `duckdb -init taxomind.sql`.\n"
        return head + "".join(f"{statement};\n" for statement in self.statements())

    def _view(self, table: Table | View) -> str:
        if isinstance(table, View):
            return f"CREATE OR REPLACE VIEW {_full(table)} AS {table.sql}"
        folder = _glob_literal(self._outputs.root / table.schema / table.name)
        columns = ", ".join(["taxonomy_key", *(_name(column.name) for column in table.columns)])
        files = f"{folder}/taxonomy_key=*/*.parquet".replace("'", "''")
        # By name: files of an earlier version lack the columns that were added since.
        options = "union_by_name = true, hive_partitioning = true, hive_types = {'taxonomy_key': VARCHAR}"
        source = f"read_parquet('{files}', {options})"
        return f"CREATE OR REPLACE VIEW {_full(table)} AS SELECT {columns} FROM {source} WHERE taxonomy_key <> '{EMPTY_KEY}'"  # noqa: S608 (all quoted)


def _connection() -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect(config=dict(CONNECTION_CONFIG))


def _mentioned(statement: str) -> Sequence[Table | View]:
    """Tables and views whose names a statement contains, with those that they are made of, sources first."""
    wanted = {table.full_name for table in _EVERY if table.name in statement}
    for view in reversed(VIEWS):
        if view.full_name in wanted:
            wanted.update(view.sources)
    return [table for table in _EVERY if table.full_name in wanted] or _EVERY


def _comments(table: Table | View) -> list[str]:
    meanings = {"taxonomy_key": _KEY_MEANING} | {column.name: column.meaning for column in table.columns}
    view = f"COMMENT ON VIEW {_full(table)} IS {_literal(f'One row is {table.row}.')}"
    return [view, *(f"COMMENT ON COLUMN {_full(table)}.{_name(name)} IS {_literal(text)}" for name, text in meanings.items())]


def _full(table: Table | View) -> str:
    return f"{_name(table.schema)}.{_name(table.name)}"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _glob_literal(path: Path) -> str:
    """A path as a pattern that matches itself alone."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
