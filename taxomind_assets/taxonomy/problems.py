"""What makes a taxonomy no tree. Everything is found before anything is written, and nothing here can loop or recurse."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from taxomind_resources.faults import Fault

#: Longest path in nodes. Real taxonomies have up to 10 levels; a longer chain is a mistake in the parent column.
MAX_DEPTH: Final = 64
SHOWN: Final = 20

#: kind -> what it means, of one and of several.
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "duplicate_code": ("code occurs twice in one language", "codes occur twice in one language"),
    "missing_parent": ("node names a parent that is no node", "nodes name a parent that is no node"),
    "self_parent": ("node is its own parent", "nodes are their own parent"),
    "cycle": ("circle of parents", "circles of parents"),
    "level_not_below_parent": (
        "node has a level that is not greater than its parent's",
        "nodes have a level that is not greater than their parent's",
    ),
    "level_without_parent": (
        "node lies below the top, but there is no column parent_code",
        "nodes lie below the top, but there is no column parent_code",
    ),
    "conflicting_parent": ("node has several parents", "nodes have several parents"),
    "conflicting_level": ("node has several levels", "nodes have several levels"),
    "over_max_depth": (
        "node lies deeper than the maxDepth that the file states",
        "nodes lie deeper than the maxDepth that the file states",
    ),
    "too_deep": (
        f"node lies {MAX_DEPTH + 1} nodes below the top; at most {MAX_DEPTH} are allowed",
        f"nodes lie {MAX_DEPTH + 1} nodes below the top; at most {MAX_DEPTH} are allowed",
    ),
    "bad_value": ("value of the taxonomy itself cannot be used", "values of the taxonomy itself cannot be used"),
    "row_refused": ("row was refused", "rows were refused"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: `kind` is a key of `KINDS`, `note` says more than the code, `line` is 0 when unknown."""

    kind: str
    code: str
    line: int = 0
    note: str = ""

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else ""
        more = ", ".join(part for part in (self.note, place) if part)
        return f"{self.code} ({more})" if more else self.code


@dataclass(frozen=True, slots=True)
class Link:
    """Where a node hangs: `parent_code` None = top; `level` None = not stated."""

    parent_code: str | None
    level: int | None
    line: int = 0


def problem_details(problems: list[Problem]) -> list[dict[str, Any]]:
    """One mapping per kind: `kind`, `count`, `codes` and `lines` (first 20), `what` in words."""
    details = []
    for kind, (of_one, of_several) in KINDS.items():
        mine = [problem for problem in problems if problem.kind == kind]
        if mine:
            shown = mine[:SHOWN]
            meaning = of_one if len(mine) == 1 else of_several
            more = f" and {len(mine) - SHOWN:,} more" if len(mine) > SHOWN else ""
            details.append(
                {
                    "kind": kind,
                    "count": len(mine),
                    "codes": [problem.code for problem in shown],
                    "lines": [problem.line for problem in shown],
                    "what": f"{len(mine):,} {meaning}: {'; '.join(map(str, shown))}{more}",
                }
            )
    return details


def refusal(name: str, problems: list[Problem]) -> Fault:
    """The fault that refuses a whole taxonomy and lists every problem."""
    return Fault(
        "invalid_taxonomy",
        f"{name} has {len(problems):,} problem{'s' if len(problems) != 1 else ''} and was refused as a whole.",
        allowed="each code once per language, each parent a node, no circles, levels that grow downwards",
        details=problem_details(problems),
    )


def find_problems(links: Mapping[str, Link]) -> tuple[list[Problem], dict[str, int]]:
    """All problems of the tree that `links` (code -> place) describes, in one pass over the nodes per kind.

    Returns:
        (problems, levels as `derive_levels` gives them).
    """
    problems = []
    for code, link in links.items():
        if link.parent_code is None:
            continue
        if link.parent_code == code:
            problems.append(Problem("self_parent", code, link.line))
        elif link.parent_code not in links:
            problems.append(Problem("missing_parent", code, link.line, f"parent {link.parent_code}"))
    problems += _find_cycles(links)
    levels, deep = derive_levels(links)
    problems += [Problem("too_deep", code, links[code].line) for code in deep]
    return problems + _find_level_problems(links, levels), levels


def derive_levels(links: Mapping[str, Link]) -> tuple[dict[str, int], list[str]]:
    """Levels of all nodes that hang on the top: the stated one, else one more than the parent's.

    Returns:
        (code -> level, codes in depth `MAX_DEPTH` + 1; nothing below them is looked at).
    """
    children: dict[str | None, list[str]] = {}
    for code, link in links.items():
        children.setdefault(link.parent_code, []).append(code)
    levels: dict[str, int] = {}
    deep: list[str] = []
    queue = deque((code, 0, 1) for code in children.get(None, ()))
    while queue:
        code, above, depth = queue.popleft()
        if depth > MAX_DEPTH:
            deep.append(code)
            continue
        stated = links[code].level
        levels[code] = above + 1 if stated is None else stated
        queue.extend((child, levels[code], depth + 1) for child in children.get(code, ()))
    return levels, deep


def _find_cycles(links: Mapping[str, Link]) -> list[Problem]:
    """Each circle of two or more nodes once. Every node is visited once: finished walks are never walked again."""
    walk_of: dict[str, int] = {}
    problems = []
    for number, start in enumerate(links):
        walk: list[str] = []
        code: str | None = start
        while code is not None and code in links and code not in walk_of:
            walk_of[code] = number
            walk.append(code)
            code = links[code].parent_code
        if code is not None and walk_of.get(code) == number and links[code].parent_code != code:
            circle = walk[walk.index(code) :]
            shown = " > ".join([*circle[:10], *(["..."] if len(circle) > 10 else []), code])
            problems.append(Problem("cycle", code, links[code].line, f"{len(circle):,} nodes: {shown}"))
    return problems


def _find_level_problems(links: Mapping[str, Link], levels: Mapping[str, int]) -> list[Problem]:
    problems = []
    for code, link in links.items():
        if link.parent_code is None or link.parent_code == code or link.parent_code not in links:
            continue
        own = levels.get(code, link.level)
        above = levels.get(link.parent_code, links[link.parent_code].level)
        if own is not None and above is not None and own <= above:
            note = f"level {own}, parent {link.parent_code} has {above}"
            problems.append(Problem("level_not_below_parent", code, link.line, note))
    return problems
