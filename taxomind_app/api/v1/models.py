"""What /v1 takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr

from taxomind_app.api.bodies import _storable

Text = Annotated[StrictStr, BeforeValidator(_storable), Field(min_length=1)]
Code = Annotated[StrictStr, BeforeValidator(_storable), Field(min_length=1, max_length=500)]
Prose = Annotated[StrictStr, BeforeValidator(_storable), Field(max_length=2000)]
Line = Annotated[StrictStr, BeforeValidator(_storable), Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """What is taken: nothing but what is known."""

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


class ClassifyBody(Body):
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


class CorrectionBody(Body):
    """One text and its code."""

    text: Text
    code: Code
    action: Literal["correct", "confirm"] = Field("correct", description="confirm: the answer was right")


class CorrectionsBody(Body):
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
