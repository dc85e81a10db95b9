"""Figures of what corrections have taught, over time, each as PNG bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.reports import style

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

_STAGES: Final = {"before": "without corrections", "after": "with the corrections of other texts"}
_COLOURS: Final = {"before": style.MUTED, "after": style.BLUE}


def learning_over_time(history: pa.Table) -> bytes:
    """Share of corrected texts whose best leaf is right, without and with evidence.

    Args:
        history: `reports.learning`.
    """
    title = "What corrections have taught"
    rows = {stage: _course(history, stage, "leaf_accuracy") for stage in _STAGES}
    if not rows["after"]:
        return style.message(title, "No corrected text was measured.")
    with style.canvas(title, _subtitle(rows["after"])) as drawn:
        axes = drawn.figure.subplots()
        for stage, name in _STAGES.items():
            _band(axes, rows[stage], _COLOURS[stage], name)
        _finish(axes, "best leaf is right")
        drawn.figure.legend(loc="outside lower left", ncols=2, handlelength=1.6)
    return drawn.png


def promise_over_time(history: pa.Table) -> bytes:
    """Promised accuracy of the answers and the one that corrected texts have shown.

    Args:
        history: `reports.learning`.
    """
    title = "Promised and reached on corrected texts"
    rows = _course(history, "after", "kept_accuracy")
    if not rows:
        return style.message(title, "No corrected text got an answer.")
    with style.canvas(title, f"{_subtitle(rows)}; people correct what is wrong, so less than promised is expected") as drawn:
        axes = drawn.figure.subplots()
        _band(axes, rows, style.BLUE, "reached: right or above, among the answered")
        promised = [(row["place"], row["promised"]) for row in rows if row["promised"] is not None]
        if promised:
            axes.step(*zip(*promised, strict=True), where="mid", color=style.VERMILION, linestyle=(0, (4, 4)), label="promised")
        _finish(axes, "right or above")
        drawn.figure.legend(loc="outside lower left", ncols=2, handlelength=1.6)
    return drawn.png


def _course(history: pa.Table, stage: str, metric: str) -> list[dict[str, Any]]:
    """The rows of one measure by time, those without a value left out."""
    own = [row for row in history.to_pylist() if (row["stage"], row["metric"]) == (stage, metric) and row["value"] is not None]
    ordered = sorted(own, key=lambda row: row["measured_at"])
    return [{**row, "place": place} for place, row in enumerate(ordered, 1)]


def _band(axes: Axes, rows: list[dict[str, Any]], colour: str, name: str) -> None:
    """A line with its 95 % intervals."""
    places = [row["place"] for row in rows]
    values = np.array([row["value"] for row in rows])
    low, high = (
        np.array([row["value"] if row[end] is None else row[end] for row in rows]) for end in ("interval_low", "interval_high")
    )
    axes.plot(places, values, color=colour, label=name, marker="o", markersize=5)
    axes.errorbar(places, values, [values - low, high - values], fmt="none", ecolor=colour, alpha=0.45, capsize=3)


def _finish(axes: Axes, label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_ylim(0, 1.02)
    axes.set_xlabel("evidence versions, in the order of their measurement")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y")
    style.per_cent_axis(axes, "y")


def _subtitle(rows: list[dict[str, Any]]) -> str:
    last = rows[-1]
    return f"n = {last['n']:,} texts at last ({last['measured_at']:%Y-%m-%d}), bars are 95 % intervals"
