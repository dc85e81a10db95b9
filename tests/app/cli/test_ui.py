"""`taxomind ui` and the Dagster home that it prepares."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from taxomind_app.cli.instance import (
    CONFIG,
    DEFINITIONS_MODULE,
    LOCATION_NAME,
    open_instance,
    prepare_home,
    start_cursors,
    write_workspace,
)
from taxomind_app.cli.ui import in_url

ROOT = Path(__file__).parents[3]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_home_has_the_settings_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    shipped = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    for place in ("storage", "local_artifact_storage", "compute_logs"):
        shipped.pop(place)
    assert shipped == CONFIG
    written = yaml.safe_load((prepare_home(tmp_path) / "dagster.yaml").read_text(encoding="utf-8"))
    assert {name: written[name] for name in CONFIG} == CONFIG
    assert written["compute_logs"]["config"]["base_dir"] == str(tmp_path / "dagster" / "logs")


def test_home_keeps_the_changes_of_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    file = prepare_home(tmp_path) / "dagster.yaml"
    made = file.read_text(encoding="utf-8")
    file.write_text(made.replace("300", "301"), encoding="utf-8")
    prepare_home(tmp_path)
    assert file.read_text(encoding="utf-8") == made
    file.write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    prepare_home(tmp_path)
    assert file.read_text(encoding="utf-8") == "telemetry: {enabled: false}\n"


def test_home_that_is_set_already_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "elsewhere"))
    assert prepare_home(tmp_path / "data") == tmp_path / "elsewhere"
    assert not (tmp_path / "data").exists()


def test_the_first_start_gives_the_daemon_nothing_to_warn_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._daemon.auto_run_reexecution import event_log_consumer

    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    cursors = {event_log_consumer._create_cursor_key(kind) for kind in event_log_consumer.DAGSTER_EVENT_TYPES}
    with open_instance(tmp_path) as instance:
        start_cursors(instance)
        assert instance.daemon_cursor_storage.get_cursor_values(cursors) == dict.fromkeys(cursors, "0")
        instance.daemon_cursor_storage.set_cursor_values(dict.fromkeys(cursors, "7"))
        start_cursors(instance)
        assert instance.daemon_cursor_storage.get_cursor_values(cursors) == dict.fromkeys(cursors, "7")


def test_workspace_loads_the_same_location_as_the_repository(tmp_path: Path) -> None:
    written = yaml.safe_load(write_workspace(tmp_path).read_text(encoding="utf-8"))
    assert written == yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    assert written["load_from"][0]["python_module"] == {"module_name": DEFINITIONS_MODULE, "location_name": LOCATION_NAME}


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]")]
)
def test_address_is_one_that_a_browser_opens(host: str, shown: str) -> None:
    assert in_url(host) == shown


def test_port_in_use_is_wrong_use(call: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        called = call("--data", tmp_path, "ui", "--port", str(other.getsockname()[1]))
    assert (called.code, "Choose another port" in called.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_ui_serves_from_any_folder_and_leaves_no_process(
    number: signal.Signals, own: Path, tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    port = _free_port()
    process = start("ui", "--port", str(port), "--data", own, cwd=tmp_path)
    try:
        query = json.dumps({"query": "{ assetNodes { assetKey { path } } }"}).encode()
        found = _asked(f"http://127.0.0.1:{port}/graphql", query, process)
        assert ["node_index"] in [node["assetKey"]["path"] for node in found["data"]["assetNodes"]]
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) > 2
        process.send_signal(number)
        assert process.wait(60) == 0
        assert psutil.wait_procs(children, timeout=10)[1] == []
    finally:
        process.kill()
    assert process.stderr is not None
    assert f"http://127.0.0.1:{port}".encode() in process.stderr.read()


def _asked(address: str, body: bytes, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The answer of a service that is starting."""
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
            if found.get("data", {}).get("assetNodes"):
                return found
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"The service did not answer; exit code {process.poll()}")
