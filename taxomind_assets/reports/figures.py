"""The figures of a report, each as PNG bytes made from the report's own tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from taxomind_assets.reports import style
from taxomind_assets.reports.branches import wrong_branches
from taxomind_assets.reports.curves import ACCURACY_TARGETS
from taxomind_assets.reports.definitions import OUTCOMES
from taxomind_assets.reports.estimates import PREFIXES
from taxomind_assets.reports.intervals import wilson
from taxomind_assets.reports.metrics import UNKNOWN_LANGUAGE, value_of
from taxomind_assets.reports.style import as_markdown_image

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["accuracy_by_level", "as_markdown_image", "coverage_accuracy", "outcome_shares", "reliability", "wrong_branches"]

_MOST_LANGUAGES = len(style.SERIES)
_FEW_TEXTS = 50  # below, a point of the coverage curve is noise
_FEW_IN_SLICE = 5  # below, the shares of a slice say nothing
_KIND_NAMES = {"answer": "answer is right or above", "leaf": "best leaf is right", "exact": "answer is exactly right"}
_OUTCOME_NAMES = {
    "right": "right",
    "under": "too shallow",
    "over": "too deep",
    "wrong_branch": "wrong branch",
    "abstained": "no answer",
}


def coverage_accuracy(coverage: pa.Table, metrics: pa.Table) -> bytes:
    """How accurate the answers are when only the most confident share of the texts is answered.

    Args:
        coverage: `reports.coverage`.
        metrics: `reports.metrics` of the same report and one strategy.
    """
    title = "What accuracy costs in coverage"
    n = _texts(metrics)
    curves = [(kind, _of_kind(coverage, kind)) for kind in ("answer", "leaf")]
    curves = [(kind, part) for kind, part in curves if len(part)]
    if not curves:
        return style.message(title, "No text has an answer.")
    if n < _FEW_TEXTS:
        return style.message(title, f"n = {n}: the curve needs at least {_FEW_TEXTS} texts with known codes.")
    subtitle = f"n = {n:,} texts, the most confident ones answered first; points mark {_targets_text()} accuracy"
    with style.canvas(title, subtitle) as drawn:
        axes = drawn.figure.subplots()
        lowest = 1.0
        for colour, (kind, part) in zip((style.BLUE, style.ORANGE), curves, strict=False):
            lowest = min(lowest, _coverage_line(axes, kind, part, metrics, colour))
        for target in ACCURACY_TARGETS:
            axes.axhline(target / 100, color=style.MUTED, linewidth=1, linestyle=(0, (4, 4)), zorder=1)
        axes.set_xlim(0, 1)
        axes.set_ylim(max(0.0, np.floor(lowest * 10 - 0.3) / 10), 1.005)
        axes.set_xlabel("texts answered")
        axes.set_ylabel("right among them")
        axes.grid(axis="y")
        style.per_cent_axis(axes, "x")
        style.per_cent_axis(axes, "y")
        drawn.figure.legend(loc="outside lower left", ncols=1, handlelength=1.6)
    return drawn.png


def _coverage_line(axes: Axes, kind: str, part: pa.Table, metrics: pa.Table, colour: str) -> float:
    """Draw one curve with its points at the accuracy targets; returns its lowest accuracy."""
    share, accuracy = np.asarray(part["coverage"]), np.asarray(part["accuracy"])
    steady = share >= min(_FEW_TEXTS / max(_texts(metrics), 1), share[-1])
    reached = {}
    for target in ACCURACY_TARGETS:
        row = value_of(metrics, f"{PREFIXES[kind]}cover_{target}")
        reached[target] = float(row["value"] or 0) if row else 0.0
    shares = ", ".join(f"{value:.0%} of texts at {target}%" for target, value in reached.items())
    axes.plot(share[steady], accuracy[steady], color=colour, label=f"{_KIND_NAMES[kind]}: {shares}", zorder=3)
    points = [value for value in reached.values() if value >= share[steady][0]]
    style_of_points = {"markersize": 9, "markeredgecolor": style.PAPER, "markeredgewidth": 1.5}
    axes.plot(points, np.interp(points, share, accuracy), "o", color=colour, zorder=4, **style_of_points)  # type: ignore[arg-type]
    return float(accuracy[steady].min())


def reliability(calibration: pa.Table, kind: str = "answer") -> bytes:
    """Confidence against the share that is right, with the number of texts per bin below.

    Args:
        calibration: `reports.calibration`.
        kind: `answer` or `leaf`.
    """
    title = f"Is the confidence true? ({'answers' if kind == 'answer' else 'best leaf'})"
    part = _of_kind(calibration, kind)
    n = np.asarray(part["n"], np.int64)
    if not n.sum():
        return style.message(title, "No text has an answer.")
    kept = n > 0
    confidence, accuracy = (np.asarray(part[name].to_numpy(), np.float64)[kept] for name in ("confidence", "accuracy"))
    error = float((np.abs(confidence - accuracy) * n[kept]).sum() / n.sum())
    subtitle = f"n = {n.sum():,} texts; right = {_KIND_NAMES[kind]}; mean gap (ECE) {error:.3f}; bars: 95% intervals"
    with style.canvas(title, subtitle) as drawn:
        upper, lower = drawn.figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        low, high = wilson(accuracy * n[kept], n[kept])
        upper.plot([0, 1], [0, 1], color=style.MUTED, linewidth=1.2, linestyle=(0, (4, 4)), label="perfectly calibrated")
        spread = np.vstack([np.maximum(accuracy - low, 0), np.maximum(high - accuracy, 0)])
        upper.errorbar(
            confidence,
            accuracy,
            yerr=spread,
            fmt="o-",
            color=style.BLUE,
            ecolor="#8CC4E8",
            elinewidth=3,
            markersize=7,
            label="share right in the bin",
        )
        upper.set_ylim(-0.02, 1.02)
        upper.set_ylabel("share right")
        upper.grid(axis="y")
        upper.legend(loc="upper left")
        style.per_cent_axis(upper, "y")
        _count_bars(lower, np.asarray(part["low"]), np.asarray(part["high"]), n)
    return drawn.png


def _count_bars(axes: Axes, low: NDArray[np.float64], high: NDArray[np.float64], n: NDArray[np.int64]) -> None:
    axes.bar((low + high) / 2, n, width=(high - low) * 0.86, color=style.FAINT, edgecolor="#AAB4BE", linewidth=0.8)
    for x, count in zip((low + high) / 2, n, strict=True):
        if count:
            axes.annotate(
                style.short_count(int(count)),
                (x, count),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=9,
            )
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(0, n.max() * 1.3)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("texts")
    axes.set_xlabel("confidence")
    style.per_cent_axis(axes, "x")


def accuracy_by_level(metrics: pa.Table) -> bytes:
    """Share right at each level, one bar per language, with 95% intervals.

    Args:
        metrics: `reports.metrics` of one report and strategy.
    """
    title = "Right at each level"
    rows = metrics.filter(pc.equal(metrics["metric"], "level_accuracy")).to_pylist()
    rows = [row for row in rows if row["value"] is not None]
    series = _series_of(rows)
    if not series:
        return style.message(title, "No text was judged.")
    levels = sorted({row["level"] for part in series.values() for row in part})
    languages = sum(name.startswith("language=") for name in {row["slice"] for row in rows})
    if languages > _MOST_LANGUAGES:
        title += f" ({len(series)} largest of {languages} languages)"
    subtitle = f"n = {_texts(metrics):,} texts; of those whose known code reaches the level; bars: 95% intervals"
    with style.canvas(title, subtitle) as drawn:
        axes = drawn.figure.subplots()
        width = min(0.8 / len(series), 0.42)
        for place, (name, part) in enumerate(series.items()):
            shift = (place - (len(series) - 1) / 2) * width
            _level_bars(axes, name, part, levels=levels, shift=shift, width=width, colour=style.SERIES[place])
        axes.set_xticks(range(len(levels)), [f"level {level}" for level in levels])
        axes.set_ylim(0, 1.08)
        axes.set_yticks(np.linspace(0, 1, 6))
        axes.grid(axis="y")
        style.per_cent_axis(axes, "y")
        if len(series) > 1:
            drawn.figure.legend(loc="outside lower center", ncols=min(len(series), 4), handlelength=1, handleheight=1)
    return drawn.png


def _series_of(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows per language, largest first; all texts together when there is but one language."""
    by_slice: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_slice.setdefault(row["slice"], []).append(row)
    languages = {name: part for name, part in by_slice.items() if name.startswith("language=")}
    if len(languages) < 2:
        return {"all texts": by_slice["all"]} if "all" in by_slice else {}
    sizes = {name: max(row["n"] for row in part) for name, part in languages.items()}
    largest = sorted(languages, key=lambda name: (-sizes[name], name))[:_MOST_LANGUAGES]
    return {f"{_language_name(name)} (n = {sizes[name]:,})": languages[name] for name in largest}


