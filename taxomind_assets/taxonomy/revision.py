"""Revisions: editions of a taxonomy, and the way of a code from one edition to another.

A new edition is an input like any other: the taxonomy file in the inbox, and beside it a record that says which version it
follows and where the codes went (`inbox/<key>/revisions/0001.json`). The taxonomy file alone decides which edition is in force;
a record is a bridge between two editions, walked in either direction. So nothing that people have told is ever rewritten: a
correction keeps the code it was made with, and its code is translated when evidence is made of it. Taking a revision back is to
put the former file in its place again.

Editions are numbered: 0 is the first one known, n the one that record n made. A version that came without a crosswalk (a node
was added, a definition edited) belongs to the edition of the version that it follows: in it, codes mean what they did.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from taxomind_assets.taxonomy.crosswalk import Crosswalk, Relation
from taxomind_resources.faults import Fault

Kind = Literal["revise", "undo"]
FIRST_EDITION: Final = 0


@dataclass(frozen=True, slots=True)
class VersionFile:
    """A version and the taxonomy file that it came from. `content_id`: 16 hex digits of the file's SHA-256."""

    version: str
    file: str
    content_id: str


@dataclass(frozen=True)
class Revision:
    """A record of the log; never changed once it is written.

    Attributes:
        number: place in the log, from 1; of a `revise` also the edition that it made.
        kind: `revise` leads from one edition to the next, `undo` notes that a former one was put back.
        follows: the edition that was in force.
        made_at: when.
        by: who, as the system names the person.
        before: version that was in force.
        after: version that followed.
        crosswalk: where the codes went; empty for `undo`.
        note: what the person said about it.
        undoes: number of the record that an `undo` took back.
    """

    number: int
    kind: Kind
    follows: int
    made_at: datetime
    by: str
    before: VersionFile
    after: VersionFile
    crosswalk: Crosswalk = field(default_factory=Crosswalk)
    note: str = ""
    undoes: int | None = None

    def to_text(self) -> str:
        """The record as JSON."""
        value: dict[str, Any] = {
            "number": self.number,
            "kind": self.kind,
            "follows": self.follows,
            "made_at": self.made_at.isoformat(),
            "by": self.by,
            "note": self.note,
            "undoes": self.undoes,
            "before": _file_json(self.before),
            "after": _file_json(self.after),
            "crosswalk": self.crosswalk.to_json(),
        }
        return json.dumps(value, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, name: str) -> Revision:
        """The inverse of `to_text`.

        Raises:
            Fault: `unreadable_file`; a record that cannot be read stops everything that follows from it, since evidence would
                go astray.
        """
        try:
            value = json.loads(text)
            return cls(
                number=int(value["number"]),
                kind="undo" if value["kind"] == "undo" else "revise",
                follows=int(value["follows"]),
                made_at=_moment(value["made_at"]),
                by=str(value["by"]),
                note=str(value["note"]),
                undoes=None if value["undoes"] is None else int(value["undoes"]),
                before=VersionFile(**value["before"]),
                after=VersionFile(**value["after"]),
                crosswalk=Crosswalk.from_json(value["crosswalk"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            next_step = "Restore the file from a backup: codes of former editions are translated with it."
            raise Fault("unreadable_file", f"{name} is no record of a revision: {error!r}.", next_step=next_step) from error


def _file_json(found: VersionFile) -> dict[str, str]:
    return {"version": found.version, "file": found.file, "content_id": found.content_id}


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("the time has no zone")
    return found


@dataclass(frozen=True)
class Translation:
    """Codes of any edition in those of the one in force. Pure; build it with `Translation.of`.

    How evidence is to use it (nothing but this is needed, and corrections are never rewritten):

        translation = current_translation(inbox, outputs, key, tree.version)     # in `taxonomy.versions`
        codes = translation.codes(correction.code, correction.taxonomy_version)
        codes = translation.codes_at(correction.code, correction.corrected_at, tree.position)   # without a version

    `()` or a code that the tree does not have: the correction is parked (kept, without effect), and comes back when its code
    does. One code: it counts there. Several: the node was split; `revision_choice.choose_among` picks one of them with a
    confidence, and what is unsure waits in `taxonomy.reassignments` for a person's own correction.

    The digest of `inbox.digest(key, "revisions")` belongs to what an output was made from: a better crosswalk between the same
    two editions changes the evidence and no taxonomy file.

    Attributes:
        edition: the edition in force.
        version: the version in force.
        revisions: records of kind `revise`, by edition.
        editions: the edition of every version that is known.
        log: all records, in their order.
    """

    edition: int
    version: str
    revisions: Mapping[int, Revision]
    editions: Mapping[str, int]
    log: tuple[Revision, ...] = ()

    @classmethod
    def of(cls, revisions: Iterable[Revision], version: str, editions: Mapping[str, int] | None = None) -> Translation:
        """The translation into a version.

        Args:
            revisions: all records of a taxonomy, in any order.
            version: the version in force. One that nobody knows belongs to the edition of the last record.
            editions: editions of versions that came without a crosswalk (column `edition` of `taxonomy.versions`).
        """
        log = tuple(sorted(revisions, key=lambda revision: revision.number))
        steps = {revision.number: revision for revision in log if revision.kind == "revise"}
        known = {**(editions or {}), **_named_editions(log)}
        last = known[log[-1].after.version] if log else FIRST_EDITION
        return cls(known.get(version, last), version, steps, known, log)

    def codes(self, code: str, from_version: str) -> tuple[str, ...]:
        """Codes in the edition in force that hold something of a code of another version, in the crosswalk's order.

        Args:
            code: as it was written then.
            from_version: the version that it was written under; one that nobody knows counts as the one in force.

        Returns:
            One code as a rule; several when it was split (or a merger was taken back), none when it has no counterpart.
        """
        return self.between(code, self.editions.get(from_version, self.edition), self.edition)

    def between(self, code: str, start: int, end: int) -> tuple[str, ...]:
        """Codes of edition `end` that hold something of a code of edition `start`."""
        codes: dict[str, None] = {code: None}
        for number, forward in self._path(start, end):
            crosswalk = self.revisions[number].crosswalk
            step = crosswalk.forward if forward else crosswalk.backward
            codes = dict.fromkeys(found for known in codes for found in step(known))
        return tuple(codes)

    def relation(self, code: str, start: int, end: int) -> Relation:
        """What became of a code of edition `start` in edition `end`."""
        targets = self.between(code, start, end)
        if not targets:
            return "gone"
        shared = any(self.between(target, end, start) != (code,) for target in targets)
        if len(targets) > 1:
            return "regrouped" if shared else "split"
        if shared:
            return "merged"
        return "same" if targets == (code,) else "recoded"

    def codes_at(self, code: str, moment: datetime | None, known: Collection[str]) -> tuple[str, ...]:
        """As `codes`, for a code that was written without naming a version.

        Args:
            code: as it was written then.
            moment: when; None = not stated. Then the code is taken as it is when the taxonomy has it, else as one of the latest
                edition in which it leads to codes that the taxonomy has.
            known: codes of the taxonomy in force.
        """
        if moment is not None:
            return self.codes(code, self.version_at(moment))
        if code in known:
            return (code,)
        for edition in sorted({FIRST_EDITION, *self.revisions}, reverse=True):
            found = self.between(code, edition, self.edition)
            if found and all(target in known for target in found):
                return found
        return ()

    def is_same(self, start: int, end: int) -> bool:
        """Whether codes of one edition are those of the other, with nothing to translate."""
        return not self._path(start, end)

    def version_at(self, moment: datetime) -> str:
        """The version in force at a time, as far as the log of revisions tells; for inputs that state no version of their own.

        Versions that came without a crosswalk are not told apart: their codes mean the same.
        """
        taken = self._taken()
        if not taken:
            return self.version
        former = [revision for revision in taken if revision.made_at <= moment]
        return former[-1].after.version if former else taken[0].before.version

    def _taken(self) -> list[Revision]:
        """Records that took effect. One is written before the taxonomy file is replaced; a kill in between leaves it idle."""
        following = [*(revision.before.version for revision in self.log[1:]), self.version]
        return [own for own, version in zip(self.log, following, strict=False) if version != own.before.version]

    def _path(self, start: int, end: int) -> tuple[tuple[int, bool], ...]:
        """Records to walk, each with its direction: back to the last common edition, then on. Editions form a tree."""
        down, up = self._line(start), self._line(end)
        shared = 0
        while shared < min(len(down), len(up)) and down[shared] == up[shared]:
            shared += 1
        return (*((number, False) for number in reversed(down[shared:])), *((number, True) for number in up[shared:]))

    def _line(self, edition: int) -> list[int]:
        """Records that lead from the first edition to one."""
        line: list[int] = []
        while edition in self.revisions and edition not in line:
            line.append(edition)
            edition = self.revisions[edition].follows
        return line[::-1]


def _named_editions(log: Iterable[Revision]) -> dict[str, int]:
    """The edition of every version that the log names; what was said last counts."""
    known: dict[str, int] = {}
    for revision in log:
        known.setdefault(revision.before.version, revision.follows)
        if revision.kind == "revise":
            known[revision.after.version] = revision.number
        else:
            known.setdefault(revision.after.version, FIRST_EDITION)
    return known
