"""What all rows of a taxonomy's correction files come to: which corrections count, and why the others do not.

`settle` is a pure function of the set of rows. Nothing in it depends on the order of files, of rows or of arrival, and a row
that is there twice says nothing more; so any interleaving, repetition or splitting of files ends in the same corrections.

- One id is one correction. Of several contents of an id the latest by `corrected_at` counts, on a tie the greatest content.
- A withdrawal holds against its correction whatever their times, until a `restore` that is later than it.
- One annotator has one opinion of a text: the latest. Rows without an annotator, or without a time, are all kept.
- The same text at the same node by the same annotator is one correction, under however many ids.
- Codes that the taxonomy does not have wait: since everything is read again, they count as soon as it has them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from taxomind_assets.reports.sources import DECIMAL_CODE
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy

#: `Translation.codes_at`: codes now of a code then, its moment in microseconds or `NEVER`, and the codes that there are.
Translate = Callable[[str, int, Collection[str]], tuple[str, ...]]
Action = Literal["correct", "confirm", "withdraw", "restore"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
Status = Literal["applied", "duplicate", "superseded", "unknown_code", "withdrawn"]
STATUSES: Final[tuple[Status, ...]] = get_args(Status)
#: Stands for a row without a time: before all others.
NEVER: Final = -1


class CorrectionRow(NamedTuple):
    """One accepted row of a file of corrections.

    Attributes:
        correction_id: identity, never empty.
        action: what the row does.
        text: the text, '' when a withdrawal or a restoration only names its correction.
        codes: from the top down.
        annotator: '' when not stated.
        corrected_at: microseconds since 1970 in UTC, `NEVER` when not stated.
        proposed_label: the label that the text should have had, '' when its node is what the annotator wants.
    """

    correction_id: str
    action: str
    text: str
    codes: tuple[str, ...]
    annotator: str
    corrected_at: int
    text_id: str
    language: str
    source: str
    source_file: str
    proposed_label: str = ""


@dataclass(frozen=True, slots=True)
class Correction:
    """What became of one content of one id. Fields as in the table `learning.corrections`; times in microseconds."""

    correction_id: str
    text: str
    given_codes: tuple[str, ...]
    annotator: str
    corrected_at: int
    text_id: str = ""
    language: str = ""
    source: str = ""
    action: str = "correct"
    source_file: str = ""
    rows: int = 1
    code: str | None = None
    status: Status = "applied"
    reason: str = ""
    proposed_label: str = ""


@dataclass(frozen=True)
class Settled:
    """All corrections of a taxonomy, sorted by id and content.

    Attributes:
        corrections: one per id and content.
        dangling: ids that are withdrawn or restored, and that no row explains (yet).
    """

    corrections: tuple[Correction, ...]
    dangling: tuple[str, ...] = ()

    @property
    def applied(self) -> list[Correction]:
        """Those that count."""
        return [correction for correction in self.corrections if correction.status == "applied"]


def unchanged(code: str, moment: int, known: Collection[str]) -> tuple[str, ...]:
    """The translation of a taxonomy that was never revised."""
    return (code,)


def settle(
    rows: Iterable[CorrectionRow],
    tree: Taxonomy,
    translate: Translate = unchanged,
    chosen: Mapping[str, str] | None = None,
) -> Settled:
    """Decide what counts.

    Args:
        rows: all rows of all files, in any order.
        tree: the current taxonomy.
        translate: what became of codes of earlier editions.
        chosen: codes of corrections whose node a revision split, by id, where they were decided.
    """
    contents: dict[str, dict[tuple[str, tuple[str, ...], str], Correction]] = {}
    decided: dict[str, tuple[int, bool]] = {}
    for row in rows:
        if row.action in {"withdraw", "restore"}:
            decision = row.corrected_at, row.action == "withdraw"
            decided[row.correction_id] = max(decided.get(row.correction_id, decision), decision)
        if row.action != "withdraw" and row.text:
            own = contents.setdefault(row.correction_id, {})
            content = row.text, row.codes, row.annotator
            own[content] = _merged(own.get(content), row)
    places = _Places(tree, translate, chosen or {})
    winners: list[Correction] = []
    others: list[Correction] = []
    for correction_id, own in contents.items():
        latest, *older = sorted(own.values(), key=_precedence, reverse=True)
        others += [replace(found, status="superseded", reason="the id has a later content") for found in older]
        if decided.get(correction_id, (NEVER, False))[1]:
            others += [replace(latest, status="withdrawn", reason="it was withdrawn", code=places.of(latest)[0])]
        else:
            winners.append(latest)
    settled = _counted(winners, places) + others
    settled.sort(key=lambda found: (found.correction_id, found.corrected_at, found.text, found.given_codes, found.annotator))
    return Settled(tuple(settled), tuple(sorted(decided.keys() - contents.keys())))


def _merged(known: Correction | None, row: CorrectionRow) -> Correction:
    """The same content once more: the latest time and the label proposed then, the first file by name."""
    action = "confirm" if row.action == "confirm" else "correct"
    if known is None:
        return Correction(
            row.correction_id,
            row.text,
            row.codes,
            row.annotator,
            row.corrected_at,
            row.text_id,
            row.language,
            row.source,
            action,
            row.source_file,
            proposed_label=row.proposed_label,
        )
    return replace(
        known,
        corrected_at=max(known.corrected_at, row.corrected_at),
        text_id=max(known.text_id, row.text_id),
        language=max(known.language, row.language),
        source=max(known.source, row.source),
        action=max(known.action, action),
        source_file=min(known.source_file, row.source_file),
        proposed_label=max((item.corrected_at, item.proposed_label) for item in (known, row))[1],
        rows=known.rows + 1,
    )


def _precedence(found: Correction) -> tuple[int, str, tuple[str, ...], str]:
    return found.corrected_at, found.text, found.given_codes, found.annotator


class _Places:
    """Where corrections belong in the current taxonomy."""

    def __init__(self, tree: Taxonomy, translate: Translate, chosen: Mapping[str, str]) -> None:
        self._depth = dict(zip(tree.codes, tree.depths.tolist(), strict=True))
        self._translate = translate
        self._chosen = chosen

    def of(self, found: Correction) -> tuple[str | None, str]:
        """The deepest of its codes that the taxonomy has, the first on a tie; or None, and what is missing."""
        known: list[str] = []
        missing = f"the taxonomy has no code {found.given_codes[-1]}; it waits for one"
        for given in found.given_codes:
            codes = self._translate(self._plain(given), found.corrected_at, self._depth)
            if len(codes) > 1:
                missing = f"a revision made {', '.join(codes)} of {given}; it waits for a person to say which"
                codes = tuple(code for code in codes if code == self._chosen.get(found.correction_id))
            known += [code for code in codes if code in self._depth]
        return (max(known, key=lambda code: self._depth[code]), "") if known else (None, missing)

    def _plain(self, code: str) -> str:
        """A code without the '.0' that spreadsheets put behind it, unless the taxonomy has it so."""
        match = None if code in self._depth else DECIMAL_CODE.fullmatch(code)
        return match[1] if match else code


def _counted(winners: Sequence[Correction], places: _Places) -> list[Correction]:
    """The corrections that stand, with their nodes: which of them count."""
    where = [places.of(found) for found in winners]
    # The reason stays with those that nothing can be said for yet.
    placed = [replace(found, code=code, reason=missing) for found, (code, missing) in zip(winners, where, strict=True)]
    opinion: dict[tuple[str, str], int] = {}
    for found in placed:
        if found.annotator and found.code is not None:
            key = found.annotator, normalise(found.text)
            opinion[key] = max(opinion.get(key, NEVER), found.corrected_at)
    first: dict[tuple[str, str, str], tuple[int, str]] = {}
    standing: list[tuple[Correction, str]] = []
    done: list[Correction] = []
    for found in placed:
        identity = normalise(found.text)
        if found.code is None:
            done.append(replace(found, status="unknown_code"))
        elif found.corrected_at < opinion.get((found.annotator, identity), NEVER):
            done.append(replace(found, status="superseded", reason="the annotator placed the text again later"))
        else:
            standing.append((found, identity))
            key3 = identity, found.code, found.annotator
            own = found.corrected_at, found.correction_id
            first[key3] = min(first.get(key3, own), own)
    for found, identity in standing:
        counts = first[identity, found.code or "", found.annotator]
        if counts == (found.corrected_at, found.correction_id):
            done.append(found)
        else:
            done.append(replace(found, status="duplicate", reason=f"says the same as {counts[1]}"))
    return done


def by_status(corrections: Iterable[Correction]) -> dict[Status, int]:
    """How many corrections have each status; every status is there."""
    counts: dict[Status, int] = dict.fromkeys(STATUSES, 0)
    for found in corrections:
        counts[found.status] += 1
    return counts
