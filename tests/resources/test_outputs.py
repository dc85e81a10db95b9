"""Outputs: whole files, their schema, their digest; several processes, killed processes, difficult keys."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name
from taxomind_resources.keys import EMPTY_KEY
from taxomind_resources.outputs import Outputs, conform
from taxomind_resources.tables import BY_NAME, TABLES

COVERAGE = "reports.coverage"
DIFFICULT_KEYS = [
    "a b",
    "o'hare",
    'q"x',
    "50%25",
    "%2F",
    "a=b",
    "ü漢",
    "e\u0301",
    "..x",
    "x&y#;?*[z]",
    "NULL",
    "1",
    "2020-01-01",
]


@pytest.fixture(scope="module")
def coverage(rows_of: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    return lambda *thresholds: rows_of(COVERAGE, threshold=list(thresholds))


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path)


def test_write_then_read_gives_the_same_rows_and_digest(outputs, tmp_path, coverage):
    path = outputs.write(COVERAGE, "a b", coverage(0.1, 0.2), digest="d1")
    assert path == tmp_path / "outputs/reports/coverage/taxonomy_key=a%20b/part.parquet"
    assert outputs.read(COVERAGE, "a b").equals(coverage(0.1, 0.2))
    assert outputs.digest(COVERAGE, "a b") == "d1"
    outputs.write(COVERAGE, "a b", coverage(0.3), digest="d2")
    assert outputs.read(COVERAGE, "a b").equals(coverage(0.3))
    assert outputs.digest(COVERAGE, "a b") == "d2"
    assert [entry.name for entry in path.parent.iterdir()] == ["part.parquet"]


def test_absent_output_reads_as_no_rows(outputs):
    assert outputs.read(COVERAGE, "k").equals(BY_NAME[COVERAGE].arrow.empty_table())
    assert outputs.read(COVERAGE, "k", columns=["accuracy"]).schema.names == ["accuracy"]
    assert outputs.digest(COVERAGE, "k") is None
    assert not outputs.exists(COVERAGE, "k")
    assert outputs.parts(COVERAGE, "k") == []
    assert outputs.keys(COVERAGE) == []
    assert not outputs.delete_part(COVERAGE, "k", "part")
    assert outputs.remove_key("k") == 0


def test_parts_are_separate_files_under_any_name(outputs, coverage):
    for number, part in enumerate(["b/../c", ".hidden", "50%", "a"]):
        outputs.write(COVERAGE, "k", coverage(number / 10), part=part, digest=str(number))
    assert outputs.parts(COVERAGE, "k") == [".hidden", "50%", "a", "b/../c"]
    assert outputs.read(COVERAGE, "k")["threshold"].to_pylist() == [0.1, 0.2, 0.3, 0.0]
    assert outputs.read(COVERAGE, "k", parts=["a", "absent"])["threshold"].to_pylist() == [0.3]
    assert outputs.digest(COVERAGE, "k", "50%") == "2"
    assert outputs.delete_part(COVERAGE, "k", "a")
    assert outputs.parts(COVERAGE, "k") == [".hidden", "50%", "b/../c"]
    for part in ["", "x" * 300]:
        with pytest.raises(Fault, match="invalid_input"):
            outputs.write(COVERAGE, "k", coverage(0.1), part=part)


def test_read_selects_columns_in_the_order_asked_for(outputs, coverage):
    outputs.write(COVERAGE, "k", coverage(0.1))
    assert outputs.read(COVERAGE, "k", columns=["accuracy", "threshold"]).to_pylist() == [{"accuracy": 1.0, "threshold": 0.1}]
    with pytest.raises(Fault, match="'acuracy'"):
        outputs.read(COVERAGE, "k", columns=["acuracy"])


def test_writer_publishes_all_batches_or_none(outputs, coverage):
    with outputs.writer(COVERAGE, "k", "p", "d") as writer:
        writer.write(coverage(0.1))
        assert not outputs.exists(COVERAGE, "k", "p")
        writer.write(coverage(0.2, 0.3))
        assert writer.rows == 3
    assert outputs.read(COVERAGE, "k").num_rows == 3

    def fail() -> None:
        with outputs.writer(COVERAGE, "k", "p", "e") as writer:
            writer.write(coverage(0.9))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    assert outputs.read(COVERAGE, "k").num_rows == 3
    assert outputs.digest(COVERAGE, "k", "p") == "d"
    assert len(list(outputs.path(COVERAGE, "k").parent.iterdir())) == 1


def test_writer_without_rows_publishes_an_empty_part(outputs):
    with outputs.writer(COVERAGE, "k", "p", "d"):
        pass
    assert outputs.read(COVERAGE, "k").num_rows == 0
    assert outputs.digest(COVERAGE, "k", "p") == "d"
    assert outputs.keys(COVERAGE) == ["k"]


def test_every_table_takes_rows_of_its_own_schema(outputs):
    for table in TABLES:
        outputs.write(table.full_name, "k", table.arrow.empty_table())
        assert outputs.read(table.full_name, "k").schema.equals(table.arrow)


def test_nested_rows_come_back_unchanged(outputs):
    translation = {"language": "fr", "label": "b", "definition": "", "examples": ["c"], "aliases": [], "negative_examples": []}
    row = dict.fromkeys(BY_NAME["taxonomy.nodes"].arrow.names, "x") | {
        "parent_code": None,
        "level": 1,
        "path": ["x"],
        "is_leaf": True,
        "examples": [],
        "aliases": ["y", "z"],
        "negative_examples": [],
        "translations": [translation],
    }
    outputs.write("taxonomy.nodes", "k", pa.Table.from_pylist([row], schema=BY_NAME["taxonomy.nodes"].arrow))
    assert outputs.read("taxonomy.nodes", "k").to_pylist() == [row]


def test_conform_changes_types_only_without_loss(coverage):
    exact = coverage(0.1, 0.2)
    other = {
        "accuracy": pa.array([1, 0], pa.int64()),
        "report_id": pa.array(["1", "1"]).dictionary_encode(),
        "coverage": pa.array([0.5, 0.25], pa.float32()),
        "threshold": pa.array([0.1, 0.2]),
    }
    rest = {name: exact[name] for name in exact.column_names if name not in other}
    found = conform(COVERAGE, pa.table({**other, **rest}))
    assert found.schema.equals(exact.schema)
    assert found["accuracy"].to_pylist() == [1.0, 0.0]
    assert found["coverage"].to_pylist() == [0.5, 0.25]
    assert found["report_id"].to_pylist() == ["1", "1"]


def test_conform_keeps_the_moment_of_times_in_other_zones_and_units(rows_of):
    when = pa.array([datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=3)))], pa.timestamp("ms", tz="+03:00"))
    rows = replaced(rows_of("classification.batches", finished_at=[None]), "finished_at", when)
    assert conform("classification.batches", rows)["finished_at"].to_pylist() == [datetime(2026, 1, 1, 9, tzinfo=UTC)]


def replaced(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(column), column, values)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("threshold", pa.array(["0.1"])),
        ("threshold", pa.array([None], pa.float64())),
        ("report_id", pa.array([7])),
        ("coverage", pa.array([2**60 + 1])),
    ],
)
def test_rows_that_do_not_fit_name_their_column_and_publish_nothing(outputs, column, values, coverage):
    outputs.write(COVERAGE, "k", coverage(0.5), digest="good")
    rows = replaced(coverage(0.1), column, values)
    with pytest.raises(Fault, match=f"'{column}'") as caught:
        outputs.write(COVERAGE, "k", rows)
    assert caught.value.code == "storage_failed"
    assert outputs.digest(COVERAGE, "k") == "good"


def test_missing_foreign_and_repeated_columns_are_refused(coverage):
    rows = coverage(0.1)
    with pytest.raises(Fault, match="'accuracy' is missing"):
        conform(COVERAGE, rows.drop_columns("accuracy"))
    with pytest.raises(Fault, match="'more' is not one"):
        conform(COVERAGE, rows.append_column("more", pa.array([1])))
    with pytest.raises(Fault, match="'accuracy' is there twice"):
        conform(COVERAGE, rows.append_column("accuracy", pa.array([1.0])))


def test_times_without_a_zone_are_refused(rows_of):
    rows = replaced(rows_of("classification.batches", rows=[1]), "finished_at", pa.array([datetime(2026, 1, 1)]))
    with pytest.raises(Fault, match="'finished_at'"):
        conform("classification.batches", rows)


def test_integers_that_overflow_are_refused(rows_of):
    rows = rows_of("reports.calibration", bin=[4])
    with pytest.raises(Fault, match="'bin'"):
        conform("reports.calibration", replaced(rows, "bin", pa.array([2**40])))
    assert conform("reports.calibration", replaced(rows, "bin", pa.array([4]))).equals(rows)


def test_empty_values_are_refused_where_the_table_has_none(rows_of):
    rows = rows_of("reports.calibration", accuracy=[None])
    assert conform("reports.calibration", rows)["accuracy"].to_pylist() == [None]
    with pytest.raises(Fault, match="'accuracy'"):
        conform("reports.calibration", replaced(rows, "accuracy", pa.array(["1"])))
    with pytest.raises(Fault, match="'n' has 1 empty"):
        conform("reports.calibration", replaced(rows, "n", pa.array([None], pa.int64())))


def test_unknown_tables_and_invalid_keys_are_refused_before_any_path_is_made(outputs, tmp_path, coverage):
    rows = coverage(0.1)
    with pytest.raises(Fault, match="invalid_input"):
        outputs.write("reports.covrage", "k", rows)
    for key in ["", "..", "a/b", "__none__", " k", "a\nb", "漢" * 30]:
        for attempt in (lambda k=key: outputs.write(COVERAGE, k, rows), lambda k=key: outputs.read(COVERAGE, k)):
            with pytest.raises(Fault, match="invalid_key"):
                attempt()
        with pytest.raises(Fault, match="invalid_key"):
            outputs.remove_key(key)
    assert list(tmp_path.iterdir()) == []


def test_difficult_keys_stay_apart_and_come_back(outputs, coverage):
    for number, key in enumerate(DIFFICULT_KEYS):
        outputs.write(COVERAGE, key, coverage(float(number)))
    assert outputs.keys(COVERAGE) == sorted(DIFFICULT_KEYS)
    for number, key in enumerate(DIFFICULT_KEYS):
        assert outputs.read(COVERAGE, key)["threshold"].to_pylist() == [float(number)]


def is_valid(key: str) -> bool:
    try:
        folder_name(key)
    except Fault:
        return False
    return True


@settings(max_examples=40, deadline=None)
@given(key=st.text(min_size=1, max_size=20))
def test_any_key_is_either_refused_or_stays_inside_its_table(tmp_path_factory, key, coverage):
    outputs = Outputs(tmp_path_factory.mktemp("data"))
    if not is_valid(key):
        with pytest.raises(Fault, match="invalid_key"):
            outputs.write(COVERAGE, key, coverage(0.1))
        return
    path = outputs.write(COVERAGE, key, coverage(0.1))
    assert path.resolve().parent.parent == (outputs.root / "reports/coverage").resolve()
    assert outputs.keys(COVERAGE) == [key]
    assert outputs.remove_key(key) == 1
    assert outputs.keys(COVERAGE) == []


def test_remove_key_takes_all_tables_of_that_key_alone(outputs, coverage):
    for key in ["a", "a b"]:
        outputs.write(COVERAGE, key, coverage(0.1))
        outputs.write("reports.calibration", key, BY_NAME["reports.calibration"].arrow.empty_table())
    assert outputs.remove_key("a") == 2
    assert outputs.keys(COVERAGE) == outputs.keys("reports.calibration") == ["a b"]
    assert {entry.name for entry in outputs.root.iterdir()} == {"reports"}


def test_empty_tables_exist_for_every_table_and_are_no_taxonomy(outputs):
    outputs.ensure_empty_tables()
    files = sorted(outputs.root.rglob("*.parquet"))
    assert len(files) == len(TABLES)
    times = [file.stat().st_mtime_ns for file in files]
    outputs.ensure_empty_tables()
    assert [file.stat().st_mtime_ns for file in files] == times
    assert outputs.keys("taxonomy.nodes") == []
    damaged = outputs.root / f"reports/coverage/taxonomy_key={EMPTY_KEY}/part.parquet"
    pq.write_table(pa.table({"old": [1]}), damaged)
    outputs.ensure_empty_tables()
    assert pq.read_schema(damaged).equals(BY_NAME[COVERAGE].arrow)


def test_damaged_and_foreign_files_are_faults_that_name_the_file(outputs, coverage):
    path = outputs.write(COVERAGE, "k", coverage(0.1))
    whole = path.read_bytes()
    for content in [b"", b"nonsense", whole[: len(whole) // 2]]:
        path.write_bytes(content)
        for attempt in (outputs.read, outputs.digest):
            with pytest.raises(Fault, match="storage_failed") as caught:
                attempt(COVERAGE, "k")
            assert str(path) in caught.value.value
    pq.write_table(pa.table({"report_id": ["r"]}), path)
    with pytest.raises(Fault, match="has no column"):
        outputs.read(COVERAGE, "k")


@pytest.mark.parametrize(
    ("table", "added", "value"),
    [("learning.corrections", "corrected_at", None), ("learning.corrections", "proposed_label", "")],
)
def test_a_column_that_was_added_is_empty_in_files_of_earlier_versions(outputs, rows_of, table, added, value):
    path = outputs.write(table, "k", rows_of(table, correction_id=["a", "b"]))
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns([added]), path)
    read = outputs.read(table, "k")
    assert read.schema.equals(BY_NAME[table].arrow)
    assert read[added].to_pylist() == [value, value]


WRITER = """
import itertools, sys
from pathlib import Path
import pyarrow as pa
from taxomind_resources.outputs import Outputs
outputs, name, limit = Outputs(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
rows = outputs.read("reports.coverage", "template").take([0] * 20_000)
for number in itertools.islice(itertools.count(1), limit):
    for column, value in {"report_id": f"{name}-{number}", "threshold": float(number)}.items():
        place = rows.schema.get_field_index(column)
        rows = rows.set_column(place, rows.schema.field(place), pa.array([value] * rows.num_rows))
    outputs.write("reports.coverage", "k", rows, digest=f"{name}-{number}")
    print(number, flush=True)
"""


def start_writer(data: Path, name: str, limit: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), data, name, str(limit)], stdout=subprocess.PIPE)


@pytest.mark.slow
def test_killed_writer_leaves_the_old_or_the_new_rows(outputs, tmp_path, coverage):
    outputs.write(COVERAGE, "template", coverage(0.1))
    chance = random.Random(3)
    for _ in range(10):
        with start_writer(tmp_path, "w", 10_000) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(chance.uniform(0, 0.06))
            process.send_signal(signal.SIGKILL)
            last = int([first, *process.stdout.readlines()][-1])
        rows = outputs.read(COVERAGE, "k")
        assert rows.num_rows == 20_000
        assert rows["report_id"].unique().to_pylist() == [outputs.digest(COVERAGE, "k")]
        assert int(rows["threshold"][0].as_py()) in {last, last + 1}
    outputs.write(COVERAGE, "k", coverage(0.1))
    assert [entry.name for entry in outputs.path(COVERAGE, "k").parent.iterdir()] == ["part.parquet"]


@pytest.mark.slow
def test_processes_that_write_one_part_at_once_never_show_a_mixture(outputs, tmp_path, coverage):
    outputs.write(COVERAGE, "template", coverage(0.1))
    processes = [start_writer(tmp_path, name, 15) for name in "ab"]
    seen = set()
    while any(process.poll() is None for process in processes):
        names = outputs.read(COVERAGE, "k")["report_id"].unique().to_pylist()
        assert len(names) <= 1
        seen.update(names)
    assert [process.wait() for process in processes] == [0, 0]
    assert outputs.digest(COVERAGE, "k") in {"a-15", "b-15"}
    assert len(seen) > 1
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
