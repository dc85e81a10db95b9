"""`taxomind taxonomy retag`: stored answers that a change of the taxonomy touches, looked at again."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxomind_app.cli.revise import person
from taxomind_app.cli.session import Session, styled
from taxomind_app.cli.taxonomy import Key
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from taxomind_assets.taxonomy.retag_store import RetagRun, RetagStore

PLAN_EPILOG = """Examples

taxomind taxonomy retag plan jobs --dry-run

taxomind taxonomy retag plan jobs --since 2026-01-01 --under 25
"""
RUN_EPILOG = """Examples

taxomind taxonomy retag run jobs 1

taxomind taxonomy retag run jobs 2 --confirm-cost 1.50
"""
APPLY_EPILOG = """Examples

taxomind taxonomy retag apply jobs 1

taxomind taxonomy retag apply jobs 1 --only moved,deeper --min-confidence 0.9 --yes
"""
ROLLBACK_EPILOG = """Example

taxomind taxonomy retag rollback jobs 1
"""
LIST_EPILOG = """Example

taxomind taxonomy retag list jobs
"""
CANCEL_EPILOG = """Example

taxomind taxonomy retag cancel jobs 1
"""
Run = Annotated[str, typer.Argument(metavar="RUN", help="Number of the run.", show_default=False)]


class Strategy(StrEnum):
    """Who classifies again."""

    ROUTER = "router"
    LLM = "llm"


def plan(
    session: Session,
    *,
    key: Key,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="Only answers given since then.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Only answers given until then.")] = None,
    under: Annotated[
        str | None, typer.Option("--under", metavar="CODE", help="All answers at or below this node, touched or not.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="At most so many texts.")] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(
            "--strategy", metavar="router|llm", help="router: the classifier; llm: a language model looks at unsure answers."
        ),
    ] = Strategy.ROUTER,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the run would look at, and what it costs.")] = False,
) -> None:
    """Find the stored answers that changes of the taxonomy touch, and plan to look at them again.

    Touched are answers whose node was split or has no successor, answers at or below a node that got new children, and texts
    without an answer when nodes were added. Texts that a person has placed are left alone. Nothing changes yet.
    """
    from taxomind_assets.taxonomy.retag import Selection
    from taxomind_assets.taxonomy.retag_plan import plan_retag, store_plan

    store = _store(session, key)
    selection = Selection(_moment(since, "--since"), _moment(until, "--until"), under, limit)
    made = plan_retag(session.settings, _inbox(session), store.outputs, key, selection, strategy=strategy.value, by=person())
    if made.run.texts and not dry_run:
        store_plan(store.outputs, key, made)
    if session.json:
        session.print_json({**_row(made.run), "reasons": made.reasons, "stored": bool(made.run.texts) and not dry_run})
        return
    if not made.run.texts:
        session.say("No stored answer is touched by a change of the taxonomy.")
        return
    reasons = ", ".join(f"{count:,} {why}" for why, count in made.reasons.items())
    session.say(f"{made.run.texts:,} texts: {reasons}. {_cost(made.run)}")
    if not dry_run:
        confirm = " --confirm-cost AMOUNT" if made.run.strategy == "llm" else ""
        session.say(f"\n  taxomind taxonomy retag run {key} {made.run.run}{confirm}")


def run(
    session: Session,
    *,
    key: Key,
    name: Run,
    confirm_cost: Annotated[
        float | None, typer.Option("--confirm-cost", metavar="AMOUNT", min=0, help="US dollars that the run may cost.")
    ] = None,
) -> None:
    """Classify the texts of a planned run, or go on where it stopped. Stored answers do not change."""
    from taxomind_assets.taxonomy.retag_run import carry_out, outcomes

    store = _store(session, key)
    texts = store.run(name).texts
    with _progress(session, texts) as advance:
        done = carry_out(
            session.settings,
            _inbox(session),
            store.outputs,
            key,
            name,
            by=person(),
            confirmed=confirm_cost,
            report=advance,
        )
    counts = outcomes(store, name)
    if session.json:
        session.print_json({**_row(done), "outcomes": counts})
        return
    _show_outcomes(session, counts)
    if done.state == "paused_cost":
        session.say("\nThe confirmed amount is spent. Go on with a greater --confirm-cost.")
        return
    session.say(f"\n  taxomind taxonomy retag apply {key} {name}")


def apply(
    session: Session,
    *,
    key: Key,
    name: Run,
    only: Annotated[
        str, typer.Option("--only", metavar="OUTCOMES", help="Outcomes to put in place, with commas between them.")
    ] = "moved,deeper,shallower",
    min_confidence: Annotated[
        float, typer.Option("--min-confidence", metavar="P", min=0, max=1, help="Least confidence of a new answer.")
    ] = 0.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Let the new answers of a completed run stand in the place of the stored ones, all at once.

    The view classification.current_results shows them; classification.results keeps every answer as it was given.
    """
    from taxomind_assets.taxonomy.retag_run import applicable, apply_run

    store = _store(session, key)
    found = store.run(name)
    rows = applicable(store, found, [outcome.strip() for outcome in only.split(",") if outcome.strip()], min_confidence)
    if not yes:
        if session.json or not sys.stdin.isatty():
            raise Fault("invalid_input", f"{rows.num_rows:,} answers would change; that needs a yes.", next_step="Add --yes.")
        typer.confirm(f"Let {rows.num_rows:,} new answers stand in the place of the stored ones?", abort=True, err=True)
    applied = apply_run(store, found, rows, by=person())
    if session.json:
        session.print_json({**_row(applied), "answers": rows.num_rows})
    else:
        session.say(f"{rows.num_rows:,} answers of run {name} are in place. Taken back by:\n")
        session.say(f"  taxomind taxonomy retag rollback {key} {name}")


