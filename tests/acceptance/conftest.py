"""A real daemon on a project in a temporary folder, and an embedding service whose every answer the test controls."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from dagster import DagsterInstance

from taxomind_resources.catalogue import Catalogue

ROOT = Path(__file__).parents[2]
_SHIPPED_POLL, _QUICK_POLL = "poll_interval_seconds: 60", "poll_interval_seconds: 3"


class EmbeddingService:
    """An OpenAI-compatible endpoint on this machine. `hold` makes it stop answering; `resume` lets it go on."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()
        self.waiting = threading.Event()
        self.hold_texts: Callable[[list[str]], bool] = lambda texts: False
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
                if service.hold_texts(texts) and not service._free.is_set():
                    service.waiting.set()
                    service._free.wait(120)
                rows = [{"object": "embedding", "index": i, "embedding": _vector(text)} for i, text in enumerate(texts)]
                usage = {"prompt_tokens": 1, "total_tokens": 1}
                answer = json.dumps({"object": "list", "data": rows, "model": body["model"], "usage": usage}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def hold(self, texts: Callable[[list[str]], bool]) -> None:
        """Stop answering requests with texts like these."""
        self.hold_texts = texts
        self._free.clear()

    def resume(self) -> None:
        self.hold_texts = lambda texts: False
        self._free.set()

    def close(self) -> None:
        self.resume()
        self._server.shutdown()
        self._server.server_close()


def _vector(text: str) -> list[float]:
    total = np.full(32, 1e-6)
    for word in text.lower().split():
        total += np.random.default_rng(zlib.crc32(word.encode())).normal(size=32)
    return (total / np.linalg.norm(total)).tolist()


class Household:
    """A project folder as a person has it, and the daemon that watches over it."""

    def __init__(self, root: Path, settings: str = "") -> None:
        self.root = root
        self.data = root / "data"
        self.data.mkdir(parents=True)
        (self.data / "settings.toml").write_text(f"[limits]\nsettle_s = 0.5\nshard_rows = 20\n{settings}")
        for name in ("workspace.yaml", "dagster.yaml"):
            # Only how long a killed run goes unnoticed differs from what ships: most of the time would pass waiting for it.
            (root / name).write_text((ROOT / name).read_text().replace(_SHIPPED_POLL, _QUICK_POLL))
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "TAXOMIND"))}
        self._environment |= {"DAGSTER_HOME": str(root), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        self._daemon: subprocess.Popen[bytes] | None = None
        self._log = root / "daemon.log"
        # Two processes that open a new storage at the same moment trip over each other.
        with self.instance() as instance:
            instance.get_runs_count()

    def start(self) -> None:
        """Start the daemon. `dagster-daemon run` is what `dagster dev` starts as well, without the web server."""
        command = [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", "workspace.yaml"]
        with self._log.open("ab") as log:
            self._daemon = subprocess.Popen(
                command, cwd=self.root, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def processes(self) -> list[psutil.Process]:
        """Everything that runs in this folder: daemon, code server and runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.root) and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_everything(self) -> None:
        """What a power cut does: kill -9 of every process at once."""
        processes = self.processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)

    def stop(self) -> None:
        if self._daemon is not None and self._daemon.poll() is None:
            os.kill(self._daemon.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._daemon.wait(10)
        self.kill_everything()

    def instance(self) -> DagsterInstance:
        """The instance that the daemon uses; its paths are relative to the folder."""
        before = os.getcwd()
        os.chdir(self.root)
        try:
            return DagsterInstance.from_config(str(self.root))
        finally:
            os.chdir(before)

    def put(self, path: str, content: str) -> None:
        """Copy a file into the inbox as a person does, without any care."""
        target = self.data / "inbox" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    def sql(self, query: str) -> list[dict[str, Any]]:
        return Catalogue(self.data).query(query).to_pylist()

    def wait_for(self, what: str, condition: Callable[[], Any], seconds: float = 240) -> Any:
        """Wait until a condition holds; the daemon's log is shown when it does not in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.25)
        log = "\n".join(line[:300] for line in self._log.read_text().splitlines()[-60:])
        pytest.fail(f"{what} did not happen within {seconds} s.\n{log}")


@pytest.fixture
def household(tmp_path: Path, model_root: Path) -> Iterator[Household]:
    """A household with the embedded model, converted once for all tests."""
    from taxomind_resources.embedding import load_embedder
    from taxomind_resources.settings import load_settings

    load_embedder(load_settings(model_root, {}).embedding, model_root).embed(["ready"], "query")
    found = Household(tmp_path / "house")
    (found.data / "models").symlink_to(model_root / "models")
    yield found
    found.stop()


@pytest.fixture
def vector_of() -> Callable[[str], list[float]]:
    """The vector that the service gives a text."""
    return _vector


@pytest.fixture
def service() -> Iterator[EmbeddingService]:
    found = EmbeddingService()
    yield found
    found.close()


@pytest.fixture
def served(tmp_path: Path, service: EmbeddingService) -> Iterator[Household]:
    """A household whose vectors come from the service."""
    settings = (
        f'[embedding]\nprovider = "openai"\nmodel = "words"\nbase_url = "{service.url}"\napi_key = "none"\ncache = false\n'
    )
    found = Household(tmp_path / "house", settings)
    yield found
    found.stop()
