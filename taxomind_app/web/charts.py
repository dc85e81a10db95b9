"""The report's figures as SVG that follows the page's colours: classes instead of colours, no script, no style of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from markupsafe import HasHTML

Point = tuple[float, float]
_WIDTH, _HEIGHT = 640, 350
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 26, 30, 46
_CELL: Final = 34
_NAMES: Final = {"answer": "answer right or above", "leaf": "best leaf right", "exact": "answer exactly right"}
_TICKS: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
#: Cells below it stay empty.
_LEAST_SHOWN: Final = 0.005


@dataclass(frozen=True)
class _Plane:
    """Places of numbers on the paper; x from 0 to 1, y from `low` to 1."""

    low: float = 0.0

    def x(self, value: float) -> float:
        return round(_LEFT + value * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (1 - self.low)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)

    def line(self, points: Iterable[Point], kind: str) -> Markup:
        path = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)
        return Markup('<polyline class="line {}" points="{}"/>').format(kind, path)


def coverage_accuracy(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """How accurate answers are when only the surest share of the texts is answered; '' without points.

    Args:
        rows: `models.CurvePoint`.
    """
    curves = {kind: sorted(_points(rows, kind, "coverage", "accuracy")) for kind in ("answer", "leaf")}
    curves = {kind: points for kind, points in curves.items() if points}
    if not curves:
        return Markup()
    low = min(0.8, min(y for points in curves.values() for _, y in points))
    plane = _Plane(int(low * 5) / 5)
    parts = [_axes(plane, "share of texts answered", "right among them")]
    parts += [plane.line(points, f"series{number}") for number, points in enumerate(curves.values(), 1)]
    ends = [f"{_NAMES[kind]} {100 * points[-1][1]:.0f} % when {100 * points[-1][0]:.0f} %" for kind, points in curves.items()]
    summary = "Accuracy against coverage: " + "; ".join(ends) + " of the texts are answered."
    return _figure(parts, summary, [_NAMES[kind] for kind in curves])


def reliability(rows: Sequence[Mapping[str, Any]], kind: str = "answer") -> Markup:
    """Confidence against the share that is right, a disc per bin whose area grows with its texts; '' without texts.

    Args:
        rows: `models.Bin`.
        kind: `answer` or `leaf`.
    """
    bins = [row for row in rows if row["kind"] == kind and row["n"] and row["accuracy"] is not None]
    if not bins:
        return Markup()
    plane, most = _Plane(), max(row["n"] for row in bins)
    parts = [_axes(plane, "confidence", "share right"), plane.line([(0, 0), (1, 1)], "ideal")]
    points = [(row["confidence"], row["accuracy"]) for row in bins]
    parts.append(plane.line(points, "series1"))
    for row, (x, y) in zip(bins, points, strict=True):
        size = round(3 + 9 * (row["n"] / most) ** 0.5, 1)
        title = f"{row['n']:,} texts: confidence {100 * x:.0f} %, right {100 * y:.0f} %"
        disc = Markup('<circle class="disc series1" cx="{}" cy="{}" r="{}"><title>{}</title></circle>')
        parts.append(disc.format(plane.x(x), plane.y(y), size, title))
    total = sum(row["n"] for row in bins)
    gap = sum(abs(x - y) * row["n"] for row, (x, y) in zip(bins, points, strict=True)) / total
    summary = f"Confidence against accuracy on {total:,} texts; the mean gap is {100 * gap:.1f} percentage points."
    return _figure(parts, summary, [_NAMES[kind]])


def drift(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Share answered and mean confidence by day; '' for fewer than two days.

    Args:
        rows: `models.DriftPeriod`, in order.
    """
    if len(rows) < 2:
        return Markup()
    plane, last = _Plane(), len(rows) - 1
    series: dict[str, Callable[[Mapping[str, Any]], float | None]] = {
        "share answered": lambda row: row["answered"],
        "mean confidence": lambda row: row["confidence"],
    }
    days = [row["period"] for row in rows]
    parts = [_axes(plane, "day", "", ((0.0, days[0]), (1.0, days[-1])))]
    for number, value in enumerate(series.values(), 1):
        points = [(place / last, found) for place, row in enumerate(rows) if (found := value(row)) is not None]
        parts.append(plane.line(points, f"series{number}"))
        parts += [_dot(plane, point, number) for point in points] if len(points) <= 60 else []
    unstable = [row["period"] for row in rows if (row["stability"] or 0) > 0.25]
    summary = f"Share answered and mean confidence from {days[0]} to {days[-1]}; {len(unstable)} days differ from the first."
    return _figure(parts, summary, list(series))


