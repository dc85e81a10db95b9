"""What every format reader hands over: rows in file order, and what the file says about the taxonomy as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from taxomind_assets.inputs import RejectedRow
from taxomind_assets.taxonomy.problems import Problem
from taxomind_assets.taxonomy.rows import NodeRow


@dataclass
class Source:
    """A file, taken apart.

    Attributes:
        rows: nodes in file order, one per language, mixed with the rows that are bad by themselves.
        display_name: name for people, '' when not stated.
        level_names: level -> name.
        max_depth: greatest level that the file allows; None when not stated.
        synonyms: (code, text) that belong to nodes as aliases.
        problems: what is wrong with the taxonomy as a whole (kind `bad_value`).
        warnings: what was accepted with a remark.
    """

    rows: Iterable[NodeRow | RejectedRow]
    display_name: str = ""
    level_names: dict[int, str] = field(default_factory=dict)
    max_depth: int | None = None
    synonyms: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
