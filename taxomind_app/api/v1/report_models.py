"""What /v1 gives of reports, trained models and jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from taxomind_app.api.v1.models import NodeRef


class Measure(BaseModel):
    """A figure with its 95 % interval; null = not defined."""

    slice: str
    strategy: str
    metric: str
    level: int | None
    value: float | None
    n: int
    interval_low: float | None
    interval_high: float | None


class CurvePoint(BaseModel):
    """A point of the coverage-accuracy curve."""

    kind: str
    threshold: float | None
    coverage: float | None
    accuracy: float | None


class Bin(BaseModel):
    """A bin of confidences."""

    kind: str
    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


class Confusion(BaseModel):
    """Where the texts of each branch are answered: `shares[row][column]`."""

    rows: list[NodeRef]
    columns: list[str] = Field(description="codes of the rows, then `other` when needed and `none`")
    texts: list[int]
    shares: list[list[float]]


class DriftPeriod(BaseModel):
    """Answers of a day."""

    period: str
    texts: int
    answered: float
    confidence: float | None
    stability: float | None = Field(description="population stability index against the first day; above 0.25 is much")


class Report(BaseModel):
    """How good the answers are, and whether the texts change."""

    report_id: str | None = Field(description="null = nothing was measured yet")
    measured_at: datetime | None
    texts: int
    metrics: list[Measure]
    coverage: list[CurvePoint]
    reliability: list[Bin]
    confusion: Confusion | None
    drift: list[DriftPeriod]


class ModelRow(BaseModel):
    """A trained model version."""

    version: int
    state: str
    promoted: bool
    details: dict[str, Any]


class Models(BaseModel):
    """Trained models of a taxonomy, the latest first."""

    models: list[ModelRow]


class JobRow(BaseModel):
    """A job of the service, or a run of a sensor, a schedule or the command line."""

    id: str
    kind: str = Field(description="kind of the job, or name of the run's job in Dagster")
    started_by: str = Field(description="service, sensor NAME, schedule NAME or command line")
    status: Literal["pending", "running", "completed", "failed", "canceled"]
    tenant: str
    taxonomy: str = Field(description="empty where it is about none, or several")
    message: str
    error: str | None
    error_code: str | None
    progress: float
    rows: int | None = Field(description="texts or nodes; null for runs")
    run_id: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class JobRows(BaseModel):
    """What is done and was done, the latest first."""

    tenant: str
    jobs: list[JobRow]
