"""From what a model wrote to a checked value: plain JSON, a fenced block, or one object among words."""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from taxomind_resources.faults import Fault

T = TypeVar("T", bound=BaseModel)
_LONGEST: Final = 200_000
_LONGEST_MESSAGE: Final = 300
#: Places where an object may begin that are tried at most.
_MOST_TRIES: Final = 100
_FENCE: Final = re.compile(r"```[a-zA-Z]*\s*\n(.*?)\n?\s*```", re.DOTALL)
#: What models that think aloud write first.
_THOUGHTS: Final = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


def parsed(text: str, schema: type[T]) -> T:
    """The one JSON object of an answer, validated.

    Several different objects are no answer: one of them may have been copied from quoted material.

    Raises:
        Fault: `llm_answer_invalid`.
    """
    if len(text) > _LONGEST:
        raise _invalid("The answer is too long.", value=f"{len(text)} characters", allowed=f"at most {_LONGEST}")
    text = _THOUGHTS.sub("", text).strip()
    found = _objects(text)
    if not found:
        raise _invalid("The answer holds no JSON object.", value=text)
    if any(other != found[0] for other in found[1:]):
        raise _invalid("The answer holds several JSON objects.", value=text, allowed="one")
    try:
        return schema.model_validate(found[0])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the object"
        raise _invalid(f"The answer does not fit the schema: {where}: {first['msg']}.", value=found[0]) from error


def readable(text: str) -> str:
    """What a stranger wrote, fit for a message: short, and without control characters."""
    return "".join(sign if sign.isprintable() else " " for sign in text[:_LONGEST_MESSAGE])


def _objects(text: str) -> list[dict[str, Any]]:
    whole = _decoded(text, 0)
    if whole and whole[1] == len(text):
        return [whole[0]]
    fenced = [value for block in _FENCE.findall(text) if (value := _decoded(block.strip(), 0))]
    return [value for value, _ in fenced] if fenced else _among_words(text)


def _among_words(text: str) -> list[dict[str, Any]]:
    found = []
    start = text.find("{")
    for _ in range(_MOST_TRIES):
        if start < 0:
            break
        value = _decoded(text, start)
        if value:
            found.append(value[0])
        start = text.find("{", value[1] if value else start + 1)
    return found


def _decoded(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    """The JSON object that begins at `start`, and where it ends."""
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return (value, end) if isinstance(value, dict) else None


def _invalid(what: str, *, value: object, allowed: str | None = None) -> Fault:
    return Fault("llm_answer_invalid", readable(what), value=value, allowed=allowed)
