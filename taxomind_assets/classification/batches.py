"""A file of texts as a batch: read block by block, answered shard by shard, taken up again where a run was killed.

A batch is named by the content of its file, a shard by the batch and its number. A shard is one parquet file that appears when
it is whole and says what its answers depend on; a later run with the same answers to give skips it. Nothing is counted twice:
the row of `classification.batches`, written last, says that a batch is complete.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from taxomind_assets.classification.text_readers import TextBlock, read_texts
from taxomind_assets.inputs import RejectedRow, rejected_file
from taxomind_assets.taxonomy.stored import rejected_table
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_resources.inbox import InboxFile
    from taxomind_resources.outputs import Outputs

RESULTS: Final = "classification.results"
BATCHES: Final = "classification.batches"
REJECTED: Final = "classification.rejected_rows"
#: Texts read and answered together; it bounds the memory of a run.
BLOCK_ROWS: Final = 5_000
_PROGRESS_S: Final = 10.0


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

    def add(self, answers: pa.Table) -> None:
        """Count answers; `answers` has the columns `code` and `path`."""
        import pyarrow.compute as pc

        self.rows += answers.num_rows
        self.abstained += answers["code"].null_count
        self.depth_sum += pc.sum(pc.list_value_length(answers["path"])).as_py() or 0


def answers_version(classifier: Classifier) -> str:
    """12 hex digits over all that the results of a batch depend on besides its texts."""
    parts = [*sorted(classifier.versions.items()), ("shard_rows", str(classifier.settings.limits.shard_rows))]
    return hashlib.sha256("\n".join(f"{name}={value}" for name, value in parts).encode()).hexdigest()[:12]


def shard_part(batch_id: str, number: int) -> str:
    """Name of a shard's file; `number` from 0."""
    return f"{batch_id}-{number:05d}"


@dataclass
class _Reader:
    """The blocks of a file. A fault of the file ends it and is kept, so that it is told apart from faults of the classifier."""

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
    """Classifies files of one taxonomy.

    Args:
        key: taxonomy key.
        outputs: where results go.
        classifier: what answers.
        log: told the progress of long files.
    """

    def __init__(self, key: str, outputs: Outputs, classifier: Classifier, log: Callable[[str], None]) -> None:
        self.key = key
        self.outputs = outputs
        self.classifier = classifier
        self.log = log
        self.version = answers_version(classifier)

    def is_done(self, batch_id: str) -> bool:
        """Whether a batch is complete, with whatever answers."""
        return self.outputs.exists(BATCHES, self.key, batch_id)

    def is_current(self, batch_id: str) -> bool:
        """Whether a batch is complete and would get the same answers again."""
        return self.outputs.digest(BATCHES, self.key, batch_id) == self.version

    def run(self, file: InboxFile, batch_id: str) -> Batch:
        """Classify one file and record it as done.

        A file that cannot be read, or not to its end, gets a refused row of its own; what was read before is answered.

        Raises:
            Fault: what the classifier or the storage raises; the batch then stays open, and its whole shards stay.
        """
        started = reported = time.monotonic()
        settings = self.classifier.settings
        size = min(BLOCK_ROWS, settings.limits.shard_rows)
        reader = _Reader(file, read_texts(file.path, settings.text, settings.limits, block_rows=size))
        batch = Batch(batch_id, file.name)
        per_shard = max(settings.limits.shard_rows // size, 1)
        with self.outputs.writer(REJECTED, self.key, batch_id, self.version) as rejected:
            for _, blocks in groupby(enumerate(reader), lambda numbered: numbered[0] // per_shard):
                for refused in self._shard(batch, (block for _, block in blocks)):
                    rejected.write(rejected_table(REJECTED, refused))
                if time.monotonic() - reported > _PROGRESS_S:
                    reported = time.monotonic()
                    self.log(f"{file.name}: {batch.rows:,} texts, {batch.rows / (reported - started):,.0f} per second")
            rejected.write(rejected_table(REJECTED, reader.refused))
        batch.rejected = rejected.rows
        batch.refused = reader.refused[0].reason if reader.refused else ""
        batch.seconds = time.monotonic() - started
        self._drop_old_shards(batch)
        self.outputs.write(BATCHES, self.key, self._row(batch), digest=self.version, part=batch_id)
        return batch

    def _shard(self, batch: Batch, blocks: Iterable[TextBlock]) -> Iterator[list[RejectedRow]]:
        """Answer the blocks of one shard, or pass over them when it is there already; yields the refused rows of each block."""
        part = shard_part(batch.batch_id, batch.shards)
        batch.shards += 1
        if self.outputs.digest(RESULTS, self.key, part) == self.version:
            batch.add(self.outputs.read(RESULTS, self.key, columns=["code", "path"], parts=[part]))
            batch.resumed += 1
            yield from (block.rejected for block in blocks)
            return
        with self.outputs.writer(RESULTS, self.key, part, self.version) as writer:
            for block in blocks:
                if len(block):
                    answers = self._answers(batch, block)
                    writer.write(answers)
                    batch.add(answers)
                yield block.rejected

    def _answers(self, batch: Batch, block: TextBlock) -> pa.Table:
        answers = self.classifier.classify(block.text)
        rows = len(block)
        given = {
            "batch_id": [batch.batch_id] * rows,
            "source_file": [batch.source_file] * rows,
            "row": block.row,
            "text_id": block.text_id,
            "text": block.text,
            "language": block.language,
            "classified_at": [datetime.now(UTC)] * rows,
        }
        schema = BY_NAME[RESULTS].arrow
        columns = [pa.array(given[name], schema.field(name).type) if name in given else answers[name] for name in schema.names]
        return pa.table(columns, names=schema.names)

    def _drop_old_shards(self, batch: Batch) -> None:
        """Remove shards of a former run that cut the file into more of them."""
        kept = {shard_part(batch.batch_id, number) for number in range(batch.shards)}
        for part in self.outputs.parts(RESULTS, self.key):
            if part.startswith(f"{batch.batch_id}-") and part not in kept:
                self.outputs.delete_part(RESULTS, self.key, part)

    def _row(self, batch: Batch) -> pa.Table:
        row = {
            "batch_id": batch.batch_id,
            "source_file": batch.source_file,
            "rows": batch.rows,
            "rejected": batch.rejected,
            "abstained": batch.abstained,
            "index_version": self.classifier.index.version,
            "seconds": batch.seconds,
            "finished_at": datetime.now(UTC),
        }
        return pa.Table.from_pylist([row], schema=BY_NAME[BATCHES].arrow)
