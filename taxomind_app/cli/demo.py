"""`taxomind demo`: the main job on the shipped example."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any, Final

from taxomind_app.cli.session import Session, styled

if TYPE_CHECKING:
    from taxomind_app.cli.report import StoredReport
    from taxomind_assets.pending import Pending

EPILOG = """Examples

taxomind demo

taxomind demo --data /tmp/trial
"""
_PER_LANGUAGE: Final = 3
_FIGURES: Final = ("exact", "safe", "kept_accuracy", "abstained", "leaf_accuracy", "recall_5", "hF1")
_TEXT: Final = "teaches piano to children at home"
_SQL: Final = "SELECT level, count(*) AS answers FROM classification.results GROUP BY level ORDER BY level"


def demo(session: Session) -> None:
    """Code job titles to ISCO-08: the whole asset graph on the shipped example, with its answers and its report.

    What is built already is not built again.
    """
    from taxomind_app import demo as example
    from taxomind_app.cli.report import stored_report
    from taxomind_resources.inbox import Inbox

    settings = session.settings
    started = time.monotonic()
    folder = example.example_folder()
    inbox = Inbox(settings.data, settings.limits.settle_s)
    if not session.json:
        session.err.print(styled("[bold]taxomind demo[/]: ISCO-08, 619 nodes on four levels, job titles in four languages\n"))
    example.put_example(inbox, folder)
    made = _bring_up_to_date(session, inbox)
    report = stored_report(settings, example.KEY)
    seconds = time.monotonic() - started
    if session.json:
        session.print_json(_as_json(session, report, made, seconds))
        return
    _print(session, report, seconds)


def _bring_up_to_date(session: Session, inbox: Any) -> list[str]:
    """Materialise what the example waits for; returns the names of the assets made."""
    from taxomind_app.cli.graph import run_assets
    from taxomind_app.demo import KEY
    from taxomind_assets.pending import pending
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs

    settings = session.settings
    found = pending(KEY, settings, inbox, Outputs(settings.data), IndexStore(settings.data))
    assets = _assets(found)
    if not assets:
        session.err.print(styled("  [green]✓[/] everything is built already"))
        return []
    return [step.asset for step in run_assets(session, KEY, assets)]


def _assets(found: Pending) -> list[str]:
    from taxomind_app.cli.graph import ANSWERS, BUILD, REPORT

    if found.build:
        return [*BUILD, ANSWERS, *REPORT]
    return [*([ANSWERS] if found.texts else []), *(REPORT if found.report or found.stale_report else [])]


def _answers(session: Session) -> Any:
    from taxomind_app.demo import KEY, some_answers
    from taxomind_resources.outputs import Outputs

    return some_answers(Outputs(session.root).read("classification.results", KEY), _PER_LANGUAGE)


def _print(session: Session, report: StoredReport, seconds: float) -> None:
    from taxomind_app.cli.report import print_headline
    from taxomind_app.cli.showing import answers_table

    out = session.out
    answers = _answers(session)
    out.print(styled("\n[bold]Answers[/] [dim](a few of them)[/]\n"))
    out.print(answers_table(report.tree, answers.to_pylist()))
    out.print()
    print_headline(session, report, _FIGURES)
    out.print(styled("\n[bold]Where to look next[/] [dim](done in {seconds} s)[/]\n", seconds=f"{seconds:.1f}"))
    data = "" if session.data is None else f" --data {shlex.quote(str(session.data))}"
    for command, meaning in (
        (f"taxomind ui{data}", "lineage, runs and figures in the browser; files dropped into the inbox are answered"),
        (f'taxomind classify "{_TEXT}" --explain{data}', "code a text of your own, with reasons"),
        (f"taxomind report{data}", "the whole report, with the worst branches"),
        (f'taxomind query "{_SQL}"{data}', "ask the tables in SQL"),
    ):
        session.say(styled("  [cyan]{command}[/]\n      [dim]{meaning}[/]", command=command, meaning=meaning))
    places = {"database": session.root / "taxomind.duckdb", "inbox": session.root / "inbox"}
    session.say(styled("\n  [dim]tables for any DuckDB client:[/] {database}", **places))
    session.say(styled("  [dim]inbox for your own files:[/]      {inbox}", **places))


def _as_json(session: Session, report: StoredReport, made: list[str], seconds: float) -> dict[str, Any]:
    from taxomind_app.cli.report import report_json

    shown = ["text_id", "text", "language", "code", "label", "level", "path", "confidence", "stop_reason", "top_codes"]
    return {
        "assets_made": made,
        "seconds": round(seconds, 3),
        "answers": _answers(session).select(shown).to_pylist(),
        "report": report_json(report),
        "database": str(session.root / "taxomind.duckdb"),
    }
