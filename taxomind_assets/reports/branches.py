"""The heat map of a report: which branches the answers are mixed up with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from taxomind_assets.reports import style
from taxomind_assets.reports.judged import positions_of
from taxomind_assets.taxonomy.tree import ROOT

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy

_MOST_BRANCHES = 16


def wrong_branches(tree: Taxonomy, errors: pa.Table) -> bytes:
    """Where answers land, by top node: rows are the known top nodes, columns those of the answers.

    Args:
        tree: the taxonomy.
        errors: `reports.errors`.
    """
    title = "Where the answers land"
    if not len(errors):
        return style.message(title, "No text was judged.")
    shares, sizes, rows, columns = branch_shares(tree, errors, _MOST_BRANCHES)
    height = int(np.clip(330 + 46 * len(rows), 480, 1100))
    subtitle = f"n = {len(errors):,} texts; % of each known top node (row) by the answer's; orange = wrong branch"
    with style.canvas(title, subtitle, height_pixels=height) as drawn:
        axes = drawn.figure.subplots()
        _heat(axes, shares, rows, columns)
        names = [_branch_label(tree, code, int(size)) for code, size in zip(rows, sizes, strict=True)]
        axes.set_yticks(range(len(rows)), names)
        heads = [style.cut(code, 14) for code in columns]
        slanted = max(map(len, heads)) > max(4, 48 // len(heads))
        axes.set_xticks(
            range(len(columns)),
            heads,
            rotation=40 if slanted else 0,
            rotation_mode="anchor",
            ha="left" if slanted else "center",
        )
        axes.xaxis.tick_top()
    return drawn.png


def branch_shares(
    tree: Taxonomy, errors: pa.Table, most: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str], list[str]]:
    """Texts by known and answered top node.

    Args:
        tree: the taxonomy.
        errors: `reports.errors`.
        most: known top nodes kept, those with most texts; answers elsewhere share one column.

    Returns:
        (shares float64[rows, columns] of each row, texts int64[rows], codes of the rows, names of the columns). The last
        columns are `other` (when needed) and `none` (no answer).
    """
    tops = np.append(tree.paths[:, 0], np.int32(ROOT))
    target = tops[positions_of(tree, errors["target_code"], "target code")]
    answer = tops[positions_of(tree, errors["code"], "answer")]
    nodes, counts = np.unique(target, return_counts=True)
    kept = np.sort(nodes[np.argsort(-counts, kind="stable")[:most]])
    place = np.full(len(tree) + 1, len(kept))  # elsewhere
    place[kept] = np.arange(len(kept))
    place[ROOT] = len(kept) + 1
    chosen = np.isin(target, kept)
    table = np.zeros((len(kept), len(kept) + 2))
    np.add.at(table, (place[target[chosen]], place[answer[chosen]]), 1)
    sizes = table.sum(axis=1).astype(np.int64)
    rows = [tree.codes[node] for node in kept.tolist()]
    columns = [*rows, "other", "none"]
    if not table[:, len(kept)].any():
        table, columns = np.delete(table, len(kept), axis=1), [*rows, "none"]
    return table / np.maximum(sizes, 1)[:, None], sizes, rows, columns


def _heat(axes: Axes, shares: NDArray[np.float64], rows: list[str], columns: list[str]) -> None:
    """Colour the cells: right branch blue, wrong branch red, no answer grey; the deeper, the more texts."""
    from matplotlib.colors import to_rgb

    paper = np.array(to_rgb(style.PAPER))
    # Neither "other", which gathers many branches, nor "none" sets the scale.
    elsewhere = np.where(np.eye(*shares.shape) > 0, 0, shares)[:, : len(rows)]
    wrong_scale = max(float(elsewhere.max(initial=0.0)), 0.05)
    image = np.ones((*shares.shape, 3))
    for row, column in np.ndindex(*shares.shape):
        if column == row:
            colour, strength = to_rgb(style.BLUE), 0.15 + 0.6 * shares[row, column]
        elif columns[column] == "none":
            colour, strength = to_rgb(style.MUTED), 0.75 * shares[row, column]
        else:
            colour, strength = to_rgb(style.VERMILION), (shares[row, column] / wrong_scale) ** 0.7
        image[row, column] = paper + (np.array(colour) - paper) * min(strength, 1.0)
    axes.imshow(image, aspect="auto", interpolation="nearest")
    size = 11 if len(rows) <= 11 else 9
    for row, column in np.ndindex(*shares.shape):
        if shares[row, column] >= 0.005:
            dark = image[row, column].mean() < 0.55
            ink = style.PAPER if dark else style.INK
            axes.text(column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", color=ink, fontsize=size)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=style.PAPER, linewidth=2)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _branch_label(tree: Taxonomy, code: str, size: int) -> str:
    label = tree.nodes[tree.position[code]].label
    short = style.cut(label if label == code else f"{code} {label}", 32)
    return f"{short}  ({style.short_count(size)})"
