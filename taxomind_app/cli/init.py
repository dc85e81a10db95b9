"""`taxomind init`: a taxonomy to begin with, shown before it is written."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_app.cli.taxonomy import Key
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from rich.tree import Tree

    from taxomind_assets.taxonomy.derivation import Derived
    from taxomind_assets.taxonomy.derivation_texts import Sample
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.llm import LlmClient
    from taxomind_resources.settings import Settings

EPILOG = """Starters

minimal: five labels for notes; also forms, relations, johnny-decimal, para, zettelkasten

file: a taxonomy file

texts: derived from a file of texts, or from those in the inbox

folder: derived from the notes of a folder (.md, .markdown, .txt, .org, .rst)

Without a starter the source says which it is; without a source the texts in the inbox are taken if there are 100, else minimal.

Examples

taxomind init notes

taxomind init notes ~/notes

taxomind init tickets tickets.csv --yes
"""
_SOURCES: Final = ("file", "texts", "folder")
_FALLBACK: Final = "minimal"
#: Texts in the inbox from which on a taxonomy is derived from them without being asked to.
_ENOUGH_TEXTS: Final = 100
_TAXONOMY_SUFFIXES: Final = (".ttl", ".turtle", ".nt", ".rdf", ".owl", ".xml")
_SHOWN_EXAMPLES: Final = 3
_SHOWN_CHILDREN: Final = 40


@dataclass(frozen=True)
class _Proposal:
    """A taxonomy that may be written.

    Attributes:
        starter: what it was made by.
        tree: the checked taxonomy.
        content: the file, or where it is copied from.
        name: name of the file.
        about: what a person should know, one sentence each.
        derived: how it was derived, if it was.
    """

    starter: str
    tree: Taxonomy
    content: Path | bytes
    name: str
    about: list[str] = field(default_factory=list)
    derived: Derived | None = None


def init(
    session: Session,
    *,
    key: Key,
    source: Annotated[
        Path | None, typer.Argument(metavar="SOURCE", help="A taxonomy file, a file of texts, or a folder of notes.")
    ] = None,
    starter: Annotated[
        str | None, typer.Option("--starter", metavar="NAME", help="What to begin with; see below.", show_default=False)
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", metavar="TAG", help="Language of a derived taxonomy (BCP 47).", show_default=False),
    ] = None,
    llm: Annotated[
        bool | None,
        typer.Option("--llm/--no-llm", help="Let the model of the settings `llm` name what is derived.", show_default="ask"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Make a taxonomy to begin with: from a seed, from a file, or derived from your own texts.

    It is shown before it is written, and written only after a yes. A taxonomy that is there already is never replaced.
    """
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.keys import validate_key

    validate_key(key)
    settings = session.settings
    inbox = Inbox(settings.data, settings.limits.settle_s)
    _check_absent(key, inbox, session)
    chosen = _checked_starter(key, source, starter, inbox, settings)
    if chosen in {"texts", "folder"}:
        samples = _samples(key, chosen, source, inbox, settings)
        client = _client(session, settings, len(samples), wanted=llm, yes=yes)
        proposal = _derived(key, chosen, samples, language=language or "", settings=settings, client=client)
    else:
        proposal = _read(key, chosen, source, settings)
    if not session.json:
        _show(session, proposal)
    written = _agreed(session, key, yes)
    if written:
        _write(session, key, inbox, proposal)
    _say(session, key, proposal, written=written)


def _check_absent(key: str, inbox: Inbox, session: Session) -> None:
    from taxomind_resources.outputs import Outputs

    if inbox.taxonomy_file(key) is not None or Outputs(session.root).exists("taxonomy.nodes", key):
        next_step = f"Choose another key; a new version of this one is added by `taxomind taxonomy add {key} FILE`."
        raise Fault("invalid_input", f"There is a taxonomy {key!r} already.", value=key, next_step=next_step)


