"""Vectors on disk, so that no text is embedded twice: one SQLite file per encoder class.

SQLite in WAL mode is safe for several processes and for a kill at any moment. The cache is an aid: when its file is corrupt
it is set aside and begun anew, and when the disk refuses, embedding goes on without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

KEY_BYTES: Final = 16
_LOOKUP_KEYS: Final = 1000
_BUSY_S: Final = 30.0
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
#: Share of the oldest vectors that goes when the file is over its limit.
_EVICTED: Final = 0.1
_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


def vector_keys(texts: Sequence[str], prompt: str) -> list[bytes]:
    """Keys of prepared texts: the first 16 bytes of SHA-256 over prompt and text."""
    start = hashlib.sha256(prompt.encode() + b"\0")
    keys = []
    for text in texts:
        digest = start.copy()
        digest.update(text.encode())
        keys.append(digest.digest()[:KEY_BYTES])
    return keys


class VectorCache:
    """float16 vectors by key. Thread-safe; never raises for a fault of the disk.

    Args:
        file: the SQLite file, made when absent.
        dimensions: length of each vector.
        max_bytes: above this size the oldest vectors are dropped.
    """

    def __init__(self, file: Path, dimensions: int, max_bytes: int) -> None:
        self._file = file
        self._dimensions = dimensions
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._refused = False

    def lookup(self, keys: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """Positions in `keys` that are known, int64 (found,), and their vectors, float16 (found, d)."""
        found = self._guarded(lambda connection: self._read(connection, keys))
        return found or (np.empty(0, np.int64), np.empty((0, self._dimensions), np.float16))

    def store(self, keys: Sequence[bytes], vectors: NDArray[np.float16]) -> None:
        """Add vectors (n, d) in one transaction; known keys keep theirs."""
        self._guarded(lambda connection: self._write(connection, keys, vectors))

    def count(self) -> int:
        """Vectors in the cache."""
        return self._guarded(lambda connection: int(connection.execute("SELECT count(*) FROM vectors").fetchone()[0])) or 0

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        with self._lock:
            self._disconnect()

    def _read(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        position = {key: number for number, key in enumerate(keys)}
        known = list(position)
        width = 2 * self._dimensions
        positions: list[int] = []
        blobs: list[bytes] = []
        for start in range(0, len(known), _LOOKUP_KEYS):
            some = known[start : start + _LOOKUP_KEYS]
            marks = ",".join("?" * len(some))
            for key, blob in connection.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", some):  # noqa: S608
                if len(blob) == width:
                    positions.append(position[key])
                    blobs.append(blob)
        vectors = np.frombuffer(b"".join(blobs), np.float16).reshape(-1, self._dimensions)
        return np.array(positions, dtype=np.int64), vectors

    def _write(self, connection: sqlite3.Connection, keys: Sequence[bytes], vectors: NDArray[np.float16]) -> None:
        width = 2 * self._dimensions
        flat = memoryview(vectors.astype(np.float16, copy=False).tobytes())
        rows = ((key, flat[at : at + width]) for key, at in zip(keys, range(0, len(keys) * width, width), strict=True))
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR IGNORE INTO vectors (key, vector) VALUES (?, ?)", rows)
            self._evict(connection)

    def _evict(self, connection: sqlite3.Connection) -> None:
        page, pages, free = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
        )
        if page * (pages - free) > self._max_bytes:
            oldest, newest = connection.execute("SELECT min(rowid), max(rowid) FROM vectors").fetchone()
            connection.execute("DELETE FROM vectors WHERE rowid <= ?", (oldest + int(_EVICTED * (newest - oldest)),))

    def _guarded(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """Run `work` with the open file; set a corrupt file aside and try once more; None when the disk refuses."""
        with self._lock:
            if self._refused:
                return None
            for attempt in (1, 2):
                try:
                    return work(self._connected())
                except (sqlite3.Error, OSError) as error:
                    corrupt = (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _CORRUPT
                    if not corrupt or attempt == 2:
                        self._give_up(error)
                        return None
                    self._set_aside(error)
        return None

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection = connection
            connection.execute("PRAGMA page_size = 8192")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        return self._connection

    def _give_up(self, error: Exception) -> None:
        """A full disk or a read-only folder stays so: say it once, go on without the cache. A locked file may be free later."""
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) != sqlite3.SQLITE_BUSY:
            self._refused = True
            self._disconnect()
        _LOG.warning("The vector cache %s cannot be used (%s); texts are embedded without it.", self._file, error)

    def _set_aside(self, error: Exception) -> None:
        _LOG.warning("The vector cache %s is corrupt (%s); it is set aside and begun anew.", self._file, error)
        self._disconnect()
        mark = f".corrupt-{time.time_ns()}"
        for suffix in ("-wal", "-shm", ""):
            part = self._file.with_name(self._file.name + suffix)
            with contextlib.suppress(FileNotFoundError):  # another process was first
                part.rename(part.with_name(part.name + mark))

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
