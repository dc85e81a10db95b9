"""The vector store: versions, pins, maintenance; several processes, killed processes, difficult keys."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name
from taxomind_resources.vector_store import VectorStore, table_name

MOMENT = timedelta(microseconds=1)


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "lancedb")


def vectors(*values: float, dimensions: int = 4, view: str = "label") -> pa.Table:
    matrix = np.repeat(np.asarray(values, np.float32), dimensions)
    numbers = range(len(values))
    return pa.table(
        {
            "code": pa.array([f"c{number}" for number in numbers], pa.string()),
            "view": pa.array([view] * len(values), pa.string()),
            "language": pa.array(["en"] * len(values), pa.string()),
            "text": pa.array([f"text {number}" for number in numbers], pa.string()),
            "text_hash": pa.array([f"h{number}" for number in numbers], pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(matrix), dimensions),
        }
    )


def values(rows: pa.Table) -> list[float]:
    return [vector[0] for vector in rows["vector"].to_pylist()]


def test_replace_then_read_gives_the_rows_in_a_fixed_order(store):
    rows = vectors(1, 2, 3)
    version = store.replace("a b", "label", rows.take([2, 0, 1]))
    read = store.read("a b", "label")
    assert read.to_pylist() == rows.to_pylist()
    assert read.schema.field("vector").type == pa.list_(pa.float32(), 4)
    assert store.read("a b", "label", version).equals(read)


def test_identical_content_makes_no_new_version(store):
    first = store.replace("k", "label", vectors(1, 2, 3))
    assert store.replace("k", "label", vectors(1, 2, 3).take([1, 2, 0])) == first
    assert store.merge("k", "label", vectors(1, 2, 3)) == first
    assert store.replace("k", "label", vectors(1, 2, 4)) > first
    assert len(store.versions("k", "label")) == 2


def test_merge_changes_adds_and_removes_in_one_version(store):
    first = store.merge("k", "label", vectors(1, 2, 3))
    second = store.merge("k", "label", vectors(1, 9, 3, 4).filter(pa.array([True, True, False, True])))
    assert second == first + 1
    assert values(store.read("k", "label")) == [1, 9, 4]
    assert values(store.read("k", "label", first)) == [1, 2, 3]
    assert values(store.read("k", "label", store.merge("k", "label", vectors()))) == []


def test_merge_after_a_merge_compares_with_the_newest_content(store):
    store.replace("k", "label", vectors(1, 2))
    store.merge("k", "label", vectors(1, 3))
    assert values(store.read("k", "label", store.replace("k", "label", vectors(1, 2)))) == [1, 2]


def test_other_dimensions_replace_the_table(store):
    store.merge("k", "label", vectors(1, 2))
    store.merge("k", "label", vectors(1, 2, dimensions=8))
    assert store.read("k", "label").schema.field("vector").type.list_size == 8


def test_table_without_rows_is_readable(store):
    store.replace("k", "example", vectors(view="example"))
    assert store.read("k", "example").num_rows == 0
    store.merge("k", "example", vectors(1, view="example"))
    assert values(store.read("k", "example")) == [1]


def test_pin_keeps_a_version_readable_by_its_tag(store):
    first = store.replace("k", "label", vectors(1))
    store.pin("k", "label", first, "run-1")
    second = store.replace("k", "label", vectors(2))
    assert values(store.read("k", "label", "run-1")) == [1]
    store.pin("k", "label", first, "run-1")
    store.pin("k", "label", second, "run-1")
    assert store.tags("k", "label") == {"run-1": second}
    assert values(store.read("k", "label", "run-1")) == [2]
    assert store.unpin("k", "label", "run-1")
    assert not store.unpin("k", "label", "run-1")
    assert store.tags("k", "label") == {}


def test_versions_carry_the_time_of_their_making(store):
    store.replace("k", "label", vectors(1))
    [version] = store.versions("k", "label")
    assert abs(datetime.now(UTC) - version.created_at) < timedelta(minutes=1)
    assert store.versions("k", "absent") == []


# An age of next to nothing is what LanceDB warns of; here no other process works on the table.
@pytest.mark.filterwarnings("ignore:optimize")
def test_maintain_removes_what_is_neither_young_nor_pinned(store):
    for number in range(5):
        version = store.replace("k", "label", vectors(number))
        store.pin("k", "label", version, f"run-{number}")
    assert [done.expired_tags for done in store.maintain(keep_tags=(), older_than=timedelta(days=1))] == [()]
    [done] = store.maintain(keep_tags={"run-2"}, older_than=MOMENT)
    assert (done.key, done.view) == ("k", "label")
    assert done.expired_tags == ("run-0", "run-1", "run-3", "run-4")
    assert values(store.read("k", "label", "run-2")) == [2]
    assert values(store.read("k", "label")) == [4]
    store.unpin("k", "label", "run-2")
    [done] = store.maintain(keep_tags=(), older_than=MOMENT)
    assert done.versions_after == 1 < done.versions_before
    assert values(store.read("k", "label")) == [4]
    assert store.replace("k", "label", vectors(4)) == store.versions("k", "label")[-1].number


def test_remove_takes_one_taxonomy(store):
    for key in ["a", "a.b", "a b"]:
        store.replace(key, "label", vectors(1))
        store.replace(key, "definition", vectors(1, view="definition"))
    assert store.views("a") == ["definition", "label"]
    assert store.remove("a") == 2
    assert store.remove("a") == 0
    assert store.views("a") == []
    assert store.views("a.b") == store.views("a b") == ["definition", "label"]
    store.replace("a", "label", vectors(7))
    assert values(store.read("a", "label")) == [7]
    assert not [path for path in Path(store.uri).iterdir() if path.name.startswith(".taxomind")]


@pytest.mark.filterwarnings("ignore:optimize")
def test_missing_tables_versions_and_tags_are_faults(store):
    for attempt in (
        lambda: store.read("k", "label"),
        lambda: store.pin("k", "label", 1, "t"),
        lambda: store.unpin("k", "label", "t"),
    ):
        with pytest.raises(Fault, match="index_missing"):
            attempt()
    version = store.replace("k", "label", vectors(1))
    for wanted in [version + 7, "absent"]:
        with pytest.raises(Fault, match="index_missing"):
            store.read("k", "label", wanted)
    with pytest.raises(Fault, match="index_missing"):
        store.pin("k", "label", version + 7, "t")
    assert store.maintain(keep_tags=(), older_than=MOMENT)


@pytest.mark.parametrize("tag", ["", "a b", "a/b", "-a", "x" * 101])
def test_tags_that_lancedb_cannot_hold_are_refused(store, tag):
    version = store.replace("k", "label", vectors(1))
    with pytest.raises(Fault, match="invalid_input"):
        store.pin("k", "label", version, tag)


def changed(column: str, content: pa.Array) -> pa.Table:
    rows = vectors(1, 2)
    return rows.set_column(rows.schema.get_field_index(column), column, content)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (vectors(1, 2).drop_columns("text"), "other columns"),
        (vectors(1, 2).append_column("more", pa.array([1, 2])), "other columns"),
        (changed("vector", pa.array([[1.0], [2.0]], pa.list_(pa.float32()))), "'vector'"),
        (changed("vector", pa.array([[1.0], [2.0]], pa.list_(pa.float64(), 1))), "'vector'"),
        (changed("vector", pa.array([[1.0], [float("nan")]], pa.list_(pa.float32(), 1))), "'vector'"),
        (changed("text", pa.array(["a", None])), "'text'"),
        (changed("view", pa.array(["label", "example"])), "another view"),
        (pa.concat_tables([vectors(1), vectors(2)]), "twice"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_change_nothing(store, rows, message):
    store.replace("k", "label", vectors(5))
    for write in (store.replace, store.merge):
        with pytest.raises(Fault, match=message) as caught:
            write("k", "label", rows)
        assert caught.value.code == "storage_failed"
    assert values(store.read("k", "label")) == [5]


def test_damaged_table_is_a_fault(store):
    store.replace("k", "label", vectors(1))
    for path in (Path(store.uri) / "label.k.lance" / "data").iterdir():
        path.write_bytes(b"nonsense")
    with pytest.raises(Fault, match="storage_failed"):
        VectorStore(store.uri).read("k", "label")


@pytest.mark.parametrize("key", ["..", "", "a/b", "__none__", "漢" * 30])
def test_invalid_keys_and_views_are_refused(store, key):
    for attempt in (
        lambda: store.replace(key, "label", vectors(1)),
        lambda: store.read(key, "label"),
        lambda: store.remove(key),
    ):
        with pytest.raises(Fault, match="invalid_key"):
            attempt()
    for view in ["", "../x", "a.b", "Label"]:
        with pytest.raises(Fault, match="invalid_input"):
            store.read("k", view)


@given(key=st.text(min_size=1, max_size=20), other=st.text(min_size=1, max_size=20))
def test_table_names_are_safe_and_distinct(key, other):
    named = []
    for candidate in (key, other):
        try:
            folder_name(candidate)
        except Fault:
            with pytest.raises(Fault, match="invalid_key"):
                table_name(candidate, "label")
        else:
            name = table_name(candidate, "label")
            assert re.fullmatch(r"label\.[0-9A-Za-z._-]+", name)
            named.append(name)
    assert len(set(named)) == len(named) or key == other


@settings(max_examples=15, deadline=None)
@given(key=st.text(min_size=1, max_size=12))
def test_any_valid_key_has_its_own_table(tmp_path_factory, key):
    store = VectorStore(tmp_path_factory.mktemp("lancedb"))
    try:
        folder_name(key)
    except Fault:
        return
    store.replace(key, "label", vectors(3))
    assert values(store.read(key, "label")) == [3]
    assert [done.key for done in store.maintain(keep_tags=(), older_than=timedelta(days=1))] == [key]
    assert store.remove(key) == 1


def test_making_a_table_prints_nothing(tmp_path):
    code = f"""
        import pyarrow as pa
        from taxomind_resources.vector_store import VectorStore
        texts = {{name: ["label"] for name in ("code", "view", "language", "text", "text_hash")}}
        rows = pa.table(texts | {{"vector": pa.array([[1.0]], pa.list_(pa.float32(), 1))}})
        VectorStore({str(tmp_path)!r}).replace("k", "label", rows)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True)
    assert done.stdout + done.stderr == b""


