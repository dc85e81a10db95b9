"""The service as people start it, while its processes are killed: every job ends exactly once, and nothing is done twice."""

from __future__ import annotations

import itertools
import json
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from taxomind_app.cli.instance import open_instance
from taxomind_resources.inbox import Inbox
from taxomind_resources.job_store import JobStore
from taxomind_resources.jobs import JOB_TAG, TERMINAL
from taxomind_resources.outputs import Outputs
from taxomind_sensors.requests import FINISHED
from tests.acceptance.browser import PROGRAM, own_environment
from tests.app.api.conftest import taxonomy, wait_for
from tests.app.conftest import with_models

SECRET = "a-secret-for-jobs"
SETTINGS = "[service]\nattempts = 50\nrequests_per_minute = 100000\nreads_per_minute = 100000\nworkers = {workers}\n"
ROWS = 20
API, WORKER = "taxomind_app.api.server", "taxomind_app.api.worker"
#: Every process below `taxomind serve`, those of Dagster too.
ANY = ""
CODES = ("AB", "AF", "71", "72")


class Running:
    """`taxomind serve` on a data root."""

    def __init__(self, data: Path, *arguments: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.data = data
        command = [str(PROGRAM), "serve", "--data", str(data), "--port", str(self.port), *arguments]
        environment = {**own_environment(), "API_TOKENS": SECRET}
        with (data / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        self._numbers = itertools.count()

    def call(self, path: str, body: Any = None, method: str = "GET", key: str = "") -> Any:
        """What is answered; None while nobody answers."""
        headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
        own = headers | ({"Idempotency-Key": key} if key else {})
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content, own, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise AssertionError(refused.read().decode()) from refused
        except (OSError, ValueError):
            return None

    def asked(self, path: str, body: Any) -> str:
        """The id of a job; the request is sent until it is answered, as clients do."""
        key = f"k-{self.port}-{next(self._numbers)}"
        answer = wait_for(lambda: self.call(path, body, "POST", key), 120)
        return str(answer.get("job_id") or answer["jobId"])

    def processes(self, module: str) -> list[psutil.Process]:
        """Processes that belong to it and run a module."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                found += [process] if any(module in word for word in process.cmdline()) else []
        return found

    def kill(self, module: str, choose: Callable[[list[psutil.Process]], psutil.Process]) -> None:
        """Kill one of them."""
        if found := self.processes(module):
            with suppress(psutil.NoSuchProcess):
                choose(found).kill()

    def stop(self) -> None:
        """Ask it to end; it must leave no process."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(90) == 0
        assert psutil.wait_procs(children, timeout=10)[1] == []


@contextmanager
def running(data: Path, *arguments: str) -> Iterator[Running]:
    service = Running(data, *arguments)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            for process in [*psutil.Process(service.process.pid).children(recursive=True), service.process]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            service.process.wait()


class Watched(threading.Thread):
    """Reads all jobs over and over; notes when a job that had ended changes."""

    def __init__(self, store: JobStore) -> None:
        super().__init__(daemon=True)
        self.store = store
        self.ended: dict[str, Any] = {}
        self.changed: list[tuple[Any, Any]] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.3):
            self.look()

    def look(self) -> None:
        with self.store.database.reading() as db:
            ids = [row["id"] for row in db.execute("SELECT id FROM service_jobs", {})]
        for job in filter(None, map(self.store.get, ids)):
            former = self.ended.get(job.id)
            if job.status in TERMINAL:
                self.ended[job.id] = job
            if former is not None and (former.status, former.result, former.completed_at) != (
                job.status,
                job.result,
                job.completed_at,
            ):
                self.changed.append((former, job))


def requests(count: int) -> list[tuple[str, Any]]:
    """Work of all kinds: mostly labels, some answers with labels, some teaching, some measuring."""
    found: list[tuple[str, Any]] = []
    for number in range(count):
        texts = [f"a parrot with {number} red feathers and {row} blue ones" for row in range(ROWS)]
        sentences = [{"sentence_id": row, "fields": {"T": text}} for row, text in enumerate(texts)]
        own = {"taxonomyKey": "ISCO", "sentences": sentences}
        if number % 10 == 3:
            taught = [{"sentenceId": f"{number}-{row}", "fields": {"T": f"creature {number} {row}"}} for row in range(3)]
            marked = [item | {"annotations": [{"level": 2, "nodeCode": CODES[number % 4]}]} for item in taught]
            found.append(("/learn", {"taxonomyKey": "ISCO", "sentences": marked}))
        elif number % 10 == 6:
            found.append(("/classify", own))
        elif number % 50 == 9:
            found.append(("/error-analysis", {}))
        else:
            found.append(("/label", {**own, "batchId": f"b-{number}"}))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "victims", "arguments"),
    [
        pytest.param(4, (WORKER, API), ("--no-ui",), id="few"),
        pytest.param(
            200, (WORKER, API, WORKER, ANY) * 8, (), id="many", marks=[pytest.mark.endurance, pytest.mark.timeout(2400)]
        ),
    ],
)
def test_every_job_ends_exactly_once(
    tmp_path: Path, model_root: Path, count: int, victims: tuple[str, ...], arguments: tuple[str, ...]
) -> None:
    chance = random.Random(count)
    data = with_models(tmp_path / "data", model_root)
    is_many = count > 10
    (data / "settings.toml").write_text(SETTINGS.format(workers=2 if is_many else 1))
    ui = ("--ui-port", str(free_port())) if is_many else ()
    with running(data, *arguments, *ui) as service:
        built = service.asked("/taxonomies", taxonomy())
        watched = Watched(JobStore(data))
        asked = {service.asked(path, body): (path, body) for path, body in requests(count)}
        watched.start()
        for module in victims:
            time.sleep(chance.uniform(1, 8) if is_many else 0.2)
            service.kill(module, chance.choice)
        dropped = service.asked("/label", long_request())
        wait_for(lambda: set(watched.ended) >= {built, *asked}, 1800 if is_many else 150)
        wait_for(lambda: watched.store.get(dropped).status == "running")
        state = wait_for(lambda: service.call(f"/label/{dropped}/cancel", None, "POST"))
        assert state["status"] == "canceled", state
        # The worker that was interrupted goes on with what comes next.
        last = service.asked("/error-analysis", {})
        wait_for(lambda: last in watched.ended)
        service.stop()
    watched.over.set()
    watched.join()
    watched.look()
    assert watched.changed == []
    own = {job_id: job for job_id, job in watched.ended.items() if job_id != dropped}
    assert set(own) == {built, last, *asked}
    assert Counter(job.status for job in own.values()) == {"completed": count + 2}, [job.error for job in own.values()]
    assert watched.ended[dropped].status == "canceled"
    check_answers(data, {job_id: own[job_id] for job_id, (path, _) in asked.items() if path in {"/label", "/classify"}})
    check_lessons(data, [body for path, body in asked.values() if path == "/learn"])
    check_runs(data, own)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def long_request() -> dict[str, Any]:
    """More texts than are answered before somebody cancels."""
    sentences = [{"sentence_id": row, "fields": {"T": f"old tree number {row} by the river"}} for row in range(20_000)]
    return {"taxonomyKey": "ISCO", "batchId": "long", "sentences": sentences}