def confusion(found: Mapping[str, Any] | None) -> Markup:
    """Where the texts of each branch are answered: a row per branch, the deeper a cell the more texts; '' without texts.

    Args:
        found: `models.Confusion`.
    """
    if not found or not found["rows"]:
        return Markup()
    labels = [f"{row['code']} {row['label']}" for row in found["rows"]]
    left, top = 250, 34
    width, height = left + _CELL * len(found["columns"]) + 8, top + _CELL * len(labels) + 8
    parts = []
    for place, name in enumerate(found["columns"]):
        x = left + _CELL * place + _CELL / 2
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(x, top - 10, _cut(name, 5))
        )
    for row, label in enumerate(labels):
        y = top + _CELL * row
        text = Markup('<text class="tick" x="{}" y="{}" text-anchor="end"><title>{}</title>{}</text>')
        parts.append(text.format(left - 10, y + _CELL / 2 + 4, label, _cut(label, 34)))
        parts += [_cell(found, row, column, left + _CELL * column, y) for column in range(len(found["columns"]))]
    right = [found["shares"][row][row] for row in range(len(labels))]
    summary = f"Answers by branch: {len(labels)} branches, {100 * min(right):.0f} to {100 * max(right):.0f} % stay in theirs."
    return Markup('<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}">{}</svg>').format(
        summary, width, height, Markup().join(parts)
    )


def _cell(found: Mapping[str, Any], row: int, column: int, x: float, y: float) -> Markup:
    share, name, texts = found["shares"][row][column], found["columns"][column], found["texts"][row]
    kind = "right" if row == column else "none" if name == "none" else "wrong"
    strength = round(0.08 + 0.82 * share**0.6, 3) if share >= _LEAST_SHOWN else 0
    title = f"{100 * share:.0f} % of {texts:,} texts of {found['rows'][row]['code']} are answered in {name}"
    number = f"{100 * share:.0f}" if share >= _LEAST_SHOWN else ""
    ink = "strong" if strength > 0.55 else "weak"
    cell = Markup(
        '<g><title>{}</title><rect class="cell {}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>'
        '<text class="share {}" x="{}" y="{}" text-anchor="middle">{}</text></g>'
    )
    middle = _CELL / 2
    return cell.format(title, kind, x + 1, y + 1, _CELL - 2, _CELL - 2, strength, ink, x + middle, y + middle + 4, number)


def _dot(plane: _Plane, point: Point, number: int) -> Markup:
    disc = Markup('<circle class="disc series{}" cx="{}" cy="{}" r="3"/>')
    return disc.format(number, plane.x(point[0]), plane.y(point[1]))


def _points(rows: Iterable[Mapping[str, Any]], kind: str, x: str, y: str) -> list[Point]:
    return [(row[x], row[y]) for row in rows if row["kind"] == kind and row[x] is not None and row[y] is not None]


def _axes(plane: _Plane, below: str, beside: str, ticks: Sequence[tuple[float, str]] | None = None) -> Markup:
    parts = []
    for value in _TICKS:
        shown = plane.low + value * (1 - plane.low)
        y = plane.y(shown)
        parts.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_LEFT, _WIDTH - _RIGHT, y, y))
        text = Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{} %</text>')
        parts.append(text.format(_LEFT - 8, y + 4, f"{100 * shown:.0f}"))
    for place, (value, name) in enumerate(ticks or [(value, f"{100 * value:.0f} %") for value in _TICKS]):
        anchor = "middle" if not ticks else "start" if place == 0 else "end"
        text = Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>')
        parts.append(text.format(plane.x(value), _HEIGHT - _BOTTOM + 18, anchor, name))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(Markup('<text class="title" x="{}" y="{}" text-anchor="middle">{}</text>').format(middle, _HEIGHT - 8, below))
    if beside:
        parts.append(Markup('<text class="title" x="{}" y="{}">{}</text>').format(0, 14, beside))
    return Markup().join(parts)


def _figure(parts: Sequence[HasHTML | Markup], summary: str, names: Sequence[str]) -> Markup:
    drawn = Markup('<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}">{}</svg>').format(
        summary, _WIDTH, _HEIGHT, Markup().join(parts)
    )
    keys = Markup().join(
        Markup('<li><span class="key series{}"></span>{}</li>').format(number, name) for number, name in enumerate(names, 1)
    )
    return drawn + Markup('<ul class="legend">{}</ul>').format(keys)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
