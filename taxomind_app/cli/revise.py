"""`taxomind taxonomy revise | diff | history`: editions of a taxonomy, and what changed between them."""

from __future__ import annotations

import getpass
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_app.cli.taxonomy import Key
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taxomind_assets.taxonomy.diff import Change
    from taxomind_assets.taxonomy.revision_log import Plan
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.settings import Settings

REVISE_EPILOG = """Examples

taxomind taxonomy revise jobs --input jobs-2025.csv --crosswalk 2020-to-2025.csv --dry-run

taxomind taxonomy revise jobs --input jobs-2025.csv --crosswalk 2020-to-2025.csv

taxomind taxonomy revise jobs --undo
"""
DIFF_EPILOG = """Examples

taxomind taxonomy diff jobs previous current

taxomind taxonomy diff jobs current jobs-2025.csv --output proposed-crosswalk.csv
"""
HISTORY_EPILOG = """Example

taxomind taxonomy history jobs
"""
#: Changes shown of each kind; `--json` prints all.
_SHOWN: Final = 12
_REVIEW: Final = "SELECT text, options, code, confidence FROM taxonomy.reassignments WHERE status = 'unsure'"
_CURRENT, _PREVIOUS = "current", "previous"

Crosswalk = Annotated[
    Path | None,
    typer.Option("--crosswalk", metavar="FILE", help="CSV with old_code,new_code[,note]: where the codes went."),
]
Version = Annotated[str, typer.Argument(metavar="A", help="A version, its beginning, current, previous, or a file.")]
OtherVersion = Annotated[str, typer.Argument(metavar="B", help="As A.")]


