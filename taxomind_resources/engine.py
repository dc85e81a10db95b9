"""Runs one piece of work over many shards: on this machine, or wherever another engine takes it.

The work is a class without dagster that is built from plain data, loads what it needs once and maps tables. Input and output
are parquet files; an output exists only as a whole, so that a run that was killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from taxomind_resources.faults import Fault
from taxomind_resources.files import sweep_temporary, write_atomically

if TYPE_CHECKING:
    from taxomind_resources.settings import EngineSettings


class Worker(Protocol):
    """What is mapped over the shards. The class must be importable by its name (picklable), its `config` plain data."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Load models and indexes; done once per process."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Answer one shard; the result depends on `rows` and the configuration alone."""


class Engine(Protocol):
    """Maps a worker over shards; every engine gives the same files."""

    def map_shards(
        self,
        worker: type[Worker],
        config: Mapping[str, Any],
        shards: Sequence[Path],
        out: Callable[[Path], Path],
        on_done: Callable[[Path], None] | None = None,
    ) -> list[Path]:
        """Write `worker(shard)` to `out(shard)` for every shard whose output does not exist yet.

        Args:
            worker: class of the work.
            config: what each worker is built from.
            shards: parquet files, read in full one at a time.
            out: name of a shard's output; it must follow from the shard's content and the configuration, since an output
                that exists is not made again.
            on_done: called in this process with each shard, in order, once its output exists.

        Returns:
            The outputs, in the order of the shards.

        Raises:
            Fault: `invalid_input` (two shards with one output), `unreadable_file` (a shard), `storage_failed`; what the worker
                raises is passed on. Outputs that were finished before stay.
        """


class LocalEngine:
    """One worker in this process. Models use all cores by themselves, so more processes would only share them out."""

    def map_shards(
        self,
        worker: type[Worker],
        config: Mapping[str, Any],
        shards: Sequence[Path],
        out: Callable[[Path], Path],
        on_done: Callable[[Path], None] | None = None,
    ) -> list[Path]:
        """As `Engine.map_shards`. The worker is built when the first shard needs it.

        Raises:
            Fault: as `Engine.map_shards`.
        """
        outputs = open_outputs(shards, out)
        built: Worker | None = None
        for shard, path in zip(shards, outputs, strict=True):
            if not path.exists():
                built = built or worker(config)
                answer_shard(built, shard, path)
            if on_done:
                on_done(shard)
        return outputs


def open_engine(settings: EngineSettings) -> Engine:
    """The engine that the settings name.

    Raises:
        Fault: `missing_extra` when it is not installed.
    """
    if settings.kind == "local":
        return LocalEngine()
    from taxomind_resources.ray_engine import RayEngine

    return RayEngine(settings)


def open_outputs(shards: Sequence[Path], out: Callable[[Path], Path]) -> list[Path]:
    """The outputs of shards; what a killed run left beside them is removed.

    Raises:
        Fault: `invalid_input` when two shards have one output.
    """
    outputs = [out(shard) for shard in shards]
    _check_distinct(shards, outputs)
    for folder in {path.parent for path in outputs}:
        sweep_temporary(folder)
    return outputs


def answer_shard(worker: Worker, shard: Path, path: Path) -> None:
    """Write `worker(shard)` to `path`, which then exists as a whole.

    Raises:
        Fault: `unreadable_file`, `storage_failed`, and what the worker raises.
    """
    rows = worker(_read(shard))
    write_atomically(path, lambda temporary: pq.write_table(rows, temporary, compression="zstd"))


def _check_distinct(shards: Sequence[Path], outputs: Sequence[Path]) -> None:
    first: dict[Path, Path] = {}
    for shard, path in zip(shards, outputs, strict=True):
        if first.setdefault(path, shard) != shard or path == shard:
            value = [str(first[path]), str(shard)]
            raise Fault(
                "invalid_input",
                f"The output {path} is not the output of one shard alone.",
                value=value,
                allowed="distinct names",
            )


def _read(shard: Path) -> pa.Table:
    try:
        with pq.ParquetFile(shard) as file:
            return file.read()
    except (OSError, pa.ArrowException) as error:
        raise Fault("unreadable_file", f"A shard cannot be read: {error}", value=str(shard), allowed="parquet") from error
