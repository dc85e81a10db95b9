"""`taxomind settings`: every setting with its value, default and meaning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    section taxonomy.<key>.<group> of the file holds for one taxonomy.
    """
    current = session.settings if taxonomy is None else session.settings.for_taxonomy(taxonomy)
    rows = list(_rows(current))
    if session.json:
        session.print_json(rows)
        return
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