def revise(
    session: Session,
    *,
    key: Key,
    input_: Annotated[
        Path | None, typer.Option("--input", "-i", metavar="FILE", help="The new edition: CSV, JSON or SKOS.")
    ] = None,
    crosswalk: Crosswalk = None,
    undo: Annotated[bool, typer.Option("--undo", help="Put the edition before the last revision back, byte for byte.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --undo: also when the taxonomy was changed after the revision.")
    ] = False,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="Why; kept in the log.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put a new edition of a taxonomy in force, and let all that is known follow its codes.

    The crosswalk says where the codes went. One code that became one other takes its corrections along; codes that became one
    are put together; corrections of a code that became several are decided among these alone, and the unsure ones are listed
    for a person; those of a code without a successor are parked. Nothing is rewritten or lost: answers keep the edition they
    were made with, and --undo restores the former state exactly.
    """
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs

    _check_use(input_, crosswalk, undo=undo, force=force)
    settings = session.settings
    inbox, outputs = Inbox(settings.data, settings.limits.settle_s), Outputs(settings.data)
    from taxomind_assets.taxonomy.revision_log import Author, carry_out, plan_revision, plan_undo

    limits, author = settings.for_taxonomy(key).limits, Author(person(), note)
    if input_ is None:
        plan = plan_undo(inbox, outputs, key, limits, author, force=force)
    else:
        plan = plan_revision(inbox, outputs, key, limits, author, source=input_, crosswalk=crosswalk)
    described = _described(plan, settings, inbox)
    if dry_run:
        _show_plan(session, plan, described)
        return
    if not yes and not session.json and sys.stdin.isatty():
        _show_plan(session, plan, described)
        typer.confirm("Go on?", abort=True, err=True)
    carry_out(inbox, plan)
    _build(session, key, inbox)
    if session.json:
        session.print_json({**described, "carried_out": True})
        return
    what = f"revision {plan.record.undoes} is taken back" if plan.record.undoes else f"edition {plan.record.number} is in force"
    session.say(styled("\n[bold]{key}[/]: {what}, version {version}.", key=key, what=what, version=plan.after.version))
    _show_unsure(session, key)


def diff(
    session: Session,
    *,
    key: Key,
    first: Version = _PREVIOUS,
    second: OtherVersion = _CURRENT,
    crosswalk: Crosswalk = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the crosswalk, given or guessed, as CSV.")
    ] = None,
) -> None:
    """Compare two versions: nodes added, removed, recoded, renamed, moved, split, merged or edited.

    Between editions the stored crosswalks decide, or the one that --crosswalk names; else what became of codes that only one
    version has is guessed from their texts, with a confidence. A guessed crosswalk is a draft to be read and corrected.
    """
    from taxomind_app.cli.keys import checked_key

    settings = session.settings
    checked_key(settings, key)
    old, new = (_version(session, key, name) for name in (first, second))
    links, changes = _compared(settings, key, old, new, crosswalk)
    if output is not None:
        _write_links(output, links)
    if session.json:
        session.print_json(
            {
                "old": old.version,
                "new": new.version,
                "changes": [asdict(change) for change in changes],
                "crosswalk": str(output) if output else None,
            }
        )
        return
    session.say(f"{old.version} ({len(old):,} nodes) to {new.version} ({len(new):,} nodes)")
    _show_changes(session, changes)
    if output is not None:
        session.note(f"{len(links):,} links: {output}")


def history(session: Session, *, key: Key) -> None:
    """List the versions of a taxonomy, what each changed, and the log of its revisions."""
    from taxomind_app.cli.keys import checked_key
    from taxomind_assets.taxonomy.versions import current_version, read_log
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs

    settings = session.settings
    checked_key(settings, key)
    outputs = Outputs(settings.data)
    current = current_version(outputs, key)
    rows = outputs.read("taxonomy.versions", key).sort_by("created_at").to_pylist()
    changes = outputs.read("taxonomy.changes", key, columns=["version", "kind"]).to_pylist()
    log = read_log(Inbox(settings.data, settings.limits.settle_s), key)
    for row in rows:
        row["in_force"] = row["version"] == current
        row["changes"] = _kinds([change["kind"] for change in changes if change["version"] == row["version"]])
    if session.json:
        revisions = [
            {
                "number": record.number,
                "kind": record.kind,
                "made_at": record.made_at,
                "by": record.by,
                "note": record.note,
                "before": record.before.version,
                "after": record.after.version,
                "undoes": record.undoes,
            }
            for record in log
        ]
        session.print_json({"key": key, "versions": rows, "revisions": revisions})
        return
    _print_history(session, rows, log)


def _check_use(input_: Path | None, crosswalk: Path | None, *, undo: bool, force: bool) -> None:
    if undo == (input_ is not None):
        raise Fault("invalid_input", "There is one thing to do.", allowed="either --input FILE or --undo")
    if undo and crosswalk is not None:
        raise Fault("invalid_input", "--undo knows its crosswalk.", value=str(crosswalk), allowed="--undo alone")
    if force and not undo:
        raise Fault("invalid_input", "--force belongs to --undo.", allowed="--undo --force")


def person() -> str:
    """Who calls, as the system names the person."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "unknown"


def _described(plan: Plan, settings: Settings, inbox: Inbox) -> dict[str, Any]:
    """What a plan would do, as data."""
    from taxomind_assets.taxonomy.diff import find_changes
    from taxomind_assets.taxonomy.revision_impact import touched
    from taxomind_assets.taxonomy.versions import comparison, current_translation
    from taxomind_resources.outputs import Outputs

    outputs = Outputs(settings.data)
    if plan.record.kind == "revise":
        changes = find_changes(plan.before, plan.after, plan.record.crosswalk)
        impact = touched(outputs, plan.key, plan.record.crosswalk)
    else:
        changes = comparison(plan.before, plan.after, current_translation(inbox, outputs, plan.key)).changes
        impact = {}
    return {
        "key": plan.key,
        "kind": plan.record.kind,
        "revision": plan.record.number,
        "before": plan.before.version,
        "after": plan.after.version,
        "changes": [asdict(change) for change in changes],
        "touched": impact,
        "remarks": list(plan.remarks),
        "rejected_rows": len(plan.rejected),
    }


def _show_plan(session: Session, plan: Plan, described: Mapping[str, Any]) -> None:
    from taxomind_app.cli.showing import plain_table
    from taxomind_assets.taxonomy.crosswalk import RELATIONS
    from taxomind_assets.taxonomy.diff import Change

    if session.json:
        session.print_json({**described, "carried_out": False})
        return
    session.say(f"{plan.before.version} ({len(plan.before):,} nodes) to {plan.after.version} ({len(plan.after):,} nodes)")
    _show_changes(session, [Change(**change) for change in described["changes"]])
    if described["touched"]:
        table = plain_table("codes", "meaning")
        for name in ("corrections", "answers"):
            table.add_column(name, justify="right")
        for relation, counts in described["touched"].items():
            table.add_row(relation, RELATIONS[relation], f"{counts['corrections']:,}", f"{counts['answers']:,}")
        session.out.print()
        session.out.print(table)
    for remark in plan.remarks:
        session.note(f"Remark: {remark}")
    if plan.rejected:
        session.note(f"Refused: {len(plan.rejected):,} rows of the new file; `taxomind taxonomy validate` lists them")


def _build(session: Session, key: str, inbox: Inbox) -> None:
    from taxomind_app.cli.graph import ANSWERS, BUILD, LEARN, REPORT, run_assets

    assets = [*BUILD]
    assets += [*LEARN] if inbox.files(key, "corrections") else []
    assets += [ANSWERS] if inbox.files(key, "texts") else []
    assets += [asset for asset in REPORT if asset not in assets] if inbox.files(key, "labelled") else []
    run_assets(session, key, assets)


def _show_unsure(session: Session, key: str) -> None:
    from taxomind_resources.outputs import Outputs

    rows = Outputs(session.root).read("taxonomy.reassignments", key, columns=["status"])
    unsure = sum(status == "unsure" for status in rows["status"].to_pylist())
    if unsure:
        session.say(
            f'{unsure:,} corrections of split codes are unsure, a person should look at them:\n\n  taxomind query "{_REVIEW}"'
        )


def _version(session: Session, key: str, name: str) -> Taxonomy:
    from taxomind_assets.taxonomy.readers import read_taxonomy
    from taxomind_assets.taxonomy.versions import current_version, stored_version
    from taxomind_resources.outputs import Outputs

    outputs = Outputs(session.root)
    if name == _CURRENT:
        name = current_version(outputs, key)
    elif name == _PREVIOUS:
        current = current_version(outputs, key)
        rows = outputs.read("taxonomy.versions", key, columns=["follows"], parts=[current]).to_pylist()
        name = (rows[0]["follows"] if rows else None) or ""
        if not name:
            raise Fault("invalid_input", f"No version of {key!r} came before the current one.", value=_PREVIOUS)
    elif Path(name).is_file():
        return read_taxonomy(Path(name), key, session.settings.for_taxonomy(key).limits).taxonomy
    return stored_version(outputs, key, name)


def _compared(
    settings: Settings, key: str, old: Taxonomy, new: Taxonomy, crosswalk: Path | None
) -> tuple[list[tuple[str, str, str]], list[Change]]:
    """Links between codes that did not simply stay, as rows of a crosswalk, and all changes."""
    from taxomind_assets.taxonomy.crosswalk import read_crosswalk
    from taxomind_assets.taxonomy.versions import comparison, current_translation
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs

    given = read_crosswalk(crosswalk, settings.for_taxonomy(key).limits) if crosswalk else None
    inbox = Inbox(settings.data, settings.limits.settle_s)
    found = comparison(old, new, current_translation(inbox, Outputs(settings.data), key), given)
    return found.rows(), found.changes


def _write_links(output: Path, links: Sequence[tuple[str, str, str]]) -> None:
    import csv

    from taxomind_resources.files import publishing

    with publishing(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("old_code", "new_code", "note"))
        writer.writerows(links)


def _show_changes(session: Session, changes: Sequence[Change]) -> None:
    from taxomind_assets.taxonomy.diff import KINDS

    if not changes:
        session.say("Nothing differs.")
    for kind in KINDS:
        own = [change for change in changes if change.kind == kind]
        if own:
            session.say(styled("\n[bold]{kind}[/] ({n})", kind=kind, n=f"{len(own):,}"))
            for change in own[:_SHOWN]:
                session.say(f"  {_sentence(change)}")
            if len(own) > _SHOWN:
                session.say(f"  ... and {len(own) - _SHOWN:,} more; --json prints all")


def _sentence(change: Change) -> str:
    codes = " > ".join(", ".join(codes) for codes in (change.old_codes, change.new_codes) if codes)
    if change.old_codes == change.new_codes:
        codes = change.new_codes[0]
    what = (
        f"{change.old or '(top)'} > {change.new or '(top)'}"
        if change.kind in {"moved", "renamed"}
        else change.new or change.old
    )
    sure = "" if change.confidence is None else f" (guessed, {change.confidence:.0%})"
    return f"{codes}  {what}{sure}".rstrip()


def _kinds(kinds: Sequence[str]) -> dict[str, int]:
    from taxomind_assets.taxonomy.diff import KINDS

    return {kind: kinds.count(kind) for kind in KINDS if kind in kinds}


def _print_history(session: Session, rows: Sequence[Mapping[str, Any]], log: Sequence[Any]) -> None:
    from taxomind_app.cli.showing import plain_table

    table = plain_table("version", "", "edition", "first read", "nodes", "changes")
    for row in rows:
        changes = ", ".join(f"{count:,} {kind}" for kind, count in row["changes"].items())
        mark = "in force" if row["in_force"] else ""
        when = row["created_at"].strftime("%Y-%m-%d %H:%M")
        table.add_row(row["version"], mark, str(row["edition"]), when, f"{row['nodes']:,}", changes or "-")
    session.out.print(table)
    for record in log:
        what = f"took revision {record.undoes} back" if record.undoes else f"{len(record.crosswalk.links):,} links"
        when = record.made_at.strftime("%Y-%m-%d %H:%M")
        note = f": {record.note}" if record.note else ""
        session.say(
            f"revision {record.number}, {when}, {record.by}: {record.before.version} > {record.after.version}, {what}{note}"
        )
