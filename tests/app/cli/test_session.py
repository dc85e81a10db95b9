"""What all commands share: how output and remarks are written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taxomind_app.cli.session import Session

Call = Callable[..., Any]


def test_piped_tables_have_no_blanks_at_the_end_of_lines(call: Call, built: Path) -> None:
    shown = call("--data", built, "query", "SELECT code, label FROM taxonomy.nodes").out
    shown += call("--data", built, "settings").out + call("--data", built, "classify", "an owl", "--explain").out
    assert len(shown.splitlines()) > 50
    assert [line for line in shown.splitlines() if line != line.rstrip()] == []


def test_texts_keep_their_line_ends_and_inner_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    Session().out.print("a  b   \n\n  c ", soft_wrap=True)
    assert capsys.readouterr().out == "a  b\n\n  c\n"


def test_the_first_conversion_of_a_model_is_told_once(call: Call, built: Path) -> None:
    call("--data", built, "taxonomy", "list")
    call("--data", built, "taxonomy", "list")
    log = logging.getLogger("taxomind_resources.embedding.conversion")
    assert len(log.handlers) == 1
    assert log.isEnabledFor(logging.INFO)


def test_what_is_told_goes_to_standard_error(call: Call, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("--data", built, "taxonomy", "list")
    logging.getLogger("taxomind_resources.embedding.conversion").info("Converting %s", "a model")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "Converting a model\n")
