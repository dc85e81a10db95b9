"""A running `taxomind ui` and a headless Chromium that looks at it; used by the browser test and to make the docs' pictures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

BROWSERS: Final = ("chromium", "google-chrome")
GROUPS: Final = ("inbox", "taxonomy", "views", "classification", "learning", "growth", "models", "reports")
#: The lineage page with all groups of assets opened.
LINEAGE: Final = "/asset-groups?expanded=" + ",".join(f"global@global:{group}" for group in GROUPS)
PROGRAM: Final = Path(sys.executable).with_name("taxomind")
_FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"),
)


def find_browser() -> str | None:
    """Path of a Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def own_environment() -> dict[str, str]:
    """This process's environment without settings of taxomind or Dagster."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DAGSTER", "TAXOMIND"))}


def look(url: str, screenshot: Path, size: tuple[int, int], *, scale: float = 1, seconds: float = 60) -> str:
    """Load a page, write a screenshot of it and return its DOM.

    Args:
        url: the page.
        screenshot: PNG file to write; (width, height) of `size` times `scale` pixels.
        size: the window in CSS pixels.
        scale: device pixels per CSS pixel.
        seconds: limit for the whole call.

    Raises:
        subprocess.SubprocessError: the browser failed, or took too long.
    """
    browser = find_browser()
    assert browser is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        own = [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", f"--force-device-scale-factor={scale}"]
        command = [browser, *_FLAGS, *own, "--virtual-time-budget=20000", f"--screenshot={screenshot}", "--dump-dom", url]
        return _output(command, seconds)


def _output(command: Sequence[str], seconds: float) -> str:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    with _ends_with_this_process():
        try:
            output, _ = process.communicate(timeout=seconds)
        finally:
            _kill_group(process)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return output


@contextmanager
def running_ui(data: Path, seconds: float = 90) -> Iterator[str]:
    """`taxomind ui` on a data root and a free port; gives its address once it has loaded the assets, and stops it at the end.

    Raises:
        RuntimeError: it ended by itself, or was not ready within `seconds`; with what it had to say.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(PROGRAM), "ui", "--data", str(data), "--port", str(port)]
    with tempfile.TemporaryFile("w+") as log, _ends_with_this_process():
        process = subprocess.Popen(command, env=own_environment(), stdout=log, stderr=log, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            end = time.monotonic() + seconds
            while not _is_ready(address):
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise RuntimeError(f"taxomind ui is not ready (exit code {process.poll()}):\n{log.read()[-4000:]}")
                time.sleep(0.5)
            yield address
        finally:
            # It ends its own services before it goes.
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            finally:
                _kill_group(process)


@contextmanager
def running_service(data: Path, seconds: float = 60) -> Iterator[str]:
    """The HTTP service on a data root and a free port, without tokens; gives its address once it answers.

    Raises:
        RuntimeError: it ended by itself, or did not answer within `seconds`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "taxomind_app.api.server", str(data), "127.0.0.1", str(port), "open"]
    with _ends_with_this_process():
        process = subprocess.Popen(command, env=own_environment(), stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            end = time.monotonic() + seconds
            while not _answers(f"{address}/health"):
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the service is not ready (exit code {process.poll()})")
                time.sleep(0.2)
            yield address
        finally:
            _kill_group(process)


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


def _is_ready(address: str) -> bool:
    body = json.dumps({"query": "{ assetNodes { id } }"}).encode()
    try:
        with urlopen(Request(f"{address}/graphql", body, {"Content-Type": "application/json"}), timeout=10) as answer:
            return bool(json.load(answer)["data"]["assetNodes"])
    except (URLError, OSError, TypeError, KeyError):
        return False


def _kill_group(process: subprocess.Popen[Any]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    process.wait()


@contextmanager
def _ends_with_this_process() -> Iterator[None]:
    """Turn the signals that would end this process at once into an exception, so that what it started is stopped as well."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
