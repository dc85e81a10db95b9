"""The index store: immutable versions, one pointer, whatever gets killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from taxomind_resources.faults import Fault
from taxomind_resources.index_store import IndexStore


@pytest.fixture
def store(tmp_path: Path) -> IndexStore:
    return IndexStore(tmp_path)


def index(number: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        np.save(folder / "vectors.npy", np.full((4, 3), number, np.float32))
        (folder / "below").mkdir()
        (folder / "below" / "manifest.json").write_text(json.dumps({"number": number}))

    return write


def number_in(folder: Path) -> int:
    assert json.loads((folder / "below" / "manifest.json").read_text())["number"] == np.load(folder / "vectors.npy")[0, 0]
    return int(np.load(folder / "vectors.npy")[0, 0])


def test_publish_makes_a_version_current(store, tmp_path):
    folder = store.publish("a b", "v1", index(1))
    assert folder == tmp_path / "indexes/a%20b/v1" == store.folder("a b")
    store.publish("a b", "v2", index(2))
    assert store.current("a b") == "v2"
    assert number_in(store.folder("a b")) == 2
    assert number_in(store.folder("a b", "v1")) == 1
    assert store.versions("a b") == ["v2", "v1"]


def test_existing_version_is_reused_and_not_written_again(store):
    store.publish("k", "v1", index(1))
    store.publish("k", "v2", index(2))

    def never(_: Path) -> None:
        raise AssertionError("an existing version was written again")

    store.publish("k", "v1", never)
    assert store.current("k") == "v1"
    assert store.versions("k") == ["v1", "v2"]


def test_failed_write_leaves_the_current_version_and_no_traces(store):
    store.publish("k", "v1", index(1))

    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.publish("k", "v2", fail)
    assert store.current("k") == "v1"
    assert sorted(entry.name for entry in (store.root / "k").iterdir()) == ["current", "v1"]


def test_missing_indexes_are_faults_that_say_what_there_is(store):
    assert store.current("k") is None
    assert store.versions("k") == []
    with pytest.raises(Fault, match="index_missing"):
        store.folder("k")
    store.publish("k", "v1", index(1))
    with pytest.raises(Fault, match="allowed: v1"):
        store.folder("k", "v9")
    with pytest.raises(Fault, match="index_missing"):
        store.restore("k", "v9")


def test_restore_switches_back(store):
    store.publish("k", "v1", index(1))
    store.publish("k", "v2", index(2))
    assert number_in(store.restore("k", "v1")) == 1
    assert store.current("k") == "v1"


def test_prune_keeps_the_last_the_current_and_the_pinned(store):
    for number in range(1, 7):
        store.publish("k", f"v{number}", index(number))
    store.restore("k", "v1")
    store.publish("k", "v6", index(6))
    (store.root / "k" / "current").write_text("v3")
    assert store.prune("k", 2, pinned={"v2"}) == ["v5", "v4"]
    assert set(store.versions("k")) == {"v6", "v1", "v2", "v3"}
    with pytest.raises(Fault, match="invalid_input"):
        store.prune("k", 0)
    assert store.prune("absent", 1) == []


def test_remove_takes_one_taxonomy(store):
    store.publish("a", "v1", index(1))
    store.publish("b", "v1", index(1))
    assert store.remove("a")
    assert not store.remove("a")
    assert store.current("a") is None
    assert store.current("b") == "v1"


@pytest.mark.parametrize("version", ["", "current", "../x", "a/b", ".hidden", "x" * 101, "a\n"])
def test_versions_that_are_no_folder_names_are_refused(store, version):
    for attempt in (lambda: store.publish("k", version, index(1)), lambda: store.folder("k", version)):
        with pytest.raises(Fault, match="invalid_input"):
            attempt()


@pytest.mark.parametrize("key", ["..", "", "a/b", "__none__"])
def test_invalid_keys_are_refused(store, tmp_path, key):
    for attempt in (lambda: store.publish(key, "v", index(1)), lambda: store.folder(key), lambda: store.current(key)):
        with pytest.raises(Fault, match="invalid_key"):
            attempt()
    with pytest.raises(Fault, match="invalid_key"):
        store.remove(key)


def test_damaged_pointer_means_no_current_version(store):
    store.publish("k", "v1", index(1))
    for content in [b"", b"../..", b"v7", b"current"]:
        (store.root / "k" / "current").write_bytes(content)
        assert store.current("k") is None
    (store.root / "k" / "current").write_bytes(b"\xff\xfe")
    with pytest.raises(Fault, match="storage_failed"):
        store.current("k")
    store.publish("k", "v1", index(1))
    assert store.current("k") == "v1"


PUBLISHER = """
import itertools, sys
from pathlib import Path
import numpy as np
from taxomind_resources.index_store import IndexStore
store, first = IndexStore(Path(sys.argv[1])), int(sys.argv[2])
def write(number):
    def fill(folder):
        for name in "abc":
            np.save(folder / f"{name}.npy", np.full(200_000, number))
    return fill
for number in itertools.islice(itertools.count(first), int(sys.argv[3])):
    store.publish("k", f"v{number}", write(number))
    store.prune("k", 3)
    print(number, flush=True)
"""


def start(data: Path, first: int, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(PUBLISHER), str(data), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def check(folder: Path) -> None:
    numbers = {int(value) for name in "abc" for value in np.unique(np.load(folder / f"{name}.npy"))}
    assert numbers == {int(folder.name[1:])}


@pytest.mark.slow
def test_killed_publisher_leaves_a_whole_version_in_use(store, tmp_path):
    chance = random.Random(11)
    for trial in range(10):
        with start(tmp_path, trial * 1000, 1000) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.06))
            process.send_signal(signal.SIGKILL)
        for version in store.versions("k"):
            check(store.folder("k", version))
        assert store.current("k") in store.versions("k")
    store.prune("k", 1)
    assert len(list((tmp_path / "indexes" / "k").iterdir())) == 2


@pytest.mark.slow
def test_processes_that_publish_and_prune_at_once_always_leave_a_current_version(store, tmp_path):
    store.publish("k", "v0", index(0))
    # Both publish the same versions, so that each is reused, and pruned, by the other.
    processes = [start(tmp_path, 1, 25), start(tmp_path, 1, 25)]
    while any(process.poll() is None for process in processes):
        assert store.current("k") is not None
        time.sleep(0.002)
    assert [process.wait() for process in processes] == [0, 0]
    assert store.current("k") == "v25"
    check(store.folder("k"))
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