def check_answers(data: Path, jobs: dict[str, Any]) -> None:
    """Each text was answered in its job's result once, and is stored once; nothing of a cancelled batch is stored."""
    stored = Counter(Outputs(data).read("classification.results", "ISCO", columns=["batch_id"])["batch_id"].to_pylist())
    for job in jobs.values():
        result = json.loads((data / job.result).read_bytes())
        if job.kind == "label":
            ids = [item["sentenceId"] for item in [*result["suggestions"], *result["errors"]]]
        else:
            ids = [item["sentence_id"] for item in result["results"]]
        assert sorted(ids) == list(range(ROWS))
        assert stored.pop(job.parameters["batch"]) == ROWS
    assert stored == Counter()


def check_lessons(data: Path, bodies: list[Any]) -> None:
    """Each correction lies in one file, and is stored once."""
    files = [file.name for file in Inbox(data, 0.0).files("ISCO", "corrections")]
    assert len(files) == len(bodies)
    rows = Outputs(data).read("learning.corrections", "ISCO", columns=["correction_id", "status"]).to_pylist()
    wanted = {item["sentenceId"] for body in bodies for item in body["sentences"]}
    assert Counter(row["correction_id"] for row in rows) == dict.fromkeys(wanted, 1)
    assert {row["status"] for row in rows} == {"applied"}


def check_runs(data: Path, jobs: dict[str, Any]) -> None:
    """Every run of a job is over; the last one of a job that needed a run has succeeded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        with open_instance(data) as instance:
            runs = [run for run in instance.get_runs() if run.tags.get(JOB_TAG) in jobs]
    assert {run.status.value for run in runs} <= {status.value for status in FINISHED}
    good = {run.run_id for run in runs if run.is_success}
    assert {job.run_id for job in jobs.values() if job.run_id} <= good
    assert len(good) >= len(jobs) / 2
