"""`taxomind serve`: its parts, and what watches over them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxomind_app.cli.serve import Part, _children
from taxomind_app.cli.session import Session
from taxomind_resources.job_store import JobStore
from taxomind_resources.settings import Settings


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        return Session(data=tmp_path_factory.mktemp("serve") / "data")


def commands(session: Session, *parts: Part) -> dict[str, str]:
    service = Settings.model_validate({"service": {"workers": 2}}).service
    return {child.name: " ".join(child.command) for child in _children(session, service, frozenset(parts), "127.0.0.1")}


def test_each_part_runs_by_itself(session: Session) -> None:
    found = {part: commands(session, part) for part in Part}
    assert [list(own) for own in found.values()] == [["api"], ["worker 0", "worker 1"], ["webserver"], ["daemon"]]
    assert "taxomind_app.api.server" in found[Part.API]["api"]
    assert "dagster_webserver -w" in found[Part.WEBSERVER]["webserver"]
    assert "dagster._daemon run -w" in found[Part.DAEMON]["daemon"]


def test_together_they_share_one_process_of_dagster(session: Session) -> None:
    assert list(commands(session, *Part)) == ["api", "worker 0", "worker 1", "dagster"]


@pytest.mark.parametrize("part", Part)
def test_what_does_not_run_is_said(call: Callable[..., Any], tmp_path: Path, part: Part, session: Session) -> None:
    ports = ["--port", "9", "--ui-port", "9"]
    called = call("serve", "--only", part, "--check", *ports, "--data", session.root if part is Part.DAEMON else tmp_path)
    assert (called.code, "not_running" in called.err) == (1, True)


def test_workers_of_this_machine_are_found(call: Callable[..., Any], tmp_path: Path) -> None:
    from taxomind_app.api.worker import worker_row

    store = JobStore(tmp_path)
    store.worker_beat(worker_row(0))
    called = call("serve", "--only", "workers", "--check", "--data", tmp_path)
    assert (called.code, called.out.strip()) == (0, "workers: 1 of 2")


def test_silence_is_death_here_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    from taxomind_app.api.reconcile import is_dead
    from taxomind_app.api.worker import worker_row

    row = worker_row(0)
    assert not is_dead(row, 60)
    monkeypatch.setattr(time, "time", lambda: row.heartbeat_at + 61)
    assert is_dead(row, 60)
