"""What the contract's requests hold. Unknown keys are ignored, and null in an optional field equals absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi.routing import APIRoute
from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)
from starlette.requests import Request
from starlette.responses import Response


def _text(value: Any) -> Any:
    """A number as the text of a code."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _storable(value: Any) -> Any:
    if isinstance(value, str) and any(0xD800 <= ord(c) <= 0xDFFF or c == "\0" for c in value):
        raise ValueError("the text cannot be written as UTF-8")
    return value


Name = Annotated[str, BeforeValidator(_storable), Field(min_length=1, max_length=200)]
Slug = Annotated[str, BeforeValidator(_storable), Field(max_length=1000)]
SentenceId = StrictStr | StrictInt | Annotated[StrictFloat, FiniteFloat]
_ID = AliasChoices("sentence_id", "sentenceId")


class Loose(BaseModel):
    """Null in a field that has a default counts as absent; what is not known is ignored."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value


class KeyBody(Loose):
    """Body of build and enrich; both work without one."""

    source_slug: Slug = Field("", alias="sourceSlug", description="tenant")


class TaxonomyBody(Loose):
    """POST /taxonomies. The taxonomy itself is checked as a whole by its own reader."""

    action: Literal["create", "update"] = Field("create", description="both replace the whole taxonomy")
    source_slug: Slug = Field("", alias="sourceSlug", description="tenant")
    taxonomy: dict[str, Any] = Field(description="key, nodes, and optionally displayName, maxDepth, levelNames, synonyms")


class LabelSentence(Loose):
    """A text as named fields; any JSON value may be a field's."""

    sentence_id: SentenceId = Field(validation_alias=_ID)
    fields: dict[str, Any] = Field(default_factory=dict)


class LabelBody(Loose):
    """POST /label."""

    taxonomy_key: Name = Field(alias="taxonomyKey")
    source_slug: Slug = Field("", alias="sourceSlug", description="tenant")
    batch_id: Annotated[str, BeforeValidator(_text), BeforeValidator(_storable)] = Field(
        alias="batchId", min_length=1, max_length=500, description="the caller's own id of this batch"
    )
    sentences: list[LabelSentence] = Field(min_length=1)


class ClassifySentence(LabelSentence):
    """A text as named fields, at least one."""

    fields: dict[str, Any] = Field(min_length=1)


class ClassifyBody(Loose):
    """POST /classify."""

    taxonomy_key: Name = Field(alias="taxonomyKey")
    source_slug: Slug = Field("", alias="sourceSlug", description="tenant")
    trace: bool = Field(False, description="also why each text got its answer")
    sentences: list[ClassifySentence] = Field(min_length=1)


class LearnBody(Loose):
    """POST /learn: sentences, or the address of a file with them. A row that cannot be used is skipped, never an error."""

    taxonomy_key: Name = Field(alias="taxonomyKey")
    source_slug: Slug = Field("", alias="sourceSlug", description="tenant")
    sentences: list[Any] | None = Field(None, description="sentenceId, fields, annotations {level, nodeCode}, source")
    training_url: str | None = Field(None, alias="trainingDataUrl", max_length=4000)
    external: bool = Field(False, alias="externalTraining")

    @model_validator(mode="after")
    def _one_of_both(self) -> LearnBody:
        if self.training_url is not None and self.sentences is not None:
            raise ValueError("either sentences or trainingDataUrl, not both")
        if self.training_url is None and self.external:
            raise ValueError("externalTraining needs a trainingDataUrl")
        if self.training_url is None and not self.sentences:
            raise ValueError("sentences must not be empty")
        return self


class ErrorAnalysisBody(Loose):
    """POST /error-analysis; all of it is optional."""

    taxonomy_key: Name | None = Field(None, alias="taxonomyKey", description="one taxonomy; none = all of the tenant")
    source_slug: Slug = Field("", alias="sourceSlug", description="tenant")
    dataset: Name | None = Field(None, description="one file of labelled texts; none = all")
    max_rows: int | None = Field(None, alias="maxRows", ge=1, description="rows shown at most")


class _ContractRequest(Request):
    """A request whose body is JSON without NaN and Infinity, and not nested without end."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body = await self.body()
            try:
                text = body.decode("utf-8-sig")
                self._json = json.loads(text, parse_constant=_refuse)
            except json.JSONDecodeError:
                raise
            except (ValueError, RecursionError) as error:
                what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
                raise json.JSONDecodeError(what, "", 0) from error
        return self._json


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


class ContractRoute(APIRoute):
    """A route whose bodies are read as `_ContractRequest` does."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """As `APIRoute.get_route_handler`."""
        handler = super().get_route_handler()

        async def read(request: Request) -> Response:
            answer: Response = await handler(_ContractRequest(request.scope, request.receive))
            return answer

        return read
