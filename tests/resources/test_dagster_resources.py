"""What assets and checks are given to query the outputs."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from dagster_duckdb import DuckDBResource

from taxomind_resources.dagster_resources import resources
from taxomind_resources.faults import Fault
from taxomind_resources.tables import TABLES


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("TAXOMIND_DATA", str(tmp_path / "data"))
    return resources()["outputs"]


def test_queries_of_assets_see_every_view_from_the_first_minute(outputs):
    for table in TABLES:
        assert outputs.query(f"SELECT count(*) AS n FROM {table.full_name}").to_pylist() == [{"n": 0}]


def test_queries_of_assets_go_through_the_duckdb_resource_and_close_what_they_opened(outputs, monkeypatch):
    opened = []
    original = DuckDBResource.get_connection

    @contextmanager
    def noted(self):
        with original(self) as connection:
            opened.append(connection)
            yield connection

    monkeypatch.setattr(DuckDBResource, "get_connection", noted)
    assert outputs.query("SELECT $n + 1 AS n", {"n": 1}).to_pylist() == [{"n": 2}]
    with pytest.raises(Fault):
        outputs.query("SELECT nothing FROM taxonomy.nodes")
    assert len(opened) == 2
    for connection in opened:
        with pytest.raises(Exception, match="closed"):
            connection.execute("SELECT 1")


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM read_text('{secret}')", "COPY (SELECT 1) TO '{secret}'", "SET memory_limit = '1GB'"]
)
def test_queries_of_assets_read_the_outputs_and_nothing_else(outputs, tmp_path, sql):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    with pytest.raises(Fault) as fault:
        outputs.query(sql.format(secret=secret))
    assert fault.value.code == "invalid_input"
    assert secret.read_text() == "secret"


def test_a_query_holds_no_file_that_people_open(outputs, tmp_path):
    import duckdb

    outputs.publish()
    with duckdb.connect(str(tmp_path / "data" / "taxomind.duckdb")) as held:
        held.execute("BEGIN")
        assert outputs.query("SELECT count(*) AS n FROM taxonomy.nodes").to_pylist() == [{"n": 0}]
