"""Answers on disk, so that no question is paid twice: one SQLite file.

Each answer is written when it arrives, so a run that was killed goes on where it ended. SQLite in WAL mode is safe for several
processes. The file holds no question, only its SHA-256.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from taxomind_resources.faults import Fault

_BUSY_S: Final = 30.0
_LOOKUP_KEYS: Final = 500
_TABLE: Final = """CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, purpose TEXT NOT NULL, model TEXT NOT NULL, answer TEXT NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, answered_at REAL NOT NULL) WITHOUT ROWID"""


class AnswerCache:
    """Answers by key. Thread-safe. The file is made when absent.

    A cache that cannot be used is a fault, not a warning: without it the same questions would be paid again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def lookup(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """The answers that are known.

        Raises:
            Fault: `storage_failed`.
        """
        found: dict[bytes, str] = {}
        with self._opened() as connection:
            for start in range(0, len(keys), _LOOKUP_KEYS):
                some = keys[start : start + _LOOKUP_KEYS]
                marks = ",".join("?" * len(some))
                found.update(connection.execute(f"SELECT key, answer FROM answers WHERE key IN ({marks})", some))  # noqa: S608
        return found

    def store(self, key: bytes, answer: str, *, purpose: str, model: str, tokens: tuple[int, int]) -> None:
        """Keep an answer and what it cost; a known one is replaced.

        Raises:
            Fault: `storage_failed`.
        """
        row = (key, purpose, model, answer, *tokens, time.time())
        with self._opened() as connection:
            connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def check(self) -> None:
        """Find out before anything is paid whether answers can be kept.

        Raises:
            Fault: `storage_failed`.
        """
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connected()
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                next_step = "Free the disk or the file; a damaged file can be removed, its questions are then asked again."
                raise Fault(
                    "storage_failed",
                    f"Answers of the language model cannot be kept: {error}.",
                    value=str(self._file),
                    next_step=next_step,
                ) from error

    def _connected(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
