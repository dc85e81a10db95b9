"""`taxomind doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

from typing import Final

import typer

from taxomind_app.cli.session import Session

EPILOG = """Example

taxomind doctor --json
"""
_MARKS: Final = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}


def doctor(session: Session) -> None:
    """Check installation, model, storage, sensors and inputs. Exit code 1 when a check fails.

    Each line says what was found and, where something is wrong, what to do.
    """
    from rich.markup import escape

    from taxomind_app.doctor import run_checks

    found = []
    for check in run_checks(session.data):
        found.append(check)
        if session.json:
            continue
        session.out.print(f"{_MARKS[check.status]} [bold]{check.name:<14}[/] {escape(check.detail)}")
        if check.remedy:
            session.out.print(f"  {'':<14} [dim]→ {escape(check.remedy)}[/]")
    worst = next((status for status in ("fail", "warn") if any(check.status == status for check in found)), "ok")
    if session.json:
        rows = [{"name": c.name, "status": c.status, "detail": c.detail, "remedy": c.remedy} for c in found]
        session.print_json({"status": worst, "checks": rows})
    if worst == "fail":
        raise typer.Exit(1)
