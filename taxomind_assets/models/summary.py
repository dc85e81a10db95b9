"""Figures of versions as tables that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taxomind_assets.models.evaluation import MEASURES
from taxomind_assets.models.stored import EVALUATIONS, part_of
from taxomind_assets.reports.summary import markdown_table

if TYPE_CHECKING:
    from taxomind_resources.outputs import Outputs

_NO_SHARES: Final = frozenset({"log_loss", "brier", "hierarchical_distance", "aurc", "ece"})
_WORST: Final = 20


def figure(metric: str, value: float | None) -> str:
    """A figure as people read it."""
    if value is None:
        return "-"
    return f"{value:.3f}" if metric in _NO_SHARES else f"{value:.1%}"


def figure_rows(outputs: Outputs, key: str, version: int) -> list[dict[str, str]]:
    """One row per measure, one column per split."""
    found: dict[str, dict[str, str]] = {}
    for split in ("validation", "test"):
        for row in outputs.read(EVALUATIONS, key, parts=[part_of(version, split)]).to_pylist():
            own = found.setdefault(row["metric"], {"measure": row["metric"], "validation": "-", "test": "-", "95 %, test": "-"})
            own[split] = figure(row["metric"], row["value"])
            if split == "test" and row["interval_low"] is not None:
                ends = (figure(row["metric"], row["interval_low"]), figure(row["metric"], row["interval_high"]))
                own["95 %, test"] = " to ".join(ends)
    return [found[name] for name in MEASURES if name in found]


def figures_table(outputs: Outputs, key: str, version: int) -> str:
    """`figure_rows` as Markdown."""
    return markdown_table(figure_rows(outputs, key, version))


def class_rows(outputs: Outputs, key: str, version: int, split: str, limit: int = _WORST) -> list[dict[str, str]]:
    """The codes that are answered worst, those with most texts first among equals."""
    rows = outputs.read("models.class_scores", key, parts=[part_of(version, split)]).to_pylist()
    rows.sort(key=lambda row: (row["f1"], -row["support"]))
    return [
        {
            "code": f"{row['code']} {row['label']}",
            "precision": f"{row['precision']:.1%}",
            "recall": f"{row['recall']:.1%}",
            "F1": f"{row['f1']:.1%}",
            "texts": f"{row['support']:,}",
        }
        for row in rows[:limit]
    ]


def class_table(outputs: Outputs, key: str, version: int) -> str:
    """The worst codes as Markdown, of the test rows where there are any."""
    found = class_rows(outputs, key, version, "test") or class_rows(outputs, key, version, "validation")
    return markdown_table(found)
