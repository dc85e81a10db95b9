"""The vectors of a taxonomy's nodes in LanceDB: one table per taxonomy and view, every state a numbered version.

A table is replaced whole or merged, each as one commit, so that a reader sees the former state or the new one. A tag pins
the version that results were made with; `maintain` removes what is neither young nor pinned.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

import pyarrow as pa

from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name, remove_at_once, sweep_temporary

#: Columns that tell rows of one table apart.
IDENTITY: Final = ("code", "language", "text_hash")
_TEXTS: Final = ("code", "view", "language", "text", "text_hash")
_VIEW: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_TAG: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}")
_TRIES: Final = 20
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class VectorVersion:
    """One state of a table; `created_at` has a time zone."""

    number: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What `maintain` did to one table."""

    key: str
    view: str
    expired_tags: tuple[str, ...]
    versions_before: int
    versions_after: int


class VectorStore:
    """The LanceDB tables below one address.

    Args:
        uri: folder, or an address that LanceDB knows (`s3://bucket/folder`).
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri)

    def replace(self, key: str, view: str, rows: pa.Table) -> int:
        """Make `rows` the content of a table; returns the version that holds them.

        Content that the newest version holds already makes no new version.

        Args:
            key: taxonomy key.
            view: view name, for example `label`.
            rows: code, view, language, text, text_hash: text; vector: fixed_size_list<float32>[d]; none of them empty.

        Raises:
            Fault: `invalid_key`, `invalid_input` (view), `storage_failed` (rows that do not fit, or LanceDB failed).
        """
        name, checked = table_name(key, view), _checked(view, rows)

        def write() -> int:
            table = self._open(name)
            if table is not None and _same(table, checked):
                return int(table.version)
            return int(self._connect().create_table(name, checked, mode="overwrite").version)

        return _retried(name, write)

    def merge(self, key: str, view: str, rows: pa.Table) -> int:
        """As `replace`, but writes only rows that differ; rows are told apart by code, language and text_hash.

        Rows of the table that `rows` lacks are removed in the same commit.

        Raises:
            Fault: as `replace`.
        """
        name, checked = table_name(key, view), _checked(view, rows)

        def write() -> int:
            table = self._open(name)
            if table is None or table.schema.field("vector").type != checked.schema.field("vector").type:
                return self.replace(key, view, rows)
            if not _same(table, checked):
                changed = "target.vector != source.vector OR target.text != source.text"
                merge = table.merge_insert(list(IDENTITY)).when_matched_update_all(where=changed)
                merge.when_not_matched_insert_all().when_not_matched_by_source_delete().execute(checked)
            return int(table.version)

        return _retried(name, write)

    def read(self, key: str, view: str, version: int | str | None = None) -> pa.Table:
        """The rows of a table, ordered by code, language and text_hash.

        Args:
            version: number or tag (default: the newest).

        Raises:
            Fault: `index_missing` (table or version), `invalid_key`, `invalid_input` (view), `storage_failed`.
        """
        table = self._existing(key, view)
        with _lance_faults(table_name(key, view)):
            if version is not None:
                self._check_version(table, key, view, version)
                table.checkout(version)
            return _ordered(table.to_arrow())

    def versions(self, key: str, view: str) -> list[VectorVersion]:
        """The versions that a table still has, oldest first; none when there is no table.

        Raises:
            Fault: `invalid_key`, `invalid_input` (view), `storage_failed`.
        """
        table = self._open(table_name(key, view))
        return [] if table is None else _versions(table)

    def tags(self, key: str, view: str) -> dict[str, int]:
        """Tags of a table and the versions that they pin; none when there is no table.

        Raises:
            Fault: `invalid_key`, `invalid_input` (view), `storage_failed`.
        """
        table = self._open(table_name(key, view))
        return {} if table is None else _tags(table)

    def pin(self, key: str, view: str, version: int, tag: str) -> None:
        """Keep `version` for as long as `tag` exists; a tag that exists moves to `version`.

        Raises:
            Fault: `index_missing` (table or version), `invalid_key`, `invalid_input` (view or tag), `storage_failed`.
        """
        name = table_name(key, view)
        if not _TAG.fullmatch(tag):
            allowed = "1 to 100 of the characters 0-9 A-Z a-z . _ -, beginning with a letter or digit"
            raise Fault("invalid_input", "The tag is not usable.", value=tag, allowed=allowed)
        self._check_version(self._existing(key, view), key, view, version)

        def write() -> None:
            table = self._existing(key, view)
            pinned = _tags(table).get(tag)
            if pinned is None:
                table.tags.create(tag, version)
            elif pinned != version:
                table.tags.update(tag, version)

        _retried(name, write)

    def unpin(self, key: str, view: str, tag: str) -> bool:
        """Remove a tag; returns whether it existed.

        Raises:
            Fault: `index_missing` (table), `invalid_key`, `invalid_input` (view), `storage_failed`.
        """
        table = self._existing(key, view)
        with _lance_faults(table_name(key, view)):
            existed = tag in _tags(table)
            if existed:
                table.tags.delete(tag)
        return existed

    def maintain(self, *, keep_tags: Collection[str], older_than: timedelta) -> list[Maintenance]:
        """Remove tags and versions that are older than `older_than`, and gather small files; returns what was done.

        Args:
            keep_tags: tags that stay whatever their age. A pinned version keeps the younger versions of its table too,
                since LanceDB removes only what is older than everything pinned.
            older_than: age from which tags and versions go. The newest version always stays.

        Raises:
            Fault: `storage_failed`.
        """
        if "://" not in self.uri:
            sweep_temporary(Path(self.uri))
        found = [(name, _key_and_view(name)) for name in self._names()]
        return [self._maintain(name, *named, keep_tags, older_than) for name, named in found if named]

    def remove(self, key: str) -> int:
        """Remove all tables of a taxonomy; returns how many there were.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        folder_name(key)
        names = [name for name in self._names() if (named := _key_and_view(name)) and named[0] == key]
        for name in names:
            self._drop(name)
        return len(names)

    def views(self, key: str) -> list[str]:
        """The views that a taxonomy has tables for, sorted.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        folder_name(key)
        return sorted(named[1] for name in self._names() if (named := _key_and_view(name)) and named[0] == key)

    def _maintain(self, name: str, key: str, view: str, keep_tags: Collection[str], older_than: timedelta) -> Maintenance:
        table = self._open(name)
        if table is None:  # Removed by somebody since it was listed.
            return Maintenance(key, view, (), 0, 0)
        with _lance_faults(name):
            versions = _versions(table)
            ages = {version.number: datetime.now().astimezone() - version.created_at for version in versions}
            pinned = _tags(table)
            expired = [tag for tag, number in pinned.items() if tag not in keep_tags and ages[number] > older_than]
            for tag in expired:
                table.tags.delete(tag)
            # LanceDB refuses to clean at all when something pinned is older than the limit, so the limit moves behind it.
            kept = [ages[number] for tag, number in pinned.items() if tag not in expired]
            limit = max([older_than, *(age + timedelta(seconds=1) for age in kept)])
            _retried(name, lambda: table.optimize(cleanup_older_than=limit))
            return Maintenance(key, view, tuple(sorted(expired)), len(versions), len(_versions(table)))

    def _check_version(self, table: Any, key: str, view: str, version: int | str) -> None:
        if isinstance(version, int):
            known: Sequence[int | str] = [known.number for known in _versions(table)]
        else:
            known = list(_tags(table))
        if version not in known:
            what = f"The vectors {view!r} of the taxonomy {key!r} have no such version."
            raise Fault("index_missing", what, value=version, allowed=", ".join(map(str, known)) or "no tag exists")

    def _existing(self, key: str, view: str) -> Any:
        table = self._open(table_name(key, view))
        if table is None:
            raise Fault("index_missing", f"The taxonomy {key!r} has no vectors {view!r}.", value=key)
        return table

    def _connect(self) -> Any:
        # LanceDB logs a warning for every table that it creates.
        os.environ.setdefault("LANCEDB_LOG", "error")
        import lancedb

        return lancedb.connect(self.uri)

    def _open(self, name: str) -> Any | None:
        with _lance_faults(name):
            try:
                return self._connect().open_table(name)
            except ValueError as error:
                # What LanceDB says of an absent table, and of one whose first write was killed.
                if "was not found" in str(error):
                    return None
                raise

    def _names(self) -> list[str]:
        with _lance_faults(self.uri):
            connection = self._connect()
            names, token = [], None
            while True:
                page = connection.list_tables(page_token=token)
                names += page.tables
                token = page.page_token
                if not token:
                    return names

    def _drop(self, name: str) -> None:
        with _lance_faults(name):
            if "://" in self.uri:
                self._connect().drop_table(name, ignore_missing=True)
            else:
                # One rename: a table that is half deleted could be opened but not read.
                remove_at_once(Path(self.uri) / f"{name}.lance", Path(self.uri))


def table_name(key: str, view: str) -> str:
    """LanceDB name of a table: letters, digits, `_`, `-` and `.` only; `<view>.<key>`, other bytes of the key as `.XX`.

    Raises:
        Fault: `invalid_key` or `invalid_input` (view).
    """
    if not _VIEW.fullmatch(view):
        allowed = "1 to 31 of the characters a-z 0-9 _, beginning with a letter"
        raise Fault("invalid_input", "A view names a table.", value=view, allowed=allowed)
    folder_name(key)  # Checks the key, and its length as a name on disk.
    encoded = quote(key, safe="").replace(".", "%2E").replace("~", "%7E")
    return f"{view}.{encoded.replace('%', '.')}"


def _key_and_view(name: str) -> tuple[str, str] | None:
    """Inverse of `table_name`; None for tables that are not ours."""
    view, _, encoded = name.partition(".")
    key = unquote(encoded.replace(".", "%"))
    try:
        return (key, view) if table_name(key, view) == name else None
    except Fault:
        return None


def _checked(view: str, rows: pa.Table) -> pa.Table:
    """`rows` with exactly the columns of a table, ordered; text columns as string, nothing empty, identities distinct."""
    wanted = [*_TEXTS, "vector"]
    if sorted(rows.column_names) != sorted(wanted):
        raise Fault("storage_failed", "Rows of vectors have other columns.", value=rows.column_names, allowed=", ".join(wanted))
    vector = rows.schema.field("vector").type
    if not (pa.types.is_fixed_size_list(vector) and pa.types.is_float32(vector.value_type)):
        raise Fault(
            "storage_failed", "Column 'vector' has another type.", value=str(vector), allowed="fixed_size_list<float32>[d]"
        )
    # The child's own name and nullability differ between libraries; one spelling makes types comparable.
    fields = [*(pa.field(name, pa.string()) for name in _TEXTS), pa.field("vector", pa.list_(pa.float32(), vector.list_size))]
    try:
        checked = rows.select(wanted).cast(pa.schema(fields))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Fault("storage_failed", f"Rows of vectors do not fit: {error}.", value=str(rows.schema)) from error
    for name in wanted:
        if checked.column(name).null_count:
            raise Fault("storage_failed", f"Column {name!r} has empty values.", allowed="no empty value")
    if checked.num_rows and checked.column("view").unique().to_pylist() != [view]:
        raise Fault(
            "storage_failed",
            "Column 'view' names another view.",
            value=checked.column("view").unique()[0].as_py(),
            allowed=view,
        )
    counts = checked.group_by(list(IDENTITY)).aggregate([([], "count_all")])
    if counts.num_rows < checked.num_rows:
        twice = counts.sort_by([("count_all", "descending")]).slice(0, 1).to_pylist()[0]
        raise Fault(
            "storage_failed", "A text of a node is there twice.", value=twice, allowed="distinct (code, language, text_hash)"
        )
    return _ordered(checked)


def _ordered(rows: pa.Table) -> pa.Table:
    return rows.select([*_TEXTS, "vector"]).sort_by([(name, "ascending") for name in IDENTITY])


def _same(table: Any, rows: pa.Table) -> bool:
    """Whether the newest version holds exactly `rows`. Compared by content: a digest kept beside it could be stale."""
    same_shape = table.count_rows() == rows.num_rows and table.schema.field("vector").type == rows.schema.field("vector").type
    return bool(same_shape and _ordered(table.to_arrow()).combine_chunks().equals(rows.combine_chunks()))


def _versions(table: Any) -> list[VectorVersion]:
    # LanceDB gives local times without a zone.
    found = [VectorVersion(int(entry["version"]), entry["timestamp"].astimezone()) for entry in table.list_versions()]
    return sorted(found, key=lambda version: version.number)


def _tags(table: Any) -> dict[str, int]:
    return {str(tag): int(content["version"]) for tag, content in table.tags.list().items()}


def _retried(name: str, write: Callable[[], _Result]) -> _Result:
    """Run a write; LanceDB refuses one of two that commit at the same moment, which then tries again."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    def lost_a_race(error: BaseException) -> bool:
        text = str(error).lower()
        return not isinstance(error, Fault) and ("conflict" in text or "already exists" in text)

    wait = wait_random_exponential(multiplier=0.05, max=0.5)
    with _lance_faults(name):
        return Retrying(retry=retry_if_exception(lost_a_race), wait=wait, stop=stop_after_attempt(_TRIES), reraise=True)(write)


@contextlib.contextmanager
def _lance_faults(where: str) -> Iterator[None]:
    """LanceDB raises built-in exceptions of many kinds; each becomes one fault."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise Fault("storage_failed", f"LanceDB: {str(error)[:500]}", value=where) from error
