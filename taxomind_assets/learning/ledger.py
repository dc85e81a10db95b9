"""Rows of corrections by what they touch, so that a few more are settled without looking at all of them again.

What `settle` decides about a correction depends on the rows of its own id, and on the corrections of the same annotator and
text. Ids and such pairs form groups that do not touch each other; new rows change the groups that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from taxomind_assets.learning.corrections import Correction, CorrectionRow, Settled, Translate, settle
from taxomind_assets.learning.versions import Held
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy

#: (annotator, normalised text).
Opinion = tuple[str, str]


@dataclass(frozen=True)
class Ledger:
    """All rows there are, and what they come to. It never changes; `with_rows` shares what stays.

    Attributes:
        tree: the taxonomy that they are settled for.
        translate: what became of codes of earlier editions.
        chosen: codes of corrections whose node a revision split, by id.
        rows: rows by id.
        ids: ids by (annotator, normalised text).
        corrections: what became of each id.
        dangling: ids that are withdrawn or restored, and that no row explains.
        held: those that count, as evidence holds them.
    """

    tree: Taxonomy
    translate: Translate
    chosen: Mapping[str, str]
    rows: Mapping[str, tuple[CorrectionRow, ...]] = field(default_factory=dict)
    ids: Mapping[Opinion, frozenset[str]] = field(default_factory=dict)
    corrections: Mapping[str, tuple[Correction, ...]] = field(default_factory=dict)
    dangling: frozenset[str] = frozenset()
    held: frozenset[Held] = frozenset()

    def with_rows(self, new: Iterable[CorrectionRow]) -> Ledger:
        """These rows and more; takes time for the groups that the new ones belong to, and to copy what refers to the others."""
        more: dict[str, list[CorrectionRow]] = {}
        for row in new:
            more.setdefault(row.correction_id, []).append(row)
        rows = {**self.rows, **{own: (*self.rows.get(own, ()), *added) for own, added in more.items()}}
        ids = dict(self.ids)
        for own, added in more.items():
            for opinion in opinions(added):
                ids[opinion] = ids.get(opinion, frozenset()) | {own}
        touched = _touched(more, rows, ids)
        settled = settle((row for own in touched for row in rows[own]), self.tree, self.translate, self.chosen)
        found: dict[str, list[Correction]] = {own: [] for own in touched}
        for correction in settled.corrections:
            found[correction.correction_id].append(correction)
        before = {held_of(known) for own in touched for known in self.corrections.get(own, ()) if known.status == "applied"}
        after = {held_of(correction) for correction in settled.applied}
        return replace(
            self,
            rows=rows,
            ids=ids,
            corrections={**self.corrections, **{own: tuple(those) for own, those in found.items()}},
            dangling=(self.dangling - touched) | set(settled.dangling),
            held=(self.held - before) | after,
        )

    def settled(self) -> Settled:
        """As `settle` of all rows."""
        every = [found for own in self.corrections.values() for found in own]
        every.sort(key=lambda found: (found.correction_id, found.corrected_at, found.text, found.given_codes, found.annotator))
        return Settled(tuple(every), tuple(sorted(self.dangling)))

    def about(self, correction_id: str, annotator: str, text: str) -> list[CorrectionRow]:
        """All rows of an id, and all of ids that are about this annotator and text."""
        own = {correction_id, *self.ids.get((annotator, normalise(text)), ())}
        return [row for name in sorted(own) for row in self.rows.get(name, ())]


def opinions(rows: Iterable[CorrectionRow]) -> set[Opinion]:
    """What rows are about; one that only names its correction is about nothing by itself."""
    return {(row.annotator, normalise(row.text)) for row in rows if row.text}


def held_of(found: Correction) -> Held:
    """A correction that counts, as evidence holds it."""
    return Held(found.correction_id, found.code or "", found.text)


def _touched(
    new: Iterable[str], rows: Mapping[str, tuple[CorrectionRow, ...]], ids: Mapping[Opinion, frozenset[str]]
) -> frozenset[str]:
    """The ids of the groups that these belong to."""
    found: set[str] = set()
    waiting = list(new)
    while waiting:
        own = waiting.pop()
        if own not in found:
            found.add(own)
            waiting += [other for opinion in opinions(rows[own]) for other in ids[opinion] if other not in found]
    return frozenset(found)
