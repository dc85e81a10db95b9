"""`taxomind serve`: the HTTP service with its workers, Dagster's web interface, daemon and sensors."""

from __future__ import annotations

import os
import signal
import sys
import threading
from enum import StrEnum
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Final

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from taxomind_app.api.children import Child
    from taxomind_resources.settings import ServiceSettings

EPILOG = """Examples

taxomind token create labelling-app

taxomind serve

taxomind serve --no-auth --port 8080

taxomind serve --only workers
"""
UI_HOST: Final = "127.0.0.1"


class Part(StrEnum):
    """What may run by itself, on a machine or in a container of its own."""

    API = "api"
    WORKERS = "workers"
    WEBSERVER = "webserver"
    DAEMON = "daemon"


def serve(
    session: Session,
    *,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on (default: service.host).")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", metavar="N", min=1, max=65535, help="Its port (default: PORT, else service.port)."),
    ] = None,
    ui_port: Annotated[
        int | None,
        typer.Option(
            "--ui-port", metavar="N", min=1, max=65535, help="Port of Dagster's interface (default: service.ui_port)."
        ),
    ] = None,
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Also run Dagster's web interface, daemon and sensors.")] = True,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask for no token; only on an address of this machine.")] = False,
    only: Annotated[
        Part | None,
        typer.Option("--only", help="Run this part alone; --host is then the web interface's own for webserver."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether it runs well: exit code 0 or 1.")] = False,
) -> None:
    """Answer over HTTP until Ctrl-C: the service, the workers that do its jobs, and Dagster beside them.

    Whatever ends by itself is started again. Jobs survive the end of any process. With a database that they share
    (database.url), the parts may run on several machines.
    """
    from taxomind_app.api.config import service_settings

    changed = {"host": host, "port": port, "ui_port": ui_port, "auth_enabled": False if no_auth else None}
    given = {name: value for name, value in changed.items() if value is not None}
    service = service_settings(session.settings).model_copy(update=given)
    parts = frozenset(Part if ui else (Part.API, Part.WORKERS)) if only is None else frozenset({only})
    # Dagster's interface knows no tokens: another machine sees it only when it is asked for by itself.
    ui_host = UI_HOST if only is None or host is None else host
    if check:
        from taxomind_app.cli.serve_check import check_parts

        check_parts(session, service, parts)
        return
    _run(session, service, parts, ui_host)


def _run(session: Session, service: ServiceSettings, parts: frozenset[Part], ui_host: str) -> None:
    from taxomind_app.api.children import keep_all
    from taxomind_app.api.logs import configure_logs
    from taxomind_app.cli.ui import check_free, in_url
    from taxomind_resources.embedding.placing import place_models

    if Part.API in parts:
        check_access(service, session.root)
        check_free("serve", service.host, service.port)
    if Part.WEBSERVER in parts:
        check_free("serve", ui_host, service.ui_port, "--ui-port")
    configure_logs()
    place_models(session.root)
    children = _children(session, service, parts, ui_host)
    if Part.API in parts:
        address = f"http://{in_url(service.host)}:{service.port}"
        session.err.print(styled("[bold]taxomind[/] answers at [cyan]{address}[/]", address=address))
    if Part.WEBSERVER in parts:
        address = f"http://{in_url(ui_host)}:{service.ui_port}"
        session.err.print(styled("  [dim]Dagster:[/] [cyan]{address}[/]", address=address))
    session.err.print(styled("  [dim]Ctrl-C stops all of it.[/]\n"))
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    keep_all(children, ended)


def check_access(service: ServiceSettings, data: Path) -> None:
    """Refuse to be open to other machines, and to ask for tokens that nobody has.

    Raises:
        Fault: `invalid_setting`.
    """
    from taxomind_app.api.auth import Gate

    if not service.auth_enabled and not is_loopback(service.host):
        next_step = "Ask for tokens (`taxomind token create NAME`), or listen on 127.0.0.1."
        what = "Without tokens everybody who reaches this address could do everything."
        raise Fault("invalid_setting", what, value=service.host, allowed="an address of this machine", next_step=next_step)
    Gate(data, service)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _children(session: Session, service: ServiceSettings, parts: frozenset[Part], ui_host: str) -> list[Child]:
    from taxomind_app.api.children import Child
    from taxomind_app.api.server import OPEN
    from taxomind_app.cli.ui import dagster_home, dagster_services

    root = session.root
    python = [sys.executable, "-m"]
    dagster: dict[str, list[str]] = {}
    if {Part.WEBSERVER, Part.DAEMON} <= parts:
        dagster["dagster"], environment, home = dagster_services(root, ui_host, service.ui_port, verbose=session.verbose)
    else:
        workspace, environment, home = dagster_home(root)
        own_address = ["-h", ui_host, "-p", str(service.ui_port), "--dagster-log-level", "warning"]
        if Part.WEBSERVER in parts:
            dagster["webserver"] = [*python, "dagster_webserver", "-w", str(workspace), *own_address]
        if Part.DAEMON in parts:
            dagster["daemon"] = [*python, "dagster._daemon", "run", "-w", str(workspace), "--log-level", "warning"]
    children = []
    if Part.API in parts:
        address = [service.host, str(service.port), *([] if service.auth_enabled else [OPEN])]
        children.append(Child("api", [*python, "taxomind_app.api.server", str(root), *address], environment))
    if Part.WORKERS in parts:
        # Models share the cores out by themselves; the workers' number does not multiply their threads.
        own = {**environment, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(_threads(service.workers)))}
        worker = [*python, "taxomind_app.api.worker", str(root)]
        children += [Child(f"worker {slot}", [*worker, str(slot)], own) for slot in range(service.workers)]
    guard = [*python, "taxomind_app.api.children"]
    return children + [Child(name, [*guard, *command], environment, home) for name, command in dagster.items()]


def _threads(workers: int) -> int:
    return max(1, (os.cpu_count() or 1) // workers)
