"""What tables are made of: columns, their types, and columns that several tables share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

TEXT: Final = pa.string()
INT: Final = pa.int32()
FLOAT: Final = pa.float32()
BOOL: Final = pa.bool_()
#: UTC.
TIME: Final = pa.timestamp("us", tz="UTC")
TEXTS: Final = pa.list_(TEXT)
#: Metadata of a field: its text in files that do not have it yet.
ADDED: Final = b"added"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        meaning: what it holds, with units.
        added: text that stands in files of versions before the column was added; None = it was always there.
    """

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = True
    added: str | None = None

    @property
    def field(self) -> pa.Field:
        """The field of its parquet files; `ADDED` in its metadata holds `added`."""
        metadata = None if self.added is None else {ADDED: self.added.encode()}
        return pa.field(self.name, self.type, self.nullable, metadata)


@dataclass(frozen=True, slots=True)
class Table:
    """One table `schema.name`; `row` says what one row is."""

    schema: str
    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def full_name(self) -> str:
        """Name in SQL, for example `taxonomy.nodes`."""
        return f"{self.schema}.{self.name}"

    @property
    def arrow(self) -> pa.Schema:
        """The schema of its parquet files (without `taxonomy_key`)."""
        return pa.schema([column.field for column in self.columns])


@dataclass(frozen=True, slots=True)
class View:
    """A view `schema.name` that joins tables; it has no files. `sources`: tables and views that `sql` reads."""

    schema: str
    name: str
    row: str
    columns: tuple[Column, ...]
    sources: tuple[str, ...]
    sql: str

    @property
    def full_name(self) -> str:
        """Name in SQL."""
        return f"{self.schema}.{self.name}"


def column(name: str, type_: pa.DataType, meaning: str, *, null: bool = False, added: str | None = None) -> Column:
    """A column; not nullable unless `null`."""
    return Column(name, type_, meaning, null, added)


REJECTED: Final = (
    column("source_file", TEXT, "name of the input file"),
    column("line", pa.int64(), "line of the file (CSV, JSONL), else the number of the row, from 1"),
    column("reason_code", TEXT, "stable code of the reason"),
    column("reason", TEXT, "what was wrong and what is allowed"),
    column("raw", TEXT, "the row as it was read, as JSON, cut to 2,000 characters"),
)

EVIDENCE: Final = pa.list_(pa.struct([("correction_id", TEXT), ("code", TEXT), ("text", TEXT)]))

ALTERNATIVES: Final = pa.list_(pa.struct([("code", TEXT), ("label", TEXT), ("confidence", FLOAT)]))

RESULT_COLUMNS: Final = (
    column("batch_id", TEXT, "16 hex digits: hash of the content of the input file"),
    column("source_file", TEXT, "name of the input file"),
    column("row", pa.int64(), "number of the text in its file, from 1"),
    column("text_id", TEXT, "id of the text as given, or its row number"),
    column("text", TEXT, "the text that was classified"),
    column("language", TEXT, "language as given, '' when not stated"),
    column("code", TEXT, "answer; null = abstained", null=True),
    column("label", TEXT, "label of the answer", null=True),
    column("level", INT, "the answer's own level; 0 = abstained"),
    column("path", TEXTS, "codes from the top node to the answer"),
    column("confidence", FLOAT, "probability that the answer is the right node or above it (0..1)"),
    column("level_confidences", pa.list_(FLOAT), "the same for each node of the path; never rising with depth"),
    column("stop_reason", TEXT, "why the path ends where it ends"),
    column("ambiguous", BOOL, "true when a person should look"),
    column("alternatives", ALTERNATIVES, "the next best nodes at the stop"),
    column("top_codes", TEXTS, "ranked leaf candidates, best first"),
    column("leaf_confidence", FLOAT, "probability of the best leaf (0..1)"),
    column("validation_status", TEXT, "scoped validation of the older rules; null = not used", null=True),
    column("validation_override_code", TEXT, "code that the validation put in place", null=True),
    column("validation_margin", FLOAT, "lead of the best leaf over the best leaf below the answer", null=True),
    column("validation_stability_gap", FLOAT, "lead of the best leaf over the next", null=True),
    column("error_code", TEXT, "code of a fault that concerns this text alone", null=True),
    column("error", TEXT, "the fault in words", null=True),
    column("taxonomy_version", TEXT, "taxonomy version"),
    column("index_version", TEXT, "node index version"),
    column("evidence_version", TEXT, "version of the learned evidence, '' = none"),
    column("calibration_version", TEXT, "version of the calibration"),
    column("settings_version", TEXT, "hash of the settings that decide"),
    column("classified_at", TIME, "when"),
)
