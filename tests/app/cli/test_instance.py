"""Dagster's records on the database of the settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import RunsFilter

from taxomind_app.cli.instance import DATABASE_VARIABLE, open_instance, prepare_home
from taxomind_resources.faults import Fault
from taxomind_resources.job_store import job_store
from taxomind_resources.jobs import Job, new_job_id
from taxomind_resources.settings import Settings, load_settings
from taxomind_sensors.maintenance import maintenance


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DAGSTER_HOME", DATABASE_VARIABLE):
        monkeypatch.setenv(name, "")


def test_records_are_kept_on_the_server_beside_the_jobs(
    tmp_path: Path, postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXOMIND_DATABASE__URL", postgres())
    with open_instance(tmp_path) as instance:
        run = instance.create_run_for_job(maintenance)
        instance.add_dynamic_partitions("taxonomies", ["jobs"])
    with open_instance(tmp_path) as again:
        assert type(again.run_storage).__name__ == "PostgresRunStorage"
        assert [found.run_id for found in again.get_runs(RunsFilter(job_name="maintenance"))] == [run.run_id]
        assert again.get_dynamic_partitions("taxonomies") == ["jobs"]
        store = job_store(load_settings(tmp_path))
        job, is_new = store.add(Job(new_job_id(), "label", "local", "K", "K", "t", "m", 1, "h"))
        assert (is_new, store.open_jobs()) == (True, [job])
    assert not list(tmp_path.rglob("*.db"))


def test_no_password_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text("se/same\n", encoding="utf-8")
    monkeypatch.setenv("TAXOMIND_DATABASE__URL", "postgresql://me@server:5432/taxomind")
    monkeypatch.setenv("TAXOMIND_DATABASE__PASSWORD_FILE", str(secret))
    written = (prepare_home(tmp_path) / "dagster.yaml").read_text(encoding="utf-8")
    assert (DATABASE_VARIABLE in written, "same" in written) == (True, False)
    assert os.environ[DATABASE_VARIABLE] == "postgresql+psycopg2://me:se%2Fsame@server:5432/taxomind"


def test_a_password_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    own = {"url": "postgresql://me@server/taxomind", "password_file": str(tmp_path / "nowhere")}
    with pytest.raises(Fault) as found:
        Settings.model_validate({"database": own}).database.address()
    assert found.value.code == "invalid_setting"
