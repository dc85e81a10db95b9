"""Writes what docs/commands.md, errors.md, settings.md and tables.md say from the code: `python -m tests.docs.generate`.

Each page begins with words of its own; what stands below the line `MARKER` is replaced. The description of the HTTP service
(docs/openapi.json) comes from the code as a whole. `--check` only says which files differ.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pyarrow as pa
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from taxomind_app.cli.main import app
from taxomind_assets.inputs import REASONS
from taxomind_assets.reports.definitions import MEASURES
from taxomind_resources.faults import FAULTS
from taxomind_resources.settings import ENV_PREFIX, Settings
from taxomind_resources.tables import TABLES, VIEWS, Table, View

DOCS = Path(__file__).resolve().parents[2] / "docs"
MARKER = "<!-- below: made from the code by `make docs` -->\n\n"
_SHARED = {"json", "data", "verbose", "help"}
_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
}


def as_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *cells)]


def sql_type(type_: pa.DataType) -> str:
    """The type of a column as DuckDB names it."""
    if pa.types.is_list(type_):
        return f"{sql_type(type_.value_type)}[]"
    if pa.types.is_struct(type_):
        return f"STRUCT({', '.join(f'{type_.field(i).name} {sql_type(type_.field(i).type)}' for i in range(type_.num_fields))})"
    return "TIMESTAMP WITH TIME ZONE" if pa.types.is_timestamp(type_) else _SQL_TYPES[type_]


def tables_page() -> list[str]:
    """Every table with its columns."""
    every = (*TABLES, *VIEWS)
    lines = as_table(["table", "one row is"], ([f"[{t.full_name}](#{_anchor(t.full_name)})", t.row] for t in every))
    seen: dict[Any, Table | View] = {}
    for table in every:
        lines += ["", f"## {table.full_name}", "", f"One row is {table.row}.", ""]
        same = seen.setdefault(table.columns, table)
        if same is not table:
            lines.append(f"Columns as in [{same.full_name}](#{_anchor(same.full_name)}).")
            continue
        columns = ([f"`{c.name}`", sql_type(c.type) + " or null" * c.nullable, c.meaning] for c in table.columns)
        lines += as_table(["column", "type", "meaning"], columns)
    lines += ["", "## Measures", "", "`metric` of reports.metrics. All compare codes, never labels.", ""]
    measures = ([f"`{name}`", measure.meaning, measure.better or "-"] for name, measure in MEASURES.items())
    return lines + as_table(["metric", "meaning", "better is"], measures)


def _anchor(heading: str) -> str:
    return heading.replace(".", "").replace(" ", "-")


def settings_page() -> list[str]:
    """Every setting."""
    lines = []
    for group, outer in Settings.model_fields.items():
        if isinstance(outer.annotation, type) and issubclass(outer.annotation, BaseModel):
            lines += [f"## {group}", "", inspect.cleandoc(outer.annotation.__doc__ or ""), ""]
            rows = (_setting(group, name, field) for name, field in outer.annotation.model_fields.items())
            lines += [*as_table(["setting", "default", "allowed", "environment variable", "meaning"], rows), ""]
    return lines[:-1]


def _setting(group: str, name: str, field: FieldInfo) -> list[str]:
    default = json.dumps(list(field.default) if isinstance(field.default, tuple) else field.default)
    variable = f"{ENV_PREFIX}{group}__{name}".upper()
    return [f"`{group}.{name}`", f"`{default}`", _allowed(field), f"`{variable}`", field.description or ""]


def _allowed(field: FieldInfo) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`", NoneType: "null"}
    if get_origin(field.annotation) is tuple:
        return "list of texts"
    single = field.annotation in names or get_origin(field.annotation) is Literal
    words = []
    for kind in (field.annotation,) if single else get_args(field.annotation):
        literal = get_origin(kind) is Literal
        words += [f"`{json.dumps(value)}`" for value in get_args(kind)] if literal else [names[kind]]
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [f"{signs[name]} {getattr(mark, name):,}" for mark in field.metadata for name in signs if hasattr(mark, name)]
    words[0] = f"{words[0]} {' and '.join(bounds)}".strip()
    return ", ".join(words)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, in the order of the help."""

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        for own, child in (inner or {}).items():
            yield from below(f"{name} {own}", child)

    return below("taxomind", typer.main.get_command(app))


