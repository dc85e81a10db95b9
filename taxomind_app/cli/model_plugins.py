"""`taxomind models plugins`: what models are made of."""

from __future__ import annotations

import json as json_format
from enum import StrEnum
from typing import Annotated

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_resources.faults import Fault

PLUGINS_EPILOG = """Examples

taxomind models plugins

taxomind models plugins svm
"""


class KindChoice(StrEnum):
    """Kinds of plug-ins."""

    TOKENIZER = "tokenizer"
    FEATURES = "features"
    CLASSIFIER = "classifier"


def plugins(
    session: Session,
    *,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this one.", show_default=False)] = None,
    kind: Annotated[KindChoice | None, typer.Option("--kind", help="Only those of a kind.")] = None,
    installed: Annotated[bool, typer.Option("--installed", help="Only those that can work here.")] = False,
) -> None:
    """List the plug-ins that models are made of, or describe one with its parameters."""
    from taxomind_app.cli.showing import dict_table
    from taxomind_assets.models.registry import broken, registry

    found = registry().plugins(kind.value if kind else None, installed=installed)
    if name is not None:
        chosen = [plugin for plugin in found if plugin.info.name == name]
        if not chosen:
            allowed = ", ".join(plugin.info.name for plugin in found)
            raise Fault("invalid_input", f"There is no plug-in {name!r}.", value=name, allowed=allowed)
        found = chosen
    described = [plugin.described() for plugin in found]
    if session.json:
        session.print_json({"plugins": described, "broken": broken()})
        return
    if name is None:
        keys = ("kind", "name", "summary", "input", "speed", "quality", "memory")
        rows = [
            {k: str(own[k]) for k in keys} | {"installed": "yes" if own["installed"] else own["install"]} for own in described
        ]
        session.out.print(dict_table(rows))
    for own in described if name is not None else []:
        session.out.print(styled("[bold]{kind} {name}[/]: {summary}", **{k: own[k] for k in ("kind", "name", "summary")}))
        session.say(f"takes {own['input']}; {own['install'] if own['missing'] else 'installed'}")
        rows = [
            {"parameter": n, "default": json_format.dumps(p["default"], default=list), "meaning": p["meaning"]}
            for n, p in own["parameters"].items()
        ]
        if rows:
            session.out.print(dict_table(rows))
    for problem in broken():
        session.note(f"A plug-in could not be imported: {problem}")
