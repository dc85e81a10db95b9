"""`taxomind learn`: corrections in, taken back, looked at."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from taxomind_app.cli.learn_place import Place
from taxomind_app.cli.session import Session, Taxonomy, styled
from taxomind_resources.faults import Fault

ADD_EPILOG = """Examples

taxomind learn "looks after llamas" 6121

taxomind learn --taxonomy jobs --input corrections.csv

taxomind learn --restore 3f0a9c41d2be

taxomind learn add "looks after llamas" 6121   (the same as without add)
"""
UNDO_EPILOG = """Examples

taxomind learn undo 9d1c4b7a02ee31f5

taxomind learn undo --file corrections.csv

taxomind learn undo --node 6121
"""
LIST_EPILOG = """Examples

taxomind learn list --status unknown_code

taxomind learn list --reviews

taxomind learn list --versions --json
"""
_DEFAULT: Final = "add"
_SHOWN: Final = 50

Annotator = Annotated[
    str | None,
    typer.Option("--annotator", metavar="NAME", help="Who says so (default: your user name).", show_default=False),
]


class LearnGroup(TyperGroup):
    """A group whose command `add` need not be named: `taxomind learn "text" CODE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `add` before what is no name of a command."""
        if args and args[0] not in self.commands and args[0] not in {"--help", "-h"}:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


class StatusChoice(StrEnum):
    """What became of a correction."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    UNKNOWN_CODE = "unknown_code"
    WITHDRAWN = "withdrawn"


def add(
    session: Session,
    *,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT CODE]", help="One text and its code.", show_default=False)
    ] = None,
    taxonomy: Taxonomy = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="CSV, TSV, JSONL or Parquet with corrections.", show_default=False),
    ] = None,
    restore: Annotated[
        str | None,
        typer.Option("--restore", metavar="VERSION", help="Go back to an earlier evidence version.", show_default=False),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="The answer was right: counts as evidence, not as an error.")
    ] = False,
    annotator: Annotator = None,
) -> None:
    """Learn from corrections; they are in effect when the command returns.

    A file or a single correction goes into the inbox of the taxonomy, as if it had been put there, and is learned at once.
    The name `add` may be left out.
    """
    started = time.monotonic()
    given = sum((bool(words), input_ is not None, restore is not None))
    if given != 1 or (words and len(words) != 2):
        allowed = "a text and its code, --input FILE, or --restore VERSION"
        raise Fault("invalid_input", "It is not clear what to learn.", value=words, allowed=allowed)
    place = Place(session, taxonomy)
    if input_ is not None:
        file = place.put_file(session, input_)
    elif restore is not None:
        file = place.put_rows("restore", place.decided_restore(restore, _annotator(annotator)))
    else:
        text, code = words or ("", "")
        file = place.put_rows("learn", [place.decided(text, code, _annotator(annotator), confirm=confirm)])
    _learn(session, place, file, started)


def undo(
    session: Session,
    *,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of corrections.", show_default=False)] = None,
    taxonomy: Taxonomy = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--file", metavar="NAME", help="All corrections of a file of the inbox.", show_default=False),
    ] = None,
    nodes: Annotated[
        list[str] | None, typer.Option("--node", metavar="CODE", help="All that speak for a node.", show_default=False)
    ] = None,
    texts: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="All that concern a text.", show_default=False)
    ] = None,
    annotator: Annotator = None,
) -> None:
    """Take corrections back; what was before them is restored exactly.

    A withdrawal is one more file in the inbox: `taxomind learn --restore VERSION` takes it back in its turn.
    """
    from taxomind_assets.learning.decisions import chosen_ids, now_moment, taken_back

    started = time.monotonic()
    if not (ids or files or nodes or texts):
        raise Fault("invalid_input", "Nothing to take back is named.", allowed="ids, --file, --node or --text")
    place = Place(session, taxonomy)
    chosen = chosen_ids(
        place.settled(), place.rows, ids=set(ids or ()), files=set(files or ()), nodes=set(nodes or ()), texts=set(texts or ())
    )
    withdrawals = taken_back(place.rows, {found.correction_id for found in chosen}, _annotator(annotator), now=now_moment())
    _learn(session, place, place.put_rows("undo", withdrawals), started)


def list_(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    status: Annotated[StatusChoice | None, typer.Option("--status", help="Only those with this status.")] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="CODE", help="Only those of this node.", show_default=False)
    ] = None,
    reviews: Annotated[bool, typer.Option("--reviews", help="Those that contradict each other or look out of place.")] = False,
    versions: Annotated[bool, typer.Option("--versions", help="The versions of the evidence.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Rows shown at most.")] = _SHOWN,
) -> None:
    """List corrections, those that a person should look at, or the versions of the evidence; the latest first."""
    from taxomind_app.cli.keys import chosen_key
    from taxomind_resources.outputs import Outputs

    if reviews and versions:
        raise Fault("invalid_input", "There are two lists.", allowed="either --reviews or --versions")
    outputs, key = Outputs(session.root), chosen_key(session.settings, taxonomy)
    if versions:
        names = ["evidence_version", "made_at", "corrections", "nodes"]
        table = outputs.read("learning.evidence_versions", key, columns=["number", *names]).sort_by([("number", "descending")])
    elif reviews:
        names = ["kind", "text", "code", "other_codes", "annotator", "reason", "correction_id"]
        table = outputs.read("learning.reviews", key, columns=names)
    else:
        names = ["correction_id", "text", "code", "status", "annotator", "corrected_at", "reason"]
        table = outputs.read("learning.corrections", key, columns=[*names, "given_codes"])
        table = table.sort_by([("corrected_at", "descending"), ("correction_id", "ascending")])
    rows = [
        row
        for row in table.to_pylist()
        if (status is None or versions or row.get("status") == status.value)
        and (node is None or node in (row.get("code"), None))
    ]
    if session.json:
        session.print_json(rows[:limit])
        return
    _print_rows(session, names, rows, limit)


def _learn(session: Session, place: Place, file: str, started: float) -> None:
    from taxomind_app.cli.graph import LEARN, run_assets

    if file:
        run_assets(session, place.key, LEARN)
    found = {**place.outcome(file), "seconds": round(time.monotonic() - started, 3)}
    if session.json:
        session.print_json(found)
        return
    for sign, name in (("+", "learned"), ("-", "taken_back")):
        for item in found[name][:_SHOWN]:
            session.say(
                styled(
                    "  {sign} {text} [dim]->[/] [bold]{code}[/]  [dim]{id}[/]",
                    sign=sign,
                    id=item["correction_id"],
                    **_two(item),
                )
            )
        if len(found[name]) > _SHOWN:
            session.say(f"  {sign} ... and {len(found[name]) - _SHOWN:,} more")
    if not found["learned"] and not found["taken_back"]:
        session.say("Nothing changed: what counts is what counted before.")
    _say_state(session, found)


def _two(item: dict[str, str]) -> dict[str, str]:
    return {"text": item["text"], "code": item["code"]}


def _say_state(session: Session, found: dict[str, Any]) -> None:
    counts = found["corrections"]
    waiting = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if name != "applied"]
    others = f" ({', '.join(waiting)})" if waiting else ""
    version = found["evidence_version"] or "none"
    applied = counts.get("applied", 0)
    what = "1 correction counts" if applied == 1 else f"{applied:,} corrections count"
    session.say(f"{what}{others}; evidence version {version}, {found['seconds']:.1f} s.")
    if found["contradictions"] or found["outliers"]:
        session.say(f"{found['contradictions'] + found['outliers']:,} to look at: taxomind learn list --reviews")


def _annotator(given: str | None) -> str:
    """The name given, else that of the user."""
    import getpass

    if given is not None:
        return " ".join(given.split())
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _print_rows(session: Session, names: list[str], rows: list[dict[str, Any]], limit: int) -> None:
    from rich.text import Text

    from taxomind_app.cli.showing import plain_table

    if not rows:
        session.say("There are none.")
        return
    table = plain_table()
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows[:limit]:
        table.add_row(*(Text(_cell(row[name])) for name in names))
    session.out.print(table)
    if len(rows) > limit:
        sys.stdout.flush()
        session.note(f"{limit} of {len(rows):,} rows; --limit shows more.")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value.strftime("%Y-%m-%d %H:%M") if hasattr(value, "strftime") else str(value)
