"""Corrections that lie in the inbox and that no daemon learns: the workers of the service do.

What comes over /v1 counts at once in the service that took it, and is written to the inbox. Evidence of it is made by the asset
graph, which a sensor asks for; where no daemon runs, a worker asks for a job instead. One state of the inbox is asked for once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taxomind_app.api.auth import Caller
from taxomind_app.api.jobs import Asked, Place, Service
from taxomind_app.daemons import GONE_S, SENSORS, silence
from taxomind_resources.faults import Fault
from taxomind_resources.jobs import CHANGES
from taxomind_resources.keys import tenant_of

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from taxomind_resources.jobs import Job

#: Stands for a token: nobody asked for these jobs.
_WORKERS: Final = Caller("workers", ("*",), frozenset(), "workers")
#: Parameter of such a job.
INBOX: Final = "inbox"


def ask_to_learn(service: Service, instance: DagsterInstance) -> list[Job]:
    """Make jobs for the taxonomies whose corrections nobody learns; returns those that are new or under way.

    Raises:
        Fault: `storage_failed`.
    """
    if silence(instance, SENSORS) <= GONE_S:
        return []
    keys = service.inbox.keys()
    return [job for key in keys if (job := _asked(service, instance, key)) is not None]


def _asked(service: Service, instance: DagsterInstance, key: str) -> Job | None:
    from taxomind_assets.pending import pending_corrections
    from taxomind_sensors.inbox import is_busy, learning_run_key

    try:
        wanted = pending_corrections(key, service.inbox, service.outputs, service.indexes)
    except Fault as fault:
        if fault.code == "storage_failed":
            raise
        return None  # Its files are at fault, which `taxomind doctor` tells.
    # Somebody at the command line may be learning it, or a job may be on its way.
    if not wanted or service.jobs.open_jobs(stored_key=key, kinds=CHANGES) or is_busy(instance, key, ""):
        return None
    state = learning_run_key(key, wanted, service.outputs)
    tenant, own = tenant_of(key)
    asked = Asked(_WORKERS, wanted, state)
    job = service.submit(
        asked, "learn", Place(tenant, own, key), rows=0, message="Corrections of the inbox.", parameters={INBOX: True}
    )
    return None if job.is_terminal else job
