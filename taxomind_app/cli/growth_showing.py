"""How candidates, decisions and figures of growth are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taxomind_app.cli.session import styled

if TYPE_CHECKING:
    from taxomind_app.cli.growth_place import GrowthPlace
    from taxomind_app.cli.session import Session


def show_candidate(session: Session, row: Mapping[str, Any], number: str = "") -> None:
    """A candidate with all that a person needs to decide."""
    from taxomind_assets.growth.placing import PARENT_RULES
    from taxomind_assets.growth.trial import Trial

    session.say(styled("\n{number}[bold]{label}[/]  [dim]{where}[/]", number=number, label=row["label"], where=_where(row)))
    rule = PARENT_RULES[row["parent_rule"]]
    days = f"{row['day_span']} day{'' if row['day_span'] == 1 else 's'}"
    spread = f"{counted(row['count'], 'text')} over {days} ({row['share']:.1%} of the {row['window']} window)"
    session.say(
        styled(
            "  [dim]{spread}; {rule}; code {code}; by {by}[/]",
            spread=spread,
            rule=rule,
            code=row["code"],
            by=", ".join(row["sources"]),
        )
    )
    for title in row["titles"]:
        session.say(styled("  - {title}", title=title))
    near = ", ".join(f"{item['label']} {item['similarity']:.2f}" for item in row["nearest"])
    if near:
        session.say(styled("  [dim]nearest: {near}[/]", near=near))
    if row["similar"]:
        session.say(styled("  [dim]means nearly the same as: {names}[/]", names=", ".join(row["similar"])))
    if row["trial"]:
        session.say(styled("  [dim]trial: {found}[/]", found=Trial.from_json(row["trial"]).sentence()))


def _where(row: Mapping[str, Any]) -> str:
    if row["parent_rule"] == "missing":
        return f"proposes NEW parent {row['parent_label']}"
    return "at the top" if row["parent_code"] is None else f"under existing {row['parent_label']} ({row['parent_code']})"


def say_figures(session: Session, figures: Mapping[str, Any]) -> None:
    """How growth has gone so far."""
    session.say(
        f"\n{counted(figures['observations'], 'observation')}, {figures['divergent']:,} ask for another label, "
        f"{figures['misfits']:,} do not fit; {figures['accepted']} accepted, {figures['rejected']} rejected, "
        f"{figures['skipped']} skipped; {counted(figures['unused'], 'node')} unused."
    )
    for label in figures["wanted"]:
        session.say(styled("  wanted: {label} [dim]{count} texts[/]", label=label["label"], count=label["texts"]))
    for node in figures["grown"]:
        rate = "" if node["corrected"] is None else f", {node['corrected']:.0%} corrected"
        session.say(
            styled("  grown: {label} [dim]{n} answers{rate}[/]", label=node["label"], n=f"{node['answers']:,}", rate=rate)
        )


def say_outcomes(session: Session, place: GrowthPlace, outcomes: Sequence[Any]) -> None:
    """What was decided."""
    if session.json:
        made = [
            {
                "id": own.decision.decision_id,
                "action": own.decision.action,
                "label": own.decision.label,
                "code": own.decision.code,
                "before": own.decision.before_version,
                "after": own.decision.after_version,
                "message": own.message,
            }
            for own in outcomes
        ]
        session.print_json({"taxonomy": place.key, "decisions": made})
        return
    for own in outcomes:
        session.say(
            styled(
                "  {action}: {message}  [dim]{id}[/]",
                action=own.decision.action,
                message=own.message,
                id=own.decision.decision_id,
            )
        )
    if not outcomes:
        session.say("Nothing was decided.")


def print_history(session: Session, rows: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Decisions as a table."""
    from rich.text import Text

    from taxomind_app.cli.showing import plain_table

    if not rows:
        session.say("Nothing was decided yet.")
        return
    table = plain_table("id", "when", "who", "action", "label", "state", "code", "versions")
    for row in rows[:limit]:
        versions = row["after_version"][:8]
        if row["before_version"] != row["after_version"]:
            versions = f"{row['before_version'][:8]} > {versions}"
        when = row["decided_at"].strftime("%Y-%m-%d %H:%M")
        cells = [
            row["decision_id"],
            when,
            row["decided_by"],
            row["action"],
            row["label"],
            row["state"],
            row["code"] or "-",
            versions,
        ]
        table.add_row(*map(Text, cells))
    session.out.print(table)


def counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
