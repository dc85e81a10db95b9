"""What is known of a job of the service and of a process that works on jobs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

Status = Literal["pending", "running", "completed", "failed", "canceled"]
Kind = Literal["taxonomies", "build", "enrich", "label", "learn", "classify", "error-analysis"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
TERMINAL: Final = ("completed", "failed", "canceled")
#: Tag of the Dagster run of a job: its id.
JOB_TAG: Final = "taxomind/job_id"
#: Kinds that make an index; what needs the index waits for those that were asked for before.
BUILDS: Final = ("taxonomies", "build", "enrich")
#: Kinds of which one at a time may change a taxonomy, in the order in which they were asked for.
CHANGES: Final = (*BUILDS, "learn")


@dataclass(frozen=True)
class Job:
    """One job. Times are seconds since 1970 in UTC.

    Attributes:
        tenant: slug of the tenant that it belongs to; `taxonomy`: the key as that tenant calls it.
        stored_key: the key under which the taxonomy is stored.
        token: id of the token that asked for it.
        rows: texts or nodes that it deals with; `done`: how many of them it has dealt with.
        batch_id: the caller's own id of a labelling job.
        input: file of what was asked, below the data root; `result`: file of the answer.
        run_id: Dagster run of the last attempt.
        worker: who works on it, or did last.
    """

    id: str
    kind: Kind
    tenant: str
    taxonomy: str
    stored_key: str
    token: str
    message: str
    rows: int
    body_hash: str
    status: Status = "pending"
    error: str | None = None
    error_code: str | None = None
    done: int = 0
    batch_id: str | None = None
    idempotency_key: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    input: str | None = None
    result: str | None = None
    run_id: str | None = None
    attempts: int = 0
    worker: str | None = None
    heartbeat_at: float | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    started_at: float | None = None
    completed_at: float | None = None
    failed_at: float | None = None
    canceled_at: float | None = None
    expired_at: float | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in TERMINAL

    @property
    def progress(self) -> float:
        """Share done, 0 to 1; 1 only when completed."""
        if self.status == "completed":
            return 1.0
        return min(round(self.done / self.rows, 4), 0.9999) if self.rows else 0.0


@dataclass(frozen=True)
class WorkerRow:
    """A process that works on jobs."""

    id: str
    host: str
    pid: int
    started_at: float
    heartbeat_at: float


def new_job_id() -> str:
    """An id that nobody guesses: 24 hex digits."""
    return secrets.token_hex(12)
