"""The review of candidates: one by one at a terminal, or by a file of decisions."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taxomind_app.cli.growth_showing import show_candidate
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.cli.session import Session
    from taxomind_assets.growth.proposals import Outcome
    from taxomind_assets.growth.review import Review

_WORDS: Final = {"a": "add", "n": "name", "r": "reject", "s": "skip", "q": "quit"}
_ACTIONS: Final = ("add", "name", "reject", "skip")
_MOST_ASKED: Final = 3
#: Stands for no parent.
_TOP: Final = "top"


def decide_one_by_one(session: Session, review: Review, rows: Sequence[Mapping[str, Any]], *, evidence: bool) -> list[Outcome]:
    """Ask about each candidate; what is no answer skips, the end of input stops."""
    outcomes: list[Outcome] = []
    for number, row in enumerate(rows, 1):
        show_candidate(session, row, f"{number}/{len(rows)}  ")
        answer = _asked("add, name, reject, skip, quit? [a/n/r/s/q] ")
        action = "quit" if answer is None else _WORDS.get(answer, answer)
        if action == "quit":
            break
        try:
            outcome = _decided(review, row, action, evidence=evidence)
        except Fault as fault:
            session.note(fault.render())
            continue
        if outcome is not None:
            session.say(f"  {outcome.message}")
            outcomes.append(outcome)
    return outcomes


def _decided(review: Review, row: Mapping[str, Any], action: str, *, evidence: bool) -> Outcome | None:
    from taxomind_assets.growth.proposals import Proposal

    proposal = Proposal.of_row(row)
    if action == "add":
        parent, code = _placed(review, row)
        return review.add(proposal, parent_code=parent, code=code, evidence=evidence)
    if action == "reject":
        return review.reject(proposal)
    if action == "name":
        for _ in range(_MOST_ASKED):
            preferred = _asked("Preferred name (empty = skip): ", fold=False)
            if not preferred:
                break
            try:
                return review.name(proposal, preferred, parent_code=row["parent_code"], evidence=evidence)
            except Fault as fault:
                print(fault.render(), file=sys.stderr)  # noqa: T201 (this is the command line)
    return review.skip(proposal)


def _placed(review: Review, row: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Parent and code of a new node: those shown, or what a person at a terminal types."""
    parent: str | None = row["parent_code"]
    if not sys.stdin.isatty():
        return parent, _free_code(review, row, parent)
    typed = _asked(f"Parent [{parent or _TOP}]: ", fold=False)
    if typed:
        parent = None if typed == _TOP else typed
    code = _free_code(review, row, parent)
    return parent, _asked(f"Code [{code}]: ", fold=False) or code


def _free_code(review: Review, row: Mapping[str, Any], parent: str | None) -> str:
    from taxomind_assets.growth.proposals import Proposal

    # A decision before this one may have taken the code that was shown.
    return review.code_for(Proposal.of_row(row), parent)


def _asked(question: str, *, fold: bool = True) -> str | None:
    """A line of standard input; None at its end, and when Ctrl-C is pressed: what was decided before stays decided."""
    sys.stdout.flush()
    sys.stderr.write(question)
    sys.stderr.flush()
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return None
    if not line:
        return None
    return line.strip().casefold() if fold else line.strip()


def decide_by_file(review: Review, rows: Sequence[Mapping[str, Any]], path: Path, *, evidence: bool) -> list[Outcome]:
    """Carry the decisions of a file out. All are checked before the first one is.

    Raises:
        Fault: `invalid_input` naming every line that is no decision about a candidate; `unreadable_file`.
    """
    known = {row["key"]: row for row in rows}
    decisions = _read(path)
    problems = [problem for line, own in decisions if (problem := _problem(line, own, known, review))]
    if problems:
        allowed = f"label and action ({', '.join(_ACTIONS)}), preferred with name; labels of candidates"
        details = [{"what": problem} for problem in problems]
        raise Fault(
            "invalid_input", f"{path.name} has {len(problems)} lines that decide nothing.", allowed=allowed, details=details
        )
    return [_carried_out(review, known[review.key_of(own["label"])], own, evidence=evidence) for _, own in decisions]


def _carried_out(review: Review, row: Mapping[str, Any], own: Mapping[str, str], *, evidence: bool) -> Outcome:
    from taxomind_assets.growth.proposals import Proposal

    proposal = Proposal.of_row(row)
    given = own.get("parent", "")
    parent = row["parent_code"] if not given else None if given == _TOP else given
    if own["action"] == "add":
        return review.add(proposal, parent_code=parent, code=own.get("code") or None, evidence=evidence)
    if own["action"] == "name":
        return review.name(proposal, own["preferred"], parent_code=parent, evidence=evidence)
    return review.reject(proposal) if own["action"] == "reject" else review.skip(proposal)


def _problem(line: int, own: Mapping[str, str], known: Mapping[str, Any], review: Review) -> str:
    label, action = own.get("label", ""), own.get("action", "")
    if action not in _ACTIONS:
        return f"line {line}: {action!r} is no action"
    if review.key_of(label) not in known:
        return f"line {line}: {label!r} is no candidate"
    return f"line {line}: a name is missing" if action == "name" and not own.get("preferred") else ""


def _read(path: Path) -> list[tuple[int, dict[str, str]]]:
    """(line, decision) of a CSV or JSONL file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".csv":
                reader = csv.DictReader(file)
                return [(reader.line_num, _plain(row)) for row in reader]
            return [(number, _plain(json.loads(line))) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, ValueError, csv.Error) as error:
        raise Fault("unreadable_file", f"{path.name} cannot be read: {error}.", value=str(path)) from error


def _plain(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    found = {str(name).strip(): str(part).strip() for name, part in value.items() if part is not None}
    action = found.get("action", "").casefold()
    return {**found, "action": _WORDS.get(action, action)}


def rejected_of(path: Path) -> dict[str, str]:
    """Label -> reason of a JSON list: of labels, or of objects with `label` and, in `details` or beside it, `reason`.

    Raises:
        Fault: `unreadable_file` or `invalid_input`.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise Fault("unreadable_file", f"{path.name} cannot be read: {error}.", value=str(path)) from error
    found: dict[str, str] = {}
    for number, item in enumerate(value if isinstance(value, list) else [None], 1):
        about = item if isinstance(item, Mapping) else {"label": item}
        if not isinstance(about.get("label"), str):
            allowed = 'a JSON list of labels, or of objects {"label": ..., "reason": ...}'
            raise Fault(
                "invalid_input", f"Item {number} of {path.name} names no label.", value=str(item)[:200], allowed=allowed
            )
        found[about["label"]] = str(about.get("reason") or _details(about).get("reason") or "")
    return found


def _details(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """The details of a decision, which a table holds as JSON."""
    try:
        details = json.loads(about.get("details") or "{}")
    except (TypeError, ValueError):
        return {}
    return details if isinstance(details, Mapping) else {}
