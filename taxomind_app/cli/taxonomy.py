"""`taxomind taxonomy`: add, validate, list, show, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from rich.tree import Tree

    from taxomind_assets.taxonomy.assemble import TaxonomyFile
    from taxomind_assets.taxonomy.tree import NodeText, Taxonomy
    from taxomind_resources.settings import Settings

ADD_EPILOG = """Examples

taxomind taxonomy add jobs jobs.csv

taxomind taxonomy add jobs jobs.ttl --texts titles.csv
"""
VALIDATE_EPILOG = """Example

taxomind taxonomy validate jobs.csv
"""
LIST_EPILOG = """Example

taxomind taxonomy list --json
"""
SHOW_EPILOG = """Examples

taxomind taxonomy show isco08

taxomind taxonomy show isco08 832 --depth 1
"""
REMOVE_EPILOG = """Example

taxomind taxonomy remove jobs --yes
"""
#: Suffix in the inbox of each format that the reader knows.
_TAXONOMY_SUFFIXES: Final = {"csv": ".csv", "json": ".json", "turtle": ".ttl", "rdfxml": ".rdf"}
_TEXT_SUFFIXES: Final = {"delimited": ".csv", "jsonl": ".jsonl", "parquet": ".parquet"}
_MOST_CHILDREN: Final = 60

Key = Annotated[str, typer.Argument(metavar="KEY", help="Key of the taxonomy.", show_default=False)]
File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSON, or SKOS as Turtle or RDF/XML.", show_default=False)]


def add(
    session: Session,
    *,
    key: Key,
    file: File,
    texts: Annotated[
        list[Path] | None,
        typer.Option(
            "--texts", metavar="FILE", help="Texts to classify: CSV, TSV, JSONL or Parquet. May be given several times."
        ),
    ] = None,
    labelled: Annotated[
        list[Path] | None,
        typer.Option(
            "--labelled", metavar="FILE", help="Texts with their known codes, for the report. May be given several times."
        ),
    ] = None,
) -> None:
    """Add a taxonomy, or a new version of one, and build it.

    The file is checked first; one that is no tree is refused as a whole and changes nothing.
    """
    from taxomind_app.cli.graph import ANSWERS, BUILD, LEARN, REPORT, run_assets
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.keys import validate_key

    validate_key(key)
    settings = session.settings
    found = _read(file, key, settings)
    named = [("texts", path, _text_name("texts", path, settings)) for path in texts or []]
    named += [("labelled", path, _text_name("labelled", path, settings)) for path in labelled or []]
    inbox = Inbox(settings.data, settings.limits.settle_s)
    inbox.put(key, "taxonomy", file, f"taxonomy{taxonomy_suffix(file)}")
    for kind, path, name in named:
        inbox.put(key, kind, path, name)
    assets = [*BUILD]
    assets += [*LEARN] if inbox.files(key, "corrections") else []
    assets += [ANSWERS] if inbox.files(key, "texts") else []
    assets += [*REPORT] if inbox.files(key, "labelled") else []
    made = run_assets(session, key, list(dict.fromkeys(assets)))
    if session.json:
        made_rows = [{"asset": step.asset, "rows": step.rows, "seconds": round(step.seconds, 3)} for step in made]
        session.print_json({**_description(found, file), "assets": made_rows})
        return
    session.say(styled("\n[bold]{key}[/] is ready: {size}.", key=key, size=_size(found.taxonomy)))
    _remarks(session, found)
    session.say(f'\n  taxomind classify --taxonomy {_quoted(key)} "..."')


def validate(session: Session, *, file: File) -> None:
    """Check a taxonomy file and change nothing. Exit code 1 when it is refused."""
    found = _read(file, "validated", session.settings)
    if session.json:
        description = _description(found, file)
        description.pop("key")
        session.print_json({**description, "rejected": [_rejected(row) for row in found.rejected]})
        return
    session.say(f"{file} is a taxonomy: {_size(found.taxonomy)}.")
    _remarks(session, found)


def list_(session: Session) -> None:
    """List the taxonomies and whether they are built."""
    from taxomind_app.cli.keys import known_keys

    rows = [_listed(session.settings, key) for key in known_keys(session.settings)]
    if session.json:
        session.print_json(rows)
        return
    if not rows:
        session.say("There are no taxonomies yet. `taxomind demo` builds one, `taxomind taxonomy add KEY FILE` your own.")
        return
    from taxomind_app.cli.showing import plain_table

    table = plain_table("key", "name")
    for name in ("nodes", "leaves", "depth"):
        table.add_column(name, justify="right")
    for name in ("languages", "index", "waits for"):
        table.add_column(name)
    for row in rows:
        figures = ("-" if row[name] is None else f"{row[name]:,}" for name in ("nodes", "leaves", "depth"))
        waits = "; ".join(row["waits_for"]) or "-"
        languages = ", ".join(row["languages"]) or "-"
        table.add_row(row["key"], row["name"] or "-", *figures, languages, row["index_version"] or "none", waits)
    session.out.print(table)


def show(
    session: Session,
    *,
    key: Key,
    code: Annotated[str | None, typer.Argument(metavar="CODE", help="Show this node and what is below it.")] = None,
    depth: Annotated[int, typer.Option("--depth", metavar="N", min=1, help="Levels shown below the starting point.")] = 2,
) -> None:
    """Show a taxonomy as a tree, or one node with its texts."""
    from taxomind_app.cli.keys import checked_key
    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_resources.outputs import Outputs

    tree = stored_taxonomy(Outputs(session.root), checked_key(session.settings, key))
    start = -1 if code is None else _position(tree, code)
    if session.json:
        session.print_json(_node_json(tree, start, depth))
        return
    if code is None:
        _note_waiting(session, key)
    if start >= 0:
        _print_node(session, tree, start)
    session.out.print(_tree_view(tree, start, depth))


def _note_waiting(session: Session, key: str) -> None:
    """What the taxonomy waits for, and how to get it."""
    from taxomind_app.doctor import waiting_for

    for item in waiting_for(session.settings, key):
        session.note(f"Waits for: {item}" + (" (taxomind classify --stale)" if item.startswith("reclassification") else ""))


def remove(
    session: Session,
    *,
    key: Key,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a taxonomy: its inputs, outputs, vectors, indexes and history."""
    from taxomind_app.cli.graph import run_removal
    from taxomind_app.cli.keys import checked_key
    from taxomind_resources.inbox import Inbox

    checked_key(session.settings, key)
    if not yes:
        if session.json or not sys.stdin.isatty():
            raise Fault("invalid_input", f"Removing {key!r} needs a yes.", next_step="Add --yes.")
        typer.confirm(f"Remove {key!r} with its inputs and all that was made of them?", abort=True, err=True)
    Inbox(session.root, session.settings.limits.settle_s).remove(key)
    run_removal(session, key)
    if session.json:
        session.print_json({"removed": key})
    else:
        session.say(f"{key} is removed.")


