"""The figure of a study: what each trial was worth, and the best so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taxomind_assets.reports import style

if TYPE_CHECKING:
    from taxomind_assets.models.tuning.study import Tuned

_TITLE: Final = "What the trials have found"


def optimisation_history(found: Tuned) -> bytes:
    """A PNG of the trials of a study."""
    done = [(row.trial, row.value) for row in found.rows if row.state == "complete" and row.value is not None]
    if not done:
        return style.message(_TITLE, "No trial has ended well.")
    early = [(row.trial, row.value) for row in found.rows if row.state == "pruned" and row.value is not None]
    subtitle = f"{len(done):,} trials, {len(early):,} more ended early; {found.metric} on validation texts"
    with style.canvas(_TITLE, subtitle) as drawn:
        axes = drawn.figure.subplots()
        best, steps = 0.0, []
        for _, value in done:
            best = max(best, value)
            steps.append(best)
        axes.plot([trial for trial, _ in done], [value for _, value in done], "o", color=style.BLUE, label="trial")
        if early:
            axes.plot([t for t, _ in early], [v for _, v in early], "x", color=style.ORANGE, label="ended early")
        axes.step([trial for trial, _ in done], steps, where="post", color=style.BLUE, label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel(found.metric)
        axes.legend(loc="lower right", frameon=False)
    return drawn.png
