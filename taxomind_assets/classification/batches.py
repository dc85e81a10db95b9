"""A file of texts as a batch: cut into shards, answered by an engine, taken up again where a run was killed.

A batch is named by the content of its file, a shard by the batch and its number. A shard's results are one parquet file that
appears when it is whole and says what its answers depend on; a later run with the same answers to give skips it. Nothing is
counted twice: the row of `classification.batches`, written last, says that a batch is complete.

    <data>/staging/<key>/<batch>/<version>/texts/00000.parquet      shards of the file as parquet, whatever its format
    <data>/staging/<key>/<batch>/<version>/answers/00000.parquet    their answers, until they are published
    <data>/staging/<key>/<batch>/<version>/rows/00000               how many texts of a shard are answered, while they are
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from taxomind_assets.classification.second_opinion import Outlook, is_on, outlook, spent
from taxomind_assets.classification.shards import (
    BLOCK_ROWS,
    RESULTS,
    SHARD,
    ShardClassifier,
    answers_version,
    shard_config,
    shared_classifier,
)
from taxomind_assets.classification.text_readers import TextBlock, read_texts
from taxomind_assets.inputs import RejectedRow, rejected_file
from taxomind_assets.taxonomy.stored import rejected_table
from taxomind_assets.views.texts import clean
from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name, publishing, remove_tree, storage_faults
from taxomind_resources.llm import Spending
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from taxomind_resources.engine import Engine
    from taxomind_resources.inbox import InboxFile
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

BATCHES: Final = "classification.batches"
REJECTED: Final = "classification.rejected_rows"


@dataclass
class Batch:
    """What became of a file.

    Attributes:
        batch_id: 16 hex digits of the content.
        source_file: name of the file.
        rows: texts answered, with or without a node.
        rejected: rows refused; a file that cannot be read counts as one.
        abstained: texts without an answer.
        depth_sum: nodes on the paths of all answers together.
        seconds: wall time of the run that completed it.
        refused: why the file, or the rest of it, was refused; '' = it was read to the end.
        shards: files that the results were written to.
        resumed: how many of them a former run had written already.
        outlook: what second opinions would take, told before the texts were answered.
        judged: what the judge has cost.
    """

    batch_id: str
    source_file: str
    rows: int = 0
    rejected: int = 0
    abstained: int = 0
    depth_sum: int = 0
    seconds: float = 0.0
    refused: str = ""
    shards: int = 0
    resumed: int = 0
    outlook: Outlook = field(default_factory=Outlook)
    judged: Spending = field(default_factory=Spending)


def shard_part(batch_id: str, number: int) -> str:
    """Name of the part of `classification.results` with the answers of a shard; `number` from 0."""
    return f"{batch_id}-{number:05d}"


def rows_answered(data: Path, key: str, batch_id: str) -> int:
    """Texts of an unfinished batch that are answered; 0 before and after."""
    found = 0
    for file in (staging_folder(data, key) / batch_id).glob("*/rows/*"):
        # It is being replaced, or the batch has just been finished.
        with contextlib.suppress(OSError, ValueError):
            found += int(file.read_text())
    return found


def staging_folder(data: Path, key: str) -> Path:
    """Where the shards of a taxonomy's unfinished batches lie."""
    return data / "staging" / folder_name(key)


@dataclass
class _Reader:
    """The blocks of a file. A fault of the file ends it and is kept: it concerns this file alone."""

    file: InboxFile
    blocks: Iterator[TextBlock]
    refused: list[RejectedRow] = field(default_factory=list)

    def __iter__(self) -> Iterator[TextBlock]:
        while True:
            try:
                block = next(self.blocks, None)
            except Fault as fault:
                self.refused = rejected_file(self.file.path, fault)
                return
            if block is None:
                return
            yield block


