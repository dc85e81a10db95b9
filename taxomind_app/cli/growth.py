"""`taxomind growth`: what the texts ask for, and what a person makes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from taxomind_app.cli.growth_showing import counted, print_history, say_figures, say_outcomes, show_candidate
from taxomind_app.cli.session import Session, Taxonomy, styled
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.cli.growth_place import GrowthPlace

STATUS_EPILOG = """Examples

taxomind growth

taxomind growth status --taxonomy notes --json
"""
REVIEW_EPILOG = """Answers

a, add: make it a node; n, name: give it another name; r, reject: never again; s, skip: not now; q, quit

Examples

taxomind growth review

taxomind growth review --yes-file decisions.csv
"""
ACCEPT_EPILOG = """Examples

taxomind growth accept Invoices

taxomind growth accept Invoices --parent life --code money
"""
REJECT_EPILOG = """Example

taxomind growth reject "Stray words"
"""
UNREJECT_EPILOG = """Example

taxomind growth unreject "Stray words"
"""
UNDO_EPILOG = """Example

taxomind growth undo 9d1c4b7a02
"""
HISTORY_EPILOG = """Examples

taxomind growth history

taxomind growth history --rejected --json
"""
TRIAL_EPILOG = """Example

taxomind growth trial Invoices
"""
PROPOSE_EPILOG = """Example

taxomind growth propose "send the tax form before May" Finance
"""
USAGE_EPILOG = """Example

