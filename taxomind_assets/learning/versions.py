"""Versions of the evidence: each kept as what it added and removed, so that any of them can be told again by its name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from taxomind_assets.learning.stored import VERSIONS
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    import pyarrow as pa


class Held(NamedTuple):
    """A correction that counts."""

    correction_id: str
    code: str
    text: str


def held_by(log: Sequence[Mapping[str, Any]], version: str | None = None) -> set[Held]:
    """The corrections of a version, of the last one when None.

    Args:
        log: rows of `learning.evidence_versions`, by number.
        version: name of a version; '' is the state without evidence.

    Raises:
        Fault: `invalid_input` when there has been no such version.
    """
    held: set[Held] = set()
    found = held.copy() if version == "" or (version is None and not log) else None
    for row in log:
        held -= {Held(**item) for item in row["removed"]}
        held |= {Held(**item) for item in row["added"]}
        if version in (None, row["evidence_version"]):
            found = held.copy() if version is not None else held
    if found is None:
        allowed = ", ".join(list(dict.fromkeys(row["evidence_version"] for row in reversed(log)))[:20]) or "none yet"
        next_step = "`taxomind learn list --versions` lists them."
        raise Fault("invalid_input", "There is no such evidence version.", value=version, allowed=allowed, next_step=next_step)
    return found


def with_version(log: pa.Table, held: Collection[Held], version: str, now: datetime) -> tuple[pa.Table, set[Held], set[Held]]:
    """The log with the current version at its end.

    Args:
        log: rows of `learning.evidence_versions`.
        held: the corrections that count now.
        version: its name.
        now: when it was made.

    Returns:
        (log, what was added, what was removed since the version before); the log is the same when nothing changed, and has
        a further entry without changes when another release of taxomind gave the same evidence another name.
    """
    import pyarrow as pa

    rows = sorted(log.to_pylist(), key=lambda row: int(row["number"]))
    former, current = held_by(rows), set(held)
    added, removed = current - former, former - current
    if not added and not removed and version == (rows[-1]["evidence_version"] if rows else ""):
        return log, added, removed
    row = {
        "number": int(rows[-1]["number"]) + 1 if rows else 1,
        "evidence_version": version,
        "parent_version": rows[-1]["evidence_version"] if rows else "",
        "made_at": now,
        "corrections": len(current),
        "nodes": len({item.code for item in current}),
        "added": _listed(added),
        "removed": _listed(removed),
    }
    return pa.concat_tables([log, pa.Table.from_pylist([row], schema=BY_NAME[VERSIONS].arrow)]), added, removed


def _listed(items: Iterable[Held]) -> list[dict[str, str]]:
    return [item._asdict() for item in sorted(items)]
