"""Files that are whole or absent: written under a temporary name, flushed to the disk, then renamed.

A process may be killed at any moment. What it leaves behind is a temporary file whose name says who wrote it
(`.taxomind-<host>-<pid>-<random>.tmp`), so that `sweep_temporary` can tell a dead writer from a living one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

from taxomind_resources.faults import Fault
from taxomind_resources.keys import key_folder

#: File systems allow 255 bytes in one name; the rest is left for prefixes and suffixes around an encoded key.
MAX_NAME_BYTES: Final = 200
#: A temporary file of another host, or of a process id in use again, counts as forgotten after this many seconds.
FORGOTTEN_S: Final = 24 * 3600.0
LOCK_TIMEOUT_S: Final = 120.0
_PREFIX: Final = ".taxomind-"
_SUFFIX: Final = ".tmp"
# The last part is what a library puts beside the file it writes (DuckDB: `.wal`).
_TEMPORARY: Final = re.compile(r"\.taxomind-([0-9a-f]{8})-(\d+)-[0-9a-f]{12}\.tmp(\.\w+)?")
_BLOCK: Final = 1 << 20


def write_atomically(path: Path, writer: Callable[[Path], None]) -> Path:
    """Let `writer` make a file under a temporary name beside `path`, then publish it as `path`.

    At every moment `path` holds the former content or the new one. What `writer` raises is passed on, and nothing is published.

    Raises:
        Fault: `storage_failed` when the operating system refuses (an `OSError`, from `writer` as well).
    """
    with publishing(path) as temporary:
        writer(temporary)
    return path


@contextlib.contextmanager
def publishing(path: Path) -> Iterator[Path]:
    """As `write_atomically`, for a block: yields the temporary path, publishes it when the block ends without an error.

    Raises:
        Fault: `storage_failed`.
    """
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(path.parent)
        try:
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
            flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def replace_bytes(path: Path, content: bytes) -> Path:
    """Replace the content of `path` at once.

    Raises:
        Fault: `storage_failed`.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    return write_atomically(path, write)


@contextlib.contextmanager
def storage_faults(path: Path | str) -> Iterator[None]:
    """Turn errors of the operating system into `storage_failed` faults that name `path`."""
    try:
        yield
    except OSError as error:
        raise Fault("storage_failed", f"{error.strerror or error}.", value=str(error.filename or path)) from error


def flush(path: Path) -> None:
    """Make a file, or the entries of a folder, survive a power cut (`fsync`)."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders; its renames are journalled.
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """`flush` every file below `folder`, every folder, and `folder` itself."""
    for path in [*folder.rglob("*"), folder]:
        flush(path)


def temporary_path(folder: Path) -> Path:
    """A new name inside `folder` that readers ignore and `sweep_temporary` knows. Nothing is created."""
    return folder / f"{_PREFIX}{_host()}-{os.getpid()}-{secrets.token_hex(6)}{_SUFFIX}"


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is unfinished work of `temporary_path`."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep_temporary(folder: Path) -> int:
    """Remove what dead processes left unfinished in `folder` (files and folders, not below); returns how many.

    What a living process of this host is writing stays; so does what another host wrote within the last 24 hours.
    """
    removed = 0
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.startswith(_PREFIX)]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    for entry in entries:
        found = _TEMPORARY.fullmatch(entry.name)
        if found and _is_forgotten(entry, found[1], int(found[2])):
            remove_tree(Path(entry.path))
            removed += 1
    return removed


def remove_tree(path: Path) -> None:
    """Remove a file or a folder with all below it; nothing happens when it is gone already.

    Raises:
        Fault: `storage_failed`.
    """
    with storage_faults(path):
        if path.is_dir() and not path.is_symlink():
            # Two processes may remove the same folder; each may find that the other was faster.
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_at_once(folder: Path, aside: Path) -> bool:
    """Remove a folder in one step for every reader: it is renamed into `aside` first; returns whether it existed.

    Args:
        folder: what to remove.
        aside: a folder on the same file system; a kill in between leaves a temporary folder there.

    Raises:
        Fault: `storage_failed`.
    """
    with storage_faults(folder):
        hidden = temporary_path(aside)
        try:
            os.rename(folder, hidden)
        except (FileNotFoundError, NotADirectoryError):
            return False
    remove_tree(hidden)
    return True


def folder_name(key: str) -> str:
    """`key_folder`, also checked for the length that file systems allow.

    Raises:
        Fault: `invalid_key`.
    """
    name = key_folder(key)
    if len(name) > MAX_NAME_BYTES:
        allowed = f"a key that takes at most {MAX_NAME_BYTES} bytes as a percent-encoded folder name (this one: {len(name)})"
        raise Fault("invalid_key", "The taxonomy key is too long for a folder name.", value=key, allowed=allowed)
    return name


def content_digest(path: Path) -> str:
    """First 16 hex digits of the SHA-256 of a file's content, read in blocks.

    Raises:
        Fault: `unreadable_file`.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise Fault("unreadable_file", f"{error.strerror or error}.", value=str(path)) from error
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` against all other threads and processes; the system frees it when its holder dies.

    Raises:
        Fault: `storage_failed` when it is not free within 120 seconds.
    """
    from filelock import FileLock, Timeout

    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=LOCK_TIMEOUT_S)
    try:
        lock.acquire()
    except Timeout as error:
        next_step = "See which process holds the file; ending that process frees it."
        raise Fault("storage_failed", "Another process holds the lock.", value=str(path), next_step=next_step) from error
    except OSError as error:
        raise Fault("storage_failed", f"{error.strerror or error}.", value=str(path)) from error
    try:
        yield
    finally:
        lock.release()


def _is_forgotten(entry: os.DirEntry[str], host: str, pid: int) -> bool:
    if host == _host() and not _is_alive(pid):
        return True
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > FORGOTTEN_S
    except FileNotFoundError:
        return False


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # Signal 0 would end the process on Windows; there the age alone decides.
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@cache
def _host() -> str:
    """8 hex digits of the host's name: process ids mean something on their own host only (containers have their own)."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
