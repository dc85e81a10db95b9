"""Figures as SVG that follows the page's colours."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from taxomind_app.web import charts

COVERAGE = [
    {"kind": kind, "threshold": 1 - share, "coverage": share, "accuracy": 1 - drop * share}
    for kind, drop in (("answer", 0.1), ("leaf", 0.4))
    for share in (0.1, 0.5, 1.0)
]
BINS = [
    {"kind": "answer", "low": 0.4, "high": 0.5, "n": 10, "confidence": 0.45, "accuracy": 0.5},
    {"kind": "answer", "low": 0.9, "high": 1.0, "n": 90, "confidence": 0.95, "accuracy": 0.93},
    {"kind": "answer", "low": 0.5, "high": 0.6, "n": 0, "confidence": None, "accuracy": None},
]
CONFUSION = {
    "rows": [{"code": "A", "label": "Animals & <beasts>"}, {"code": "P", "label": "Plants"}],
    "columns": ["A", "P", "none"],
    "texts": [4, 2],
    "shares": [[0.75, 0.0, 0.25], [0.5, 0.5, 0.0]],
}
DAYS = [
    {"period": f"2026-01-0{day}", "texts": 30, "answered": 0.9, "confidence": 0.8 if day != 2 else None, "stability": 0.0}
    for day in (1, 2, 3)
]


def svg(drawn):
    """The drawing as XML; the legend beside it is left out."""
    return ElementTree.fromstring(str(drawn).partition("</svg>")[0] + "</svg>")


def found(drawn, name, kind):
    elements = svg(drawn).iter(f"{{http://www.w3.org/2000/svg}}{name}") if "xmlns" in drawn else svg(drawn).iter(name)
    return [element for element in elements if kind in element.get("class", "").split()]


@pytest.mark.parametrize(
    "drawn", [charts.coverage_accuracy(COVERAGE), charts.reliability(BINS), charts.confusion(CONFUSION), charts.drift(DAYS)]
)
def test_every_figure_is_an_image_with_a_name_and_without_colours_or_scripts(drawn):
    root = svg(drawn)
    assert root.get("role") == "img"
    assert len(root.get("aria-label")) > 20
    assert "style=" not in drawn
    assert "#" not in drawn
    assert "script" not in drawn


def test_coverage_has_a_line_for_each_kind_inside_of_the_paper():
    drawn = charts.coverage_accuracy(COVERAGE)
    lines = found(drawn, "polyline", "line")
    assert len(lines) == 2
    _, _, width, height = map(float, svg(drawn).get("viewBox").split())
    points = [tuple(map(float, point.split(","))) for line in lines for point in line.get("points").split()]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert "90 % when 100 %" in svg(drawn).get("aria-label")


def test_reliability_shows_bins_with_texts_by_their_size():
    few, many = found(charts.reliability(BINS), "circle", "disc")
    assert float(few.get("r")) < float(many.get("r"))
    assert "100 texts" in svg(charts.reliability(BINS)).get("aria-label")


def test_confusion_tells_right_wrong_and_unanswered_apart():
    drawn = charts.confusion(CONFUSION)
    assert [len(found(drawn, "rect", kind)) for kind in ("right", "wrong", "none")] == [2, 2, 2]
    assert "Animals &amp; &lt;beasts&gt;" in drawn
    assert "50 to 75 % stay in theirs" in svg(drawn).get("aria-label")


def test_a_day_without_confidence_is_a_gap_and_not_zero():
    lines = found(charts.drift(DAYS), "polyline", "line")
    assert [len(line.get("points").split()) for line in lines] == [3, 2]


@pytest.mark.parametrize(
    "drawn",
    [charts.coverage_accuracy([]), charts.reliability([]), charts.confusion(None), charts.drift([]), charts.drift(DAYS[:1])],
)
def test_nothing_is_drawn_of_nothing(drawn):
    assert drawn == ""
