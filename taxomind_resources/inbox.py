"""The inbox: input files per taxonomy, as people and programs put them there.

    <data>/inbox/<key>/taxonomy.csv | .json | .ttl | .rdf | .xml
    <data>/inbox/<key>/texts/*  corrections/*  labelled/*        (.csv, .tsv, .jsonl or .parquet)
    <data>/inbox/<key>/revisions/0001.json ...                   how editions follow one another (see taxonomy/revision.py)
    <data>/inbox/<key>/observations/*.jsonl                      labels that people and programs would give (see growth)
    <data>/inbox/<key>/decisions/*.jsonl                         what a person decided about candidates for growth
    <data>/inbox/<key>/requests/*.jsonl                          texts that the service was asked about; removed with the job
    <data>/inbox/<key>/earlier/*                                 taxonomy files that `put` replaced

Only complete files count: those that nobody has touched for some seconds. Inputs are never changed; the state of a folder is a
digest over names, sizes and times, so that asking what is new opens no file.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from taxomind_resources.faults import Fault
from taxomind_resources.files import (
    content_digest,
    flush,
    folder_name,
    is_temporary,
    locked,
    remove_at_once,
    storage_faults,
    sweep_temporary,
    temporary_path,
    write_atomically,
)
from taxomind_resources.inbox_names import (
    EARLIER,
    SUFFIXES,
    checked_name,
    is_subfolder,
    key_of_entry,
    name_reason,
    no_key_reason,
    suffixes_of,
)

__all__ = ["SUFFIXES", "Ignored", "Inbox", "InboxFile"]

#: What the names of copies in `earlier` begin with: content that was replaced, and content that is being put back.
_REPLACED: Final = "taxonomy-"
_RETURNING: Final = "returning-"


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A complete input file. `size` in bytes; `modified_ns`: nanoseconds since 1970."""

    path: Path
    name: str
    size: int
    modified_ns: int
    kind: str

    def content_id(self) -> str:
        """16 hex digits of the content (reads the file).

        Raises:
            Fault: `unreadable_file`.
        """
        return content_digest(self.path)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something in the inbox that is not read, and why."""

    path: Path
    reason: str


class Inbox:
    """The inputs below one data root.

    Args:
        data: data root; `<data>/inbox` is made when first written to.
        settle_s: seconds that a file must have rested to count as complete. What `put` adds counts at once.
    """

    def __init__(self, data: Path, settle_s: float) -> None:
        self.root = data / "inbox"
        self.settle_s = settle_s

    def keys(self) -> list[str]:
        """Keys of the folders that hold at least one complete input, sorted."""
        found = {key for entry in _scan(self.root) if (key := key_of_entry(entry)) and self._holds_input(entry.path)}
        return sorted(found)

    def problems(self) -> list[Ignored]:
        """What lies in the inbox itself and is no folder of a taxonomy."""
        entries = (entry for entry in _scan(self.root) if not entry.name.startswith(".") and key_of_entry(entry) is None)
        return [Ignored(Path(entry.path), no_key_reason(entry)) for entry in sorted(entries, key=lambda e: e.name)]

    def taxonomy_file(self, key: str) -> InboxFile | None:
        """The taxonomy file of a key; None when there is none.

        Raises:
            Fault: `invalid_key`; `invalid_input` when there are several, since nobody can tell which one is meant.
        """
        found = self.files(key, "taxonomy")
        if len(found) > 1:
            # A `put` that was killed may leave the file it replaced beside the new one: that one has its copy in `earlier`.
            found = [file for file in found if not self._earlier(file).exists()] or found
        if len(found) > 1:
            next_step = f"Keep one of them in {found[0].path.parent}."
            names = [file.path.name for file in found]
            raise Fault(
                "invalid_input",
                f"The taxonomy {key!r} has {len(found)} files.",
                value=names,
                allowed="one",
                next_step=next_step,
            )
        return found[0] if found else None

    def earlier_taxonomy(self, key: str, content_id: str) -> Path | None:
        """A taxonomy file that `put` replaced, by its content; None when it is not there.

        Raises:
            Fault: `invalid_key`.
        """
        folders = (folder / EARLIER for folder in self._folders(key))
        found = (Path(entry.path) for folder in folders for entry in _scan(folder))
        names = {f"{_REPLACED}{content_id}", f"{_RETURNING}{content_id}"}
        return next((path for path in found if path.stem in names), None)

    def files(self, key: str, kind: str) -> list[InboxFile]:
        """The complete files of one kind, sorted by name.

        Raises:
            Fault: `invalid_key` or `invalid_input` (kind).
        """
        found = [_file(entry, status, kind) for entry, status, reason in self._entries(key, kind) if not reason]
        return sorted(found, key=lambda file: (file.name, file.path))

    def ignored(self, key: str, kind: str) -> list[Ignored]:
        """What lies where files of one kind belong and is not read, or not yet.

        Raises:
            Fault: `invalid_key` or `invalid_input` (kind).
        """
        found = [Ignored(Path(entry.path), reason) for entry, _, reason in self._entries(key, kind) if reason]
        return sorted(found, key=lambda ignored: ignored.path)

    def digest(self, key: str, kind: str) -> str:
        """16 hex digits over names, sizes and times of the complete files; '' when there are none. Opens nothing.

        Raises:
            Fault: `invalid_key` or `invalid_input` (kind).
        """
        lines = [f"{e.name}\0{s.st_size}\0{s.st_mtime_ns}\n" for e, s, reason in self._entries(key, kind) if not reason]
        text = "".join(sorted(lines)).encode("utf-8", "surrogateescape")
        return hashlib.sha256(text).hexdigest()[:16] if lines else ""

    def put(self, key: str, kind: str, source: Path | bytes, name: str | None = None) -> InboxFile:
        """Add an input; it is there as a whole, or not at all.

        Content that is there already, under whatever name, is not added again. A name that is taken by other content gets
        the content's digest appended. A taxonomy file replaces the former one, which moves to `earlier`.

        Args:
            key: taxonomy key.
            kind: a key of `SUFFIXES`.
            source: a file to copy, or the content.
            name: file name (default: the source's own); of a taxonomy only the suffix counts.

        Raises:
            Fault: `invalid_key`, `invalid_input` (kind or name), `unsupported_format` (suffix), `unreadable_file` (source),
                `storage_failed`.
        """
        wanted = checked_name(kind, name or (source.name if isinstance(source, Path) else ""))
        folder = self._home(key) if kind == "taxonomy" else self._home(key) / kind
        with self._copied(folder, source) as temporary, locked(self.root / ".lock"):
            add = self._replace_taxonomy if kind == "taxonomy" else self._add
            path = add(key, kind, temporary, folder / wanted)
            status = path.stat()
        return InboxFile(path, path.name, status.st_size, status.st_mtime_ns, kind)

    def remove(self, key: str) -> bool:
        """Remove all inputs of a taxonomy; returns whether there were any.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        sweep_temporary(self.root)
        removed = [remove_at_once(folder, self.root) for folder in self._folders(key)]
        return any(removed)

    def _entries(self, key: str, kind: str) -> Iterator[tuple[os.DirEntry[str], os.stat_result, str]]:
        """Entries where files of `kind` belong, each with its status and why it is not read ('' = it is complete)."""
        suffixes = suffixes_of(kind)
        now = time.time()
        for folder in self._folders(key):
            for entry in _scan(folder if kind == "taxonomy" else folder / kind):
                if is_temporary(entry.name) or (kind == "taxonomy" and is_subfolder(entry)):
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=entry.is_file())
                    yield entry, status, name_reason(entry, kind, suffixes) or self._time_reason(status, now)

    def _time_reason(self, status: os.stat_result, now: float) -> str:
        # A time in the future (another machine's clock) says nothing; then the file system's own record of changes counts.
        touched = status.st_mtime if status.st_mtime <= now else min(status.st_ctime, now)
        return "" if now - touched >= self.settle_s else f"was written less than {self.settle_s:g} s ago"

    def _holds_input(self, folder: str) -> bool:
        now = time.time()
        for kind, suffixes in SUFFIXES.items():
            for entry in _scan(folder if kind == "taxonomy" else os.path.join(folder, kind)):
                with suppress(FileNotFoundError):
                    if not (name_reason(entry, kind, suffixes) or self._time_reason(entry.stat(), now)):
                        return True
        return False

    def _folders(self, key: str) -> list[Path]:
        """Folders that may hold a key's inputs: the encoded name and, where people may write it so, the plain key."""
        names = [folder_name(key)]
        if key not in names and unquote(key) == key and not key.startswith("."):
            names.append(key)
        return [self.root / name for name in names]

    def _home(self, key: str) -> Path:
        folders = self._folders(key)
        return next((folder for folder in folders if folder.is_dir()), folders[0])

    @contextmanager
    def _copied(self, folder: Path, source: Path | bytes) -> Iterator[Path]:
        """A temporary copy of `source` in `folder`, on the disk, with a time that counts as rested."""
        if isinstance(source, Path):
            _check_readable(source)
        with storage_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
            sweep_temporary(folder)
            temporary = temporary_path(folder)
            try:
                if isinstance(source, bytes):
                    temporary.write_bytes(source)
                else:
                    shutil.copyfile(source, temporary)
                rested = time.time_ns() - int(self.settle_s * 1e9)
                os.utime(temporary, ns=(rested, rested))
                flush(temporary)
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)

    def _add(self, key: str, kind: str, temporary: Path, target: Path) -> Path:
        digest = content_digest(temporary)
        size = temporary.stat().st_size
        for file in self.files(key, kind):
            if file.size == size and file.content_id() == digest:
                return file.path
        stem = target.with_name(f"{target.stem}-{digest}{target.suffix}")
        numbered = (stem.with_name(f"{stem.stem}-{number}{stem.suffix}") for number in itertools.count(2))
        free = next(path for path in itertools.chain([target, stem], numbered) if not path.exists())
        os.rename(temporary, free)
        flush(free.parent)
        return free

    def _replace_taxonomy(self, key: str, kind: str, temporary: Path, target: Path) -> Path:
        sweep_temporary(target.parent / EARLIER)
        present = self._all_taxonomy_files(key)
        digest = content_digest(temporary)
        kept = next((file.path for file in present if file.content_id() == digest), None)
        replaced = [file for file in present if file.path != kept]
        for file in replaced:
            write_atomically(self._earlier(file), partial(_copy, file.path))
        # Order matters for a kill in between: the new content must not look like a replaced one (see `taxonomy_file`), and a
        # former one that returns may have no other copy than the one in `earlier`.
        earlier = target.parent / EARLIER
        for copy in _scan(earlier):
            stem, suffix = Path(copy.name).stem, Path(copy.name).suffix
            if stem == f"{_REPLACED}{digest}":
                os.rename(copy.path, earlier / f"{_RETURNING}{digest}{suffix}")
            elif stem.startswith(_RETURNING) and stem != f"{_RETURNING}{digest}":  # Its return was killed; another one came.
                os.replace(copy.path, earlier / f"{_REPLACED}{stem.removeprefix(_RETURNING)}{suffix}")
        if kept is None:
            os.replace(temporary, target)
        for file in replaced:
            if file.path != target or kept:
                file.path.unlink(missing_ok=True)
        flush(target.parent)
        for copy in _scan(earlier):
            if Path(copy.name).stem == f"{_RETURNING}{digest}":
                os.unlink(copy.path)
        return kept or target

    def _all_taxonomy_files(self, key: str) -> list[InboxFile]:
        """The taxonomy files of a key, also those that have not rested; one that somebody is writing must not be replaced."""
        complete = self.files(key, "taxonomy")
        for file in Inbox(self.root.parent, 0.0).files(key, "taxonomy"):
            if file not in complete:
                next_step = f"Try again in {self.settle_s:g} seconds."
                raise Fault("invalid_input", "The taxonomy file is being written.", value=str(file.path), next_step=next_step)
        return complete

    def _earlier(self, file: InboxFile) -> Path:
        return file.path.parent / EARLIER / f"{_REPLACED}{file.content_id()}{file.path.suffix.lower()}"


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _check_readable(source: Path) -> None:
    # The kind comes first: to open a pipe would wait for its writer.
    if not source.is_file():
        raise Fault("unreadable_file", "There is no such file.", value=str(source))
    try:
        source.open("rb").close()
    except OSError as error:
        raise Fault("unreadable_file", f"{error.strerror or error}.", value=str(source)) from error


def _scan(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _file(entry: os.DirEntry[str], status: os.stat_result, kind: str) -> InboxFile:
    return InboxFile(Path(entry.path), entry.name, status.st_size, status.st_mtime_ns, kind)
