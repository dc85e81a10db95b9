"""The catalogue: views for people, whoever holds the file; true keys whatever their characters."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_resources.catalogue import Catalogue
from taxomind_resources.faults import Fault
from taxomind_resources.files import folder_name
from taxomind_resources.keys import EMPTY_KEY
from taxomind_resources.outputs import Outputs
from taxomind_resources.tables import TABLES, VIEWS

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
    "true",
    "2020-01-01",
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A root whose name needs quoting in SQL, in globs and in URLs."""
    return tmp_path / "it's [a] *r %41 key=value"


@pytest.fixture
def catalogue(data: Path) -> Catalogue:
    return Catalogue(data)


@pytest.fixture(scope="module")
def coverage(rows_of: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    return lambda *thresholds: rows_of(COVERAGE, threshold=list(thresholds))


def rows_in(file: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_table_is_a_valid_empty_view_from_the_first_minute(catalogue):
    assert catalogue.publish()
    for table in (*TABLES, *VIEWS):
        with duckdb.connect(str(catalogue.file), read_only=True) as connection:
            result = connection.execute(f"SELECT * FROM {table.full_name}")
            assert [column[0] for column in result.description] == ["taxonomy_key", *(c.name for c in table.columns)]
            assert result.fetchall() == []
        assert catalogue.query(f"SELECT count(*) AS n FROM {table.full_name}").to_pylist() == [{"n": 0}]


@pytest.mark.parametrize("key", ["AAA", "zzz"])  # listed before and after the file without rows
def test_files_of_an_earlier_version_have_null_in_columns_added_since(catalogue, coverage, data, key):
    path = Outputs(data).write(COVERAGE, key, coverage(0.1))
    rows = pq.read_table(path, partitioning=None)
    pq.write_table(rows.drop_columns([rows.column_names[-1]]), path)
    assert catalogue.publish()
    (added,) = rows.column_names[-1:]
    assert rows_in(catalogue.file, f"SELECT threshold, {added} FROM {COVERAGE}") == [(0.1, None)]
    assert catalogue.query(f"SELECT {added} FROM {COVERAGE}").to_pylist() == [{added: None}]


def test_views_and_columns_carry_their_meaning(catalogue):
    catalogue.publish()
    views = dict(
        rows_in(catalogue.file, "SELECT schema_name || '.' || view_name, comment FROM duckdb_views() WHERE NOT internal")
    )
    assert views == {table.full_name: f"One row is {table.row}." for table in (*TABLES, *VIEWS)}
    sql = "SELECT schema_name || '.' || table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
    columns = {(table, column): comment for table, column, comment in rows_in(catalogue.file, sql)}
    for table in (*TABLES, *VIEWS):
        assert columns[table.full_name, "taxonomy_key"]
        assert {column.name: columns[table.full_name, column.name] for column in table.columns} == {
            column.name: column.meaning for column in table.columns
        }


def test_published_file_has_the_format_of_the_oldest_clients(catalogue):
    catalogue.publish()
    header = catalogue.file.read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    # 64 is the file format of DuckDB 0.10 to 1.1, which every later release reads.
    assert int.from_bytes(header[12:20], "little") == 64


def test_views_show_new_rows_without_publishing_again(catalogue, data, coverage):
    catalogue.publish()
    Outputs(data).write(COVERAGE, "k", coverage(0.1, 0.2))
    assert rows_in(catalogue.file, f"SELECT taxonomy_key, threshold FROM {COVERAGE} ORDER BY 2") == [("k", 0.1), ("k", 0.2)]
    assert not catalogue.publish()


def test_difficult_keys_come_back_as_they_are(catalogue, data, coverage):
    catalogue.publish()
    for number, key in enumerate(DIFFICULT_KEYS):
        Outputs(data).write(COVERAGE, key, coverage(float(number)))
    expected = {(key, float(number)) for number, key in enumerate(DIFFICULT_KEYS)}
    assert set(rows_in(catalogue.file, f"SELECT taxonomy_key, threshold FROM {COVERAGE}")) == expected
    for key, number in expected:
        found = catalogue.query(f"SELECT threshold FROM {COVERAGE} WHERE taxonomy_key = ?", [key])
        assert found["threshold"].to_pylist() == [number]


@settings(max_examples=20, deadline=None)
@given(key=st.text(min_size=1, max_size=12))
def test_any_valid_key_comes_back_as_it_is(tmp_path_factory, key, coverage):
    data = tmp_path_factory.mktemp("data")
    try:
        folder_name(key)
    except Fault:
        return
    Outputs(data).write(COVERAGE, key, coverage(0.1))
    sql = f"SELECT taxonomy_key FROM {COVERAGE} WHERE taxonomy_key = $key"
    assert Catalogue(data).query(sql, {"key": key})["taxonomy_key"].to_pylist() == [key]


def test_rows_under_the_empty_key_are_never_visible(catalogue, data, coverage):
    catalogue.publish()
    path = Outputs(data).write(COVERAGE, "k", coverage(0.1))
    shutil.copy(path, path.parent.parent / f"taxonomy_key={EMPTY_KEY}" / "stray.parquet")
    assert rows_in(catalogue.file, f"SELECT DISTINCT taxonomy_key FROM {COVERAGE}") == [("k",)]


def test_unfinished_files_are_not_read(catalogue, data, coverage):
    catalogue.publish()
    path = Outputs(data).write(COVERAGE, "k", coverage(0.1))
    (path.parent / ".taxomind-00000000-1-000000000000.tmp").write_bytes(b"half")
    (path.parents[3] / ".taxomind-00000000-1-000000000000.tmp").mkdir()
    assert rows_in(catalogue.file, f"SELECT count(*) FROM {COVERAGE}") == [(1,)]


def test_script_makes_the_same_views(catalogue, data, coverage):
    catalogue.publish()
    Outputs(data).write(COVERAGE, "k", coverage(0.1))
    with duckdb.connect() as connection:
        connection.execute(catalogue.script.read_text())
        connection.execute(catalogue.script.read_text())
        assert connection.execute(f"SELECT taxonomy_key FROM {COVERAGE}").fetchall() == [("k",)]


def test_publish_writes_only_when_something_changed(catalogue, data):
    assert catalogue.publish()
    before = catalogue.file.stat().st_ino
    assert not catalogue.publish()
    assert catalogue.file.stat().st_ino == before
    assert catalogue.publish(force=True)
    catalogue.script.write_text("-- of an older version\n")
    assert catalogue.publish()
    catalogue.file.unlink()
    assert catalogue.publish()
    moved = data.with_name("moved")
    data.rename(moved)
    assert Catalogue(moved).publish()
    assert rows_in(moved / "taxomind.duckdb", f"SELECT count(*) FROM {COVERAGE}") == [(0,)]


def test_publish_discards_unfinished_changes_of_the_former_file(catalogue):
    catalogue.publish()
    program = f"""
        import duckdb, os
        connection = duckdb.connect({str(catalogue.file)!r})
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("CREATE TABLE mine AS SELECT 1 AS x")
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    assert Path(f"{catalogue.file}.wal").exists()
    catalogue.publish(force=True)
    assert not Path(f"{catalogue.file}.wal").exists()
    assert rows_in(catalogue.file, "SELECT count(*) FROM duckdb_tables()") == [(0,)]


def test_queries_and_publishing_work_while_somebody_holds_the_file(catalogue, data, coverage):
    catalogue.publish()
    Outputs(data).write(COVERAGE, "k", coverage(0.1))
    program = f"""
        import duckdb, sys
        connection = duckdb.connect({str(catalogue.file)!r})
        connection.execute("CREATE TABLE mine AS SELECT 1 AS x")
        print("open", flush=True)
        sys.stdin.readline()
        print(connection.execute("SELECT count(*) FROM {COVERAGE}").fetchone()[0])
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        assert catalogue.query(f"SELECT count(*) AS n FROM {COVERAGE}").to_pylist() == [{"n": 1}]
        assert catalogue.publish(force=True)
        assert rows_in(catalogue.file, f"SELECT count(*) FROM {COVERAGE}") == [(1,)]
        output, _ = holder.communicate("\n")
    assert output == "1\n"


def test_query_answers_joins_parameters_and_listings(catalogue, data, coverage):
    Outputs(data).write(COVERAGE, "k", coverage(0.1, 0.2))
    sql = f"SELECT a.threshold FROM {COVERAGE} a JOIN {COVERAGE} b USING (report_id) WHERE b.threshold = $t ORDER BY 1"
    assert catalogue.query(sql, {"t": 0.2})["threshold"].to_pylist() == [0.1, 0.2]
    assert catalogue.query("SHOW ALL TABLES").num_rows == len(TABLES) + len(VIEWS)
    assert catalogue.query("SELECT 1 AS x").to_pylist() == [{"x": 1}]
    assert catalogue.query(f"EXPLAIN SELECT * FROM {COVERAGE}").num_rows == 1


def test_query_gives_times_in_utc(catalogue, data, rows_of):
    when = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
    rows = rows_of("classification.batches", finished_at=[when])
    Outputs(data).write("classification.batches", "k", rows)
    found = catalogue.query("SELECT finished_at FROM classification.batches")
    assert found["finished_at"].to_pylist() == [when]
    assert str(found.schema.field("finished_at").type.tz) == "UTC"


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELEC 1",
        "SELECT * FROM reports.absent",
        "SELECT missing FROM reports.coverage",
        "SELECT 1; SELECT 2",
        "CREATE TABLE x (i INTEGER)",
        "COPY (SELECT 1) TO 'out.csv'",
        "ATTACH 'other.duckdb'",
        "SET threads = 1",
        "INSTALL httpfs",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT ?",
    ],
)
def test_query_refuses_whatever_is_no_reading_of_the_views(catalogue, sql, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Fault, match="invalid_input"):
        catalogue.query(sql)
    assert [path.name for path in tmp_path.iterdir()] == [catalogue.file.parent.name]