class BatchRunner:
    """Classifies files of one taxonomy with its current index.

    Args:
        key: taxonomy key.
        settings: the shared settings.
        outputs: where results go.
        engine: who answers the shards.
        index_version: the index to answer with.
        log: told the progress.

    Raises:
        Fault: as `Classifier.load`.
    """

    def __init__(
        self, key: str, settings: Settings, outputs: Outputs, *, engine: Engine, index_version: str, log: Callable[[str], None]
    ) -> None:
        self.key = key
        self.outputs = outputs
        self.engine = engine
        self.log = log
        self.shared_settings = settings
        self.settings = settings.for_taxonomy(key)
        self.config = shard_config(key, settings, index_version)
        self.index_version = index_version
        self.version = answers_version(shared_classifier(self.config))
        self.staging = staging_folder(settings.data, key)

    def is_done(self, batch_id: str) -> bool:
        """Whether a batch is complete, with whatever answers."""
        return self.outputs.exists(BATCHES, self.key, batch_id)

    def is_current(self, batch_id: str) -> bool:
        """Whether a batch is complete and would get the same answers again."""
        return self.outputs.digest(BATCHES, self.key, batch_id) == self.version

    def batch_id(self, file: InboxFile) -> str | None:
        """Name of the batch that a file is: its content id; None when the file is gone.

        A file that exists and cannot be opened is named by its place and time, so that its refusal is noted once.
        """
        try:
            return file.content_id()
        except Fault:
            if not file.path.exists():
                return None
            return hashlib.sha256(f"{file.name}\0{file.size}\0{file.modified_ns}".encode()).hexdigest()[:16]

    def run(self, file: InboxFile, batch_id: str, *, again: bool = False) -> Batch | None:
        """Classify one file and record it as done; None when the file was changed meanwhile, which the next run sees.

        A file that cannot be read, or not to its end, gets a refused row of its own; what was read before is answered.

        Args:
            file: the file.
            batch_id: see `batch_id`.
            again: make answers anew that are there already.

        Raises:
            Fault: what the classifier or the storage raises; the batch then stays open, and its finished shards stay.
        """
        started = time.monotonic()
        batch = Batch(batch_id, file.name)
        shards = self._stage(file, batch)
        if self.batch_id(file) != batch_id:
            self.log(f"{file.name} was changed while it was read; it is left to the next run")
            remove_tree(self.staging / batch_id)
            return None
        self._answer(batch, shards, again)
        self._drop_old_shards(batch)
        self._count(batch)
        batch.seconds = time.monotonic() - started
        self.outputs.write(BATCHES, self.key, self._row(batch), digest=self.version, part=batch_id)
        remove_tree(self.staging / batch_id)
        self._log_end(batch)
        return batch

    def _answer(self, batch: Batch, shards: list[Path], again: bool) -> None:
        todo = shards if again else [shard for shard in shards if not self._is_answered(batch.batch_id, shard)]
        batch.shards, batch.resumed = len(shards), len(shards) - len(todo)
        answers = self._folder(batch.batch_id) / "answers"

        def publish(shard: Path) -> None:
            self._publish(answers / shard.name, shard_part(batch.batch_id, _number(shard)))
            self.log(f"{batch.source_file}: shard {_number(shard) + 1} of {len(shards)} is answered")

        with self._costs_told(batch, todo):
            self.engine.map_shards(
                ShardClassifier, self._config(batch.batch_id), todo, lambda shard: answers / shard.name, publish
            )

    @contextlib.contextmanager
    def _costs_told(self, batch: Batch, shards: list[Path]) -> Iterator[None]:
        """Log what second opinions on these shards would take before the block, and what the judge has cost after it."""
        if not is_on(self.settings):
            yield
            return
        classifier = shared_classifier(self.config)
        batch.outlook = sum((outlook(classifier, texts) for texts in _texts(shards)), Outlook())
        for line in batch.outlook.lines():
            self.log(f"{batch.source_file}: {line}")
        before = spent(self.settings) if self.settings.judge.enabled else None
        try:
            yield
        finally:
            if before is not None:
                batch.judged = spent(self.settings) - before
                self.log(f"{batch.source_file}: the judge was asked: {batch.judged}")

    def _stage(self, file: InboxFile, batch: Batch) -> list[Path]:
        """Cut the file into shards and write its refused rows; returns the shards."""
        limits = self.settings.limits
        size = min(BLOCK_ROWS, limits.shard_rows)
        reader = _Reader(file, read_texts(file.path, self.settings.text, limits, block_rows=size))
        per_shard = max(limits.shard_rows // size, 1)
        shards = []
        with self.outputs.writer(REJECTED, self.key, batch.batch_id, self.version) as rejected:
            for number, blocks in groupby(enumerate(reader), lambda numbered: numbered[0] // per_shard):
                shards.append(self._folder(batch.batch_id) / "texts" / f"{number:05d}.parquet")
                with publishing(shards[-1]) as temporary, pq.ParquetWriter(temporary, SHARD, compression="zstd") as writer:
                    for _, block in blocks:
                        writer.write_table(_shard_rows(batch, block))
                        rejected.write(rejected_table(REJECTED, block.rejected, batch_id=batch.batch_id))
            rejected.write(rejected_table(REJECTED, reader.refused, batch_id=batch.batch_id))
        batch.rejected = rejected.rows
        batch.refused = reader.refused[0].reason if reader.refused else ""
        return shards

    def _config(self, batch_id: str) -> dict[str, object]:
        return {**self.config, "progress": str(self._folder(batch_id) / "rows")}

    def _is_answered(self, batch_id: str, shard: Path) -> bool:
        return self.outputs.digest(RESULTS, self.key, shard_part(batch_id, _number(shard))) == self.version

    def _publish(self, answers: Path, part: str) -> None:
        target = self.outputs.path(RESULTS, self.key, part)
        with storage_faults(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(answers, target)

    def _drop_old_shards(self, batch: Batch) -> None:
        """Remove shards of a former run that cut the file into more of them."""
        kept = {shard_part(batch.batch_id, number) for number in range(batch.shards)}
        for part in self.outputs.parts(RESULTS, self.key):
            if part.startswith(f"{batch.batch_id}-") and part not in kept:
                self.outputs.delete_part(RESULTS, self.key, part)

    def _count(self, batch: Batch) -> None:
        for number in range(batch.shards):
            part = shard_part(batch.batch_id, number)
            answers = self.outputs.read(RESULTS, self.key, columns=["code", "path"], parts=[part])
            batch.rows += answers.num_rows
            batch.abstained += answers["code"].null_count
            batch.depth_sum += pc.sum(pc.list_value_length(answers["path"])).as_py() or 0

    def _folder(self, batch_id: str) -> Path:
        return self.staging / batch_id / self.version

    def _log_end(self, batch: Batch) -> None:
        speed = batch.rows / max(batch.seconds, 1e-9)
        self.log(
            f"{batch.source_file}: {batch.rows:,} texts in {batch.seconds:.1f} s ({speed:,.0f} per second), {batch.abstained:,}"
            f" without an answer, {batch.rejected:,} rows refused, {batch.resumed} of {batch.shards} shards from a former run"
        )
        if batch.refused:
            self.log(f"{batch.source_file} was refused: {batch.refused}")

    def _row(self, batch: Batch) -> pa.Table:
        row = {
            "batch_id": batch.batch_id,
            "source_file": batch.source_file,
            "rows": batch.rows,
            "rejected": batch.rejected,
            "abstained": batch.abstained,
            "index_version": self.index_version,
            "seconds": batch.seconds,
            "finished_at": datetime.now(UTC),
        }
        return pa.Table.from_pylist([row], schema=BY_NAME[BATCHES].arrow)


def _shard_rows(batch: Batch, block: TextBlock) -> pa.Table:
    columns = {
        "batch_id": [batch.batch_id] * len(block),
        "source_file": [batch.source_file] * len(block),
        "row": block.row,
        "text_id": block.text_id,
        "text": block.text,
        "language": block.language,
    }
    return pa.table(columns, schema=SHARD)


def _texts(shards: list[Path]) -> Iterator[list[str]]:
    """Texts of shards, block by block."""
    for shard in shards:
        with pq.ParquetFile(shard) as file:
            for block in file.iter_batches(BLOCK_ROWS, columns=["text"]):
                yield [clean(text) for text in block["text"].to_pylist()]


def _number(shard: Path) -> int:
    return int(shard.stem)