def _read(file: Path, key: str, settings: Settings) -> TaxonomyFile:
    from taxomind_assets.taxonomy.readers import read_taxonomy

    return read_taxonomy(file, key, settings.for_taxonomy(key).limits)


def taxonomy_suffix(file: Path) -> str:
    """Suffix in the inbox of a taxonomy file.

    Raises:
        Fault: `unsupported_format` or `unreadable_file`.
    """
    from taxomind_assets.taxonomy.readers import detect_format

    return _TAXONOMY_SUFFIXES[detect_format(file)]


def _text_name(kind: str, path: Path, settings: Settings) -> str:
    """Name in the inbox of a file of texts, checked to be one."""
    from taxomind_assets.classification.text_readers import detect_text_format
    from taxomind_assets.inputs import check_file
    from taxomind_resources.inbox import SUFFIXES

    head = check_file(path, settings.limits)
    if path.suffix.lower() in SUFFIXES[kind]:
        return path.name
    return f"{path.stem}{_TEXT_SUFFIXES[detect_text_format(path, head)]}"


def _description(found: TaxonomyFile, file: Path) -> dict[str, Any]:
    tree = found.taxonomy
    return {
        "key": tree.key,
        "file": str(file),
        "name": tree.display_name,
        "version": tree.version,
        "nodes": len(tree),
        "leaves": int(tree.is_leaf.sum()),
        "depth": tree.depth,
        "languages": tree.languages,
        "remarks": list(found.warnings),
        "rejected_rows": len(found.rejected),
    }


def _size(tree: Taxonomy) -> str:
    languages = ", ".join(language or "not stated" for language in tree.languages)
    levels = "1 level" if tree.depth == 1 else f"{tree.depth} levels"
    return f"{len(tree):,} nodes, {int(tree.is_leaf.sum()):,} leaves, {levels}, languages: {languages}"


def _remarks(session: Session, found: TaxonomyFile) -> None:
    for remark in found.warnings:
        session.note(f"Remark: {remark}")
    for row in found.rejected[:10]:
        session.note(f"Refused: line {row.line}: {row.reason} [{row.reason_code}]")
    if len(found.rejected) > 10:
        session.note(f"Refused: ... and {len(found.rejected) - 10:,} more rows, see taxonomy.rejected_rows")