def rollback(session: Session, *, key: Key, name: Run) -> None:
    """Let the stored answers stand again, exactly as they were."""
    from taxomind_assets.taxonomy.retag_run import roll_back

    store = _store(session, key)
    _say(session, roll_back(store, store.run(name), by=person()), "is rolled back")


def cancel(session: Session, *, key: Key, name: Run) -> None:
    """Give a run up; what it found stays in taxonomy.retag_texts."""
    from taxomind_assets.taxonomy import retag_run

    store = _store(session, key)
    _say(session, retag_run.cancel(store, store.run(name), by=person()), "is canceled")


def list_(session: Session, *, key: Key) -> None:
    """List the retag runs of a taxonomy, with their history."""
    from taxomind_app.cli.showing import plain_table
    from taxomind_assets.taxonomy.retag_run import outcomes

    store = _store(session, key)
    runs = store.runs()
    if session.json:
        session.print_json([{**_row(found), "outcomes": outcomes(store, found.run)} for found in runs])
        return
    if not runs:
        session.say(f"There are no retag runs of {key} yet: taxomind taxonomy retag plan {key}")
        return
    table = plain_table("run", "state", "strategy", "texts", "outcomes", "last")
    for found in runs:
        counts = ", ".join(f"{count:,} {name}" for name, count in outcomes(store, found.run).items())
        last = found.history[-1]
        state = f"{found.state}, applied" if found.applied else found.state
        when = f"{last['what']}, {last['at']:%Y-%m-%d %H:%M}, {last['by']}"
        table.add_row(found.run, state, found.strategy, f"{found.texts:,}", counts or "-", when)
    session.out.print(table)


def _store(session: Session, key: str) -> RetagStore:
    from taxomind_app.cli.keys import checked_key
    from taxomind_assets.taxonomy.retag_store import RetagStore
    from taxomind_resources.outputs import Outputs

    return RetagStore(Outputs(session.root), checked_key(session.settings, key))


def _inbox(session: Session) -> Any:
    from taxomind_resources.inbox import Inbox

    return Inbox(session.root, session.settings.limits.settle_s)


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Fault(
            "invalid_input", f"{option} is a date.", value=text, allowed="2026-01-31 or 2026-01-31T12:00:00Z"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _cost(run: RetagRun) -> str:
    if run.strategy != "llm":
        return "No language model is asked: the run costs nothing."
    cost = "at an unknown price" if run.cost is None else f"about ${run.cost:,.4f}"
    return f"A language model is asked {run.questions:,} questions ({run.tokens:,} tokens), {cost}."


def _row(run: RetagRun) -> dict[str, Any]:
    return dict(run.__dict__)


def _say(session: Session, run: RetagRun, what: str) -> None:
    if session.json:
        session.print_json(_row(run))
    else:
        session.say(f"Run {run.run} {what}.")


def _show_outcomes(session: Session, counts: Mapping[str, int]) -> None:
    from taxomind_assets.taxonomy.retag import OUTCOMES

    for name, meaning in OUTCOMES.items():
        if name in counts:
            session.say(styled("{n}  [bold]{name}[/]: {meaning}", n=f"{counts[name]:>8,}", name=name, meaning=meaning))


@contextmanager
def _progress(session: Session, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; silent when that is no terminal."""
    if not session.err.is_terminal:
        yield lambda texts: None
        return
    from rich.progress import Progress

    with Progress(console=session.err, transient=True) as bar:
        task = bar.add_task("texts", total=total)
        yield lambda texts: bar.advance(task, texts)
