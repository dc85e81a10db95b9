"""Retagging: which stored answers a change of the taxonomy touches, and what became of each when it was looked at again.

A change touches an answer when the node it names was split or has no successor, when a node was added beside or below it, or
when it is no answer at all and nodes were added that might be one. A code that one other code stands for needs no classifier:
the crosswalk moves it. What a person has placed is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.revision import Translation
    from taxomind_assets.taxonomy.tree import Taxonomy

Why = Literal["split", "gone", "added", "abstained", "under", ""]
Outcome = Literal["same", "moved", "deeper", "shallower", "abstained", "unsure", "human", "error"]
OUTCOMES: Final[Mapping[Outcome, str]] = {
    "same": "the same node",
    "moved": "another node",
    "deeper": "a node below the former answer",
    "shallower": "a node above the former answer",
    "abstained": "no answer any more",
    "unsure": "the parts of a split node are too close to choose between; a person should",
    "human": "a person has placed the text: it was not looked at",
    "error": "the text could not be classified",
}
#: Outcomes whose answers `apply` puts in place when none are named.
APPLIED: Final[tuple[Outcome, ...]] = ("moved", "deeper", "shallower")
TOP: Final = ""


@dataclass(frozen=True)
class Selection:
    """Which stored answers a run may look at.

    Attributes:
        since, until: limits of `classified_at`, both included; None = no limit.
        under: only answers at or below this code, changed by the taxonomy or not; None = whatever a change touches.
        limit: at most so many texts.
    """

    since: datetime | None = None
    until: datetime | None = None
    under: str | None = None
    limit: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        moments = {name: None if (value := getattr(self, name)) is None else value.isoformat() for name in ("since", "until")}
        return {**moments, "under": self.under, "limit": self.limit}

    def covers(self, moment: datetime) -> bool:
        """Whether an answer of this time is meant."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment <= self.until)


@dataclass(frozen=True)
class Changes:
    """What changed between the version of a stored answer and the one in force, as far as answers are concerned.

    Attributes:
        edition: of the stored answer.
        homes: codes of the version in force below which nodes were added, `TOP` for top nodes.
    """

    edition: int
    homes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Touched:
    """Why an answer is looked at again ('' = it is not), and the codes that it must be one of (none = any)."""

    why: Why
    options: tuple[str, ...] = ()


@dataclass
class Judge:
    """Tells which answers are touched. One for a run.

    Attributes:
        tree: the version in force.
        translation: into its codes.
        changes: what changed since each version that answers have.
        under: code below which every answer is meant; None = only what a change touches.
    """

    tree: Taxonomy
    translation: Translation
    changes: Mapping[str, Changes]
    under: str | None = None
    _known: dict[tuple[str, str | None], Touched] = field(default_factory=dict)

    def touched(self, version: str, code: str | None) -> Touched:
        """Whether an answer of a version is to be looked at again, and why."""
        key = (version, code)
        if key not in self._known:
            self._known[key] = self._touched(version, code)
        return self._known[key]

    def _touched(self, version: str, code: str | None) -> Touched:
        codes = self.current(version, code)
        options = tuple(found for found in codes if found in self.tree.position)
        if self.under is not None and not any(self.under in self._path(found) for found in options):
            return Touched("")
        if code is not None and not options:
            return Touched("gone")
        if len(options) > 1:
            return Touched("split", options)
        if self.under is not None:
            return Touched("under")
        homes = self.changes[version].homes if version in self.changes else frozenset()
        if code is None:
            return Touched("abstained") if homes else Touched("")
        # A node that was added is a sibling of every child of its parent, and lies below the parent itself.
        return Touched("added") if homes.intersection((TOP, *self._path(options[0]))) else Touched("")

    def current(self, version: str, code: str | None) -> tuple[str, ...]:
        """The stored code in the codes of the version in force."""
        if code is None:
            return ()
        edition = self.changes[version].edition if version in self.changes else self.translation.edition
        return self.translation.between(code, edition, self.translation.edition)

    def _path(self, code: str) -> list[str]:
        return self.tree.path_codes(self.tree.position[code])


def homes_of_added(new: Taxonomy, known: Iterable[str]) -> frozenset[str]:
    """Codes of the version in force below which nodes were added: the nearest ancestors that were known before.

    Args:
        new: the version in force.
        known: its codes that the former version had, or that a former code leads to.
    """
    before = set(known)
    homes = set()
    for code in new.codes:
        if code not in before:
            path = new.path_codes(new.position[code])
            homes.add(next((above for above in reversed(path) if above in before), TOP))
    return frozenset(homes)


def outcome_of(tree: Taxonomy, before: Sequence[str], after: str | None) -> Outcome:
    """What became of an answer.

    Args:
        tree: the version in force.
        before: the former answer in its codes; none = it was no answer, or has no counterpart.
        after: the new answer; None = abstained.
    """
    if after is None:
        return "abstained" if before else "same"
    if list(before) == [after]:
        return "same"
    if not before:
        return "moved"
    path = tree.path_codes(tree.position[after])
    if any(code in path for code in before if code != after) and len(before) == 1:
        return "deeper"
    if len(before) == 1 and before[0] in tree.position and after in tree.path_codes(tree.position[before[0]]):
        return "shallower"
    return "moved"


class Placed:
    """Texts that people have placed, or confirmed in their place."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = {normalise(text) for text in texts}

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and normalise(text) in self._texts
