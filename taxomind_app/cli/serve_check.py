"""`taxomind serve --check`: whether the parts that belong to this machine run well, for those who watch over containers."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.request import urlopen

from taxomind_app.cli.serve import UI_HOST, Part
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.cli.session import Session
    from taxomind_resources.settings import ServiceSettings

HEALTH_PATH: Final = "/health"
#: Dagster's web interface says its versions there.
UI_PATH: Final = "/server_info"
_TIMEOUT_S: Final = 10.0


def check_parts(session: Session, service: ServiceSettings, parts: frozenset[Part]) -> None:
    """Say how parts are; the first that is not well is a fault.

    Raises:
        Fault: `not_running`, or `storage_failed`.
    """
    checks: Mapping[Part, Callable[[Session, ServiceSettings], str]] = {
        Part.API: _api,
        Part.WORKERS: _workers,
        Part.WEBSERVER: _webserver,
        Part.DAEMON: _daemon,
    }
    for part in Part:
        if part in parts:
            session.say(f"{part}: {checks[part](session, service)}")


def _api(session: Session, service: ServiceSettings) -> str:
    from taxomind_app.cli.ui import in_url

    # Whether workers live is told by their own check: to start the service again would not help them.
    found = _asked(Part.API, f"http://{in_url(service.host)}:{service.port}{HEALTH_PATH}")
    return str(found.get("status"))


def _webserver(session: Session, service: ServiceSettings) -> str:
    found = _asked(Part.WEBSERVER, f"http://{UI_HOST}:{service.ui_port}{UI_PATH}")
    return f"Dagster {found.get('dagster_version')}"


def _workers(session: Session, service: ServiceSettings) -> str:
    from taxomind_app.api.reconcile import is_dead
    from taxomind_resources.job_store import job_store

    own = [worker for worker in job_store(session.settings).workers() if worker.host == platform.node()]
    living = [worker for worker in own if not is_dead(worker, service.stale_s)]
    if not living:
        raise _not_running(Part.WORKERS, "no worker of this machine has said that it lives")
    return f"{len(living)} of {service.workers}"


def _daemon(session: Session, service: ServiceSettings) -> str:
    from taxomind_app.cli.instance import open_instance
    from taxomind_app.daemons import GONE_S, silence

    with open_instance(session.root) as instance:
        silent = silence(instance)
    if silent > GONE_S:
        raise _not_running(Part.DAEMON, "no daemon has said that it lives")
    return f"last seen {silent:.0f} s ago"


def _asked(part: Part, address: str) -> dict[str, Any]:
    try:
        with urlopen(address, timeout=_TIMEOUT_S) as answer:  # noqa: S310 (an http address of this machine)
            found: dict[str, Any] = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        raise _not_running(part, f"{address} does not answer: {error}") from error
    return found


def _not_running(part: Part, why: str) -> Fault:
    return Fault("not_running", f"The part {part} is not running: {why}.", value=str(part))
