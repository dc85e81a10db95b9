"""The outputs: one folder of parquet files per table and taxonomy, each file whole or absent.

    <data>/outputs/<schema>/<table>/taxonomy_key=<key>/<part>.parquet

Any number of processes may write and read at once. A file carries, in its footer, the digest of what it was made from
(`taxomind.digest`): whether an output is up to date is read from the output itself, never from a second record.
Outputs live on a local or mounted file system; renaming is what makes them whole, and object stores have none.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from taxomind_resources.faults import Fault
from taxomind_resources.files import (
    MAX_NAME_BYTES,
    folder_name,
    publishing,
    remove_at_once,
    storage_faults,
    sweep_temporary,
)
from taxomind_resources.keys import EMPTY_KEY, key_of_folder
from taxomind_resources.tables import BY_NAME, TABLES, Table
from taxomind_resources.tables.columns import ADDED

DIGEST_FIELD: Final = b"taxomind.digest"
_PARTITION: Final = "taxonomy_key="
_SUFFIX: Final = ".parquet"
_COMPRESSION: Final = "zstd"
_LOG = logging.getLogger(__name__)


class Outputs:
    """The parquet files below one data root.

    Args:
        data: data root; `<data>/outputs` is made when first written to.
    """

    def __init__(self, data: Path) -> None:
        self.root = data / "outputs"

    def write(self, table: str, key: str, rows: pa.Table, *, digest: str = "", part: str = "part") -> Path:
        """Replace one part of a table at once.

        Args:
            table: full name, for example `taxonomy.nodes`.
            key: taxonomy key.
            rows: the columns of the table, in any order, without `taxonomy_key`.
            digest: what the rows were made from; `digest()` gives it back.
            part: name of the part; a table and key hold any number of them.

        Raises:
            Fault: `invalid_key`, `invalid_input` (table or part), `storage_failed` (rows that do not fit name the column).
        """
        with self.writer(table, key, part, digest) as writer:
            writer.write(rows)
        return self.path(table, key, part)

    @contextlib.contextmanager
    def writer(self, table: str, key: str, part: str, digest: str) -> Iterator[PartWriter]:
        """Write one part batch by batch; it is published when the block ends without an error, else nothing changes.

        Raises:
            Fault: as `write`.
        """
        path = self.path(table, key, part)
        sweep_temporary(path.parent)
        schema = _table(table).arrow.with_metadata({DIGEST_FIELD: digest.encode()})
        with publishing(path) as temporary, pq.ParquetWriter(temporary, schema, compression=_COMPRESSION) as file:
            yield PartWriter(table, file)

    def read(
        self, table: str, key: str, *, columns: Sequence[str] | None = None, parts: Sequence[str] | None = None
    ) -> pa.Table:
        """The rows of a table for one taxonomy, part after part by name; zero rows with the schema when there are none.

        Args:
            columns: columns to read, in this order (default: all).
            parts: parts to read (default: all); one that is absent adds no rows.

        Raises:
            Fault: `invalid_key`, `invalid_input` (table, part or column), `storage_failed` (a file is damaged).
        """
        schema = _selected(_table(table), columns)
        names = self.parts(table, key) if parts is None else parts
        found = [rows for part in names if (rows := _read(self.path(table, key, part), schema)) is not None]
        return pa.concat_tables([no_rows(schema), *found])

    def read_remembered(
        self, table: str, key: str, *, columns: Sequence[str] | None = None, parts: Sequence[str] | None = None
    ) -> pa.Table:
        """As `read`, for rows that only save the work of making them again: files that cannot be read are left out and logged.

        Raises:
            Fault: `invalid_key` or `invalid_input` (table, part or column).
        """
        found = [self.read(table, key, columns=columns, parts=[])]
        for part in self.parts(table, key) if parts is None else parts:
            try:
                found.append(self.read(table, key, columns=columns, parts=[part]))
            except Fault as fault:
                if fault.code != "storage_failed":
                    raise
                _LOG.warning("%s of %s is made anew: %s (%s)", table, key, fault.what, fault.value)
        return pa.concat_tables(found)

    def path(self, table: str, key: str, part: str = "part") -> Path:
        """Where a part lies, whether it exists or not.

        Raises:
            Fault: `invalid_key` or `invalid_input` (table or part).
        """
        return self._partition(table, key) / _part_file(part)

    def parts(self, table: str, key: str) -> list[str]:
        """Names of the parts that exist, sorted.

        Raises:
            Fault: `invalid_key` or `invalid_input` (table).
        """
        return [unquote(path.name.removesuffix(_SUFFIX)) for path in _parquet_files(self._partition(table, key))]

    def exists(self, table: str, key: str, part: str = "part") -> bool:
        """Whether a part has been written.

        Raises:
            Fault: as `path`.
        """
        return self.path(table, key, part).is_file()

    def digest(self, table: str, key: str, part: str = "part") -> str | None:
        """The digest that a part was written with; None when there is no such part. Reads the footer alone.

        Raises:
            Fault: as `read`.
        """
        path = self.path(table, key, part)
        try:
            with _damage(path):
                metadata = pq.read_metadata(path).metadata or {}
        except FileNotFoundError:
            return None
        return str(metadata.get(DIGEST_FIELD, b"").decode())

    def delete_part(self, table: str, key: str, part: str) -> bool:
        """Remove one part; returns whether it existed.

        Raises:
            Fault: as `path`; `storage_failed`.
        """
        path = self.path(table, key, part)
        with storage_faults(path):
            existed = path.exists()
            path.unlink(missing_ok=True)
        return existed

    def remove_key(self, key: str) -> int:
        """Remove every table of one taxonomy; returns how many there were.

        Raises:
            Fault: `invalid_key` or `storage_failed`.
        """
        sweep_temporary(self.root)
        return sum(remove_at_once(self._partition(table.full_name, key), self.root) for table in TABLES)

    def keys(self, table: str) -> list[str]:
        """The taxonomies that have rows or at least a part in a table, sorted.

        Raises:
            Fault: `invalid_input` (table).
        """
        found = []
        for folder in self._folder(_table(table)).glob(f"{_PARTITION}*"):
            name = folder.name.removeprefix(_PARTITION)
            if name != EMPTY_KEY and _parquet_files(folder):
                found.append(key_of_folder(name))
        return sorted(found)

    def ensure_empty_tables(self) -> None:
        """Give every table a file without rows under the key `__none__`, so that a view over it is valid from the start.

        Raises:
            Fault: `storage_failed`.
        """
        for table in TABLES:
            path = self._folder(table) / f"{_PARTITION}{EMPTY_KEY}" / f"part{_SUFFIX}"
            if not _has_schema(path, table.arrow):
                sweep_temporary(path.parent)
                with publishing(path) as temporary:
                    pq.write_table(table.arrow.empty_table(), temporary)

    def _folder(self, table: Table) -> Path:
        return self.root / table.schema / table.name

    def _partition(self, table: str, key: str) -> Path:
        name = folder_name(key)
        if name.upper() == "NULL":  # DuckDB 1 reads this word as an empty value unless a letter of it is encoded.
            name = f"%{ord(name[0]):02X}{name[1:]}"
        return self._folder(_table(table)) / f"{_PARTITION}{name}"


class PartWriter:
    """Adds rows to one part that is being written; made by `Outputs.writer`."""

    def __init__(self, table: str, file: pq.ParquetWriter) -> None:
        self._table = table
        self._file = file
        self.rows = 0

    def write(self, rows: pa.Table) -> None:
        """Add rows.

        Raises:
            Fault: `storage_failed` when they do not fit the table.
        """
        checked = conform(self._table, rows)
        self._file.write_table(checked.cast(self._file.schema))
        self.rows += rows.num_rows


def conform(table: str, rows: pa.Table) -> pa.Table:
    """`rows` with exactly the columns, order and types of a table.

    Types change only where nothing is lost: other widths of integers and texts, other units of a time that has a zone,
    whole numbers as floats. Floats are rounded to the precision of the column.

    Raises:
        Fault: `invalid_input` (table), `storage_failed` naming the column that does not fit.
    """
    schema = _table(table).arrow
    _check_names(table, rows.column_names, schema.names)
    return pa.table([_fitted(table, field, rows.column(field.name)) for field in schema], schema=schema)


def _check_names(table: str, given: Sequence[str], wanted: Sequence[str]) -> None:
    wrong = [name for name in wanted if name not in given] or [name for name in given if name not in wanted]
    wrong = wrong or [name for name in wanted if given.count(name) > 1]
    if wrong:
        kind = (
            "is missing" if wrong[0] not in given else "is not one of the table" if wrong[0] not in wanted else "is there twice"
        )
        raise Fault("storage_failed", f"{table}: column {wrong[0]!r} {kind}.", value=list(given), allowed=", ".join(wanted))


def _fitted(table: str, field: pa.Field, values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not field.nullable and values.null_count:
        raise Fault(
            "storage_failed", f"{table}: column {field.name!r} has {values.null_count} empty values.", allowed="no empty value"
        )
    if values.type == field.type:
        return values
    message = f"{table}: column {field.name!r} does not fit"
    if not _lossless(values.type, field.type):
        raise Fault("storage_failed", f"{message}.", value=str(values.type), allowed=str(field.type))
    try:
        return values.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Fault("storage_failed", f"{message}: {error}.", value=str(values.type), allowed=str(field.type)) from error


def _lossless(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a checked cast cannot change what the values mean (an overflow raises in the cast itself)."""
    if pa.types.is_null(given) or given == wanted:
        return True
    if pa.types.is_dictionary(given):
        return _lossless(given.value_type, wanted)
    if pa.types.is_list(wanted):
        is_list = pa.types.is_list(given) or pa.types.is_large_list(given) or pa.types.is_fixed_size_list(given)
        return is_list and _lossless(given.value_type, wanted.value_type)
    if pa.types.is_struct(wanted):
        return pa.types.is_struct(given) and _same_members(given, wanted)
    if pa.types.is_timestamp(wanted):
        return pa.types.is_timestamp(given) and bool(given.tz)
    return _family(given) == _family(wanted) or (pa.types.is_integer(given) and pa.types.is_floating(wanted))