def _language_name(slice_name: str) -> str:
    language = slice_name.removeprefix("language=")
    return "language not stated" if language == UNKNOWN_LANGUAGE else language


def _level_bars(
    axes: Axes, name: str, part: list[dict[str, Any]], *, levels: list[int], shift: float, width: float, colour: str
) -> None:
    x = np.array([levels.index(row["level"]) for row in part]) + shift
    value, low, high = (np.array([row[key] for row in part]) for key in ("value", "interval_low", "interval_high"))
    axes.bar(x, value, width * 0.9, color=colour, label=name)
    spread = np.vstack([np.maximum(value - low, 0), np.maximum(high - value, 0)])
    axes.errorbar(x, value, yerr=spread, fmt="none", ecolor=style.INK, elinewidth=1.3, capsize=3)
    size = 11 if width > 0.2 else 9.5 if width > 0.14 else 8
    for place, share, top in zip(x, value, high, strict=True):
        label = f"{share:.0%}" if width > 0.14 else f"{100 * share:.0f}"
        axes.annotate(label, (place, top), xytext=(0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=size)


def outcome_shares(metrics: pa.Table) -> bytes:
    """What became of the texts: right, too shallow, too deep, wrong branch or no answer; overall and per slice.

    Args:
        metrics: `reports.metrics` of one report and strategy.
    """
    title = "What became of the texts"
    sizes = {name: (_exact(metrics, name) or {"n": 0})["n"] for name in _shown_slices(metrics)}
    names = [name for name, size in sizes.items() if size >= (1 if name == "all" else _FEW_IN_SLICE)]
    if not names:
        return style.message(title, "No text was judged.")
    height = max(420, 260 + 58 * len(names))
    shares = np.array([[_outcome_share(metrics, name, outcome) for outcome in OUTCOMES] for name in names])
    with style.canvas(title, f"n = {_texts(metrics):,} texts; shares of the texts in each row", height_pixels=height) as drawn:
        axes = drawn.figure.subplots()
        left = np.zeros(len(names))
        for column, outcome in enumerate(OUTCOMES):
            colour = style.OUTCOME_COLOURS[outcome]
            axes.barh(range(len(names)), shares[:, column], left=left, height=0.72, color=colour, label=_OUTCOME_NAMES[outcome])
            ink = style.PAPER if outcome in ("right", "wrong_branch") else style.INK
            for row, share in enumerate(shares[:, column]):
                if share >= 0.035:
                    axes.text(
                        left[row] + share / 2, row, f"{100 * share:.0f}", ha="center", va="center", color=ink, fontsize=10.5
                    )
            left += shares[:, column]
        axes.set_yticks(range(len(names)), [_slice_label(metrics, name) for name in names])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.spines["left"].set_visible(False)
        style.per_cent_axis(axes, "x")
        drawn.figure.legend(loc="outside lower center", ncols=5, handlelength=1, handleheight=1, columnspacing=1.4)
    return drawn.png


def _shown_slices(metrics: pa.Table) -> list[str]:
    """All, then every kind of slice that has more than one value."""
    names = list(dict.fromkeys(metrics["slice"].to_pylist()))
    shown = [name for name in names if name == "all"]
    for kind in ("language", "level", "verbatim", "dataset"):
        part = [name for name in names if name.startswith(f"{kind}=")]
        part.sort(key=lambda name: 0 if kind == "level" else -(_exact(metrics, name) or {"n": 0})["n"])
        if len(part) > 1:
            shown += part[:_MOST_LANGUAGES]
    return shown


def _exact(metrics: pa.Table, slice_name: str) -> dict[str, Any] | None:
    return value_of(metrics, "exact", slice_name=slice_name)


def _outcome_share(metrics: pa.Table, slice_name: str, outcome: str) -> float:
    row = value_of(metrics, "exact" if outcome == "right" else outcome, slice_name=slice_name)
    return float(row["value"] or 0) if row else 0.0


def _slice_label(metrics: pa.Table, name: str) -> str:
    n = (_exact(metrics, name) or {"n": 0})["n"]
    kind, _, value = name.partition("=")
    texts = {
        "all": "all texts",
        "language": _language_name(name),
        "level": f"known at level {value}",
        "verbatim": "listed in the taxonomy" if value == "true" else "not listed in it",
        "dataset": style.cut(value, 24),
    }
    return f"{texts[kind]}  ({style.short_count(n)})"


def _of_kind(table: pa.Table, kind: str) -> pa.Table:
    return table.filter(pc.equal(table["kind"], kind))


def _texts(metrics: pa.Table) -> int:
    row = value_of(metrics, "exact")
    return int(row["n"]) if row else 0


def _targets_text() -> str:
    return " and ".join(f"{target}%" for target in ACCURACY_TARGETS)
