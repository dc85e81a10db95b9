"""What a person decides, as lines for the inbox: teach, take back, go back to a version.

Nothing else is written: what counts follows from the files of the inbox alone, and a decision can be taken back by another.
Times say which decision is the last one. A clock may be wrong, so a decision is stamped later than all that it decides about.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.learning.corrections import Correction, CorrectionRow, Settled, Translate, settle, unchanged
from taxomind_assets.learning.rows import derived_id
from taxomind_assets.learning.versions import Held
from taxomind_assets.views.texts import normalise
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Rounds in which a version is looked for; each takes back what stood behind the corrections of the one before.
_MOST_ROUNDS: Final = 10


def now_moment() -> int:
    """The time in microseconds since 1970."""
    return (datetime.now(UTC) - _EPOCH) // timedelta(microseconds=1)


def taught(rows: Sequence[CorrectionRow], text: str, code: str, annotator: str, *, confirm: bool, now: int) -> CorrectionRow:
    """A person's own correction of one text. One that was taken back before is restored.

    Args:
        rows: all rows there are.
        text: the clean text.
        code: its code.
        annotator: who says so.
        confirm: the answer was right.
        now: microseconds since 1970.
    """
    own_id = derived_id(text, (code,), annotator)
    identity = normalise(text)
    about = [
        row for row in rows if row.correction_id == own_id or (row.annotator == annotator and normalise(row.text) == identity)
    ]
    action = "confirm" if confirm else "correct"
    if any(row.correction_id == own_id and row.action == "withdraw" for row in about):
        action = "restore"
    return CorrectionRow(own_id, action, text, (code,), annotator, _later(about, now), "", "", "cli", "")


def taken_back(rows: Sequence[CorrectionRow], ids: Collection[str], annotator: str, *, now: int) -> list[CorrectionRow]:
    """Withdrawals of these corrections, by id."""
    about: dict[str, list[CorrectionRow]] = {own_id: [] for own_id in sorted(ids)}
    for row in rows:
        if row.correction_id in about:
            about[row.correction_id].append(row)
    return [
        CorrectionRow(own_id, "withdraw", "", (), annotator, _later(own, now), "", "", "cli", "")
        for own_id, own in about.items()
    ]


def gone_back(
    rows: Sequence[CorrectionRow],
    tree: Taxonomy,
    wanted: Collection[Held],
    annotator: str,
    *,
    translate: Translate = unchanged,
    now: int,
) -> list[CorrectionRow]:
    """Decisions after which exactly `wanted` counts.

    Args:
        rows: all rows there are.
        tree: the current taxonomy.
        wanted: the corrections of an evidence version.
        annotator: who says so.
        translate: what became of codes of earlier editions.
        now: microseconds since 1970.

    Raises:
        Fault: `invalid_input` when the taxonomy no longer has a code of the version.
    """
    missing = sorted({item.code for item in wanted} - tree.position.keys())
    if missing:
        next_step = "Take single corrections back instead: taxomind learn undo."
        what = f"The taxonomy no longer has {len(missing)} codes of that version."
        raise Fault("invalid_input", what, value=missing[:10], next_step=next_step)
    decisions: list[CorrectionRow] = []
    told = sorted((item.code, item.text) for item in wanted)
    for _ in range(_MOST_ROUNDS):
        every = [*rows, *decisions]
        applied = {Held(found.correction_id, found.code or "", found.text) for found in settle(every, tree, translate).applied}
        if sorted((item.code, item.text) for item in applied) == told:
            return decisions
        lacking = sorted(set(wanted) - applied)
        surplus = {item.correction_id for item in applied - set(wanted)} - {item.correction_id for item in lacking}
        decisions += taken_back(every, surplus, annotator, now=now)
        decisions += [_restored(every, item, now) for item in lacking]
    raise Fault("invalid_input", "The version cannot be told again: its corrections replace one another.", value=len(decisions))


def _restored(rows: Sequence[CorrectionRow], item: Held, now: int) -> CorrectionRow:
    own = [row for row in rows if row.correction_id == item.correction_id]
    annotator = max((row.annotator for row in own if row.text == item.text), default="")
    identity = normalise(item.text)
    rivals = [row for row in rows if annotator and row.annotator == annotator and normalise(row.text) == identity]
    stamp = _later([*own, *rivals], now)
    return CorrectionRow(item.correction_id, "restore", item.text, (item.code,), annotator, stamp, "", "", "cli", "")


def _later(rows: Iterable[CorrectionRow], now: int) -> int:
    """`now`, or a microsecond after the last of these rows."""
    return max([now, *(row.corrected_at + 1 for row in rows)])


def as_lines(decisions: Iterable[CorrectionRow]) -> bytes:
    """Decisions as JSON lines for the inbox."""
    return b"".join(json.dumps(_line(row), ensure_ascii=False).encode() + b"\n" for row in decisions)


def _line(row: CorrectionRow) -> dict[str, Any]:
    moment = _EPOCH + timedelta(microseconds=row.corrected_at)
    about = {"correction_id": row.correction_id, "action": row.action, "annotator": row.annotator, "source": row.source}
    content = {"text": row.text, "code": row.codes[-1]} if row.text else {}
    return {**about, **content, "corrected_at": moment.isoformat()}


def chosen_ids(
    settled: Settled,
    rows: Iterable[CorrectionRow],
    *,
    ids: Collection[str] = (),
    files: Collection[str] = (),
    nodes: Collection[str] = (),
    texts: Collection[str] = (),
) -> list[Correction]:
    """The corrections that stand and that an id, a file, a node or a text names.

    Raises:
        Fault: `invalid_input` when one of them names nothing that stands.
    """
    files_of: dict[str, set[str]] = {}
    for row in rows:
        if row.source_file in files:
            files_of.setdefault(row.correction_id, set()).add(row.source_file)
    identities = {normalise(text) for text in texts}
    standing = [found for found in settled.corrections if found.status in {"applied", "duplicate", "unknown_code"}]
    chosen = [
        found
        for found in standing
        if found.correction_id in ids
        or found.correction_id in files_of
        or found.code in nodes
        or normalise(found.text) in identities
    ]
    named = {
        "id": set(ids) - {found.correction_id for found in chosen},
        "file": set(files).difference(*(files_of.get(found.correction_id, ()) for found in chosen)),
        "node": set(nodes) - {found.code or "" for found in chosen},
        "text": identities - {normalise(found.text) for found in chosen},
    }
    for what, missing in named.items():
        if missing:
            next_step = "`taxomind learn list` shows what stands."
            raise Fault("invalid_input", f"No correction that stands has this {what}.", value=min(missing), next_step=next_step)
    return chosen
