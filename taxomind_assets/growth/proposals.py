"""What a person decides about, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from taxomind_assets.growth.decisions import Decision

#: Texts of a candidate that the log keeps, and that teach its node.
KEPT_TEXTS: Final = 200


@dataclass(frozen=True)
class Proposal:
    """A candidate as a person sees it.

    Attributes:
        label, key: its label and comparison key.
        parent_code, code: where it would hang, and its code; None = to be found.
        count, span: distinct texts, whole days.
        texts, text_ids: its texts.
        language: language of the label, '' = not stated.
    """

    label: str
    key: str
    parent_code: str | None = None
    code: str | None = None
    count: int = 0
    span: int = 0
    texts: tuple[str, ...] = ()
    text_ids: tuple[str, ...] = ()
    language: str = ""

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Proposal:
        """The proposal of a row of `growth.candidates`."""
        return cls(
            label=row["label"],
            key=row["key"],
            parent_code=row["parent_code"],
            code=row["code"],
            count=row["count"],
            span=row["day_span"],
            texts=tuple(row["texts"]),
            text_ids=tuple(row["text_ids"]),
        )

    def details(self) -> dict[str, Any]:
        """What the log keeps of it."""
        texts, ids = list(self.texts[:KEPT_TEXTS]), list(self.text_ids)
        return {"count": self.count, "span": self.span, "texts": texts, "text_ids": ids}


@dataclass(frozen=True)
class Outcome:
    """What a decision did. `message`: in words; `is_revised`: the taxonomy file was replaced."""

    decision: Decision
    message: str
    is_revised: bool = False
    more: tuple[Decision, ...] = field(default=())
