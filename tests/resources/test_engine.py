"""The local engine: one worker, one output per shard, resumed after a kill."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from taxomind_resources.engine import Engine, LocalEngine
from taxomind_resources.faults import Fault


class Multiply:
    built: ClassVar[int] = 0
    seen: ClassVar[list[int]] = []

    def __init__(self, config: Mapping[str, Any]) -> None:
        type(self).built += 1
        self.factor = config["factor"]

    def __call__(self, rows: pa.Table) -> pa.Table:
        self.seen.append(rows.num_rows)
        if rows.num_rows == 13:
            raise Fault("bad_row", "Thirteen.")
        return pa.table({"y": pc.multiply(rows["x"], self.factor)}).replace_schema_metadata({"made": "here"})


@pytest.fixture(autouse=True)
def _reset() -> None:
    Multiply.built = 0
    Multiply.seen = []


@pytest.fixture
def engine() -> Engine:
    return LocalEngine()


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "in" / f"taxonomy_key=k {number}.parquet" for number in range(4)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        pq.write_table(pa.table({"x": list(range(number))}, schema=pa.schema([("x", pa.int64())])), path)
    return paths


@pytest.fixture
def out(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda shard: tmp_path / "out" / shard.name


def test_every_shard_gets_its_output_from_one_worker(engine, shards, out):
    done: list[Path] = []
    outputs = engine.map_shards(Multiply, {"factor": 3}, shards, out, done.append)
    assert outputs == [out(shard) for shard in shards]
    assert [pq.ParquetFile(path).read()["y"].to_pylist() for path in outputs] == [[], [0], [0, 3], [0, 3, 6]]
    assert pq.read_schema(outputs[0]).metadata[b"made"] == b"here"
    assert done == shards
    assert Multiply.built == 1
    assert sorted(out(shards[0]).parent.iterdir()) == sorted(outputs)


def test_finished_outputs_are_not_made_again(engine, shards, out):
    engine.map_shards(Multiply, {"factor": 3}, shards[:2], out)
    before = [out(shard).stat().st_mtime_ns for shard in shards[:2]]
    done: list[Path] = []
    engine.map_shards(Multiply, {"factor": 3}, shards, out, done.append)
    assert [out(shard).stat().st_mtime_ns for shard in shards[:2]] == before
    assert Multiply.seen == [0, 1, 2, 3]
    assert done == shards


def test_nothing_to_do_builds_no_worker(engine, shards, out):
    assert engine.map_shards(Multiply, {}, [], out) == []
    engine.map_shards(Multiply, {"factor": 3}, shards, out)
    engine.map_shards(Multiply, {"factor": 3}, shards, out)
    assert Multiply.built == 1


def test_failure_of_a_worker_keeps_what_was_finished(engine, shards, out):
    pq.write_table(pa.table({"x": list(range(13))}), shards[2])
    with pytest.raises(Fault, match="bad_row"):
        engine.map_shards(Multiply, {"factor": 3}, shards, out)
    assert [out(shard).exists() for shard in shards] == [True, True, False, False]
    assert len(list(out(shards[0]).parent.iterdir())) == 2


def test_unreadable_shards_are_faults(engine, shards, out):
    shards[0].write_bytes(b"nonsense")
    for shard in [shards[0], shards[0].with_name("absent.parquet")]:
        with pytest.raises(Fault, match="unreadable_file") as caught:
            engine.map_shards(Multiply, {"factor": 3}, [shard], out)
        assert str(shard) in caught.value.value


def test_two_shards_with_one_output_are_refused_before_any_work(engine, shards, tmp_path):
    with pytest.raises(Fault, match="invalid_input"):
        engine.map_shards(Multiply, {"factor": 3}, shards, lambda _: tmp_path / "one.parquet")
    with pytest.raises(Fault, match="invalid_input"):
        engine.map_shards(Multiply, {"factor": 3}, shards, lambda shard: shard)
    assert Multiply.built == 0


def test_one_shard_given_twice_is_done_once(engine, shards, out):
    assert engine.map_shards(Multiply, {"factor": 3}, [shards[3], shards[3]], out) == [out(shards[3])] * 2
    assert Multiply.seen == [3]


PROGRAM = """
import sys
from pathlib import Path
import pyarrow as pa
from taxomind_resources.engine import LocalEngine
class Repeat:
    def __init__(self, config):
        self.times = config["times"]
    def __call__(self, rows):
        return pa.concat_tables([rows] * self.times)
root = Path(sys.argv[1])
shards = sorted((root / "in").iterdir())
print("ready", flush=True)
LocalEngine().map_shards(Repeat, {"times": 100_000}, shards, lambda shard: root / "out" / shard.name)
"""


@pytest.mark.slow
def test_killed_run_goes_on_where_it_stopped(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(40):
        pq.write_table(pa.table({"x": [number] * 3}), tmp_path / "in" / f"{number:02}.parquet")
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)]
    chance = random.Random(9)
    counts = []
    for _ in range(10):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.06))
            process.send_signal(signal.SIGKILL)
        outputs = list((tmp_path / "out").glob("*.parquet"))
        assert {pq.ParquetFile(path).metadata.num_rows for path in outputs} <= {300_000}
        counts.append(len(outputs))
    assert counts == sorted(counts)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    finished = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in finished] == [f"{number:02}.parquet" for number in range(40)]
    for number, path in enumerate(finished):
        assert pq.ParquetFile(path).read()["x"].unique().to_pylist() == [number]
