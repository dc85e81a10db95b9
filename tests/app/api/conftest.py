"""A service over a data root of its own, a client that knows the contract alone, and a worker that the tests step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from fastapi import FastAPI
from starlette.testclient import TestClient

from taxomind_app.api.app import create_app
from taxomind_app.api.worker import Worker
from taxomind_resources.settings import DATA_VARIABLE, Settings, load_settings
from tests.app.conftest import with_models

SECRET = "a-secret-for-tests"
SUCCESS, FAILURE = {"complete", "completed", "success"}, {"failed", "error"}
NODES = [
    {"code": "A", "level": 1, "label": "Animals", "definition": "Living beings that move and eat", "examples": None},
    {"code": "AB", "level": 2, "label": "Birds", "parentCode": "A", "examples": "sparrow\nowl\nparrot in a cage"},
    {"code": "AF", "level": 2, "label": "Fish", "parentCode": "A", "examples": ["salmon", "trout"], "isLeaf": None},
    {"code": 7, "level": "1", "label": "Plants", "definition": "", "parentCode": None, "isLeaf": False},
    {
        "code": 71,
        "level": 2,
        "label": "Trees",
        "parentCode": 7,
        "definition": "Tall plants with a trunk",
        "examples": "oak\nbirch",
    },
    {"code": 72, "level": 2, "label": "Flowers", "parentCode": 7, "examples": "tulip\nrose", "isLeaf": True},
]


class NoStop:
    """In the tests' own process nothing is interrupted; the worker notices at the end that its job was taken away."""

    def __call__(self) -> None:
        """Do nothing."""

    def disarm(self) -> None:
        """Do nothing."""


@dataclass
class Served:
    """A service in this process."""

    app: FastAPI
    http: TestClient
    worker: Worker
    instance: DagsterInstance

    def work(self) -> int:
        """Do all jobs that are there; returns how many."""
        done = 0
        while self.worker.step():
            done += 1
        return done

    def post(self, path: str, body: Any = None, status: int = 202, **headers: str) -> Any:
        """POST; the answer must have this status."""
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.post(path, json=body, headers=own) if body is not None else self.http.post(path, headers=own)
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, path: str, status: int = 200) -> Any:
        """GET; the answer must have this status."""
        answer = self.http.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def polled(self, route: str, accepted: Any) -> Any:
        """What the labelling client does: poll until a word ends it. The clock is the worker's step."""
        job_id = accepted.get("job_id") or accepted.get("jobId")
        for _ in range(50):
            state = self.get(f"{route}/{job_id}/status")
            if state["status"].lower() in SUCCESS | FAILURE or state["status"] == "canceled":
                return state
            self.worker.step()
        raise AssertionError(f"{route}: the job never ends")

    def label(self, batch: str, sentences: list[dict[str, Any]], **body: Any) -> Any:
        """Label sentences and wait; returns the result."""
        state = self.polled(
            "/label", self.post("/label", {"taxonomyKey": "ISCO", "batchId": batch, "sentences": sentences, **body})
        )
        assert state["status"] == "completed", state
        return state["result"]


@pytest.fixture(scope="module")
def make_served(tmp_path_factory: pytest.TempPathFactory, model_root: Path) -> Iterator[Callable[..., Served]]:
    """Make a service over a fresh data root; `values` are its settings. Its runs are recorded in memory."""
    patch = pytest.MonkeyPatch()
    instances: list[DagsterInstance] = []

    def make(**values: Any) -> Served:
        data = with_models(tmp_path_factory.mktemp("api") / "data", model_root)
        patch.setenv(DATA_VARIABLE, str(data))
        patch.setenv("API_TOKENS", SECRET)
        settings = Settings.model_validate({**load_settings(data).model_dump(), **values, "data": data})
        app = create_app(settings)
        instances.append(DagsterInstance.ephemeral())
        http = TestClient(app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {SECRET}"})
        return Served(app, http, Worker(app.state.service, instances[-1], 1, NoStop()), instances[-1])

    yield make
    for instance in instances:
        instance.dispose()
    patch.undo()


def taxonomy(key: str = "ISCO", **body: Any) -> dict[str, Any]:
    """A request to sync a small taxonomy, as the client sends it."""
    own = {
        "key": key,
        "displayName": "Living",
        "description": None,
        "maxDepth": 2,
        "levelNames": {"1": "Kingdom"},
        "nodes": NODES,
    }
    return {"action": "create", "taxonomy": own, **body}


def wait_for(found: Callable[[], Any], seconds: float = 60) -> Any:
    """What `found` gives, once it gives something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError("It does not happen.")


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """`wait_for` as a fixture."""
    return wait_for
