"""Answers as people read them in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement
    from rich.table import Table

    from taxomind_assets.taxonomy.tree import Taxonomy

#: What the stop reasons mean.
REASONS: Final[Mapping[str, str]] = {
    "leaf_node_reached": "the most detailed level is reached",
    "below_threshold": "the next level would not be sure enough",
    "gate_closed": "texts with known codes have taught to stop here",
    "insufficient_information": "no node is sure enough",
    "exact_evidence": "people have corrected this very text",
    "belongs_nowhere": "the text belongs nowhere in this taxonomy",
    "max_depth_reached": "deeper levels are switched off",
    "empty_text": "there is no text",
    "forced_to_leaf": "forced to the most detailed level",
}
_BAR_COLUMNS: Final = 10
_TEXT_COLUMNS: Final = 30
_REASON_COLUMNS: Final = 17
_LABEL_COLUMNS: Final = 20
#: Confidences below it would be shown as 0 %.
_LEAST_SHOWN: Final = 0.005


def answer_view(tree: Taxonomy, row: Mapping[str, Any]) -> RenderableType:
    """One answer: its path level by level with confidences, why it stops, and what else was near.

    Args:
        tree: the taxonomy.
        row: a row of `Classifier.classify`.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    head = Text(row["text"], style="bold")
    lines: list[RenderableType] = [head]
    if row["code"] is None:
        lines.append(Padding(Text("no answer", style="yellow"), (0, 2)))
    else:
        lines.append(Padding(_path_table(tree, row), (0, 2)))
    lines.append(Padding(Text(reason_text(row["stop_reason"]), style="dim"), (0, 2)))
    others = [other for other in row["alternatives"] if other["confidence"] >= _LEAST_SHOWN]
    if others:
        near = ", ".join(f"{a['code']} {a['label']} ({a['confidence']:.0%})" for a in others)
        lines.append(Padding(Text(f"also near: {near}", style="dim"), (0, 2)))
    return Group(*lines)


def with_origins(tree: Taxonomy, explanation: dict[str, Any]) -> dict[str, Any]:
    """An explanation whose nearest texts say where they come from: `source` (the file) or `enrichment` (a language model).

    Args:
        tree: the taxonomy of the index.
        explanation: what `Classifier.explain` gives.
    """
    from taxomind_assets.views.texts import origin_of

    for step in explanation["levels"]:
        nearest = step["nearest_text"]
        nearest["origin"] = origin_of(tree.nodes[tree.position[step["chosen"]["code"]]], nearest["text"])
    return explanation


def explanation_view(explanation: Mapping[str, Any]) -> RenderableType:
    """Why an answer came about, one row per level: the chosen node, its runner-up, what decided, the nearest text.

    Args:
        explanation: what `with_origins` gives.
    """
    table = plain_table("level", "chosen", "runner-up", "decided by", "nearest text")
    for step in explanation["levels"]:
        rival = step["runner_up"]
        views = step["views"]
        deciding = step["deciding_view"]
        table.add_row(
            str(step["level"]),
            _node_cell(step["chosen"]),
            _node_cell(rival) if rival else "-",
            f"{deciding} ({views[deciding]:+.2f} of {step['logit_difference']:+.2f})" if deciding else "-",
            _nearest_cell(step),
        )
    return table


def _nearest_cell(step: Mapping[str, Any]) -> str:
    """The nearest text of the node, and the nearest correction at or below it."""
    text, correction = step["nearest_text"], step["nearest_correction"]
    added = ", added by a language model" if text["origin"] == "enrichment" else ""
    own = f"{text['text']} ({text['view']}{added})"
    return f"{own}; {correction['text']} (correction of {correction['code']})" if correction else own


def answers_table(tree: Taxonomy, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Many answers, one row each: the answer and, below it, its path as labels.

    Args:
        tree: the taxonomy.
        rows: rows of `classification.results` or of `Classifier.classify`.
    """
    from rich.table import Column
    from rich.text import Text

    table = plain_table(
        Column("text", max_width=_TEXT_COLUMNS),
        Column("answer, and its path", ratio=1),
        Column("depth", justify="right", no_wrap=True),
        Column("sure", justify="right", no_wrap=True),
        Column("stop reason", style="dim", max_width=_REASON_COLUMNS),
    )
    for row in rows:
        depth = len(row["path"])
        table.add_row(
            Text(row["text"]),
            _answer_cell(tree, row),
            f"{depth}/{tree.depth}" if depth else "-",
            Text(f"{row['confidence']:.0%}", style=sureness(row["confidence"])) if depth else "-",
            row["stop_reason"].replace("_", " "),
        )
    return table


def plain_table(*columns: Any) -> Table:
    """A table with a rule under its head and nothing else."""
    from rich import box
    from rich.table import Table

    return Table(*columns, box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)


def dict_table(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows with the same keys as a table; all but the first column are aligned to the right."""
    from rich.text import Text

    table = plain_table()
    for place, name in enumerate(rows[0] if rows else ()):
        table.add_column(name, justify="right" if place else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row.values()))
    return table


def reason_text(reason: str) -> str:
    """A stop reason in words."""
    return f"stops there: {REASONS.get(reason, reason.replace('_', ' '))}"


def sureness(confidence: float) -> str:
    """Colour of a confidence."""
    return "green" if confidence >= 0.8 else "yellow" if confidence >= 0.5 else "red"


def _path_table(tree: Taxonomy, row: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for place, (code, confidence) in enumerate(zip(row["path"], row["level_confidences"], strict=True)):
        answer = place == len(row["path"]) - 1
        label = _label(tree, code)
        bar = "█" * round(confidence * _BAR_COLUMNS)
        table.add_row(
            Text(code, style="cyan"),
            Text(label, style="bold" if answer else ""),
            Text(f"{confidence:.0%}", style=sureness(confidence)),
            Text(bar, style=sureness(confidence)),
        )
    return table


def _answer_cell(tree: Taxonomy, row: Mapping[str, Any]) -> RenderableType:
    """The answer and, in a line of its own that is cut where the column ends, its path; without one, the nearest leaf."""
    from rich.console import Group
    from rich.text import Text

    if row["code"] is None:
        first = Text("no answer", style="yellow")
        nearest = [f"nearest: {code} {_label(tree, code)} ({row['leaf_confidence']:.0%})" for code in row["top_codes"][:1]]
        second = "".join(nearest)
    else:
        first = Text.assemble((row["code"], "cyan"), (f" {row['label']}", "bold"))
        second = " › ".join(_shortened(_label(tree, code)) for code in row["path"][:-1])
    return Group(first, _OneLine(second)) if second else first


class _OneLine:
    """Dim text that is cut where its column ends, with one ellipsis."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.cells import set_cell_size
        from rich.text import Text

        shown = Text(self._text, style="dim", no_wrap=True)
        if shown.cell_len > options.max_width:
            cut = set_cell_size(self._text, max(options.max_width - 1, 0)).rstrip(" ,›…")
            shown = Text(f"{cut}…", style="dim", no_wrap=True)
        yield shown

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement
        from rich.text import Text

        return Measurement(min(1, options.max_width), min(Text(self._text).cell_len, options.max_width))


def _label(tree: Taxonomy, code: str) -> str:
    """Label of a node; of one that a later version of the taxonomy has lost, its code."""
    return tree.nodes[tree.position[code]].label if code in tree.position else code


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_COLUMNS else f"{label[: _LABEL_COLUMNS - 1].rstrip(' ,')}…"


def _node_cell(node: Mapping[str, Any]) -> str:
    return f"{node['code']} {node['label']} ({node['confidence']:.0%})"