def test_query_reads_no_file_beside_the_outputs(catalogue, data):
    Outputs(data).ensure_empty_tables()
    (data / "settings.toml").write_text("api_key = 'secret'")
    for path in [data / "settings.toml", data / "outputs" / ".." / "settings.toml"]:
        with pytest.raises(Fault, match="invalid_input"):
            catalogue.query("SELECT * FROM read_text(?)", [str(path)])


@pytest.mark.parametrize("name", ["wh?t", "back\\slash"])
def test_folders_that_duckdb_cannot_open_are_a_fault(tmp_path, name):
    with pytest.raises(Fault, match="another data root"):
        Catalogue(tmp_path / name).publish()


def test_damaged_output_is_a_fault_that_names_the_file(catalogue, data, coverage):
    path = Outputs(data).write(COVERAGE, "k", coverage(0.1))
    path.write_bytes(b"nonsense that is no parquet")
    with pytest.raises(Fault) as caught:
        catalogue.query(f"SELECT * FROM {COVERAGE}")
    assert "part.parquet" in str(caught.value)
    assert caught.value.code == "storage_failed"


PUBLISHER = """
import sys
from pathlib import Path
from taxomind_resources.catalogue import Catalogue
while True:
    Catalogue(Path(sys.argv[1])).publish(force=True)
    print("done", flush=True)
"""


