"""Processes that are kept up, guarded and stopped; the examples of the documentation by curl."""

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

import psutil
import pytest
import uvicorn

from taxomind_app.api.children import Child, keep_all
from tests.app.api.conftest import SECRET, Served, wait_for

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
