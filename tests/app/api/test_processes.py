"""The service as people start it: real processes, killed and stopped; and the examples of the documentation by curl."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvicorn

from taxomind_app.api.children import Child, keep_all
from tests.app.api.conftest import SECRET, Served, wait_for
from tests.app.conftest import TAXOMIND

DOCS = Path(__file__).parents[3] / "docs" / "api.md"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_process_that_ends_is_started_again_and_all_are_stopped_together(tmp_path: Path) -> None:
    file, ended = tmp_path / "pids", threading.Event()
    sleeper = f"import os, time; open({str(file)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(600)"
    children = [Child(name, [sys.executable, "-c", sleeper], os.environ) for name in "ab"]
    thread = threading.Thread(target=keep_all, args=(children, ended))
    thread.start()
    pids = wait_for(lambda: found if len(found := [int(pid) for pid in text(file).split()]) == 2 else None)
    os.kill(pids[0], signal.SIGKILL)
    pids = wait_for(lambda: found if len(found := [int(pid) for pid in text(file).split()]) == 3 else None)
    ended.set()
    thread.join(30)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def ended(state: Any) -> Any:
    """A job's state once it has ended; nothing while the service does not answer."""
    return state if state and state["terminal"] else None


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_guarded_process_ends_with_its_parent(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    sleeper = f"import os, time; open({str(file)!r}, 'w').write(f'{{os.getpid()}} '); time.sleep(600)"
    guard = [sys.executable, "-m", "taxomind_app.api.children", sys.executable, "-c", sleeper]
    script = f"import subprocess, time; subprocess.Popen({guard!r}, start_new_session=True); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", script])
    pid = int(wait_for(lambda: text(file)))
    parent.kill()
    parent.wait()
    wait_for(lambda: not psutil.pid_exists(pid))


@pytest.mark.slow
def test_a_job_survives_the_death_of_every_process(own: Path) -> None:
    data, port = own, free_port()
    environment = {**os.environ, "API_TOKENS": SECRET, "TAXOMIND_SERVICE__WORKERS": "1"}
    command = [TAXOMIND, "serve", "--no-ui", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)

    def call(path: str, body: Any = None, method: str = "GET") -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except OSError:
            return None

    def child(module: str) -> psutil.Process | None:
        found = psutil.Process(process.pid).children(recursive=True)
        return next((own for own in found if any(module in word for word in own.cmdline())), None)

    try:
        wait_for(lambda: (call("/health") or {}).get("status") == "healthy")
        sentences = [{"sentence_id": i, "fields": {"T": f"a parrot with {i} feathers"}} for i in range(600)]
        label = call("/label", {"taxonomyKey": "living", "batchId": "b", "sentences": sentences}, "POST")
        wait_for(lambda: call(f"/label/{label['job_id']}/status")["status"] == "running")
        child("taxomind_app.api.worker").kill()
        child("taxomind_app.api.server").kill()
        done = wait_for(lambda: ended(call(f"/label/{label['job_id']}/status")), 120)
        assert (done["status"], len(done["result"]["suggestions"]) + len(done["result"]["errors"])) == ("completed", 600)
        label = call("/label", {"taxonomyKey": "living", "batchId": "d", "sentences": sentences * 5}, "POST")
        wait_for(lambda: 0 < call(f"/label/{label['job_id']}/status")["progress"] < 1)
        assert call(f"/label/{label['job_id']}/cancel", None, "POST")["status"] == "canceled"
        small = call("/label", {"taxonomyKey": "living", "batchId": "c", "sentences": sentences[:5]}, "POST")
        done = wait_for(lambda: ended(call(f"/label/{small['job_id']}/status")))
        assert len(done["result"]["suggestions"]) == 5
        assert call(f"/label/{label['job_id']}/status")["status"] == "canceled"
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert psutil.wait_procs(children, timeout=10)[1] == []
    finally:
        process.kill()


@pytest.fixture
def address(make_served: Callable[..., Served]) -> Iterator[tuple[str, Served]]:
    """A service that listens; its worker is stepped by the test."""
    served, port = make_served(), free_port()
    server = uvicorn.Server(uvicorn.Config(served.app, port=port, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    yield f"http://127.0.0.1:{port}", served
    server.should_exit = True
    thread.join(30)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_of_the_documentation_work(address: tuple[str, Served]) -> None:
    url, served = address
    examples = re.findall(r"```sh\n(curl .*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 12
    environment = {**os.environ, "URL": url, "TOKEN": SECRET}
    for example in examples:
        done = subprocess.run(["bash", "-c", example], env=environment, capture_output=True, text=True, check=True)
        answer = json.loads(done.stdout)
        assert "detail" not in answer, (example, answer)
        if "job_id" in answer:
            environment["JOB"] = answer["job_id"]
        if "/status" in example or "/cancel" in example:
            assert answer["status"] == "completed", answer
        served.work()


def test_a_poll_is_answered_quickly_while_the_store_is_written(address: tuple[str, Served]) -> None:
    url, served = address
    job = served.post("/error-analysis")["job_id"]
    request = urllib.request.Request(f"{url}/error-analysis/{job}/status/", headers={"Authorization": f"Bearer {SECRET}"})
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            served.app.state.service.jobs.beat(job, "nobody")
            time.sleep(0)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert json.load(answer)["status"] == "pending"
    finally:
        ended.set()
        writer.join()