taxomind growth zero-usage --since 2026-01-01
"""
_DEFAULT: Final = "status"
_SHOWN_NODES: Final = 40
_SHOWN: Final = 50

Parent = Annotated[
    str | None, typer.Option("--parent", metavar="CODE", help="Parent ('' = at the top; default: the one shown).")
]
Label = Annotated[str, typer.Argument(metavar="LABEL", help="Label of a candidate, in any spelling.")]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who decides (default: your user name).", show_default=False)
]


class GrowthGroup(TyperGroup):
    """A group that shows the state when no command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `status` before options, or where nothing is."""
        if not args or (args[0].startswith("-") and args[0] not in {"--help", "-h"}):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


def status(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    skipped: Annotated[bool, typer.Option("--include-skipped", help="Show candidates that were skipped as well.")] = False,
) -> None:
    """Show the nodes there are, what the texts ask for, and how growth has gone so far.

    Nothing is decided here. Candidates are looked for anew when answers, corrections or decisions have come.
    """
    place = _opened(session, taxonomy)
    place.refresh(session)
    rows = place.candidates(include_skipped=skipped)
    figures = place.figures()
    if session.json:
        session.print_json({"taxonomy": place.key, "candidates": rows, "figures": figures})
        return
    tree = place.review(None).tree()
    session.say(
        styled("[bold]{key}[/] has {n} nodes, version {version}.", key=place.key, n=f"{len(tree):,}", version=tree.version)
    )
    for node in tree.nodes[:_SHOWN_NODES]:
        session.say(styled("  {code}  [dim]{label}[/]", code=node.code, label=node.label))
    if len(tree) > _SHOWN_NODES:
        session.say(f"  ... and {len(tree) - _SHOWN_NODES:,} more")
    say_figures(session, figures)
    if not rows:
        session.say(f"\nNo candidates. {place.thresholds()}")
        return
    session.say(f"\n{counted(len(rows), 'candidate')}:")
    for row in rows:
        show_candidate(session, row)
    session.say(f"\n  taxomind growth review --taxonomy {place.key}")


def review(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    yes_file: Annotated[
        Path | None,
        typer.Option("--yes-file", metavar="FILE", help="CSV or JSONL with label,action[,preferred,parent,code]."),
    ] = None,
    skipped: Annotated[bool, typer.Option("--include-skipped", help="Also those that were skipped lately.")] = False,
    evidence: Annotated[bool, typer.Option("--evidence/--no-evidence", help="Texts of a candidate teach its node.")] = True,
    by: By = None,
) -> None:
    """Decide about the candidates, one by one; nothing is written without a decision.

    What was added can be given as an answer when the command returns. Every decision is logged and can be taken back.
    """
    from taxomind_app.cli.growth_review import decide_by_file, decide_one_by_one

    if session.json and yes_file is None:
        raise Fault("invalid_input", "Questions cannot be asked in JSON.", value="--json", allowed="--json with --yes-file")
    place = _opened(session, taxonomy)
    place.refresh(session)
    rows = place.candidates(include_skipped=skipped or yes_file is not None)
    own = place.review(by)
    if yes_file is not None:
        outcomes = decide_by_file(own, rows, yes_file, evidence=evidence)
    elif not rows:
        outcomes = []
        if not session.json:
            session.say(f"No candidates. {place.thresholds()}")
    else:
        outcomes = decide_one_by_one(session, own, rows, evidence=evidence)
    place.follow(session, outcomes)
    say_outcomes(session, place, outcomes)


def accept(
    session: Session,
    *,
    label: Label,
    taxonomy: Taxonomy = None,
    parent: Parent = None,
    code: Annotated[
        str | None, typer.Option("--code", metavar="CODE", help="Code of the node (default: the one shown).")
    ] = None,
    evidence: Annotated[bool, typer.Option("--evidence/--no-evidence", help="Its texts teach the node.")] = True,
    by: By = None,
) -> None:
    """Make a node of a candidate."""
    from taxomind_assets.growth.proposals import Proposal

    place = _opened(session, taxonomy)
    place.refresh(session)
    own = place.review(by)
    row = place.candidate(own.key_of(label), label)
    above = row["parent_code"] if parent is None else parent or None
    chosen = code if code is not None else row["code"] if parent is None else None
    outcome = own.add(Proposal.of_row(row), parent_code=above, code=chosen, evidence=evidence)
    place.follow(session, [outcome])
    say_outcomes(session, place, [outcome])


def reject(
    session: Session,
    *,
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="LABEL", help="Labels that are never to be proposed.", show_default=False)
    ] = None,
    taxonomy: Taxonomy = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="JSON list of labels, as `growth history --rejected --json` prints it."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the log.")] = "",
    by: By = None,
) -> None:
    """Never propose a label, in any spelling, nor a group of texts like its own."""
    from taxomind_app.cli.growth_review import rejected_of
    from taxomind_assets.growth.proposals import Proposal

    place = _opened(session, taxonomy)
    own = place.review(by)
    known = {row["key"]: row for row in place.candidates(include_skipped=True)}
    given = dict.fromkeys(labels or (), reason) | ({} if file is None else rejected_of(file))
    if not given:
        raise Fault("invalid_input", "No label is named.", allowed="LABEL ..., or --file with a list of labels")
    wanted = [(label, own.key_of(label), why or reason) for label, why in given.items()]
    for label, key, _ in wanted:
        if not key:
            raise Fault("invalid_input", "Nothing of the label is left to compare.", value=label, allowed="a label with a word")
    outcomes = []
    for label, key, why in wanted:
        proposal = Proposal.of_row(known[key]) if key in known else Proposal(label, key)
        outcomes.append(own.reject(proposal, reason=why, unattended=True))
    place.follow(session, outcomes)
    say_outcomes(session, place, outcomes)


def unreject(session: Session, *, label: Label, taxonomy: Taxonomy = None, by: By = None) -> None:
    """Let a rejected label be proposed again."""
    place = _opened(session, taxonomy)
    outcome = place.review(by).unreject(label)
    place.follow(session, [outcome])
    say_outcomes(session, place, [outcome])


def undo(
    session: Session,
    *,
    decision: Annotated[str, typer.Argument(metavar="ID", help="Id of a decision, see `taxomind growth history`.")],
    taxonomy: Taxonomy = None,
    by: By = None,
) -> None:
    """Take a decision back; what was before it is restored exactly.

    A node that was added goes with the evidence it began with. Answers that were given with it stay, in their version.
    """
    place = _opened(session, taxonomy)
    outcome = place.review(by).undo(decision)
    place.follow(session, [outcome])
    say_outcomes(session, place, [outcome])


def history(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="Only labels that are rejected now.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Rows shown at most.")] = _SHOWN,
) -> None:
    """List the decisions, the latest first: who, when, what, and the taxonomy versions before and after."""
    place = _opened(session, taxonomy)
    rows = place.history()
    if rejected:
        standing = place.review(None).standing().rejected
        ids = {decision.decision_id for decision in standing.values()}
        rows = [row for row in rows if row["decision_id"] in ids]
    if session.json:
        session.print_json(rows[:limit])
        return
    print_history(session, rows, limit)


def trial(session: Session, *, label: Label, taxonomy: Taxonomy = None) -> None:
    """Try a candidate out: which texts its node would take, and whether placed texts fare better. Nothing is written."""
    place = _opened(session, taxonomy)
    place.refresh(session)
    row = place.candidate(place.review(None).key_of(label), label)
    found = place.trial(row)
    if session.json:
        import dataclasses

        session.print_json({"taxonomy": place.key, "label": row["label"], **dataclasses.asdict(found)})
        return
    show_candidate(session, {**row, "trial": found.to_json()})


def propose(
    session: Session,
    *,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text.")],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The label that it should have.")],
    taxonomy: Taxonomy = None,
    text_id: Annotated[str, typer.Option("--text-id", metavar="ID", help="Its id (default: made of the text).")] = "",
) -> None:
    """Say which label a text should have had. Enough such remarks, over some days, make a candidate."""
    from taxomind_assets.growth.observations import proposal_line
    from taxomind_assets.views.texts import clean

    place = _opened(session, taxonomy)
    own = place.review(None)
    wanted = own.checked_label(label)
    if not clean(text):
        raise Fault("invalid_input", "There is no text.", value=text, allowed="a text")
    code, named = place.answer_to(clean(text))
    line = proposal_line(clean(text), wanted, text_id=text_id, primary_code=code, primary_label=named, source="user")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    file = place.inbox.put(place.key, "observations", line.encode(), f"proposed-{stamp}.jsonl").name
    if session.json:
        session.print_json({"taxonomy": place.key, "file": file, "label": wanted, "primary_code": code})
        return
    session.say(f"Noted: {wanted}. {place.thresholds()}")


def zero_usage(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", metavar="DATE", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only answers from then on."),
    ] = None,
) -> None:
    """List nodes that no stored answer uses, neither itself nor below it. They are flagged; nothing is ever removed."""
    place = _opened(session, taxonomy)
    rows, answers = place.unused(None if since is None else since.replace(tzinfo=UTC))
    if session.json:
        session.print_json({"taxonomy": place.key, "answers": answers, "unused": rows})
        return
    if not answers:
        session.say("No results found: nothing can be said about use.")
    elif not rows:
        session.say(f"All nodes are used by {answers:,} answers.")
    else:
        session.say(f"{counted(len(rows), 'node')} without any of {answers:,} answers, candidates for deprecation:")
        for row in rows:
            session.say(styled("  {code}  [dim]{label}[/]", code=row["code"], label=row["label"]))


def _opened(session: Session, taxonomy: str | None) -> GrowthPlace:
    from taxomind_app.cli.growth_place import GrowthPlace

    return GrowthPlace.open(session, taxonomy)
