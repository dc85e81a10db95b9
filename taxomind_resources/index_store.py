"""Immutable versions of node indexes, as plain files behind one pointer.

    <data>/indexes/<key>/<version>/...      a version: whole or absent, never changed
    <data>/indexes/<key>/current            the version in use, switched by one rename

A classifier starts from these files alone: arrays that load in milliseconds, no vector store to import.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from taxomind_resources.faults import Fault
from taxomind_resources.files import (
    flush,
    flush_tree,
    folder_name,
    locked,
    remove_at_once,
    remove_tree,
    replace_bytes,
    storage_faults,
    sweep_temporary,
    temporary_path,
)

#: What is in the folder of a version. Indexes of another format are built again (`taxomind_assets.pending`).
INDEX_FORMAT: Final = 3
_POINTER: Final = "current"
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")


class IndexStore:
    """The node indexes below one data root.

    Args:
        data: data root; `<data>/indexes` is made when first written to.
    """

    def __init__(self, data: Path) -> None:
        self.root = data / "indexes"

    def publish(self, key: str, version: str, write: Callable[[Path], None]) -> Path:
        """Make `version` the current one; returns its folder.

        Args:
            key: taxonomy key.
            version: name that stands for the content; a version that exists is taken as it is and `write` is not called.
            write: fills an empty folder with the files of the version. What it raises is passed on; nothing is published.

        Raises:
            Fault: `invalid_key`, `invalid_input` (version) or `storage_failed`.
        """
        target = self._folder(key, version)
        if target.is_dir():
            with self._locked():
                # Looked at again inside the lock: a prune may have removed it.
                if target.is_dir():
                    return self._point(target)
        with storage_faults(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            sweep_temporary(target.parent)
            temporary = temporary_path(target.parent)
            temporary.mkdir()
            try:
                write(temporary)
                flush_tree(temporary)
                with self._locked():
                    if not target.is_dir():
                        os.rename(temporary, target)
                        flush(target.parent)
                    return self._point(target)
            finally:
                remove_tree(temporary)

    def current(self, key: str) -> str | None:
        """The version in use; None when the taxonomy has no index.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        former = None
        # A version may be pruned between reading the pointer and looking for its folder; the pointer has moved on then.
        while (version := self._pointed(key)) != former:
            if version is None or self._folder(key, version).is_dir():
                return version
            former = version
        return None

    def folder(self, key: str, version: str | None = None) -> Path:
        """Folder of a version (default: the current one).

        Raises:
            Fault: `index_missing`, `invalid_key` or `invalid_input` (version).
        """
        wanted = self.current(key) if version is None else version
        if wanted is None:
            raise Fault("index_missing", f"The taxonomy {key!r} has no node index.", value=key)
        folder = self._folder(key, wanted)
        if not folder.is_dir():
            allowed = ", ".join(self.versions(key)) or "none is stored"
            raise Fault("index_missing", f"The taxonomy {key!r} has no such index version.", value=wanted, allowed=allowed)
        return folder

    def versions(self, key: str) -> list[str]:
        """The stored versions, the one published last first.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        folder = self._key_folder(key)
        with storage_faults(folder):
            try:
                entries = [entry for entry in os.scandir(folder) if _VERSION.fullmatch(entry.name) and entry.is_dir()]
            except (FileNotFoundError, NotADirectoryError):
                return []
            return [entry.name for entry in sorted(entries, key=lambda e: (-e.stat().st_mtime_ns, e.name))]

    def restore(self, key: str, version: str) -> Path:
        """Make a stored version the current one again; returns its folder.

        Raises:
            Fault: `index_missing`, `invalid_key`, `invalid_input` (version) or `storage_failed`.
        """
        with self._locked():
            return self._point(self.folder(key, version))

    def prune(self, key: str, keep: int, *, pinned: Collection[str] = ()) -> list[str]:
        """Remove old versions; returns which.

        Args:
            key: taxonomy key.
            keep: how many of the versions published last stay (at least 1). The current one always stays.
            pinned: versions that stay whatever their age.

        Raises:
            Fault: `invalid_key`, `invalid_input` (keep) or `storage_failed`.
        """
        if keep < 1:
            raise Fault("invalid_input", "At least one version must stay.", value=keep, allowed="1 or more")
        folder = self._key_folder(key)
        sweep_temporary(folder)
        with self._locked():
            stay = {self.current(key), *pinned}
            old = [version for version in self.versions(key)[keep:] if version not in stay]
            return [version for version in old if remove_at_once(folder / version, folder)]

    def remove(self, key: str) -> bool:
        """Remove all versions of a taxonomy; returns whether there were any.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        folder = self._key_folder(key)
        with self._locked():
            sweep_temporary(self.root)
            return remove_at_once(folder, self.root)

    def _pointed(self, key: str) -> str | None:
        pointer = self._key_folder(key) / _POINTER
        try:
            version = pointer.read_text(encoding="utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise Fault("storage_failed", f"The pointer cannot be read: {error}.", value=str(pointer)) from error
        return version if version != _POINTER and _VERSION.fullmatch(version) else None

    def _point(self, target: Path) -> Path:
        with storage_faults(target):
            os.utime(target)  # `versions` orders by publication, and a version that is used again is published again.
        replace_bytes(target.parent / _POINTER, target.name.encode())
        return target

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.root / ".lock")

    def _key_folder(self, key: str) -> Path:
        return self.root / folder_name(key)

    def _folder(self, key: str, version: str) -> Path:
        if version == _POINTER or not _VERSION.fullmatch(version):
            allowed = "1 to 100 of the characters 0-9 A-Z a-z . _ -, beginning with a letter or digit, not 'current'"
            raise Fault("invalid_input", "An index version names a folder.", value=version, allowed=allowed)
        return self._key_folder(key) / version
