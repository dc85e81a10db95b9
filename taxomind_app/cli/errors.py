"""Every way in which a command can end: faults as sentences, exit codes as in POSIX shells, no traceback unless asked for."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.cli.session import Session

WORK_FAILED: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130


def end(error: BaseException, session: Session, *, as_json: bool) -> int:
    """Report an error on standard error; returns the exit code.

    Args:
        error: what ended the command.
        session: the call.
        as_json: write a problem document (RFC 9457) instead of text.
    """
    if isinstance(error, Fault):
        return _fault(error, as_json)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        _write("Interrupted.")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return broken_pipe()
    if hasattr(error, "format_message"):
        return _usage(error, as_json)
    return _unexpected(error, session, as_json)


def broken_pipe() -> int:
    """The reader of standard output is gone (`taxomind ... | head`): end without a word."""
    # What is still buffered must go somewhere, else Python complains while it shuts down.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return WORK_FAILED


def _fault(fault: Fault, as_json: bool) -> int:
    _write(json.dumps(fault.problem(), ensure_ascii=False, indent=2) if as_json else fault.render())
    return fault.kind.exit_code


def _usage(error: BaseException, as_json: bool) -> int:
    """Wrong use of an option, as typer says it."""
    if as_json:
        title, message = "The command is not usable", error.format_message()  # type: ignore[attr-defined]
        problem = {"type": "urn:taxomind:usage", "title": title, "status": 422, "detail": message, "code": "usage"}
        _write(json.dumps(problem, ensure_ascii=False, indent=2))
    else:
        error.show()  # type: ignore[attr-defined]
    return int(getattr(error, "exit_code", WRONG_USE))


def _unexpected(error: BaseException, session: Session, as_json: bool) -> int:
    text = "".join(traceback.format_exception(error))
    if session.verbose:
        _write(text.rstrip())
    log = _log(text, session)
    message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if as_json:
        problem = {"type": "urn:taxomind:unexpected", "title": "Unexpected error", "status": 500, "detail": message}
        _write(json.dumps({**problem, "code": "unexpected", "log": str(log)}, ensure_ascii=False, indent=2))
    else:
        _write(f"Unexpected error: {message} (details: {log}, or run the command with --verbose)")
    return WORK_FAILED


def _log(text: str, session: Session) -> Path:
    """Append to the log of the data root, or to one in the temporary folder when that cannot be written."""
    entry = f"{datetime.now(UTC).isoformat(timespec='seconds')} taxomind {' '.join(sys.argv[1:])}\n{text}\n"
    try:
        return _append(session.root / "logs", entry)
    except (OSError, Fault):
        return _append(Path(tempfile.gettempdir()), entry)


def _append(folder: Path, entry: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "taxomind.log"
    with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(entry)
    return path


def _write(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 (this is the command line)
