"""The work on one shard of texts, as an engine maps it: here or on other machines."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from taxomind_assets.classification.fitted_store import stored_row
from taxomind_assets.learning.stored import evidence_state
from taxomind_resources.files import storage_faults, temporary_path
from taxomind_resources.outputs import DIGEST_FIELD, Outputs, conform
from taxomind_resources.settings import Settings
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from taxomind_assets.classification.classifier import Classifier

RESULTS: Final = "classification.results"
#: Columns that a shard brings with it; the classifier makes the others.
GIVEN: Final = ("batch_id", "source_file", "row", "text_id", "text", "language")
SHARD: Final = pa.schema([BY_NAME[RESULTS].arrow.field(name) for name in GIVEN])
#: Texts answered together; it bounds the memory of a worker.
BLOCK_ROWS: Final = 5_000
#: Texts of the first block of a shard; the next ones double as long as a block takes less than `_BLOCK_S` seconds.
_FIRST_ROWS: Final = 256
_BLOCK_S: Final = 1.0


def shard_config(key: str, settings: Settings, index_version: str) -> dict[str, Any]:
    """What a worker is built from: plain data that goes to any machine which sees the data root.

    The calibration's version and the state of the evidence take part, so that a process never answers with one that labels or
    corrections have replaced.
    """
    outputs = Outputs(settings.data)
    fitted = stored_row(outputs, key, index_version)
    return {
        "key": key,
        "settings": settings.model_dump_json(),
        "index_version": index_version,
        "calibration_version": fitted["calibration_version"] if fitted else "",
        "evidence_state": evidence_state(outputs, key),
    }


def shared_classifier(config: Mapping[str, Any]) -> Classifier:
    """The classifier of a configuration, loaded once per process.

    Raises:
        Fault: as `Classifier.load`.
    """
    learned = config["calibration_version"], config["evidence_state"]
    return _classifier(config["key"], config["settings"], config["index_version"], learned)


def note_rows(path: Path, rows: int) -> None:
    """Write a number of rows for people who wait; it is not worth a flush to the disk.

    Raises:
        Fault: `storage_failed`.
    """
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(path.parent)
        temporary.write_text(str(rows))
        os.replace(temporary, path)


def answers_version(classifier: Classifier) -> str:
    """12 hex digits over all that the results of a batch depend on besides its texts."""
    parts = [*sorted(classifier.versions.items()), ("shard_rows", str(classifier.settings.limits.shard_rows))]
    return hashlib.sha256("\n".join(f"{name}={value}" for name, value in parts).encode()).hexdigest()[:12]


class ShardClassifier:
    """Answers one shard. An engine builds it once per process (`engine.Worker`).

    Args:
        config: see `shard_config`; also `progress`, a folder in which each shard notes how many of its rows are answered.

    Raises:
        Fault: as `Classifier.load`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.classifier = shared_classifier(config)
        folder = config.get("progress")
        self.progress = Path(folder) if folder else None

    def __call__(self, rows: pa.Table) -> pa.Table:
        """`classification.results` for the rows of a shard (`SHARD`), with the version of the answers as digest.

        Raises:
            Fault: what the classifier raises.
        """
        schema = BY_NAME[RESULTS].arrow
        answers = pa.concat_tables([schema.empty_table(), *self._blocks(rows)])
        return answers.replace_schema_metadata({DIGEST_FIELD: answers_version(self.classifier).encode()})

    def _blocks(self, rows: pa.Table) -> Iterator[pa.Table]:
        """The answers block by block. A block takes a second or two, so that progress is told often also by a slow model."""
        done, size = 0, _FIRST_ROWS
        while done < rows.num_rows:
            started = time.monotonic()
            yield self._answers(rows.slice(done, size))
            done = min(done + size, rows.num_rows)
            if self.progress is not None:
                note_rows(self.progress / f"{rows['row'][0].as_py():012d}", done)
            if time.monotonic() - started < _BLOCK_S:
                size = min(2 * size, BLOCK_ROWS)

    def _answers(self, rows: pa.Table) -> pa.Table:
        answers = self.classifier.classify(rows["text"].to_pylist())
        now = pa.repeat(pa.scalar(datetime.now(UTC), BY_NAME[RESULTS].arrow.field("classified_at").type), rows.num_rows)
        made = [name for name in answers.column_names if name not in GIVEN]
        table = pa.table(
            {**{name: rows[name] for name in GIVEN}, **{name: answers[name] for name in made}, "classified_at": now}
        )
        return conform(RESULTS, table)


@lru_cache(maxsize=2)
def _classifier(key: str, settings: str, index_version: str, learned: tuple[str, str]) -> Classifier:
    from taxomind_assets.classification.classifier import Classifier

    return Classifier.load(key, Settings.model_validate_json(settings), version=index_version)
