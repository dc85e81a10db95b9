"""`taxomind settings`: every setting with its value, default and meaning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from taxomind_resources.faults import Fault
    from taxomind_resources.settings import Settings

EPILOG = """Examples

taxomind settings

TAXOMIND_ROUTING__ACCURACY_TARGET=0.9 taxomind settings --json
"""
_VALUE_COLUMNS: Final = 26


_Taxonomy = Annotated[
    str | None,
    typer.Option(
        "--taxonomy", "-t", metavar="KEY", help="As they hold for this taxonomy (default: the shared ones).", show_default=False
    ),
]


def settings(session: Session, *, taxonomy: _Taxonomy = None) -> None:
    """List every setting with its value, its default and what it means.

    Values come from the file settings.toml in the data root, then from environment variables TAXOMIND_<GROUP>__<NAME>. A
    section taxonomy.<key>.<group> of the file holds for one taxonomy. What cannot be used is marked, and is an error.
    """
    from taxomind_resources.settings import usable_settings

    current, faults = usable_settings(session.data, taxonomy)
    rows = _marked(list(_rows(current)), faults)
    if session.json:
        session.print_json(rows)
    else:
        _print(session, current, rows)
    if faults:
        raise next(iter(faults.values()))


def _marked(rows: list[dict[str, Any]], faults: Mapping[str, Fault]) -> list[dict[str, Any]]:
    """The rows with what is wrong with them; settings that do not exist come last."""
    problems = {name: f"{fault.what} The default holds." for name, fault in faults.items() if fault.code == "invalid_setting"}
    known = [{**row, "problem": problems.pop(row["name"], None)} for row in rows]
    others = {name: fault for name, fault in faults.items() if name in problems or fault.code != "invalid_setting"}
    return known + [
        {"name": name, "value": None, "default": None, "meaning": "", "problem": f"{fault.what} {fault.allowed or ''}".strip()}
        for name, fault in others.items()
    ]


def _print(session: Session, current: Settings, rows: list[dict[str, Any]]) -> None:
    from rich.table import Column
    from rich.text import Text

    from taxomind_app.cli.showing import plain_table

    session.say(f"data root: {current.data}\nfile:      {current.data / 'settings.toml'}\n")
    value_column = Column("value", max_width=_VALUE_COLUMNS, overflow="fold")
    table = plain_table(Column("setting", no_wrap=True), value_column, "meaning")
    for row in rows[1:]:
        value = Text(_shown(row["value"]))
        if row["value"] != row["default"]:
            value = Text.assemble((_shown(row["value"]), "bold yellow"), (f"\n(default: {_shown(row['default'])})", "dim"))
        if row["problem"]:
            table.add_row(Text(row["name"], style="bold red"), value, Text(row["problem"], style="bold red"))
        else:
            table.add_row(row["name"], value, row["meaning"])
    session.out.print(table)


def _rows(current: Settings) -> Iterator[dict[str, Any]]:
    """One row per setting; secrets are not shown."""
    from pydantic import BaseModel

    for group, field in type(current).model_fields.items():
        value = getattr(current, group)
        if not isinstance(value, BaseModel):
            if group == "data":
                yield {"name": group, "value": str(value), "default": str(field.default), "meaning": field.description}
            continue
        values = value.model_dump(mode="json")
        for name, own in type(value).model_fields.items():
            default = list(own.default) if isinstance(own.default, tuple) else own.default
            shown = "(set)" if not own.repr and values[name] is not None else values[name]
            yield {"name": f"{group}.{name}", "value": shown, "default": default, "meaning": own.description}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
