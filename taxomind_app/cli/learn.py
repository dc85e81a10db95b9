"""`taxomind learn`: corrections in, taken back, looked at."""

from __future__ import annotations

import sys
import time
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from taxomind_app.cli.session import Session, Taxonomy, styled
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taxomind_assets.learning.corrections import CorrectionRow, Settled, Translate
    from taxomind_assets.learning.reading import ReadFile
    from taxomind_assets.taxonomy.tree import Taxonomy as Tree
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

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
_FIRST_REFUSED: Final = 5
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
        typer.Option("--input", "-i", metavar="FILE", help="CSV, JSONL or Parquet with corrections.", show_default=False),
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
    place = _Place(session, taxonomy)
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
    place = _Place(session, taxonomy)
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


class _Place:
    """The corrections of one taxonomy, as they stand in the inbox."""

    def __init__(self, session: Session, taxonomy: str | None) -> None:
        from taxomind_app.cli.keys import chosen_key
        from taxomind_resources.inbox import Inbox
        from taxomind_resources.index_store import IndexStore
        from taxomind_resources.outputs import Outputs

        self.settings: Settings = session.settings
        self.key = chosen_key(self.settings, taxonomy)
        # Without an index there is nothing to learn for; this says so.
        IndexStore(self.settings.data).folder(self.key)
        self.inbox: Inbox = Inbox(self.settings.data, self.settings.limits.settle_s)
        self.outputs: Outputs = Outputs(self.settings.data)
        self.version = self._version()
        self._read: list[ReadFile] | None = None

    @property
    def rows(self) -> list[CorrectionRow]:
        """All rows of all files."""
        if self._read is None:
            from taxomind_assets.learning.gathering import learning_lock
            from taxomind_assets.learning.reading import read_corrections

            with learning_lock(self.outputs, self.key):
                files = self.inbox.files(self.key, "corrections")
                self._read = read_corrections(self.key, files, self.settings.for_taxonomy(self.key), self.outputs)
        return [row for file in self._read for row in file.rows]

    def tree(self) -> Tree:
        """The current taxonomy."""
        from taxomind_assets.taxonomy.stored import stored_taxonomy

        return stored_taxonomy(self.outputs, self.key)

    def translate(self) -> Translate:
        """What became of codes of earlier editions."""
        from taxomind_assets.learning.gathering import translation_of

        return translation_of(self.key, self.inbox, self.outputs, self.tree())

    def settled(self) -> Settled:
        """What the rows come to."""
        from taxomind_assets.learning.corrections import settle

        return settle(self.rows, self.tree(), self.translate())

    def decided(self, text: str, code: str, annotator: str, *, confirm: bool) -> CorrectionRow:
        """One correction from the command line."""
        from taxomind_assets.learning.decisions import now_moment, taught
        from taxomind_assets.views.texts import clean

        tree, cleaned = self.tree(), clean(text)
        if not cleaned:
            raise Fault("invalid_input", "There is no text to learn.", value=text, allowed="a text and its code")
        if code not in tree.position:
            import difflib

            near = difflib.get_close_matches(code, tree.codes, 3)
            labels = ", ".join(f"{found} ({tree.nodes[tree.position[found]].label})" for found in near)
            next_step = f"Did you mean {labels}?" if near else f"`taxomind taxonomy show {self.key}` lists the codes."
            raise Fault("invalid_input", f"The taxonomy {self.key!r} has no such code.", value=code, next_step=next_step)
        return taught(self.rows, cleaned, code, annotator, confirm=confirm, now=now_moment())

    def decided_restore(self, version: str, annotator: str) -> list[CorrectionRow]:
        """What leads back to an evidence version."""
        from taxomind_assets.learning.decisions import gone_back, now_moment
        from taxomind_assets.learning.versions import held_by

        log = sorted(self.outputs.read("learning.evidence_versions", self.key).to_pylist(), key=lambda row: int(row["number"]))
        held = held_by(log, version)
        return gone_back(self.rows, self.tree(), held, annotator, translate=self.translate(), now=now_moment())

    def put_rows(self, name: str, rows: Sequence[CorrectionRow]) -> str:
        """Decisions as a file of the inbox; '' when there is nothing to write."""
        from datetime import UTC, datetime

        from taxomind_assets.learning.decisions import as_lines

        if not rows:
            return ""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        return self.inbox.put(self.key, "corrections", as_lines(rows), f"{name}-{stamp}.jsonl").name

    def put_file(self, session: Session, path: Path) -> str:
        """A file of corrections; one without a usable row is refused as a whole."""
        from taxomind_assets.classification.text_readers import read_items
        from taxomind_assets.inputs import RejectedRow
        from taxomind_assets.learning.rows import CorrectionRows

        settings = self.settings.for_taxonomy(self.key)
        accepted, refused = 0, []
        for item in read_items(path, CorrectionRows(path.name, settings), settings.limits):
            if isinstance(item, RejectedRow):
                refused.append(item)
            else:
                accepted += 1
        if not accepted:
            details = [{"what": f"line {row.line}: {row.reason}", "lines": [row.line]} for row in refused[:_FIRST_REFUSED]]
            raise Fault("bad_row", f"{path.name} has no row to learn from.", value=str(path), details=details)
        if refused:
            session.note(
                f"Warning: {len(refused):,} of {accepted + len(refused):,} rows were refused, see learning.rejected_rows"
            )
            for row in refused[:_FIRST_REFUSED]:
                session.note(f"  line {row.line}: {row.reason} [{row.reason_code}]")
        return self.inbox.put(self.key, "corrections", path).name

    def _version(self) -> str:
        log = self.outputs.read("learning.evidence_versions", self.key, columns=["number", "evidence_version"]).to_pylist()
        return max(log, key=lambda row: int(row["number"]))["evidence_version"] if log else ""

    def outcome(self, file: str) -> dict[str, Any]:
        """What became of the corrections, as the tables hold it now."""
        statuses = Counter(self.outputs.read("learning.corrections", self.key, columns=["status"])["status"].to_pylist())
        log = self.outputs.read("learning.evidence_versions", self.key).to_pylist()
        last = max(log, key=lambda row: int(row["number"]), default=None)
        is_new = last is not None and last["parent_version"] == self.version and (last["added"] or last["removed"])
        added, removed = (last["added"], last["removed"]) if last and is_new else ([], [])
        kinds = Counter(self.outputs.read("learning.reviews", self.key, columns=["kind"])["kind"].to_pylist())
        return {
            "taxonomy": self.key,
            "file": file,
            "learned": [dict(item) for item in added],
            "taken_back": [dict(item) for item in removed],
            "nodes_touched": sorted({item["code"] for item in [*added, *removed]}),
            "evidence_version": last["evidence_version"] if last else "",
            "corrections": dict(sorted(statuses.items())),
            "contradictions": kinds["contradiction"],
            "outliers": kinds["outlier"],
        }


def _learn(session: Session, place: _Place, file: str, started: float) -> None:
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
    session.say(
        f"{counts.get('applied', 0):,} corrections count{others}; evidence version {version}, {found['seconds']:.1f} s."
    )
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
