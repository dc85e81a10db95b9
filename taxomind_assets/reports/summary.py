"""A report in words: headline figures, the worst branches and examples, as Markdown and as plain text."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taxomind_assets.reports.definitions import MEASURES
from taxomind_assets.reports.intervals import wilson
from taxomind_assets.reports.judged import depths_of, positions_of, shared_depth
from taxomind_assets.reports.metrics import value_of
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taxomind_assets.taxonomy.tree import Taxonomy

HEADLINE: Final = {
    "exact": "right",
    "safe": "right or above",
    "kept_accuracy": "right or above, of the answered",
    "wrong_branch": "wrong branch",
    "abstained": "no answer",
    "leaf_accuracy": "best leaf right",
    "recall_5": "known code among the first 5",
    "hF1": "hierarchical F1",
    "macro_f1": "macro F1",
    "safe_cover_90": "answerable at 90% right or above",
    "leaf_cover_90": "answerable with a leaf at 90% right",
    "safe_ece": "calibration error of the answers",
    "leaf_ece": "calibration error of the best leaf",
}
_NONE = "-"
_WIDEST_CELL = 60
_ERROR_OUTCOMES = ("wrong_branch", "over")

Rows = list[dict[str, str]]


def headline(metrics: pa.Table, *, slice_name: str = "all") -> Rows:
    """The figures people ask for first.

    Args:
        metrics: `reports.metrics` of one report and strategy.
        slice_name: which texts.

    Returns:
        One row per figure: `measure`, `value`, `95% interval`, `n`. Undefined values show as "-".
    """
    rows = [_figure_row(label, name, value_of(metrics, name, slice_name=slice_name)) for name, label in HEADLINE.items()]
    own = metrics.filter(pc.and_(pc.equal(metrics["metric"], "level_accuracy"), pc.equal(metrics["slice"], slice_name)))
    levels = sorted(own.to_pylist(), key=lambda row: row["level"])
    return rows + [_figure_row(f"right at level {row['level']}", "level_accuracy", row) for row in levels]


def _figure_row(label: str, metric: str, row: dict[str, Any] | None) -> dict[str, str]:
    found = row or {"value": None, "interval_low": None, "interval_high": None, "n": 0}
    low, high = (figure(metric, found[name]) for name in ("interval_low", "interval_high"))
    interval = _NONE if _NONE in (low, high) else f"{low} to {high}"
    return {"measure": label, "value": figure(metric, found["value"]), "95% interval": interval, "n": f"{found['n']:,}"}


def figure(metric: str, value: float | None) -> str:
    """A value as people read it: shares as per cent, everything else with three decimals, "-" when undefined."""
    if value is None:
        return _NONE
    return f"{100 * value:.1f}%" if MEASURES[metric].unit == "share" else f"{value:.3f}"


def worst_branches(tree: Taxonomy, errors: pa.Table, *, depth: int = 1, most: int = 10) -> pa.Table:
    """The branches that lose most texts to others.

    Args:
        tree: the taxonomy.
        errors: `reports.errors`.
        depth: depth of the branches in nodes (1 = top nodes); texts whose known path is shorter are left out.
        most: rows.

    Returns:
        One row per branch, most lost texts first: `code`, `label`, `texts`, `right` (share answered inside the branch),
        `lost` (texts answered in another branch), `lost_share` with `lost_low` and `lost_high` (95 %), and where most of
        them went: `taken_for`, `taken_for_label`, `taken_for_texts`.
    """
    at_depth = np.append(tree.paths[:, min(depth, tree.depth) - 1], np.int32(ROOT))
    branch = at_depth[positions_of(tree, errors["target_code"], "target code")]
    answer = positions_of(tree, errors["code"], "answer")[branch != ROOT]
    taken, branch = at_depth[answer], branch[branch != ROOT]
    # An answer above the branch is not lost, it only stopped early.
    lost = (answer != ROOT) & (taken != branch) & (shared_depth(tree, branch, answer) < depths_of(tree, answer))
    rows = []
    for node in np.unique(branch[lost]).tolist():
        here = branch == node
        texts, gone = int(here.sum()), int((lost & here).sum())
        places, counts = np.unique(taken[lost & here & (taken != ROOT)], return_counts=True)
        where = int(places[counts.argmax()]) if len(places) else ROOT
        low, high = wilson(gone, texts)
        rows.append(
            {
                "code": tree.codes[node],
                "label": tree.nodes[node].label,
                "texts": texts,
                "right": float((taken[here] == node).mean()),
                "lost": gone,
                "lost_share": gone / texts,
                "lost_low": float(low),
                "lost_high": float(high),
                "taken_for": None if where == ROOT else tree.codes[where],
                "taken_for_label": None if where == ROOT else tree.nodes[where].label,
                "taken_for_texts": int(counts.max(initial=0)),
            }
        )
    rows.sort(key=lambda row: (-row["lost"], row["code"]))
    return pa.Table.from_pylist(rows[:most], _BRANCHES)


_BRANCHES: Final = pa.schema(
    [
        ("code", pa.string()),
        ("label", pa.string()),
        ("texts", pa.int64()),
        ("right", pa.float64()),
        ("lost", pa.int64()),
        ("lost_share", pa.float64()),
        ("lost_low", pa.float64()),
        ("lost_high", pa.float64()),
        ("taken_for", pa.string()),
        ("taken_for_label", pa.string()),
        ("taken_for_texts", pa.int64()),
    ]
)


def divergences(tree: Taxonomy, errors: pa.Table) -> pa.Table:
    """Where wrong answers leave the right path: how many at each level, and the commonest mix-up there.

    Args:
        tree: the taxonomy.
        errors: `reports.errors`.

    Returns:
        One row per level: `level`, `texts`, `share` (of the wrong-branch texts), `correct_child`, `chosen_child`,
        `mixed_up` (texts with this pair).
    """
    forks = errors.filter(pc.is_valid(errors["divergence_level"]))
    pairs = forks.group_by(["divergence_level", "correct_child", "chosen_child"]).aggregate([([], "count_all")]).to_pylist()
    pairs.sort(key=lambda row: (row["divergence_level"], -row["count_all"], row["correct_child"], row["chosen_child"]))
    rows: dict[int, dict[str, Any]] = {}
    for pair in pairs:
        first = {"texts": 0, "mixed_up": pair["count_all"]}
        first |= {name: _named(tree, pair[name]) for name in ("correct_child", "chosen_child")}
        row = rows.setdefault(pair["divergence_level"], {"level": pair["divergence_level"], **first})
        row["texts"] += pair["count_all"]
    schema = pa.schema(
        [
            ("level", pa.int32()),
            ("texts", pa.int64()),
            ("share", pa.float64()),
            ("correct_child", pa.string()),
            ("chosen_child", pa.string()),
            ("mixed_up", pa.int64()),
        ]
    )
    return pa.Table.from_pylist([row | {"share": row["texts"] / len(forks)} for row in rows.values()], schema)


def _named(tree: Taxonomy, code: str | None) -> str:
    return _NONE if code is None else f"{code} {tree.nodes[tree.position[code]].label}"


def sample_errors(
    errors: pa.Table, *, size: int = 20, order: Literal["confident", "random"] = "confident", seed: int = 0
) -> pa.Table:
    """Texts answered in a wrong branch or too deep.

    Args:
        errors: `reports.errors`.
        size: rows.
        order: `confident`: the surest mistakes first; `random`: drawn with `seed`, in the order of `errors`.
        seed: seed of the draw.

    Returns:
        Rows of `errors`.

    Raises:
        Fault: `invalid_input` when `order` is unknown.
    """
    mistakes = errors.filter(pc.is_in(errors["outcome"], value_set=pa.array(_ERROR_OUTCOMES)))
    if order == "confident":
        return mistakes.sort_by([("confidence", "descending"), ("text_id", "ascending")]).slice(0, size)
    if order == "random":
        drawn = np.random.default_rng(seed).permutation(len(mistakes))[:size]
        return mistakes.take(pa.array(np.sort(drawn)))
    raise Fault("invalid_input", "Unknown order of the sample.", value=order, allowed="confident or random")


def as_markdown(tree: Taxonomy, errors: pa.Table, metrics: pa.Table, *, examples: int = 10) -> str:
    """The report as Markdown: headline figures, levels, languages, worst branches and the surest mistakes.

    Args:
        tree: the taxonomy.
        errors: `reports.errors`.
        metrics: `reports.metrics` of the same report and one strategy.
        examples: mistakes shown.
    """
    if not len(errors):
        return "No text with a known code was judged."
    parts = [("Headline figures", markdown_table(headline(metrics)))]
    for kind in ("language", "dataset", "verbatim"):
        rows = _per_slice(metrics, kind)
        if len(rows) > 1:
            parts.append((f"By {kind}", markdown_table(rows)))
    parts += [
        ("Where answers leave the right path", markdown_table(_shown(divergences(tree, errors)))),
        ("Branches that lose most texts", markdown_table(_branch_rows(tree, errors))),
        ("The surest mistakes", markdown_table(_example_rows(tree, errors, examples))),
    ]
    return "\n\n".join(f"### {title}\n\n{text or 'None.'}" for title, text in parts)


def as_text(tree: Taxonomy, errors: pa.Table, metrics: pa.Table, *, examples: int = 5) -> str:
    """The report as plain text for a terminal; the arguments are those of `as_markdown`."""
    if not len(errors):
        return "No text with a known code was judged."
    parts = [
        (f"{len(errors):,} texts with a known code", text_table(headline(metrics))),
        ("Branches that lose most texts", text_table(_branch_rows(tree, errors)[:5])),
        ("The surest mistakes", text_table(_example_rows(tree, errors, examples))),
    ]
    return "\n\n".join(f"{title}\n{text or 'None.'}" for title, text in parts)


def side_by_side(comparison: pa.Table) -> Rows:
    """A comparison (`metrics.compare`) with one column per strategy, for people.

    The best value has a star; `+` or `-` follows where the difference to the first strategy is clear (its 95 % interval
    does not hold 0). `of ...` names the texts where they are not those of the first strategy (it answered others).
    """
    rows: dict[tuple[str, int | None], dict[str, str]] = {}
    for item in comparison.to_pylist():
        key = (item["metric"], item["level"])
        name = item["metric"] if item["level"] is None else f"{item['metric']} {item['level']}"
        n = f"{item['n']:,}"
        row = rows.setdefault(key, {"measure": name, "n": n})
        among = "" if n == row["n"] else f" of {n}"
        low, high = item["difference_low"], item["difference_high"]
        sign = "" if low is None or low <= 0 <= high else " +" if low > 0 else " -"
        row[item["strategy"]] = figure(item["metric"], item["value"]) + among + (" *" if item["best"] else "") + sign
    return list(rows.values())


def _per_slice(metrics: pa.Table, kind: str) -> Rows:
    names = [name for name in dict.fromkeys(metrics["slice"].to_pylist()) if name.startswith(f"{kind}=")]
    shown = {
        "exact": "right",
        "safe": "right or above",
        "abstained": "no answer",
        "leaf_accuracy": "best leaf right",
        "hF1": "hF1",
    }
    rows = []
    for name in names:
        values = {metric: value_of(metrics, metric, slice_name=name) for metric in shown}
        n = (values["exact"] or {"n": 0})["n"]
        row = {kind: name.partition("=")[2], "n": f"{n:,}"}
        rows.append(
            row | {label: figure(metric, (values[metric] or {"value": None})["value"]) for metric, label in shown.items()}
        )
    return rows


def _branch_rows(tree: Taxonomy, errors: pa.Table) -> Rows:
    return [
        {
            "branch": f"{row['code']} {row['label']}",
            "texts": f"{row['texts']:,}",
            "lost": f"{row['lost']:,} ({row['lost_share']:.0%})",
            "mostly to": "-"
            if row["taken_for"] is None
            else f"{row['taken_for']} {row['taken_for_label']} ({row['taken_for_texts']:,})",
        }
        for row in worst_branches(tree, errors).to_pylist()
    ]


def _example_rows(tree: Taxonomy, errors: pa.Table, size: int) -> Rows:
    return [
        {
            "text": row["text"],
            "known": _named(tree, row["target_code"]),
            "answer": _named(tree, row["code"]),
            "confidence": f"{row['confidence']:.2f}",
        }
        for row in sample_errors(errors, size=size).to_pylist()
    ]


def _shown(table: pa.Table) -> Rows:
    return [
        {name.replace("_", " "): f"{value:.0%}" if isinstance(value, float) else str(value) for name, value in row.items()}
        for row in table.to_pylist()
    ]


def markdown_table(rows: Rows) -> str:
    """Rows with the same keys as a Markdown table; '' for none. Cell contents are escaped."""
    if not rows:
        return ""
    lines = [
        [_escaped(name) for name in rows[0]],
        ["---"] * len(rows[0]),
        *([_escaped(cell) for cell in row.values()] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(cell: str) -> str:
    text = " ".join(cell.split())
    for raw, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`"), ("*", "\\*"), ("_", "\\_"), ("[", "\\[")):
        text = text.replace(raw, safe)
    return text


def text_table(rows: Rows) -> str:
    """Rows with the same keys as aligned columns; '' for none. Long cells are cut, wide characters count twice."""
    if not rows:
        return ""
    lines = [list(rows[0]), *([_cut(" ".join(cell.split())) for cell in row.values()] for row in rows)]
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_aligned(line, widths) for line in lines)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _columns(cell)) for cell, width in zip(cells, widths, strict=True))
    return ("  " + "  ".join(padded)).rstrip()


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDEST_CELL else f"{cell[: _WIDEST_CELL - 3]}..."


def _columns(cell: str) -> int:
    """Terminal columns of a text (Unicode Standard Annex 11); combining marks take none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell)
