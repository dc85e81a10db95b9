"""Immutable versions of trained models, as plain files, numbered from 1.

    <data>/trained_models/<key>/v<N>/...            a version: whole or absent, its files never change
    <data>/trained_models/<key>/v<N>/<part>/...     what is made of it later (an export): added as a whole, by one rename
    <data>/trained_models/<key>/runs/v<N>/          the number N is taken: made by one `mkdir`, so no two trainings share it
    <data>/trained_models/<key>/promoted.json       the version in use and those before it, switched by one rename
    <data>/trained_models/<key>/study/              trials of parameters
    <data>/trained_models/<key>/checkpoints/<id>/   how far a training is; the next one of the same inputs goes on there

A version is `training` while its process lives, `ready` when its folder is there, `failed` otherwise: a process that was killed
leaves a number without a folder, which is `failed` by itself.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from taxomind_resources.faults import Fault
from taxomind_resources.files import (
    content_digest,
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

State = Literal["training", "ready", "failed"]
MANIFEST: Final = "manifest.json"
_RUNS: Final = "runs"
_RECORD: Final = "record.json"
_POINTER: Final = "promoted.json"
_CHECKPOINTS: Final = "checkpoints"
_STUDY: Final = "study"
_VERSION: Final = re.compile(r"v([1-9][0-9]{0,8})")
_PART: Final = re.compile(r"[a-z][a-z0-9_-]{0,50}")
#: Versions that the pointer remembers to go back to.
_REMEMBERED: Final = 50


@dataclass(frozen=True)
class Run:
    """A number that is taken, and the folder where its version is being made.

    Attributes:
        key: taxonomy key.
        number: the version.
        folder: what will become the version; readers do not see it.
        started: when, UTC.
    """

    key: str
    number: int
    folder: Path
    started: datetime


@dataclass(frozen=True)
class VersionState:
    """One number of a taxonomy.

    Attributes:
        number: the version.
        state: training, ready or failed.
        promoted: it is the one in use.
        record: what was noted when it began and ended (`started`, `finished`, `what`, `reason`).
    """

    number: int
    state: State
    promoted: bool
    record: dict[str, Any]


class ModelStore:
    """The models below one data root.

    Args:
        data: data root; `<data>/trained_models` is made when first written to.
    """

    def __init__(self, data: Path) -> None:
        self.root = data / "trained_models"

    @contextmanager
    def training(self, key: str, what: str = "") -> Iterator[Run]:
        """Take the next number and fill its folder; the version is there when the block ends without an error.

        Args:
            key: taxonomy key.
            what: what is trained, for people.

        Raises:
            Fault: `invalid_key` or `storage_failed`; what the block raises is passed on, and the number has failed.
        """
        run = self._take(key, what)
        try:
            yield run
            self._publish(run)
        except BaseException as error:
            self._note(run, "failed", reason=str(error).splitlines()[0] if str(error) else type(error).__name__)
            raise
        finally:
            remove_tree(run.folder)

    def _take(self, key: str, what: str) -> Run:
        home = self._home(key)
        with storage_faults(home):
            (home / _RUNS).mkdir(parents=True, exist_ok=True)
            sweep_temporary(home)
            number = max([0, *self._numbers(home), *self._numbers(home / _RUNS)]) + 1
            while True:
                try:
                    (home / _RUNS / f"v{number}").mkdir()
                    break
                except FileExistsError:
                    number += 1
            run = Run(key, number, temporary_path(home), datetime.now(UTC))
            run.folder.mkdir()
        self._note(run, "training", what=what)
        return run

    def _publish(self, run: Run) -> None:
        target = self._home(run.key) / f"v{run.number}"
        with storage_faults(target):
            flush_tree(run.folder)
            os.rename(run.folder, target)
            flush(target.parent)
        self._note(run, "ready")

    def _note(self, run: Run, state: State, **facts: Any) -> None:
        path = self._record(run.key, run.number)
        known = _read_json(path) or {}
        known |= {"state": state, "started": run.started.isoformat(), "folder": run.folder.name, **facts}
        if state != "training":
            known["finished"] = datetime.now(UTC).isoformat()
        replace_bytes(path, json.dumps(known, ensure_ascii=False, sort_keys=True).encode())

    def versions(self, key: str) -> list[VersionState]:
        """All numbers that were taken, the latest first.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        home = self._home(key)
        sweep_temporary(home)
        promoted = self.promoted(key)
        numbers = sorted({*self._numbers(home), *self._numbers(home / _RUNS)}, reverse=True)
        return [self._state(key, number, promoted) for number in numbers]

    def _state(self, key: str, number: int, promoted: int | None) -> VersionState:
        record = _read_json(self._record(key, number)) or {}
        home = self._home(key)
        state: State = "failed"
        if (home / f"v{number}").is_dir():
            state = "ready"
        elif record.get("state") == "training" and (home / str(record.get("folder"))).is_dir():
            state = "training"
        elif record.get("state") != "failed":
            record["reason"] = "its process ended before it was done"
        return VersionState(number, state, number == promoted, record)

    def ready(self, key: str) -> list[int]:
        """Versions that can be used, the latest first.

        Raises:
            Fault: `invalid_key`.
        """
        return sorted(self._numbers(self._home(key)), reverse=True)

    def folder(self, key: str, number: int | None = None) -> Path:
        """Folder of a version; default: the promoted one, else the latest.

        Raises:
            Fault: `no_model` or `invalid_key`.
        """
        known = self.ready(key)
        wanted = number if number is not None else self.promoted(key) or (known[0] if known else None)
        if wanted is None or wanted not in known:
            what = f"The taxonomy {key!r} has no model{'' if wanted is None else f' version {wanted}'}."
            allowed = ", ".join(map(str, known)) or "none is ready"
            next_step = None if known else f"taxomind models train --taxonomy {key}"
            raise Fault("no_model", what, value=wanted, allowed=allowed, next_step=next_step)
        return self._home(key) / f"v{wanted}"

    def manifest(self, key: str, number: int | None = None) -> dict[str, Any]:
        """What a version says of itself (`manifest.json`).

        Raises:
            Fault: as `folder`; `model_damaged`.
        """
        path = self.folder(key, number) / MANIFEST
        found = _read_json(path)
        if not isinstance(found, dict):
            raise Fault("model_damaged", "The manifest of the model cannot be read.", value=str(path))
        return found

    def verified(self, key: str, number: int | None = None) -> Path:
        """As `folder`; every file that the manifest names is there and unchanged.

        Raises:
            Fault: as `manifest`.
        """
        folder = self.folder(key, number)
        for name, digest in self.manifest(key, number).get("files", {}).items():
            path = folder / name
            if not path.is_file() or content_digest(path) != digest:
                what = f"A file of the model has changed since it was made, or is missing: {name}."
                raise Fault("model_damaged", what, value=str(path))
        return folder

    def add_part(self, key: str, number: int, name: str, write: Callable[[Path], None]) -> Path:
        """Add a folder to a version, as a whole; one that is there is replaced. `write` fills an empty folder.

        Raises:
            Fault: `no_model`, `invalid_input` (name) or `storage_failed`; what `write` raises is passed on.
        """
        if not _PART.fullmatch(name):
            raise Fault("invalid_input", "A part of a version names a folder.", value=name, allowed="a-z 0-9 _ -")
        version = self.folder(key, number)
        temporary = temporary_path(version.parent)
        with storage_faults(version):
            temporary.mkdir()
            try:
                write(temporary)
                flush_tree(temporary)
                with self._locked():
                    remove_at_once(version / name, version.parent)
                    os.rename(temporary, version / name)
                    flush(version)
            finally:
                remove_tree(temporary)
        return version / name

    def promoted(self, key: str) -> int | None:
        """The version in use; None when there is none.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        for number in self._pointed(key):
            if (self._home(key) / f"v{number}").is_dir():
                return number
        return None

    def promote(self, key: str, number: int) -> int | None:
        """Put a version to use; returns the one before.

        Raises:
            Fault: `no_model`, `invalid_key` or `storage_failed`.
        """
        self.folder(key, number)
        with self._locked():
            before = self.promoted(key)
            self._point(key, [number, *(other for other in self._pointed(key) if other != number)])
        return before

    def rollback(self, key: str) -> int | None:
        """Put the version before the one in use to use again, or none when there was none; returns it.

        Raises:
            Fault: `no_model` when none is in use.
        """
        with self._locked():
            pointed = self._pointed(key)
            if not pointed:
                raise Fault("no_model", f"No model of {key!r} is in use.", allowed="a promoted version")
            self._point(key, pointed[1:])
            return self.promoted(key)

    def prune(self, key: str, keep: int, *, pinned: Collection[int] = ()) -> list[int]:
        """Remove old versions; returns which. The promoted one always stays.

        Raises:
            Fault: `invalid_key`, `invalid_input` (keep) or `storage_failed`.
        """
        if keep < 1:
            raise Fault("invalid_input", "At least one version must stay.", value=keep, allowed="1 or more")
        home = self._home(key)
        with self._locked():
            stay = {*pinned, *self.ready(key)[:keep], self.promoted(key)}
            return [n for n in self.ready(key) if n not in stay and remove_at_once(home / f"v{n}", home)]

    def checkpoint(self, key: str, digest: str) -> Path:
        """Folder where a training of these inputs keeps how far it is; made when it is missing.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        folder = self._home(key) / _CHECKPOINTS / digest
        with storage_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
        sweep_temporary(folder)
        return folder

    def drop_checkpoints(self, key: str) -> None:
        """Remove what trainings have kept of how far they were.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        home = self._home(key)
        if (home / _CHECKPOINTS).is_dir():
            remove_at_once(home / _CHECKPOINTS, home)

    def study(self, key: str) -> Path:
        """Folder where the search for the best parameters is kept; it need not be there.

        Raises:
            Fault: `invalid_key`.
        """
        return self._home(key) / _STUDY

    def remove(self, key: str) -> bool:
        """Remove all models of a taxonomy; returns whether there were any.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        home = self._home(key)
        if not self.root.is_dir():
            return False
        with self._locked():
            sweep_temporary(self.root)
            return remove_at_once(home, self.root)

    def _pointed(self, key: str) -> list[int]:
        found = _read_json(self._home(key) / _POINTER)
        return [int(number) for number in found["versions"]] if found else []

    def _point(self, key: str, versions: list[int]) -> None:
        value = {"versions": versions[:_REMEMBERED], "at": datetime.now(UTC).isoformat()}
        replace_bytes(self._home(key) / _POINTER, json.dumps(value).encode())

    def _locked(self) -> AbstractContextManager[None]:
        return locked(self.root / ".lock")

    def _home(self, key: str) -> Path:
        return self.root / folder_name(key)

    def _record(self, key: str, number: int) -> Path:
        return self._home(key) / _RUNS / f"v{number}" / _RECORD

    @staticmethod
    def _numbers(folder: Path) -> list[int]:
        try:
            found = [_VERSION.fullmatch(entry.name) for entry in os.scandir(folder) if entry.is_dir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [int(match[1]) for match in found if match]


def file_digests(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, by its path in it.

    Raises:
        Fault: `unreadable_file`.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): content_digest(path) for path in paths}


def _read_json(path: Path) -> Any:
    """The content of a JSON file; None when it is not there or cannot be read as JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
