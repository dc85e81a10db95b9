"""The contract's answers, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

StatusWord = Literal["pending", "running", "completed", "failed", "canceled"]


class Problem(BaseModel):
    """An error: a text, or for a body that cannot be read a list of `{loc, msg, type}`."""

    model_config = ConfigDict(extra="allow")
    detail: str | list[dict[str, Any]]
    code: str


class Health(BaseModel):
    """Whether the service can do its work."""

    status: Literal["healthy", "degraded"]
    service: Literal["taxomind-api"]
    version: str
    task_backend: Literal["dagster"]
    workers: int = Field(description="worker processes that live")
    problems: list[str]


class _Job(BaseModel):
    job_id: str
    jobId: str  # noqa: N815 (spelled by the contract)
    status: StatusWord
    message: str


class SnakeAccepted(_Job):
    """A job that was accepted."""

    created_at: str


class LabelAccepted(SnakeAccepted):
    """A labelling job that was accepted."""

    batch_id: str


class CamelAccepted(_Job):
    """A job that was accepted."""

    taxonomyKey: str  # noqa: N815
    createdAt: str  # noqa: N815


class _State(_Job):
    terminal: bool
    progress: float = Field(ge=0, le=1)
    error: str | None
    error_code: str | None


class SnakeState(_State):
    """A job as it is now. Times are UTC, ISO 8601."""

    created_at: str
    started_at: str | None
    updated_at: str
    completed_at: str | None
    failed_at: str | None
    canceled_at: str | None


class LabelState(SnakeState):
    """A labelling job; `result` has batchId, suggestions and errors."""

    batch_id: str
    result: dict[str, Any] | None


class AnalysisState(SnakeState):
    """An error analysis; `result` has rows, taxonomy_key_counts and metrics."""

    result: dict[str, Any] | None


class CamelState(_State):
    """A job as it is now. Times are UTC, ISO 8601."""

    taxonomyKey: str  # noqa: N815
    createdAt: str  # noqa: N815
    startedAt: str | None  # noqa: N815
    updatedAt: str  # noqa: N815
    completedAt: str | None  # noqa: N815
    failedAt: str | None  # noqa: N815
    canceledAt: str | None  # noqa: N815
    result: dict[str, Any] | None
