"""`taxomind models tune`: trials of plug-ins and parameters on validation texts; the best one becomes a version."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxomind_app.cli.session import Session, Taxonomy, styled

if TYPE_CHECKING:
    from taxomind_assets.models.tuning.study import Tuned

TUNE_EPILOG = """Examples

taxomind models tune --taxonomy news --trials 30

taxomind models tune --taxonomy news --trials 60 --timeout 600 --combination icu+tfidf+svm --combination sbert+logreg

taxomind models tune --taxonomy news --trials 20 --tune-only --json
"""
_FIRST = 10


class MetricChoice(StrEnum):
    """Measures to tune by."""

    ACCURACY = "accuracy"
    MACRO_F1 = "macro_f1"
    HF1 = "hF1"


def tune(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    trials: Annotated[int, typer.Option("--trials", metavar="N", min=1, help="Trials in all, earlier ones included.")] = 20,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=1, help="Begin no trial after this time.", show_default=False),
    ] = None,
    combination: Annotated[
        list[str] | None,
        typer.Option(
            "--combination",
            metavar="NAMES",
            help="Plug-ins to choose among, as icu+tfidf+svm; may be repeated (default: those that train in seconds).",
            show_default=False,
        ),
    ] = None,
    metric: Annotated[MetricChoice | None, typer.Option("--metric", help="What the best is best at.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Seed.", show_default=False)] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Take an earlier study away first.")] = False,
    tune_only: Annotated[bool, typer.Option("--tune-only", help="Do not train the best one.")] = False,
) -> None:
    """Look for the best plug-ins and parameters by trials, and train the best one as a new version.

    Trials are judged on validation texts; test texts are read once, when the version is judged. The study is kept: a call
    that was stopped, or asks for more trials, goes on with it.
    """
    from taxomind_app.cli.graph import run_assets
    from taxomind_app.cli.keys import chosen_key
    from taxomind_assets.models.registry import registry
    from taxomind_assets.models.tuning.space import combinations
    from taxomind_assets.models.tuning.study import open_study, require_optuna, tuned
    from taxomind_resources.model_store import ModelStore

    key, store = chosen_key(session.settings, taxonomy), ModelStore(session.root)
    require_optuna()
    combinations(combination or (), registry())
    given: dict[str, Any] = {
        "trials": trials,
        "timeout_s": timeout,
        "combinations": list(combination or ()),
        "metric": str(metric or ""),
        "seed": seed,
        "fresh": fresh,
    }
    run_assets(session, key, ["labelled_texts", "model_study"], {"model_study": given})
    study = open_study(store.study(key))
    assert study is not None
    found = tuned(study)
    version = None
    if found.best is not None and not tune_only:
        spec = json.dumps(found.best.to_json())
        run_assets(session, key, ["trained_model", "model_evaluation"], {"trained_model": {"spec": spec}})
        version = store.ready(key)[0]
    _print(session, key, found, version)


def _print(session: Session, key: str, found: Tuned, version: int | None) -> None:
    from taxomind_app.cli.showing import dict_table

    if session.json:
        best = found.best and found.best.to_json()
        session.print_json(
            {
                "taxonomy": key,
                "metric": found.metric,
                "value": found.value,
                "trials": [row.__dict__ for row in found.rows],
                "best_trial": found.best_trial,
                "best": best,
                "version": version,
            }
        )
        return
    ended = sorted((row for row in found.rows if row.state == "complete"), key=lambda row: -(row.value or 0.0))
    shown = [
        {
            "trial": str(row.trial),
            "made of": row.name,
            found.metric: f"{row.value or 0.0:.4f}",
            "seconds": f"{row.seconds or 0.0:.1f}",
            "parameters": ", ".join(f"{n}={_short(v)}" for n, v in row.parameters.items() if n != "combination"),
        }
        for row in ended[:_FIRST]
    ]
    if shown:
        session.out.print(dict_table(shown))
    early = sum(row.state == "pruned" for row in found.rows)
    failed = sum(row.state == "fail" for row in found.rows)
    session.say(
        f"{len(ended):,} trials, {early:,} more were ended early, {failed:,} failed; {found.metric} on validation texts."
    )
    if version is not None and found.best is not None:
        session.out.print(styled("[bold]Version {number}[/] is {name}", number=version, name=found.best.name))
        session.say(f"Its figures: taxomind models show --taxonomy {key} --version {version}")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
