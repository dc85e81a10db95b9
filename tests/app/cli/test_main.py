"""The command line as a whole: help, start-up cost, exit codes and errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from taxomind_app.cli.main import app, main
from taxomind_resources.faults import Fault

HEAVY = ("dagster", "duckdb", "lancedb", "matplotlib", "numpy", "openvino", "pandas", "pyarrow", "scipy", "sklearn", "torch")


def _commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        yield path, command
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, (*path, name))

    return walk(typer.main.get_command(app), ())


@pytest.mark.parametrize(
    ("path", "command"), [*_commands()], ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_and_option_is_described(path: tuple[str, ...], command: Any) -> None:
    assert command.help
    own = [parameter for parameter in command.params if parameter.name != "help"]
    assert all(parameter.help for parameter in own)
    if not getattr(command, "commands", {}):
        assert f"taxomind {' '.join(path)}" in command.epilog


@pytest.mark.parametrize("path", [path for path, _ in _commands()], ids=" ".join)
def test_help_is_shown_for_every_command(path: tuple[str, ...], call: Callable[..., Any]) -> None:
    called = call(*path, "--help")
    assert called.code == 0
    assert "Usage: taxomind" in called.out


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom taxomind_app.cli.main import main\n"
        f"code = main(['--help'])\nprint(code, [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "0 []"


def test_version_is_that_of_the_package(call: Callable[..., Any]) -> None:
    from importlib.metadata import version

    called = call("--version")
    assert (called.code, called.out) == (0, f"taxomind {version('taxomind')}\n")


@pytest.mark.parametrize(
    "arguments", [["--bogus"], ["classify", "--limit", "many", "x"], ["classify", "--stop", "soon", "x"], ["fly"]]
)
def test_wrong_use_ends_with_2_and_a_sentence(arguments: list[str], call: Callable[..., Any]) -> None:
    called = call(*arguments)
    assert called.code == 2
    assert called.out == ""
    assert "Error: " in called.err
    assert "Traceback" not in called.err


def test_wrong_use_with_json_is_a_problem_document(call: Callable[..., Any]) -> None:
    called = call("classify", "x", "--bogus", "--json")
    assert called.code == 2
    assert json.loads(called.err)["code"] == "usage"


def test_json_after_the_end_of_options_is_a_text(call: Callable[..., Any], tmp_path: Path) -> None:
    called = call("--data", tmp_path, "classify", "--", "--json")
    assert called.code == 2
    assert called.err.startswith("There is no such taxonomy [unknown_taxonomy]")


def test_fault_is_rendered_with_its_exit_code(call: Callable[..., Any], tmp_path: Path) -> None:
    called = call("--data", tmp_path, "taxonomy", "validate", tmp_path / "absent.csv")
    assert called.code == 1
    assert called.out == ""
    assert called.err.splitlines()[0] == "The file cannot be read [unreadable_file]: absent.csv is no file."
    assert called.err.splitlines()[-1].startswith("  next:")


def test_fault_with_json_is_a_problem_document(call: Callable[..., Any], tmp_path: Path) -> None:
    called = call("--data", tmp_path, "taxonomy", "validate", tmp_path / "absent.csv", "--json")
    problem = json.loads(called.err)
    assert (problem["code"], problem["status"]) == ("unreadable_file", 422)


def test_data_root_may_stand_before_or_after_the_command(call: Callable[..., Any], built: Path) -> None:
    before, after = call("--data", built, "taxonomy", "list", "--json"), call("taxonomy", "list", "--json", "--data", built)
    assert before == after
    assert [row["key"] for row in json.loads(before.out)] == ["living"]


def test_unexpected_error_is_one_line_and_goes_to_the_log(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: object) -> list[str]:
        raise RuntimeError("wires\ncrossed")

    monkeypatch.setattr("taxomind_app.cli.keys.known_keys", broken)
    called = call("--data", tmp_path, "taxonomy", "list")
    log = tmp_path / "logs" / "taxomind.log"
    assert called.code == 1
    assert called.err == f"Unexpected error: RuntimeError: wires crossed (details: {log}, or run the command with --verbose)\n"
    assert "Traceback" in log.read_text()
    assert "Traceback" in call("--data", tmp_path, "taxonomy", "list", "-v").err
    assert json.loads(call("--data", tmp_path, "taxonomy", "list", "--json").err)["code"] == "unexpected"


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (typer.Abort(), 130), (Fault("too_large", "Big."), 1)])
def test_ends_have_their_exit_codes(
    error: BaseException, code: int, call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: object) -> list[str]:
        raise error

    monkeypatch.setattr("taxomind_app.cli.keys.known_keys", broken)
    called = call("--data", tmp_path, "taxonomy", "list")
    assert called.code == code
    assert "Traceback" not in called.err


def test_broken_settings_are_named(call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[routing]\naccuracy_goal = 0.9\n")
    called = call("--data", tmp_path, "classify", "x")
    assert called.code == 2
    assert "routing.accuracy_target" in called.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str, start: Callable[..., subprocess.Popen[bytes]]) -> None:
    words = {
        "COMP_WORDS": "taxomind cl",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "taxomind cl",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    process = start(_TAXOMIND_COMPLETE=f"complete_{shell}", **words)
    out, err = process.communicate(timeout=60)
    assert b"classify" in out, err


def test_main_without_arguments_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr()
    assert "Usage: taxomind" in printed.out + printed.err