def _checked_starter(key: str, source: Path | None, starter: str | None, inbox: Inbox, settings: Settings) -> str:
    from taxomind_assets.taxonomy.seeds import SEEDS

    allowed = ", ".join((*SEEDS, *_SOURCES))
    if starter is None:
        return _default_starter(key, source, inbox, settings)
    if starter not in SEEDS and starter not in _SOURCES:
        raise Fault("invalid_input", f"There is no starter {starter!r}.", value=starter, allowed=allowed)
    if starter in SEEDS and source is not None:
        raise Fault("invalid_input", f"The starter {starter!r} takes no source.", value=str(source))
    if starter in {"file", "folder"} and source is None:
        raise Fault("invalid_input", f"The starter {starter!r} needs a source.", next_step=f"taxomind init {key} SOURCE")
    return starter


def _default_starter(key: str, source: Path | None, inbox: Inbox, settings: Settings) -> str:
    from taxomind_assets.inputs import check_file

    if source is None:
        texts = inbox.files(key, "texts")
        return "texts" if texts and _count(key, inbox, settings) >= _ENOUGH_TEXTS else _FALLBACK
    if source.is_dir():
        return "folder"
    head = check_file(source, settings.limits)
    if source.suffix.lower() in _TAXONOMY_SUFFIXES or head.lstrip()[:1] in {b"<", b"@"}:
        return "file"
    if source.suffix.lower() == ".json" or (head.lstrip()[:1] == b"{" and b'"nodes"' in head):
        return "file"
    return "file" if _has_code_and_label(head) else "texts"


def _has_code_and_label(head: bytes) -> bool:
    from taxomind_assets.taxonomy.columns import field_of

    first = head.decode("utf-8", "ignore").splitlines()[0]
    columns = {field_of(name.strip(' "')) for sign in ",;\t" for name in first.split(sign)}
    return {"code", "label"} <= columns


def _count(key: str, inbox: Inbox, settings: Settings) -> int:
    try:
        return len(_samples(key, "texts", None, inbox, settings))
    except Fault:
        return 0


def _samples(key: str, starter: str, source: Path | None, inbox: Inbox, settings: Settings) -> list[Sample]:
    from taxomind_assets.taxonomy.derivation_texts import samples_of_files, samples_of_folder

    if starter == "folder":
        return samples_of_folder(source or Path())
    paths = [source] if source is not None else [file.path for file in inbox.files(key, "texts")]
    if not paths:
        next_step = f"Name a file: taxomind init {key} texts.csv"
        raise Fault("invalid_input", f"There are no texts in the inbox of {key!r}.", value=key, next_step=next_step)
    return samples_of_files(paths, settings.for_taxonomy(key).text, settings.limits)


def _client(session: Session, settings: Settings, texts: int, *, wanted: bool | None, yes: bool) -> LlmClient | None:
    """The language model, when there is one and the person agrees that titles of texts are sent to it."""
    from taxomind_resources.llm import load_llm

    if wanted is False:
        return None
    try:
        client = load_llm(settings.llm, settings.data)
    except Fault:
        if wanted:
            raise
        return None
    if wanted:
        return client
    if yes or session.json or not sys.stdin.isatty():
        session.note("The groups are named by keywords; --llm lets the language model name them.")
        return None
    model = f"{settings.llm.model} at {settings.llm.base_url}"
    question = f"Send titles and keywords of {texts:,} texts to {model} to name the groups?"
    return client if typer.confirm(question, default=False, err=True) else None


