"""What /v1 takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr

from taxomind_app.api.bodies import _storable

Text = Annotated[StrictStr, BeforeValidator(_storable), Field(min_length=1)]
Code = Annotated[StrictStr, BeforeValidator(_storable), Field(min_length=1, max_length=500)]
Line = Annotated[StrictStr, BeforeValidator(_storable), Field(min_length=1, max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str
    code: str


class NodeRef(BaseModel):
    """A node by code and label."""

    code: str
    label: str


class Scored(NodeRef):
    """A node and its probability."""

    confidence: float


class Step(Scored):
    """A node on the path of an answer."""

    level: int


class Nearest(BaseModel):
    """A text of the node that is nearest to the query."""

    view: str
    language: str
    text: str


class Correction(BaseModel):
    """A corrected text that is nearest to the query."""

    code: str
    text: str
    similarity: float


class Reason(BaseModel):
    """Why a step of the path was taken: the chosen child against its runner-up."""

    level: int
    chosen: Scored
    runner_up: Scored | None
    deciding_view: str | None = Field(description="view whose part of the difference is largest")
    views: dict[str, float] = Field(description="parts of the difference; they add up to it")
    logit_difference: float | None
    nearest_text: Nearest
    nearest_correction: Correction | None


class Answer(BaseModel):
    """The answer to one text."""

    text: str
    code: str | None = Field(description="null = no answer")
    label: str | None
    level: int = Field(description="0 without an answer")
    confidence: float
    path: list[Step] = Field(description="from the top node to the answer")
    stop_reason: str
    ambiguous: bool
    alternatives: list[Scored]
    error_code: str | None
    error: str | None
    belongs: float | None = Field(None, description="probability that the text belongs here at all; with `explain`")
    reasons: list[Reason] | None = Field(None, description="with `explain`: down to the best leaf, one for each step")


class Versions(BaseModel):
    """What answers depend on."""

    taxonomy_version: str
    index_version: str
    evidence_version: str
    calibration_version: str
    settings_version: str


class ClassifyBody(_Body):
    """Texts to answer at once."""

    taxonomy: Line = Field(description="key of a taxonomy")
    texts: list[StrictStr] = Field(min_length=1, description="at most service.sync_texts")
    explain: bool = Field(False, description="also why; at most service.explained_texts")


class ClassifyAnswer(BaseModel):
    """Answers in the order of the texts."""

    taxonomy: str
    versions: Versions
    answers: list[Answer]


class TaxonomyRow(BaseModel):
    """A taxonomy of the tenant. Without an index, what follows its key is empty."""

    key: str
    is_ready: bool = Field(description="it has an index and answers")
    display_name: str = ""
    nodes: int = 0
    leaves: int = 0
    levels: dict[str, str] = Field(default_factory=dict, description="names by level")
    languages: list[str] = Field(default_factory=list)
    taxonomy_version: str = ""
    index_version: str = ""


class Taxonomies(BaseModel):
    """The taxonomies of a tenant."""

    tenant: str
    taxonomies: list[TaxonomyRow]


class NodeTexts(BaseModel):
    """Texts of a node in one language."""

    language: str
    label: str
    definition: str
    examples: list[str]
    aliases: list[str]
    negative_examples: list[str]


class NodeDetails(NodeRef):
    """A node, what is above and what is below it."""

    level: int
    is_leaf: bool
    path: list[NodeRef]
    children: list[NodeRef]
    texts: list[NodeTexts]
    added: list[NodeTexts] = Field(description="what a language model wrote")
    corrections: int = Field(description="corrected texts that count for it")


class Found(NodeRef):
    """A node that a search has found."""

    level: int
    is_leaf: bool
    path_labels: list[str]
    matched: str = Field(description="the code, label or alias that fits")
    language: str
    kind: Literal["code", "label", "alias"]


class SearchAnswer(BaseModel):
    """Nodes, the best first."""

    query: str
    nodes: list[Found]


class CorrectionBody(_Body):
    """One text and its code."""

    text: Text
    code: Code
    action: Literal["correct", "confirm"] = Field("correct", description="confirm: the answer was right")


class CorrectionsBody(_Body):
    """What a person says."""

    corrections: list[CorrectionBody] = Field(min_length=1, description="at most service.sync_texts")
    annotator: Line | None = Field(None, description="who says so; none = the id of the token")


class HeldCorrection(BaseModel):
    """A correction that counts, or counted."""

    correction_id: str
    code: str
    text: str


class LearnAnswer(BaseModel):
    """What corrections or withdrawals did."""

    file: str = Field(description="file of the inbox that holds them")
    correction_ids: list[str] = Field(description="in the order of the body")
    learned: list[HeldCorrection]
    taken_back: list[HeldCorrection]
    evidence_version: str


class CorrectionRow(BaseModel):
    """A correction as it stands."""

    correction_id: str
    text: str
    code: str | None
    given_codes: list[str]
    annotator: str
    corrected_at: datetime | None
    action: str
    status: str
    reason: str
    source: str


class CorrectionRows(BaseModel):
    """Corrections, the latest first."""

    total: int
    corrections: list[CorrectionRow]


class QueueItem(BaseModel):
    """A text whose answer a person should look at."""

    text: str
    text_id: str
    batch_id: str
    language: str
    answers: int = Field(description="how often the text was handed in")
    value: float = Field(description="what a label is worth (0..1)")
    uncertainty: float
    density: float
    answer: Answer


class QueueAnswer(BaseModel):
    """Texts in the order in which labels are worth most."""

    items: list[QueueItem]


class Contradiction(BaseModel):
    """A correction that others disagree with, or that looks out of place."""

    kind: str
    correction_id: str
    text: str
    code: str | None
    label: str
    annotator: str
    others: list[NodeRef]
    reason: str


class Contradictions(BaseModel):
    """What a person should look at among the corrections."""

    contradictions: list[Contradiction]


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


class DecisionBody(_Body):
    """A decision about a candidate."""

    key: Line = Field(description="key of the candidate")
    action: Literal["add", "name", "alias", "reject", "skip"]
    parent_code: Code | None = Field(None, description="add, name: parent; none = the one shown, '' is not allowed")
    at_top: bool = Field(False, description="add, name: make it a top node")
    code: Code | None = Field(None, description="add: code of the node; alias: the node that gets the name")
    preferred: Line | None = Field(None, description="name: the name that it gets")
    evidence: bool = Field(True, description="its texts teach the node")
    reason: Annotated[StrictStr, BeforeValidator(_storable), Field(max_length=2000)] = ""
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
