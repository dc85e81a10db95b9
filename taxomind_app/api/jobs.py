"""What the routes ask for: jobs made of requests, and found again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault
from taxomind_resources.files import replace_bytes
from taxomind_resources.inbox import Inbox
from taxomind_resources.index_store import IndexStore
from taxomind_resources.job_store import job_store
from taxomind_resources.jobs import BUILDS, TERMINAL, Job, Kind, new_job_id
from taxomind_resources.keys import stored_key, tenant_of
from taxomind_resources.outputs import Outputs

if TYPE_CHECKING:
    from taxomind_app.api.auth import Caller
    from taxomind_resources.settings import ServiceSettings, Settings

INPUTS: Final = Path("service") / "inputs"
RESULTS: Final = Path("service") / "results"


@dataclass(frozen=True)
class Place:
    """A taxonomy of a tenant. `stored`: the key under which it is stored."""

    tenant: str
    key: str
    stored: str


@dataclass(frozen=True)
class Asked:
    """A request: who sends it, and what makes two of them the same.

    Attributes:
        body_hash: hex digest of route and body.
        headers: headers of the request, by names in lower case.
    """

    caller: Caller
    body_hash: str
    idempotency_key: str | None = None
    headers: Mapping[str, str] | None = None

    def tenant(self, source_slug: str) -> str:
        """The tenant that it is for.

        Raises:
            Fault: `tenant_forbidden`.
        """
        return self.caller.tenant(source_slug, self.headers)


class Service:
    """The stores behind the routes.

    Args:
        settings: settings of the data root.
        service: settings of the service.
    """

    def __init__(self, settings: Settings, service: ServiceSettings) -> None:
        self.settings = settings
        self.service = service
        self.data = settings.data
        self.jobs = job_store(settings)
        self.inbox = Inbox(self.data, settings.limits.settle_s)

    @cached_property
    def indexes(self) -> IndexStore:
        """The node indexes."""
        return IndexStore(self.data)

    @cached_property
    def outputs(self) -> Outputs:
        """The outputs."""
        return Outputs(self.data)

    def place(self, asked: Asked, key: str, source_slug: str) -> Place:
        """The taxonomy that a request means: as given, then without the tenant before it, then the default tenant's.

        Raises:
            Fault: `unknown_taxonomy` when none of them has an index or a build, `tenant_forbidden` or `invalid_key`.
        """
        caller, tenant = asked.caller, asked.tenant(source_slug)
        options = [(tenant, key)]
        if key.startswith(f"{tenant}_"):
            options.append((tenant, key.removeprefix(f"{tenant}_")))
        if caller.default_tenant != tenant:
            options.append((caller.default_tenant, key))
        fault: Fault | None = None
        for own_tenant, own_key in options:
            try:
                place = Place(own_tenant, own_key, stored_key(own_tenant, own_key))
            except Fault as refused:
                fault = refused
                continue
            if self.is_known(place.stored):
                return place
        if fault is not None and len(options) == 1:
            raise fault
        raise self._unknown(tenant, key, caller)

    def is_known(self, stored: str) -> bool:
        """Whether a taxonomy has an index, or a build that is under way."""
        return self.indexes.current(stored) is not None or bool(self.jobs.open_jobs(stored_key=stored, kinds=BUILDS))

    def keys_of(self, tenant: str) -> list[str]:
        """The keys of a tenant's taxonomies, as the tenant calls them."""
        return [place.key for place in self.places_of(tenant)]

    def places_of(self, tenant: str) -> list[Place]:
        """The taxonomies of a tenant that have an index or a file."""
        known = {*self.inbox.keys(), *self.outputs.keys("taxonomy.nodes")}
        found = []
        for stored in sorted(known):
            own, key = tenant_of(stored)
            if own == tenant:
                found.append(Place(tenant, key, stored))
        return found

    def submit(
        self,
        asked: Asked,
        kind: Kind,
        place: Place,
        *,
        rows: int,
        message: str,
        content: bytes | None = None,
        in_inbox: bool = False,
        batch_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Job:
        """Write what was asked to the disk, then the job.

        Args:
            asked: who asks.
            kind: kind of the job.
            place: the taxonomy.
            rows: texts or nodes.
            message: what the answer says.
            content: what the job works on.
            in_inbox: it is texts, and goes into the inbox of the taxonomy; a run of the graph finds it there by its name.
            batch_id: the caller's own id.
            parameters: what the job needs besides.

        Raises:
            Fault: `idempotency_conflict` or `storage_failed`.
        """
        job = Job(
            new_job_id(),
            kind,
            place.tenant,
            place.key,
            place.stored,
            asked.caller.token,
            message,
            rows,
            asked.body_hash,
            batch_id=batch_id,
            idempotency_key=asked.idempotency_key,
            parameters=dict(parameters or {}),
        )
        written: Path | None = None
        if content is not None and in_inbox:
            file = self.inbox.put(place.stored, "requests", content, f"{job.id}.jsonl")
            written = file.path
            job = replace(job, parameters={**job.parameters, "batch": file.content_id()})
        elif content is not None:
            written = replace_bytes(self.data / INPUTS / f"{job.id}.json", content)
        if written is not None:
            job = replace(job, input=str(written.relative_to(self.data)))
        try:
            found, is_new = self.jobs.add(job)
        except Fault:
            _remove(written)
            raise
        if not is_new:
            _remove(written)
        return found

    def find(self, caller: Caller, job_id: str, kinds: Sequence[str]) -> Job:
        """A job that the caller may see.

        Raises:
            Fault: `unknown_job`, also for a job of another tenant or another kind.
        """
        job = self.jobs.get(job_id) if job_id.isalnum() and len(job_id) <= 64 else None
        if job is None or job.kind not in kinds or not caller.may_see(job.tenant):
            raise Fault("unknown_job", f"There is no {_NAMES.get(kinds[0], kinds[0])} job {job_id[:64]!r}.")
        return job

    def cancel(self, caller: Caller, job: Job) -> Job:
        """Cancel a job; for another token than the one that asked for it, it ends as failed."""
        if job.status not in TERMINAL:
            if job.token == caller.token:
                self.jobs.cancel(job.id)
            else:
                self.jobs.fail(job.id, "Stopped by another token.", "stopped")
        current = self.jobs.get(job.id) or job
        if current.attempts == 0 and current.is_terminal and current.input is not None:
            # Nobody has begun with it: there is nothing else to tidy up.
            _remove(self.data / current.input)
        return current

    def read_input(self, job: Job) -> Any:
        """What was asked, as it was written.

        Raises:
            Fault: `storage_failed`.
        """
        try:
            return json.loads((self.data / (job.input or "")).read_bytes())
        except (OSError, ValueError) as error:
            raise Fault("storage_failed", "What the job was asked cannot be read.", value=job.id) from error

    def _unknown(self, tenant: str, key: str, caller: Caller) -> Fault:
        keys = self.keys_of(tenant)
        if not keys and caller.default_tenant != tenant:
            keys = self.keys_of(caller.default_tenant)
        known = ", ".join(keys[:50]) or "none"
        next_step = "Send the taxonomy first: POST /taxonomies."
        what = f"Unknown taxonomy {key[:200]!r} for tenant {tenant!r}. Known keys: {known}."
        return Fault("unknown_taxonomy", what, next_step=next_step)


_NAMES: Final[Mapping[str, str]] = {"taxonomies": "taxonomy"}


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
