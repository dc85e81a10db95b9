"""Decisions about growth: what a person said, line by line, in the inbox; and what of it stands.

A decision is never changed or removed; another one takes it back. What follows from all of them (rejected labels, skipped
candidates) is made anew each time, so nothing can be lost or disagree. A file that cannot be read stops everything that follows
from it: a rejection that is forgotten would be worse.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_resources.inbox import Inbox

Action = Literal["add", "alias", "reject", "reject_unattended", "name_as_different", "skip", "unreject", "undo"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
State = Literal["in_effect", "undone", "gone", "not_done"]
_REJECTING: Final = ("reject", "reject_unattended", "name_as_different")
#: Actions that write the taxonomy.
WRITING: Final = ("add", "alias", "name_as_different")
#: A skipped candidate comes back before its time when it has grown by this factor.
_GROWN: Final = 1.5


@dataclass(frozen=True)
class Decision:
    """A line of the log.

    Attributes:
        decision_id: identity.
        at: when.
        by: who.
        action: what.
        label: label of the candidate, as it was shown.
        key: its comparison key.
        code: node that was added or got an alias.
        before_version, after_version: of the taxonomy.
        undoes: decision that an `undo` takes back.
        details: further facts as JSON types; `count` and `span` of the candidate, `texts` and `text_ids` that it had.
    """

    decision_id: str
    at: datetime
    by: str
    action: Action
    label: str
    key: str
    code: str | None = None
    before_version: str = ""
    after_version: str = ""
    undoes: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """The decision as a JSON line."""
        value = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps({**value, "at": self.at.isoformat(), "details": dict(self.details)}, ensure_ascii=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Decision:
        """The inverse of `to_line`.

        Raises:
            ValueError: it is no decision.
        """
        value = json.loads(line)
        if not isinstance(value, dict) or value.get("action") not in ACTIONS or not isinstance(value.get("details", {}), dict):
            raise ValueError("no decision")
        at = datetime.fromisoformat(value["at"])
        if at.tzinfo is None:
            raise ValueError("the time has no zone")
        texts = {name: value.get(name) for name in ("decision_id", "by", "label", "key")}
        if not all(isinstance(text, str) for text in texts.values()) or not value["decision_id"]:
            raise ValueError("a part is missing")
        return cls(**{**value, "at": at})


def new_id(key: str, action: str, label: str, at: datetime, by: str) -> str:
    """10 hex digits for a decision that is made now."""
    return hashlib.sha256("\x1f".join((key, action, label, at.isoformat(), by)).encode()).hexdigest()[:10]


def read_decisions(inbox: Inbox, key: str) -> list[Decision]:
    """All decisions of a taxonomy, the earliest first.

    Raises:
        Fault: `unreadable_file` when a line is no decision; `invalid_key`.
    """
    found: dict[str, Decision] = {}
    for file in inbox.files(key, "decisions"):
        try:
            lines = file.path.read_text(encoding="utf-8").splitlines()
            for line in filter(str.strip, lines):
                decision = Decision.from_line(line)
                found[decision.decision_id] = decision
        except (OSError, ValueError, KeyError, TypeError) as error:
            next_step = "Restore the file from a backup, or take it away: what it decided is then open again."
            what = f"{file.name} holds a line that is no decision about growth: {error}."
            raise Fault("unreadable_file", what, value=str(file.path), next_step=next_step) from error
    return sorted(found.values(), key=lambda decision: (decision.at, decision.decision_id))


def write_decisions(inbox: Inbox, key: str, decisions: Iterable[Decision]) -> str:
    """Append decisions to the log: one file, there as a whole or not at all. Returns its name.

    Raises:
        Fault: `storage_failed` or `invalid_key`.
    """
    lines = "".join(decision.to_line() for decision in decisions)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    return inbox.put(key, "decisions", lines.encode(), f"decisions-{stamp}.jsonl").name


@dataclass(frozen=True)
class Standing:
    """What stands of all decisions.

    Attributes:
        rejected: key -> the decision that rejects it for ever.
        skipped: key -> its latest skip.
        undone: ids of decisions that were taken back.
        decided_texts: ids of texts of candidates that were added, rejected or given another name.
    """

    rejected: Mapping[str, Decision] = field(default_factory=dict)
    skipped: Mapping[str, Decision] = field(default_factory=dict)
    undone: frozenset[str] = frozenset()
    decided_texts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, decisions: Sequence[Decision], versions: Collection[str] | None = None) -> Standing:
        """What stands.

        Args:
            decisions: in the order in which they were made.
            versions: versions of the taxonomy that were ever in force; decisions that led to another one were not carried
                out. None = all were.
        """
        undone = frozenset(decision.undoes for decision in decisions if decision.action == "undo" and decision.undoes)
        rejected: dict[str, Decision] = {}
        skipped: dict[str, Decision] = {}
        texts: set[str] = set()
        for decision in decisions:
            if decision.decision_id in undone or not was_carried_out(decision, versions):
                continue
            if decision.action in _REJECTING:
                rejected.setdefault(decision.key, decision)
            elif decision.action == "unreject":
                rejected.pop(decision.key, None)
            elif decision.action == "skip":
                skipped[decision.key] = decision
            if decision.action in WRITING:
                texts.update(decision.details.get("text_ids", ()))
        return cls(rejected, skipped, undone, frozenset(texts))

    def hidden_until(self, key: str, count: int, now: datetime, cooldown_days: int) -> datetime | None:
        """End of the cool-down of a skipped candidate; None when it is to be shown."""
        skip = self.skipped.get(key)
        if skip is None or count >= _GROWN * max(int(skip.details.get("count", 0)), 1):
            return None
        until = skip.at + timedelta(days=cooldown_days)
        return until if until > now else None

    def rejected_texts(self) -> dict[str, list[str]]:
        """Texts of each rejected candidate, by key."""
        return {key: list(decision.details.get("texts", ())) for key, decision in self.rejected.items()}


def was_carried_out(decision: Decision, versions: Collection[str] | None) -> bool:
    """Whether the taxonomy was written, if the decision asks for it. The process that decides may be killed before."""
    return versions is None or decision.action not in WRITING or decision.after_version in versions


def state_of(decision: Decision, standing: Standing, codes: Collection[str], versions: Collection[str]) -> State:
    """What became of a decision.

    Args:
        decision: the decision.
        standing: what stands of all.
        codes: of the taxonomy in force.
        versions: versions that were ever in force.
    """
    if decision.decision_id in standing.undone:
        return "undone"
    if not was_carried_out(decision, versions):
        return "not_done"
    return "in_effect" if decision.action not in WRITING or decision.code in codes else "gone"


def decisions_table(decisions: Sequence[Decision], codes: Collection[str], versions: Collection[str]) -> pa.Table:
    """The log with the schema of `growth.decisions`."""
    import pyarrow as pa

    from taxomind_resources.tables import BY_NAME

    standing = Standing.of(decisions, versions)
    rows = [
        {
            "decision_id": own.decision_id,
            "decided_at": own.at,
            "decided_by": own.by,
            "action": own.action,
            "label": own.label,
            "key": own.key,
            "state": state_of(own, standing, codes, versions),
            "code": own.code,
            "before_version": own.before_version,
            "after_version": own.after_version,
            "undoes": own.undoes,
            "details": json.dumps(dict(own.details), ensure_ascii=False),
        }
        for own in decisions
    ]
    return pa.Table.from_pylist(rows, schema=BY_NAME["growth.decisions"].arrow)
