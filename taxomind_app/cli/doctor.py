"""`taxomind doctor`: is everything as it should be, and if not, what to do."""

from __future__ import annotations

from typing import Final

import typer

from taxomind_app.cli.session import Session, styled

EPILOG = """Example

taxomind doctor --json
"""
_LINES: Final = {
    "ok": "[green]✓[/] [bold]{name}[/] {detail}",
    "warn": "[yellow]![/] [bold]{name}[/] {detail}",
    "fail": "[red]✗[/] [bold]{name}[/] {detail}",
}


def doctor(session: Session) -> None:
    """Check installation, model, storage, sensors and inputs. Exit code 1 when a check fails.

    Each line says what was found and, where something is wrong, what to do.
    """
    from taxomind_app.doctor import run_checks

    found = []
    for check in run_checks(session.data):
        found.append(check)
        if session.json:
            continue
        session.say(styled(_LINES[check.status], name=f"{check.name:<12}", detail=check.detail))
        if check.remedy:
            session.say(styled("               [dim]→ {remedy}[/]", remedy=check.remedy))
    worst = next((status for status in ("fail", "warn") if any(check.status == status for check in found)), "ok")
    if session.json:
        rows = [{"name": c.name, "status": c.status, "detail": c.detail, "remedy": c.remedy} for c in found]
        session.print_json({"status": worst, "checks": rows})
    if worst == "fail":
        raise typer.Exit(1)
