"""`taxomind ui`: Dagster's web interface, its daemon and the sensors."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from types import FrameType

EPILOG = """Examples

taxomind ui

taxomind ui --port 8080 --data /srv/taxomind
"""
#: Seconds given to the services to end by themselves, then after each stronger signal.
_GRACE_S: Final = (20.0, 10.0)


def ui(
    session: Session,
    *,
    port: Annotated[int, typer.Option("--port", "-p", metavar="N", min=1, max=65535, help="Port of the web interface.")] = 3000,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address that it listens on.")] = "127.0.0.1",
) -> None:
    """Start the web interface with the daemon and the sensors that watch the inbox. Ctrl-C stops all of it."""
    root = session.root
    check_free("ui", host, port)
    command, environment, home = dagster_services(root, host, port, verbose=session.verbose)
    address = f"http://{in_url(host)}:{port}"
    session.err.print(styled("[bold]taxomind[/] at [cyan]{address}[/]", address=address))
    session.err.print(styled("  [dim]inbox:[/] {inbox}\n  [dim]Ctrl-C stops it.[/]\n", inbox=root / "inbox"), soft_wrap=True)
    code = _run(command, environment, home)
    if code:
        raise typer.Exit(code)


def dagster_services(root: Path, host: str, port: int, *, verbose: bool = False) -> tuple[list[str], dict[str, str], Path]:
    """Make a data root ready for several processes.

    Returns:
        The command that runs web interface, daemon and code server, its environment and its working directory.

    Raises:
        Fault: `storage_failed`.
    """
    workspace, environment, home = dagster_home(root)
    # Dagster says at each start that `dagster dev` will be `dg dev` one day.
    python = [sys.executable, "-W", "ignore::FutureWarning"]
    command = [*python, "-m", "dagster", "dev", "--workspace", str(workspace), "--host", host, "--port", str(port)]
    if not verbose:
        command += ["--log-level", "warning"]
    return command, environment, home


def dagster_home(root: Path) -> tuple[Path, dict[str, str], Path]:
    """Make a data root ready for processes of Dagster.

    Returns:
        The workspace file that they load, their environment and their working directory.

    Raises:
        Fault: `storage_failed`.
    """
    from taxomind_app.cli.instance import HOME_VARIABLE, open_instance, prepare_home, start_cursors, write_workspace
    from taxomind_resources.catalogue import Catalogue
    from taxomind_resources.settings import DATA_VARIABLE

    (root / "inbox").mkdir(parents=True, exist_ok=True)
    Catalogue(root).publish()
    home = prepare_home(root)
    # The databases are made here, before several processes look for them at once.
    with open_instance(root) as instance:
        start_cursors(instance)
    return write_workspace(home), {**os.environ, HOME_VARIABLE: str(home), DATA_VARIABLE: str(root)}, home


def in_url(host: str) -> str:
    """An address to listen on as one that a browser opens."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"[{reachable}]" if ":" in reachable and not reachable.startswith("[") else reachable


def check_free(command: str, host: str, port: int, option: str = "--port") -> None:
    """Refuse an address that cannot be listened on.

    Raises:
        Fault: `invalid_input`.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        next_step = f"Choose another port, for example: taxomind {command} {option} {port + 1 if port < 65535 else 3000}"
        what = f"The web interface cannot listen there: {error.strerror or error}."
        raise Fault("invalid_input", what, value=f"{host}:{port}", allowed="a free port", next_step=next_step) from error


def _run(command: list[str], environment: dict[str, str], home: Path) -> int:
    """Run the services in a session of their own until they end or a signal comes; returns the exit code."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Before the start: what this process ignores (a background job of a shell ignores Ctrl-C) its children would ignore too.
    former: dict[int, Any] = {number: signal.signal(number, stop) for number in _stop_signals()}
    process = None
    try:
        process = subprocess.Popen(command, env=environment, cwd=home, start_new_session=True)
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for number in former:
            signal.signal(number, signal.SIG_IGN)
        if process is not None:
            _stop_all(process)
        for number, handler in former.items():
            signal.signal(number, handler)


def _stop_signals() -> list[int]:
    return [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def _stop_all(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group: by asking its leader, which ends the others in order, then ever more firmly."""
    if os.name == "nt":
        process.terminate()
        process.wait()
        return
    for number, grace in ((signal.SIGINT, _GRACE_S[0]), (signal.SIGTERM, _GRACE_S[1])):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(grace)
            break
        except subprocess.TimeoutExpired:
            continue
    # Whatever of the group has outlived its leader.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
    process.wait()