def commands_page() -> list[str]:
    """Every command with its options and examples."""
    found = list(commands())
    links = ([f"[{name}](#{_anchor(name)})", _paragraphs(command.help)[0]] for name, command in found)
    lines = as_table(["command", "purpose"], links)
    for name, command in found:
        own = [parameter for parameter in command.params if parameter.name not in _SHARED]
        as_json = "[--json] " * any(parameter.name == "json" for parameter in command.params)
        arguments = [_argument(parameter) for parameter in own if not _is_option(parameter)]
        lines += ["", f"## {name}", "", *"\n\n".join(_paragraphs(command.help)).splitlines(), ""]
        lines += [f"`{' '.join([name, f'{as_json}[OPTIONS]', *arguments])}`", ""]
        lines += [*as_table(["option", "meaning"], (_option(command, parameter) for parameter in own)), ""] if own else []
        lines += _examples(command.epilog)
    return lines


def _paragraphs(text: str) -> list[str]:
    joined = [" ".join(paragraph.split()) for paragraph in inspect.cleandoc(text).split("\n\n")]
    # Placeholders in angle brackets would be taken for HTML.
    return [re.sub(r"\S*<\S*[\w>]", r"`\g<0>`", paragraph) for paragraph in joined]


def _is_option(parameter: Any) -> bool:
    return bool(parameter.opts[0].startswith("-"))


def _argument(parameter: Any) -> str:
    return f"{parameter.metavar if parameter.required else f'[{parameter.metavar}]'}{'...' * (parameter.nargs == -1)}"


def _option(command: Any, parameter: Any) -> list[str]:
    value = "" if getattr(parameter, "is_flag", False) else parameter.metavar or _choices(command, parameter.name)
    names = [" ".join(filter(None, [name, value])) for name in _names(parameter)] if _is_option(parameter) else [value]
    default = "" if parameter.required or parameter.default in (None, False) else f" Default: `{parameter.default}`."
    required = " Required." * (parameter.required and _is_option(parameter))
    return [", ".join(f"`{name}`" for name in names), f"{parameter.help}{required}{default}"]


def _names(parameter: Any) -> list[str]:
    """Names of an option; of one that can be switched off as well (`--llm`, `--no-llm`) those too."""
    return [*parameter.opts, *parameter.secondary_opts]


def _choices(command: Any, name: str) -> str:
    annotation = inspect.signature(command.callback).parameters[name].annotation
    kinds = [kind for kind in get_args(get_args(annotation)[0]) if isinstance(kind, type) and issubclass(kind, StrEnum)]
    return "|".join(kinds[0])


def _examples(epilog: str) -> list[str]:
    parts = [" ".join(part.split()) for part in epilog.split("\n\n")]
    calls = [part for part in parts if re.search(r"(^|\s)taxomind ", part)]
    remarks = [f"- {part}" for part in parts if part not in calls and " " in part]
    return [*remarks, *[""] * bool(remarks), "```sh", *calls, "```"]


def errors_page() -> list[str]:
    """Every code of a fault, and of a refused row."""
    rows = ([f"`{code}`", f.title, str(f.http_status), str(f.exit_code), f.next_step] for code, f in FAULTS.items())
    lines = as_table(["code", "meaning", "HTTP", "exit code", "next step"], rows)
    lines += ["", "## Refused rows", "", "`reason_code` of `taxonomy.rejected_rows` and `classification.rejected_rows`.", ""]
    return lines + as_table(["reason_code", "meaning"], ([f"`{code}`", meaning] for code, meaning in REASONS.items()))


def openapi() -> str:
    """The description of the HTTP service, as it answers at /openapi.json."""
    from taxomind_app.api.app import create_app

    with tempfile.TemporaryDirectory() as data:
        app = create_app(Settings.model_validate({"data": data, "service": {"auth_enabled": False}}))
        return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


PAGES = {"commands.md": commands_page, "errors.md": errors_page, "settings.md": settings_page, "tables.md": tables_page}
WHOLE = {"openapi.json": openapi}
NAMES = (*PAGES, *WHOLE)


def generated(name: str) -> str:
    """A file as the code wants it: a page with its own beginning and all the rest from the code, or the whole of it."""
    if name in WHOLE:
        return WHOLE[name]()
    head = (DOCS / name).read_text(encoding="utf-8").partition(MARKER)[0]
    return head + MARKER + "\n".join(PAGES[name]()) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the files that differ; with `--check` only name them (exit code 1)."""
    wanted = {name: generated(name) for name in NAMES}
    differing = [name for name, text in wanted.items() if not _says(DOCS / name, text)]
    for name in differing:
        print(f"docs/{name}", "differs" if "--check" in arguments else "written")
        if "--check" not in arguments:
            (DOCS / name).write_text(wanted[name], encoding="utf-8")
    return 1 if differing and "--check" in arguments else 0


def _says(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