def _rejected(row: Any) -> dict[str, Any]:
    return {"line": row.line, "reason_code": row.reason_code, "reason": row.reason}


def _listed(settings: Settings, key: str) -> dict[str, Any]:
    from taxomind_app.doctor import waiting_for
    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs

    try:
        tree: Taxonomy | None = stored_taxonomy(Outputs(settings.data), key)
    except Fault:
        tree = None
    return {
        "key": key,
        "name": tree.display_name if tree else None,
        "version": tree.version if tree else None,
        "nodes": len(tree) if tree else None,
        "leaves": int(tree.is_leaf.sum()) if tree else None,
        "depth": tree.depth if tree else None,
        "languages": tree.languages if tree else [],
        "index_version": IndexStore(settings.data).current(key),
        "waits_for": waiting_for(settings, key),
    }


def _position(tree: Taxonomy, code: str) -> int:
    import difflib

    if code not in tree.position:
        near = difflib.get_close_matches(code, tree.codes, 3)
        allowed = f"a code of {tree.key!r}, for example {', '.join(near or tree.codes[:3])}"
        raise Fault("invalid_input", f"{tree.key!r} has no node {code!r}.", value=code, allowed=allowed)
    return tree.position[code]


def _print_node(session: Session, tree: Taxonomy, position: int) -> None:
    from rich.text import Text

    node = tree.nodes[position]
    session.say(Text(" › ".join(tree.path_labels(position)), style="dim"))
    for text in node.texts:
        language = f"[{text.language}] " if text.language else ""
        session.out.print(
            Text.assemble((language, "cyan"), (text.label, "bold"), ("  " + text.definition if text.definition else ""))
        )
        for name, values in (("examples", text.examples), ("also called", text.aliases), ("not", text.negative_examples)):
            if values:
                session.say(styled("  [dim]{name}:[/] {values}", name=name, values="; ".join(values)))
    for text in node.added:
        language = f" [{text.language}]" if text.language else ""
        session.say(Text(f"added by a language model{language}", style="cyan"))
        for name, values in (("definition", (text.definition,)), ("examples", text.examples), ("not", text.negative_examples)):
            if any(values):
                session.say(styled("  [dim]{name}:[/] {values}", name=name, values="; ".join(values)))
    session.out.print()


def _tree_view(tree: Taxonomy, start: int, depth: int) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    def label(node: int) -> Text:
        below = int(tree.ends[node]) - node - 1
        return Text.assemble(
            (tree.codes[node], "cyan"), "  ", tree.nodes[node].label, (f"  ({below} below)" if below else "", "dim")
        )

    head = Text(f"{tree.display_name or tree.key}  ({_size(tree)})", style="bold") if start < 0 else label(start)
    view = Tree(head, guide_style="dim")
    _grow(tree, view, start, depth, label)
    return view


def _grow(tree: Taxonomy, branch: Tree, node: int, depth: int, label: Any) -> None:
    if not depth:
        return
    children = tree.children_of(node).tolist()
    for child in children[:_MOST_CHILDREN]:
        _grow(tree, branch.add(label(child)), child, depth - 1, label)
    if len(children) > _MOST_CHILDREN:
        branch.add(styled("[dim]... and {more} more[/]", more=f"{len(children) - _MOST_CHILDREN:,}"))


def _node_json(tree: Taxonomy, start: int, depth: int) -> dict[str, Any]:
    children = [_node_json(tree, child, depth - 1) for child in tree.children_of(start).tolist()] if depth else None
    if start < 0:
        return {"key": tree.key, "name": tree.display_name, "version": tree.version, "nodes": len(tree), "children": children}
    node = tree.nodes[start]
    texts = [
        {
            "language": text.language,
            "label": text.label,
            "definition": text.definition,
            "examples": list(text.examples),
            "aliases": list(text.aliases),
            "negative_examples": list(text.negative_examples),
        }
        for text in node.texts
    ]
    own: dict[str, Any] = {"code": node.code, "level": node.level, "label": node.label, "path": tree.path_codes(start)}
    own |= {"is_leaf": bool(tree.is_leaf[start]), "texts": texts, "added": [_added_json(text) for text in node.added]}
    return own | ({} if children is None else {"children": children})


def _added_json(text: NodeText) -> dict[str, Any]:
    return {
        "language": text.language,
        "definition": text.definition,
        "examples": list(text.examples),
        "negative_examples": list(text.negative_examples),
    }


def _quoted(key: str) -> str:
    import shlex

    return shlex.quote(key)
