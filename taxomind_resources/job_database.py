"""Where the rows of jobs lie: a file of SQLite, or PostgreSQL when several machines share them. The same SQL for both.

Parameters are written `:name`. A change is made under one lock, so that what it reads first is still so when it writes.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_S: Final = 30.0
#: Connections of one process to a server; who wants another one waits.
_MOST: Final = 8
#: Seconds after which a connection is tried before it is used: its server may have been started again.
_TRIED_S: Final = 1.0
_CONNECT_S: Final = 10
#: Of the lock that changes are made under; any number that is ours.
_LOCK: Final = 0x7461786F
_PARAMETER: Final = re.compile(r"(?<!:):([a-z_]+)")


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """Rows that it changed."""

    def fetchone(self) -> Any:
        """The next row, by the names of its columns; None when there is none."""

    def __iter__(self) -> Iterator[Any]: ...


class Statements(Protocol):
    """Executes statements on one connection."""

    def execute(self, query: str, values: Mapping[str, Any], /) -> Rows:
        """Execute one."""


class Database(Protocol):
    """A database of jobs, safe to share between threads."""

    @property
    def counter(self) -> str:
        """What differs in the definition of tables: the type of a number that counts rows up."""

    def script(self, statements: str) -> None:
        """Execute definitions that do nothing when they are there already."""

    def reading(self) -> AbstractContextManager[Statements]:
        """Context: `Statements` that only read."""

    def writing(self) -> AbstractContextManager[Statements]:
        """Context: `Statements` of one change, which is made as a whole or not at all."""


class SqliteDatabase:
    """A file; each thread has its own connection.

    Args:
        path: the file, made when it is not there.

    Raises:
        Fault: `storage_failed`.
    """

    counter: Final = "INTEGER PRIMARY KEY AUTOINCREMENT"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own = threading.local()
        with self._faults():
            path.parent.mkdir(parents=True, exist_ok=True)

    def script(self, statements: str) -> None:
        """As `Database.script`."""
        with self._faults():
            self._connection().executescript(statements)

    @contextmanager
    def reading(self) -> Iterator[Statements]:
        """As `Database.reading`."""
        with self._faults():
            yield self._connection()

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        """As `Database.writing`."""
        with self._faults():
            db = self._connection()
            try:
                # Taken at once: a transaction that reads first and writes later could find the database changed in between.
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                # Also when a signal comes between two lines: what keeps the lock would stop everybody.
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=_TIMEOUT_S, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            self._own.connection = connection
        return connection

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise _fault(error, str(self.path)) from error


class PostgresDatabase:
    """A server; threads share a few connections, and one that broke is replaced by the next who needs it.

    Args:
        address: `postgresql://user:password@host:port/database`.

    Raises:
        Fault: `missing_extra` or `storage_failed`.
    """

    counter: Final = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"

    def __init__(self, address: str) -> None:
        try:
            import psycopg2
        except ImportError as error:
            what = "Jobs on PostgreSQL need its client, which is not installed."
            raise Fault("missing_extra", what, next_step="pip install 'taxomind[postgres]'") from error
        self._error: type[Exception] = psycopg2.Error
        self._address = address
        self._room = threading.BoundedSemaphore(_MOST)
        self._free: list[tuple[float, Any]] = []

    def script(self, statements: str) -> None:
        """As `Database.script`."""
        with self.writing() as db:
            db.execute(statements, {})

    @contextmanager
    def reading(self) -> Iterator[Statements]:
        """As `Database.reading`."""
        with self._connected() as connection:
            yield _Named(connection)

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        """As `Database.writing`."""
        with self._connected() as connection:
            db = _Named(connection)
            db.execute("BEGIN", {})
            db.execute("SELECT pg_advisory_xact_lock(:lock)", {"lock": _LOCK})
            yield db
            db.execute("COMMIT", {})

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        try:
            with self._room:
                connection = self._living()
                try:
                    yield connection
                finally:
                    self._give_back(connection)
        except self._error as error:
            raise _fault(error, urlsplit(self._address).hostname or "") from error

    def _living(self) -> Any:
        import psycopg2

        while True:
            try:
                since, connection = self._free.pop()
            except IndexError:  # Not asked before: another thread may take the last one in between.
                break
            if time.monotonic() - since < _TRIED_S or self._answers(connection):
                return connection
        connection = psycopg2.connect(self._address, connect_timeout=_CONNECT_S, application_name="taxomind")
        connection.autocommit = True  # What is a change says so itself.
        return connection

    def _give_back(self, connection: Any) -> None:
        from psycopg2.extensions import TRANSACTION_STATUS_IDLE

        if connection.get_transaction_status() == TRANSACTION_STATUS_IDLE:
            self._free.append((time.monotonic(), connection))
        else:
            connection.close()  # A change that did not end is taken back with it.

    def _answers(self, connection: Any) -> bool:
        try:
            _Named(connection).execute("SELECT 1", {})
        except self._error:
            connection.close()
            return False
        return True


class _Named:
    """Statements with `:name` for a driver that calls it `%(name)s`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, query: str, values: Mapping[str, Any], /) -> Rows:
        """As `Statements.execute`."""
        from psycopg2.extras import RealDictCursor

        cursor: Rows = self._connection.cursor(cursor_factory=RealDictCursor)
        cursor.execute(_PARAMETER.sub(r"%(\1)s", query), dict(values))  # type: ignore[attr-defined]
        return cursor


def _fault(error: Exception, place: str) -> Fault:
    return Fault("storage_failed", f"The jobs cannot be read or written: {' '.join(str(error).split())}.", value=place)