def test_importing_the_module_does_not_import_lancedb():
    code = "import sys, taxomind_resources.vector_store; sys.exit('lancedb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WRITER = """
import itertools, sys
import lancedb, numpy as np, pyarrow as pa
from taxomind_resources.vector_store import VectorStore
store, way, first, count = VectorStore(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
n, d = 3_000, 64
numbers = [f"{i:05}" for i in range(n)]
print("ready", flush=True)
for value in range(first, first + count):
    matrix = pa.array(np.full(n * d, value, np.float32))
    rows = pa.table({"code": numbers, "view": ["label"] * n, "language": ["en"] * n, "text": numbers,
                     "text_hash": numbers, "vector": pa.FixedSizeListArray.from_arrays(matrix, d)})
    getattr(store, way)("k", "label", rows)
    print(value, flush=True)
"""


def start(store: VectorStore, way: str, first: int, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), store.uri, way, str(first), str(count)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.slow
def test_killed_writer_leaves_the_old_or_the_new_vectors(store):
    chance = random.Random(2)
    last = 0
    for trial, way in enumerate(["replace", "merge"] * 5):
        with start(store, way, 1 + trial * 1000, 1000) as process:
            assert process.stdout is not None
            time.sleep(chance.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            last = int(([str(last).encode(), *process.stdout.readlines()])[-1])
        if last:
            rows = store.read("k", "label")
            assert rows.num_rows == 3_000
            [value] = np.unique(rows["vector"].combine_chunks().flatten().to_numpy())
            assert value >= last
            last = int(value)
    assert last > 1000
    assert store.replace("k", "label", vectors(1)) > 1


@pytest.mark.slow
def test_processes_that_write_one_table_at_once_all_succeed(store):
    processes = [start(store, way, first, 12) for way, first in [("replace", 100), ("merge", 200), ("replace", 300)]]
    assert [process.wait() for process in processes] == [0, 0, 0]
    [value] = set(values(store.read("k", "label")))
    assert value in {111, 211, 311}
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
