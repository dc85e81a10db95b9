"""What all commands share: the options `--data`, `--verbose` and `--json`, and how output is written."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final, TextIO, cast

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from taxomind_resources.settings import Settings

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data root (default: TAXOMIND_DATA, else the folder data).", show_default=False),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show full tracebacks and the log of runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, errors included.")]
Taxonomy = Annotated[
    str | None,
    typer.Option("--taxonomy", "-t", metavar="KEY", help="Taxonomy (default: the only one there is).", show_default=False),
]


_PIPE_COLUMNS: Final = 120
_FILLER: Final = re.compile(r"[ \t]+$", re.MULTILINE)
#: What is worth a line to people as it happens, besides warnings.
_TOLD: Final = ("taxomind_resources.embedding.conversion", "taxomind_assets.models.progress")


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        data: data root as given, None = from the environment.
        verbose: show tracebacks and logs.
        json: print JSON.
    """

    data: Path | None = None
    verbose: bool = False
    json: bool = False

    @functools.cached_property
    def settings(self) -> Settings:
        """Settings of the data root.

        Raises:
            Fault: `unknown_setting`, `invalid_setting` or `unreadable_file`.
        """
        from taxomind_resources.settings import load_settings

        return load_settings(self.data)

    @property
    def root(self) -> Path:
        """The data root, absolute.

        Raises:
            Fault: as `settings`.
        """
        return self.settings.data

    @functools.cached_property
    def out(self) -> Console:
        """Standard output for people."""
        return _console(stderr=False)

    @functools.cached_property
    def err(self) -> Console:
        """Standard error: progress, remarks and errors."""
        return _console(stderr=True)

    def say(self, text: str | Text) -> None:
        """A sentence on standard output; only the terminal breaks its lines."""
        self.out.print(text, soft_wrap=True)

    def note(self, text: str) -> None:
        """A remark on standard error."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201 (this is the command line)

    def print_json(self, value: Any, *, indent: int | None = 2) -> None:
        """Print a value as JSON; times and paths become text."""
        import json

        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=indent, default=str) + "\n")


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    # Texts of users are printed as they are; for the rest see `styled`.
    console = Console(stderr=stderr, highlight=False, markup=False)
    if console.is_terminal:
        return console
    # A file or a pipe has no width of its own, and no use for the blanks that fill the last column of a table.
    width = None if "COLUMNS" in os.environ else _PIPE_COLUMNS
    stream = cast("IO[str]", _WithoutFiller(sys.stderr if stderr else sys.stdout))
    return Console(file=stream, highlight=False, markup=False, width=width)


class _WithoutFiller:
    """A text stream that leaves out the blanks at the end of each line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_FILLER.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def styled(template: str, **values: object) -> Text:
    """Text with rich markup; `{name}` stands for a value, which is shown as it is."""
    from rich.markup import escape
    from rich.text import Text

    return Text.from_markup(template.format(**{name: escape(str(value)) for name, value in values.items()}))


def command(function: Callable[..., None], *, json: bool = True) -> Callable[..., None]:
    """Make a command of a function whose first parameter is the `Session`; it gets the options that all commands have.

    Args:
        function: the command. Its other parameters are annotated for typer.
        json: the command prints data and takes `--json`.
    """
    own = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def wrapper(ctx: typer.Context, **options: Any) -> None:
        session: Session = ctx.obj
        session.data = options.pop("data") or session.data
        session.verbose = options.pop("verbose") or session.verbose
        session.json = options.pop("json", False)
        _listen()
        function(session, **options)

    shared = [_option("data", Data, None), _option("verbose", Verbose, False)]
    if json:
        shared.insert(0, _option("json", Json, False))
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = list(own.parameters.values())[1:]
    wrapper.__signature__ = own.replace(parameters=[context, *parameters, *shared])  # type: ignore[attr-defined]
    # typer also asks for the annotations themselves, which must not be those of the function that is wrapped.
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in [context, *parameters, *shared]}
    del wrapper.__wrapped__
    return wrapper


def _listen() -> None:
    """Show on standard error what `_TOLD` says."""
    import logging

    class Note(logging.Handler):
        """Prints to what is standard error at that time: a progress display puts itself in between."""

        def emit(self, record: logging.LogRecord) -> None:
            print(record.getMessage(), file=sys.stderr, flush=True)  # noqa: T201 (this is the command line)

    for name in _TOLD:
        log = logging.getLogger(name)
        log.setLevel(logging.INFO)
        if not log.handlers:
            log.addHandler(Note())


def _option(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
