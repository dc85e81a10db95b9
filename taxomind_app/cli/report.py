"""`taxomind report`: how good the answers are, on texts whose codes are known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session, Taxonomy, styled
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.taxonomy.tree import Taxonomy as Tree
    from taxomind_resources.settings import Settings

EPILOG = """Examples

taxomind report

taxomind report --taxonomy isco08 --rebuild --json
"""
#: Figures shown first, and what they are called.
_SLICES: Final = {
    "exact": "right",
    "safe": "right or above",
    "kept_accuracy": "of the answered",
    "abstained": "no answer",
    "leaf_accuracy": "best leaf right",
    "hF1": "hierarchical F1",
}


@dataclass(frozen=True)
class StoredReport:
    """A report as the outputs hold it: rows of `reports.errors` and `reports.metrics`, and the files of its figures.

    `refused`: labelled rows that could not be used.
    """

    tree: Tree
    errors: pa.Table
    metrics: pa.Table
    refused: int
    figures: tuple[Path, ...]


def report(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Measure again, with the index and the settings of now.")] = False,
    strategies: Annotated[bool, typer.Option("--strategies", help="Set other strategies beside the one that serves.")] = False,
) -> None:
    """Show how good the answers are: headline figures, per language and level, the worst branches, and what was learned.

    The texts with known codes lie in the inbox, in the folder labelled of the taxonomy. Corrections have a section of their
    own: answers to corrected texts without any correction and with those of other texts.
    """
    from taxomind_app.cli.graph import LEARNING_REPORT, REPORT, run_assets
    from taxomind_app.cli.keys import chosen_key
    from taxomind_app.cli.report_learning import learning_json, print_learning, stored_learning
    from taxomind_resources.outputs import Outputs

    key = chosen_key(session.settings, taxonomy)
    if rebuild:
        run_assets(session, key, (*REPORT, LEARNING_REPORT))
    learned = stored_learning(Outputs(session.root), key)
    found = None if learned and not has_report(session.settings, key) else stored_report(session.settings, key)
    if session.json:
        session.print_json(
            (report_json(found) if found else {"taxonomy": key}) | {"learning": learned and learning_json(learned)}
        )
        return
    if found:
        _print_report(session, found, strategies=strategies)
    if learned:
        print_learning(session, learned)


def _print_report(session: Session, found: StoredReport, *, strategies: bool) -> None:
    print_headline(session, found)
    _print_slices(session, found)
    _print_branches(session, found)
    if strategies:
        _print_strategies(session, found)
    _print_refused(session, found)
    if found.figures:
        session.out.print(styled("\n[bold]Figures[/]\n"))
        for path in found.figures:
            session.say(f"  {path}")


def has_report(settings: Settings, key: str) -> bool:
    """Whether texts with known codes have been judged."""
    from taxomind_resources.outputs import Outputs

    return bool(Outputs(settings.data).read("reports.errors", key, columns=["text_id"]).num_rows)


def stored_report(settings: Settings, key: str) -> StoredReport:
    """The last report of a taxonomy.

    Raises:
        Fault: `invalid_input` when there is none; `unknown_taxonomy` or `storage_failed`.
    """
    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_resources.files import folder_name
    from taxomind_resources.outputs import Outputs

    outputs = Outputs(settings.data)
    errors = outputs.read("reports.errors", key)
    if not errors.num_rows:
        folder = settings.data / "inbox" / folder_name(key) / "labelled"
        next_step = f"Put a file with the columns text and code into {folder}, then: taxomind report --taxonomy {key} --rebuild"
        raise Fault(
            "invalid_input", f"There is no report on {key!r} yet.", allowed="texts with known codes", next_step=next_step
        )
    figures = sorted((outputs.root / "reports" / "figures" / f"taxonomy_key={folder_name(key)}").glob("*.png"))
    refused = outputs.read("reports.rejected_rows", key, columns=["line"]).num_rows
    return StoredReport(stored_taxonomy(outputs, key), errors, outputs.read("reports.metrics", key), refused, tuple(figures))


def print_headline(session: Session, found: StoredReport, figures: Collection[str] | None = None) -> None:
    """Print the headline figures, all or those of some metrics."""
    from taxomind_app.cli.showing import dict_table
    from taxomind_assets.reports.summary import HEADLINE, headline

    rows = headline(found.metrics)
    if figures is not None:
        wanted = {HEADLINE[name] for name in figures}
        rows = [row for row in rows if row["measure"] in wanted]

    texts = f"{found.errors.num_rows:,}"
    session.out.print(styled("[bold]Report[/] [dim]({texts} texts with a known code)[/]\n", texts=texts))
    session.out.print(dict_table(rows))


def report_json(found: StoredReport) -> dict[str, Any]:
    """A report as JSON types: every measure by slice, the worst branches and the figure files."""
    from taxomind_assets.reports.summary import worst_branches

    names = ("strategy", "metric", "level", "value", "interval_low", "interval_high", "n")
    slices: dict[str, list[dict[str, Any]]] = {}
    for row in found.metrics.to_pylist():
        slices.setdefault(row["slice"], []).append({name: row[name] for name in names})
    first = found.metrics.slice(0, 1).to_pylist()[0]
    return {
        "taxonomy": found.tree.key,
        "report_id": first["report_id"],
        "measured_at": first["measured_at"],
        "texts": found.errors.num_rows,
        "refused_rows": found.refused,
        "index_version": found.errors["index_version"][0].as_py(),
        "metrics": slices,
        "worst_branches": worst_branches(found.tree, found.errors).to_pylist(),
        "figures": [str(path) for path in found.figures],
    }


def _print_slices(session: Session, found: StoredReport) -> None:
    from taxomind_app.cli.showing import dict_table
    from taxomind_assets.reports.metrics import value_of
    from taxomind_assets.reports.summary import figure

    for kind in ("language", "dataset"):
        rows = []
        for name in sorted({name for name in found.metrics["slice"].to_pylist() if name.startswith(f"{kind}=")}):
            values = {metric: value_of(found.metrics, metric, slice_name=name) for metric in _SLICES}
            texts = (values["exact"] or {"n": 0})["n"]
            shown = {label: figure(metric, (values[metric] or {"value": None})["value"]) for metric, label in _SLICES.items()}
            rows.append({kind: name.partition("=")[2] or "not stated", "texts": f"{texts:,}", **shown})
        if len(rows) > 1:
            session.out.print(styled("\n[bold]By {kind}[/]\n", kind=kind))
            session.out.print(dict_table(rows))


def _print_branches(session: Session, found: StoredReport) -> None:
    from taxomind_app.cli.showing import dict_table
    from taxomind_assets.reports.summary import worst_branches

    rows = [
        {
            "branch": f"{row['code']} {row['label']}",
            "texts": f"{row['texts']:,}",
            "lost": f"{row['lost']:,} ({row['lost_share']:.0%})",
            "mostly to": f"{row['taken_for']} {row['taken_for_label']} ({row['taken_for_texts']:,})"
            if row["taken_for"]
            else "-",
        }
        for row in worst_branches(found.tree, found.errors).to_pylist()
    ]
    if rows:
        session.out.print(styled("\n[bold]Branches that lose most texts[/]\n"))
        session.out.print(dict_table(rows))


def _print_strategies(session: Session, found: StoredReport) -> None:
    from taxomind_app.cli.showing import dict_table
    from taxomind_assets.reports.comparison import SUMMARIES, compared_size, stored_comparison
    from taxomind_assets.reports.summary import figure

    comparison = stored_comparison(found.metrics)
    if not comparison.num_rows:
        session.say("\nThe report compares no strategies; rebuild it to see them.")
        return
    values = {(row["strategy"], row["metric"]): row["value"] for row in comparison.to_pylist() if row["level"] is None}
    rows = [
        {
            "strategy": name,
            **{label: figure(metric, values[name, metric]) for metric, label in _SLICES.items() if (name, metric) in values},
        }
        for name in dict.fromkeys(comparison["strategy"].to_pylist())
    ]
    session.out.print(styled("\n[bold]Strategies[/] [dim]({texts} texts)[/]\n", texts=f"{compared_size(comparison):,}"))
    session.out.print(dict_table(rows))
    session.say("")
    for row in rows:
        session.say(f"  {row['strategy']}: {SUMMARIES[row['strategy']]}")


def _print_refused(session: Session, found: StoredReport) -> None:
    if found.refused:
        session.say(f"\n{found.refused:,} labelled rows could not be used; see the table reports.rejected_rows.")