def _same_members(given: pa.StructType, wanted: pa.StructType) -> bool:
    names = [field.name for field in given]
    return names == [field.name for field in wanted] and all(
        _lossless(given.field(n).type, wanted.field(n).type) for n in names
    )


def _family(type_: pa.DataType) -> str:
    families = {
        "integer": pa.types.is_integer,
        "float": pa.types.is_floating,
        "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t),
    }
    return next((name for name, belongs in families.items() if belongs(type_)), str(type_))


def no_rows(schema: pa.Schema) -> pa.Table:
    """A table without rows. `schema.empty_table()` makes the same, and loads pandas first."""
    return pa.Table.from_batches([], schema)


def _table(name: str) -> Table:
    if name not in BY_NAME:
        raise Fault("invalid_input", "There is no such table.", value=name, allowed=", ".join(BY_NAME))
    return BY_NAME[name]


def _selected(table: Table, columns: Sequence[str] | None) -> pa.Schema:
    schema = table.arrow
    if columns is None:
        return schema
    for name in columns:
        if name not in schema.names:
            raise Fault("invalid_input", f"{table.full_name} has no such column.", value=name, allowed=", ".join(schema.names))
    return pa.schema([schema.field(name) for name in columns])


def _part_file(part: str) -> str:
    name = quote(part, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if not 1 <= len(name) <= MAX_NAME_BYTES:
        raise Fault(
            "invalid_input", "A part names a file.", value=part, allowed=f"1 to {MAX_NAME_BYTES} bytes, percent-encoded"
        )
    return name + _SUFFIX


def _parquet_files(folder: Path) -> list[Path]:
    """Parts in a folder, sorted by the part's name. Hidden files are not ours: part names never begin with a dot."""
    try:
        names = [path for path in folder.iterdir() if path.suffix == _SUFFIX and not path.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(names, key=lambda path: unquote(path.name.removesuffix(_SUFFIX)))


def _read(path: Path, schema: pa.Schema) -> pa.Table | None:
    """One file's rows; None when it is not there (or no longer). Columns that a later version added are empty."""
    try:
        with _damage(path), pq.ParquetFile(path) as file:
            absent = [field for field in schema if field.name not in file.schema_arrow.names]
            needed = [field.name for field in absent if not field.nullable and _added(field) is None]
            if needed:
                next_step = "The file is of another version of taxomind: materialise its asset again."
                raise Fault("storage_failed", f"A file has no column {needed[0]!r}.", value=str(path), next_step=next_step)
            rows = file.read(columns=[name for name in schema.names if name in file.schema_arrow.names])
            for field in absent:
                rows = rows.append_column(field, pa.repeat(pa.scalar(_added(field), field.type), rows.num_rows))
            return rows.select(schema.names).cast(schema)
    except FileNotFoundError:
        return None


def _added(field: pa.Field) -> str | None:
    """What stands for a column in files that were written before it was added; None = null, where it may be."""
    text = (field.metadata or {}).get(ADDED)
    return None if text is None else text.decode()


def _has_schema(path: Path, schema: pa.Schema) -> bool:
    try:
        return bool(pq.read_schema(path).equals(schema))
    except (OSError, pa.ArrowInvalid):
        return False


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what pyarrow says about an unreadable file into a fault; that it is absent stays `FileNotFoundError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, ValueError) as error:
        next_step = "Materialise the asset of this table again: it replaces the file."
        raise Fault("storage_failed", f"The file cannot be read: {error}", value=str(path), next_step=next_step) from error
