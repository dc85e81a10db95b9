"""What /v1 takes and gives of growth."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from taxomind_app.api.v1.models import Body, Code, Line, Prose


class TrialResult(BaseModel):
    """What adding a candidate would change."""

    sentence: str
    texts: int
    moved: int
    others: int
    drawn: int
    placed: int
    better: int
    worse: int
    accuracy_before: float | None
    accuracy_after: float | None
    sibling_confidence_before: float | None
    sibling_confidence_after: float | None


class Candidate(BaseModel):
    """A node that the texts ask for."""

    key: str
    label: str
    kind: str
    status: str
    hidden_until: datetime | None
    code: str
    parent_code: str | None
    parent_label: str
    parent_exists: bool
    parent_rule: str
    count: int
    day_span: int
    first_seen: datetime | None
    last_seen: datetime | None
    share: float
    sources: list[str]
    titles: list[str]
    texts: list[str]
    nearest: list[dict[str, Any]]
    similar: list[str]
    trial: TrialResult | None


class Candidates(BaseModel):
    """Candidates, and how growth has gone."""

    candidates: list[Candidate]
    thresholds: str
    figures: dict[str, Any]


class DecisionBody(Body):
    """A decision about a candidate."""

    key: Line = Field(description="key of the candidate")
    action: Literal["add", "name", "alias", "reject", "skip"]
    parent_code: Code | None = Field(None, description="add, name: parent; none = the one shown, '' is not allowed")
    at_top: bool = Field(False, description="add, name: make it a top node")
    code: Code | None = Field(None, description="add: code of the node; alias: the node that gets the name")
    preferred: Line | None = Field(None, description="name: the name that it gets")
    evidence: bool = Field(True, description="its texts teach the node")
    reason: Prose = ""
    seen_version: Line | None = Field(None, description="taxonomy version that the person saw; refused when it has moved on")


class DecisionAnswer(BaseModel):
    """What a decision did."""

    decision_id: str
    action: str
    message: str
    code: str | None
    is_revised: bool = Field(description="the taxonomy has a new edition")
    job_id: str | None = Field(description="job that builds it, see /taxonomies/{job_id}/status")


class DecisionRow(BaseModel):
    """A decision as it stands."""

    decision_id: str
    decided_at: datetime
    decided_by: str
    action: str
    label: str
    key: str
    state: str
    code: str | None
    before_version: str
    after_version: str
    undoes: str | None


class Decisions(BaseModel):
    """Decisions, the latest first."""

    decisions: list[DecisionRow]
