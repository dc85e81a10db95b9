"""One row of any input format, checked by itself: a `NodeRow`, or the reason why it is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from taxomind_assets.inputs import RejectedRow, has_unstorable, is_undecided, rejected_row
from taxomind_assets.taxonomy.tree import NodeText
from taxomind_resources.settings import LimitSettings

_LEVEL = re.compile(r"([0-9]{1,6})(\.0+)?")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}([-_][A-Za-z0-9]{1,8})*")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f]")
_LIST_FIELDS: Final = ("examples", "positive_examples", "aliases", "negative_examples")
_TRUE: Final = frozenset({"true", "1", "yes", "y"})
_FALSE: Final = frozenset({"false", "0", "no", "n"})


@dataclass(slots=True)
class NodeRow:
    """A node in one language as a file states it. `parent_code` '' = top node or not stated; `level` None = not stated."""

    line: int
    code: str
    parent_code: str
    level: int | None
    is_leaf: bool | None
    text: NodeText


class _Refused(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def read_row(source_file: str, line: int, values: Mapping[str, Any], limits: LimitSettings) -> NodeRow | RejectedRow:
    """Check one row by itself.

    Args:
        source_file: name of the file.
        line: line or number of the row, from 1.
        values: part of a node (`columns.field_of`) -> text, number, bool, list or None.
        limits: longest cell and code.
    """
    try:
        return _checked(line, values, limits)
    except _Refused as refused:
        return rejected_row(source_file, line, refused.code, str(refused), dict(values))


def _checked(line: int, values: Mapping[str, Any], limits: LimitSettings) -> NodeRow:
    code = _code(values.get("code"), "code", limits)
    label = " ".join(_text(values.get("label"), "label", limits).split())
    if not code:
        raise _Refused("empty_code", f"The row has no code (label {label[:80]!r}).")
    if is_undecided(code):
        raise _Refused("undecided_code", f"{code!r} means 'could not decide' and is no node.")
    if not label:
        raise _Refused("empty_label", f"{code!r} has no label.")
    if _CONTROL.search(label) is not None:
        raise _Refused("control_characters", f"The label of {code!r} holds control characters.")
    lists = {field: _texts(values.get(field), field, limits) for field in _LIST_FIELDS if values.get(field)}
    examples = lists.get("examples", ())
    if "positive_examples" in lists:
        examples = unique((*examples, *lists["positive_examples"]))
    text = NodeText(
        _language(values.get("language")),
        label,
        _text(values.get("definition"), "definition", limits),
        examples,
        lists.get("aliases", ()),
        lists.get("negative_examples", ()),
    )
    parent_code = _code(values.get("parent_code"), "parent_code", limits)
    return NodeRow(line, code, parent_code, _level(values.get("level")), _flag(values.get("is_leaf")), text)


def as_text(value: object) -> str | None:
    """A JSON scalar as text: null is '', whole numbers lose their '.0'; None for what is no text or number."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return str(int(value)) if value == int(value) else repr(value)


def split_list(cell: str) -> tuple[str, ...]:
    """The texts of one cell: one per line; a cell in one line is split at '|'. Empty and repeated ones are dropped."""
    parts = cell.splitlines() if "\n" in cell or "\r" in cell else cell.split("|")
    return unique(" ".join(part.split()) for part in parts)


def unique(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts without empty and repeated ones, in order."""
    return tuple(dict.fromkeys(text for text in texts if text))


@lru_cache(maxsize=1024)
def language_tag(text: str) -> str | None:
    """A BCP 47 tag in its usual spelling (`pt_br` -> `pt-BR`); '' stays ''; None for what is no tag."""
    text = text.strip()
    if not text:
        return ""
    if _LANGUAGE.fullmatch(text) is None or len(text) > 35:
        return None
    first, *rest = text.replace("_", "-").split("-")
    spelled = [
        part.upper() if len(part) == 2 else part.title() if len(part) == 4 and part.isalpha() else part.lower() for part in rest
    ]
    return "-".join([first.lower(), *spelled])


def _code(value: object, field: str, limits: LimitSettings) -> str:
    reason = "bad_code" if field == "code" else "bad_parent"
    text = as_text(value)
    if text is None:
        raise _Refused(reason, f"{field} is {value!r}: a code is text or a number."[:300])
    text = text.strip()
    if len(text) > limits.max_code_characters:
        raise _Refused(
            reason,
            f"{field} has {len(text):,} characters; limits.max_code_characters allows {limits.max_code_characters:,}.",
        )
    if not text.isprintable() and (has_unstorable(text) or _CONTROL.search(text) or any(c in "\t\r\n\x85" for c in text)):
        raise _Refused(reason, f"{field} {text!r} holds control characters.")
    return text


def _text(value: object, field: str, limits: LimitSettings) -> str:
    if value is None or value == "":
        return ""
    text = as_text(value)
    if text is None:
        raise _Refused("bad_type", f"{field} is {value!r}: text is expected."[:300])
    if len(text) > limits.max_cell_characters:
        raise _Refused(
            "cell_too_long",
            f"{field} has {len(text):,} characters; limits.max_cell_characters allows {limits.max_cell_characters:,}.",
        )
    if has_unstorable(text):
        raise _Refused("control_characters", f"{field} holds control characters.")
    return text.strip()


def _texts(value: object, field: str, limits: LimitSettings) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return unique(" ".join(_text(item, field, limits).split()) for item in value)
    return split_list(_text(value, field, limits))


def _level(value: object) -> int | None:
    text = as_text(value)
    if text is not None:
        text = text.strip()
        if not text:
            return None
        match = _LEVEL.fullmatch(text)
        if match is not None and 1 <= int(match[1]) <= 1000:
            return int(match[1])
    raise _Refused("bad_level", f"The level is {value!r}: a whole number from 1 to 1000 is expected, or nothing."[:300])


def _language(value: object) -> str:
    tag = language_tag(value) if isinstance(value, str) else "" if value is None else None
    if tag is None:
        raise _Refused(
            "bad_language", f"The language is {value!r}: a BCP 47 tag such as 'en' or 'pt-BR' is expected, or nothing."[:300]
        )
    return tag


def _flag(value: object) -> bool | None:
    if isinstance(value, bool) or value is None:
        return value
    text = str(value).strip().casefold()
    return True if text in _TRUE else False if text in _FALSE else None