@pytest.mark.slow
def test_killed_publisher_leaves_a_whole_file(catalogue, data):
    chance = random.Random(1)
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", PUBLISHER, str(data)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        count = rows_in(catalogue.file, "SELECT count(*) FROM duckdb_views() WHERE NOT internal")
        assert count == [(len(TABLES) + len(VIEWS),)]
    catalogue.publish(force=True)
    assert sorted(os.listdir(data)) == ["outputs", "taxomind.duckdb", "taxomind.sql"]


@pytest.mark.slow
def test_queries_survive_a_taxonomy_that_comes_and_goes(catalogue, data, coverage):
    program = f"""
        import sys
        from pathlib import Path
        from taxomind_resources.outputs import Outputs
        outputs = Outputs(Path(sys.argv[1]))
        rows = outputs.read("{COVERAGE}", "stays").take([0, 0, 0])
        for _ in range(60):
            outputs.write("{COVERAGE}", "comes", rows)
            outputs.remove_key("comes")
    """
    Outputs(data).write(COVERAGE, "stays", coverage(0.1))
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(data)])
    counts = set()
    while process.poll() is None:
        counts.add(catalogue.query(f"SELECT count(*) AS n FROM {COVERAGE}")["n"][0].as_py())
    assert process.returncode == 0
    assert counts <= {1, 4}
    assert counts


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM reports.absent", "SELECT * FROM absent.x", "SELECT missing FROM reports.coverage"]
)
def test_an_unknown_name_leads_to_the_list_of_tables(catalogue, sql):
    with pytest.raises(Fault) as caught:
        catalogue.query(sql)
    assert "SHOW ALL TABLES" in caught.value.next_step