def _derived(
    key: str, starter: str, samples: list[Sample], *, language: str, settings: Settings, client: LlmClient | None
) -> _Proposal:
    from taxomind_assets.taxonomy.derivation import derive
    from taxomind_assets.taxonomy.readers import read_taxonomy_document
    from taxomind_resources.embedding import load_embedder

    own = settings.for_taxonomy(key)
    vectors = load_embedder(own.embedding, settings.data).embed([sample.text for sample in samples], "document")
    stated = {sample.language for sample in samples}
    tag = language or (stated.pop() if len(stated) == 1 else "")
    found = derive(samples, vectors, language=tag, client=client, model=settings.llm.model)
    if found is None:
        proposal = _read(key, _FALLBACK, None, settings)
        proposal.about.append(f"The {len(samples):,} texts fall into no groups, so this is the starter {_FALLBACK!r}.")
        return proposal
    tree = read_taxonomy_document({"displayName": key, "nodes": found.nodes}, key, own.limits).taxonomy
    about = [f"Derived from {found.texts:,} texts; {found.grouped:,} of them belong to a label. Named by {found.named_by}."]
    about += [found.rationale, *found.notes]
    return _Proposal(starter, tree, found.document(key), "taxonomy.json", about, found)


def _read(key: str, starter: str, source: Path | None, settings: Settings) -> _Proposal:
    from taxomind_app.cli.taxonomy import taxonomy_suffix
    from taxomind_assets.taxonomy.readers import read_taxonomy
    from taxomind_assets.taxonomy.seeds import SEEDS, seed_file

    path = source if source is not None else seed_file(starter)
    found = read_taxonomy(path, key, settings.for_taxonomy(key).limits)
    about = [f"The starter {starter!r}: {SEEDS[starter]}."] if starter in SEEDS else [f"From {path.name}."]
    about += [*found.warnings, *(f"Refused: line {row.line}: {row.reason}" for row in found.rejected[:10])]
    return _Proposal(starter, found.taxonomy, path, f"taxonomy{taxonomy_suffix(path)}", about)


def _agreed(session: Session, key: str, yes: bool) -> bool:
    if yes:
        return True
    if session.json:
        return False
    if not sys.stdin.isatty():
        raise Fault("invalid_input", f"Writing {key!r} needs a yes.", next_step="Add --yes.")
    return typer.confirm(f"Write this as the taxonomy {key!r}?", default=True, err=True)


def _write(session: Session, key: str, inbox: Inbox, proposal: _Proposal) -> None:
    from taxomind_app.cli.graph import ANSWERS, BUILD, run_assets

    inbox.put(key, "taxonomy", proposal.content, proposal.name)
    run_assets(session, key, [*BUILD, *([ANSWERS] if inbox.files(key, "texts") else [])])


def _show(session: Session, proposal: _Proposal) -> None:
    session.out.print(_view(proposal.tree))
    for sentence in proposal.about:
        session.say(f"\n{sentence}" if sentence == proposal.about[0] else sentence)
    session.out.print()


def _view(tree: Taxonomy) -> Tree:
    from rich.tree import Tree

    view = Tree(styled("[bold]{name}[/] [dim]({nodes} nodes)[/]", name=tree.key, nodes=f"{len(tree):,}"), guide_style="dim")
    branches = {-1: view}
    hidden = 0
    for place, node in enumerate(tree.nodes):
        parent = branches.get(int(tree.parents[place]))
        if parent is None or len(parent.children) >= _SHOWN_CHILDREN:
            hidden += 1
            continue
        branches[place] = parent.add(styled("{label} [dim]{code}[/]", label=node.label, code=node.code))
        for example in node.texts[0].examples[:_SHOWN_EXAMPLES]:
            branches[place].add(styled("[dim italic]{example}[/]", example=example))
    if hidden:
        view.add(styled("[dim]... and {hidden} more nodes[/]", hidden=f"{hidden:,}"))
    return view


def _say(session: Session, key: str, proposal: _Proposal, *, written: bool) -> None:
    if session.json:
        nodes = [
            {"code": node.code, "parent_code": node.parent_code, "label": node.label, "examples": list(node.texts[0].examples)}
            for node in proposal.tree.nodes
        ]
        result: dict[str, Any] = {"key": key, "starter": proposal.starter, "written": written, "about": proposal.about}
        session.print_json({**result, "nodes": nodes})
    elif written:
        session.say(styled('\n[bold]{key}[/] is ready.\n\n  taxomind classify --taxonomy {key} "..."', key=key))
    else:
        session.say("Nothing was written.")
