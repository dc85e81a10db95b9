"""The engine ray: the same files as the local engine, by workers in other processes."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from taxomind_resources.engine import LocalEngine, open_engine
from taxomind_resources.faults import Fault
from taxomind_resources.settings import EngineSettings, load_settings

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs taxomind[ray]")


class Multiply:
    """Notes in which process it was built."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.factor = config["factor"]
        Path(config["notes"], f"built-{os.getpid()}-{id(self)}").touch()
        if self.factor == 0:
            raise Fault("index_missing", "There is nothing to multiply with.", value=0)

    def __call__(self, rows: pa.Table) -> pa.Table:
        if rows.num_rows == 13:
            raise Fault("bad_row", "Thirteen.", value=13, allowed="any other number", details=[{"what": "a"}])
        return pa.table({"y": pc.multiply(rows["x"], self.factor)}).replace_schema_metadata({"made": "here"})


class Dying:
    def __init__(self, config: Mapping[str, Any]) -> None:
        pass

    def __call__(self, rows: pa.Table) -> pa.Table:
        os._exit(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray once for all tests; workers are taken by value, since a test file is no module that they could import."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    ray.shutdown()


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "in" / f"taxonomy_key=k {number}.parquet" for number in range(6)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        pq.write_table(pa.table({"x": list(range(number))}, schema=pa.schema([("x", pa.int64())])), path)
    return paths


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture
def out(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda shard: tmp_path / "out" / shard.name


def engine(workers: int = 2) -> Any:
    return open_engine(EngineSettings(kind="ray", workers=workers))


@needs_ray
@pytest.mark.slow
def test_ray_makes_the_same_files_as_the_local_engine(cluster, shards, out, notes, tmp_path):
    config = {"factor": 3, "notes": str(notes)}
    done: list[Path] = []
    outputs = engine().map_shards(Multiply, config, [*shards, shards[3]], out, done.append)
    assert done == [*shards, shards[3]]
    built = sorted(notes.iterdir())
    assert 1 <= len(built) <= 2
    assert all(f"-{os.getpid()}-" not in note.name for note in built)
    local = LocalEngine().map_shards(Multiply, config, shards, lambda shard: tmp_path / "local" / shard.name)
    assert [path.read_bytes() for path in outputs[:-1]] == [path.read_bytes() for path in local]
    assert sorted(out(shards[0]).parent.iterdir()) == sorted(set(outputs))


@needs_ray
@pytest.mark.slow
def test_finished_shards_are_skipped_and_reported_in_order(cluster, shards, out, notes):
    config = {"factor": 3, "notes": str(notes)}
    engine(1).map_shards(Multiply, config, [shards[0], shards[4]], out)
    before = out(shards[4]).stat().st_mtime_ns
    done: list[Path] = []
    engine(1).map_shards(Multiply, config, shards, out, done.append)
    assert done == shards
    assert out(shards[4]).stat().st_mtime_ns == before
    assert len(list(notes.iterdir())) == 2
    engine(1).map_shards(Multiply, config, shards, out, done.append)
    assert done == [*shards, *shards]
    assert len(list(notes.iterdir())) == 2  # nothing to do builds no worker


@needs_ray
@pytest.mark.slow
def test_faults_of_workers_arrive_whole_and_finished_outputs_stay(cluster, shards, out, notes):
    pq.write_table(pa.table({"x": list(range(13))}), shards[5])
    done: list[Path] = []
    with pytest.raises(Fault, match="bad_row") as caught:
        engine(1).map_shards(Multiply, {"factor": 3, "notes": str(notes)}, shards, out, done.append)
    assert (caught.value.value, caught.value.allowed, caught.value.details) == ("13", "any other number", [{"what": "a"}])
    assert done == shards[:5]
    assert [out(shard).exists() for shard in shards] == [True] * 5 + [False]
    with pytest.raises(Fault, match="index_missing"):
        engine().map_shards(Multiply, {"factor": 0, "notes": str(notes)}, shards, out)


@needs_ray
@pytest.mark.slow
def test_workers_that_die_again_and_again_are_a_fault(cluster, shards, out):
    with pytest.raises(Fault, match="engine_failed"):
        engine(1).map_shards(Dying, {}, shards[:1], out)
    assert not out(shards[0]).exists()


@needs_ray
def test_a_cluster_that_is_not_there_is_a_fault(shards, out, monkeypatch):
    import ray

    def refuse(**options: Any) -> None:
        raise ConnectionError(f"Could not find any running Ray instance at {options['address']}.\nMore.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(Fault, match="engine_failed") as caught:
        open_engine(EngineSettings(kind="ray", address="10.0.0.1:6379")).map_shards(Multiply, {}, shards, out)
    assert "10.0.0.1:6379" in caught.value.what


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Fault, match="missing_extra") as caught:
        open_engine(EngineSettings(kind="ray"))
    assert "taxomind[ray]" in caught.value.next_step


def test_the_engine_is_a_setting(tmp_path):
    assert isinstance(open_engine(load_settings(tmp_path, {}).engine), LocalEngine)
    assert load_settings(tmp_path, {"TAXOMIND_ENGINE__KIND": "ray"}).engine.kind == "ray"
    with pytest.raises(Fault, match="invalid_setting"):
        load_settings(tmp_path, {"TAXOMIND_ENGINE__KIND": "spark"})


def test_faults_travel_between_processes():
    fault = Fault("bad_row", "Thirteen.", value={"x": 13}, allowed="14", next_step="Count.", details=[{"what": "a"}])
    copy = pickle.loads(pickle.dumps(fault))
    assert copy.problem() == fault.problem()
    assert str(copy) == str(fault)
