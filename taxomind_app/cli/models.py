"""`taxomind models`: supervised models of a taxonomy, trained, judged, promoted and asked."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from taxomind_app.cli.model_place import ModelPlace, Used
from taxomind_app.cli.session import Session, Taxonomy
from taxomind_resources.faults import Fault

TRAIN_EPILOG = """Examples

taxomind models train --taxonomy news

taxomind models train --taxonomy news --preset fast --param C=0.5

taxomind models train --taxonomy jobs --classifier svm --features tfidf+sbert --hierarchy per_parent --json

taxomind models train --config run.yaml
"""
EVALUATE_EPILOG = """Examples

taxomind models evaluate --taxonomy news

taxomind models evaluate --taxonomy news --version 3 --against 2 --again
"""
LIST_EPILOG = """Examples

taxomind models list --taxonomy news
"""
SHOW_EPILOG = """Examples

taxomind models show --taxonomy news

taxomind models show --taxonomy news --version 2 --json
"""
PROMOTE_EPILOG = """Examples

taxomind models promote 3 --taxonomy news
"""
ROLLBACK_EPILOG = """Examples

taxomind models rollback --taxonomy news
"""
Version = Annotated[
    int | None, typer.Option("--version", metavar="N", min=1, help="Version (default: the latest).", show_default=False)
]


class PresetChoice(StrEnum):
    """Models to begin with."""

    FAST = "fast"
    BALANCED = "balanced"
    COMBINED = "combined"
    BEST = "best"


class HierarchyChoice(StrEnum):
    """How classifiers go about the tree."""

    FLAT = "flat"
    PER_PARENT = "per_parent"
    PER_LEVEL = "per_level"


class WeightChoice(StrEnum):
    """How rare codes are lifted."""

    NONE = "none"
    BALANCED = "balanced"
    SQRT = "sqrt"


def train(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="Labelled texts to put into the inbox first.", show_default=False),
    ] = None,
    preset: Annotated[PresetChoice | None, typer.Option("--preset", help="What the model is made of.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", metavar="NAME", help="Another tokenizer.", show_default=False)
    ] = None,
    features: Annotated[
        str | None,
        typer.Option("--features", metavar="NAMES", help="Other features, joined by + (tfidf+sbert*0.7).", show_default=False),
    ] = None,
    classifier: Annotated[
        str | None, typer.Option("--classifier", metavar="NAME", help="Another classifier.", show_default=False)
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="NAME=VALUE", help="A parameter of a plug-in; may be repeated.", show_default=False),
    ] = None,
    hierarchy: Annotated[HierarchyChoice | None, typer.Option("--hierarchy", help="How it goes about the tree.")] = None,
    class_weight: Annotated[WeightChoice | None, typer.Option("--class-weight", help="How rare codes are lifted.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="Seed of training.", show_default=False)
    ] = None,
    max_texts: Annotated[
        int | None,
        typer.Option(
            "--max-texts", metavar="N", min=1, help="Training texts at most; every code keeps its share.", show_default=False
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="A fine-tuning as YAML, in place of the other options.", show_default=False
        ),
    ] = None,
) -> None:
    """Train a model on the labelled texts and corrections of a taxonomy, as a new version; judge it.

    What is not named is as the settings of the group models say. The version is not in use before `taxomind models promote`.
    """
    from taxomind_app.cli.graph import MODELS, run_assets

    named: dict[str, Any] = {
        "preset": preset,
        "tokenizer": tokenizer,
        "features": features,
        "classifier": classifier,
        "hierarchy": hierarchy,
        "class_weight": class_weight,
        "seed": seed,
        "max_texts": max_texts,
        "parameters": list(param or ()) or None,
    }
    given = {name: str(value) if isinstance(value, StrEnum) else value for name, value in named.items() if value is not None}
    export = False
    if config is not None:
        taxonomy, input_, given, export = _of_file(config, taxonomy, input_, given)
    place = ModelPlace(session, taxonomy)
    place.check(given)
    if input_ is not None:
        place.put(input_)
    run_assets(session, place.key, MODELS, {"trained_model": given})
    number = place.store.ready(place.key)[0]
    if export:
        run_assets(session, place.key, ["exported_model"], {"exported_model": {"version": number}})
    place.note_texts()
    place.show(number)
    if not session.json:
        session.say(f"\nPut it to use with: taxomind models promote {number} --taxonomy {place.key}")


def _of_file(
    path: Path, taxonomy: str | None, labelled: Path | None, given: dict[str, Any]
) -> tuple[str | None, Path | None, dict[str, Any], bool]:
    """Taxonomy, labelled texts, choices and whether to export, as a file says; options may name the taxonomy and the texts."""
    from taxomind_assets.models.run_file import read_run

    if given:
        names = ", ".join(f"--{name.replace('_', '-').removesuffix('eters')}" for name in given)
        raise Fault("invalid_input", "Beside a file these options would be two answers to one question.", value=names)
    run = read_run(path)
    if taxonomy is not None and run.taxonomy is not None and taxonomy != run.taxonomy:
        raise Fault("invalid_input", f"{path.name} is about another taxonomy.", value=taxonomy, allowed=run.taxonomy)
    return taxonomy or run.taxonomy, labelled or run.labelled, dict(run.config), run.export


def evaluate(
    session: Session,
    *,
    taxonomy: Taxonomy = None,
    version: Version = None,
    against: Annotated[
        int | None,
        typer.Option("--against", metavar="N", min=1, help="Compare with this version on the same texts.", show_default=False),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Read the test rows again, those of now.")] = False,
) -> None:
    """Judge a version on validation rows and, once, on test rows; compare two versions on the same rows."""
    from taxomind_app.cli.graph import run_assets
    from taxomind_assets.models.comparison import compare_answers
    from taxomind_assets.models.stored import ANSWERS, part_of

    place = ModelPlace(session, taxonomy)
    number = place.number(version, latest=True)
    for own in (number, *((against,) if against else ())):
        run_assets(session, place.key, ["model_evaluation"], {"model_evaluation": {"version": own, "again": again}})
    compared = None
    if against is not None:
        tables = [place.outputs.read(ANSWERS, place.key, parts=[part_of(own, "test")]) for own in (number, against)]
        compared = compare_answers(*tables).to_json() | {"version": number, "against": against}
    place.show(number, compared)


def list_(session: Session, *, taxonomy: Taxonomy = None) -> None:
    """List the versions of a taxonomy's models, the latest first, with those that failed."""
    from taxomind_app.cli.showing import dict_table
    from taxomind_assets.models.stored import write_versions
    from taxomind_assets.taxonomy.versions import current_version

    place = ModelPlace(session, taxonomy)
    rows = write_versions(place.outputs, place.store, place.key).drop_columns(["manifest"]).to_pylist()
    if session.json:
        session.print_json({"taxonomy": place.key, "versions": rows})
        return
    if not rows:
        session.say(f"There is no model of {place.key} yet: taxomind models train --taxonomy {place.key}")
        return
    shown = [
        {
            "version": f"{row['version']}{' *' if row['promoted'] else ''}",
            "state": row["state"],
            "made of": row["name"],
            "trained on": "-" if row["training_texts"] is None else f"{row['training_texts']:,}",
            "accuracy": _share(row["accuracy"]),
            "macro F1": _share(row["macro_f1"]),
            "hF1": _share(row["hF1"]),
            "seconds": "-" if row["training_seconds"] is None else f"{row['training_seconds']:.1f}",
            "MB": "-" if row["size_bytes"] is None else f"{row['size_bytes'] / 1e6:.1f}",
        }
        for row in rows
    ]
    session.out.print(dict_table(shown))
    session.say("\n* in use. Figures are of the validation texts.")
    now = current_version(place.outputs, place.key)
    for row in rows:
        if row["reason"]:
            session.say(f"  version {row['version']}: {row['reason']}")
        elif row["promoted"] and row["taxonomy_version"] != now:
            session.say(
                f"  version {row['version']} is older than the taxonomy: codes that it does not know are left to the router; "
                f"taxomind models train --taxonomy {place.key}"
            )


def show(session: Session, *, taxonomy: Taxonomy = None, version: Used = None) -> None:
    """Show a version: what it is made of, what it was trained on, and how good it is."""
    place = ModelPlace(session, taxonomy)
    place.show(place.number(version))


def promote(
    session: Session,
    *,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Version to put to use.")],
    taxonomy: Taxonomy = None,
    force: Annotated[bool, typer.Option("--force", help="Whatever the gate says.")] = False,
) -> None:
    """Put a version to use, if it is not worse than the one in use.

    The gate compares both on the same test rows: the new one must not be clearly worse, and must beat the most frequent code.
    """
    from taxomind_assets.models.stored import verdict_on, write_versions

    place = ModelPlace(session, taxonomy)
    place.store.verified(place.key, version)
    verdict = None if force else verdict_on(place.outputs, place.store, place.key, version)
    if verdict is not None and not verdict.passed:
        raise Fault("gate_refused", f"Version {version} may not be put to use: {'; '.join(verdict.reasons)}.", value=version)
    before = place.store.promote(place.key, version)
    write_versions(place.outputs, place.store, place.key)
    joined = place.join()
    compared = verdict.comparison.to_json() if verdict and verdict.comparison else None
    if session.json:
        session.print_json(
            {"taxonomy": place.key, "promoted": version, "before": before, "comparison": compared, "joined": joined}
        )
        return
    session.say(f"Version {version} of {place.key} is in use{'' if before is None else f', before it was version {before}'}.")
    if compared:
        session.say(f"On {compared['n']:,} test texts: {compared['verdict']} (p = {compared['p_value']:.3f}).")
    session.say(_joined_sentence(joined))


def rollback(session: Session, *, taxonomy: Taxonomy = None) -> None:
    """Put the version before the one in use to use again."""
    from taxomind_assets.models.stored import write_versions

    place = ModelPlace(session, taxonomy)
    used = place.store.rollback(place.key)
    write_versions(place.outputs, place.store, place.key)
    joined = place.join()
    if session.json:
        session.print_json({"taxonomy": place.key, "promoted": used, "joined": joined})
    else:
        session.say(
            f"No model of {place.key} is in use now." if used is None else f"Version {used} of {place.key} is in use again."
        )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _joined_sentence(joined: dict[str, Any] | None) -> str:
    if joined is None:
        return "It does not take part in answers: there is no index, or models.vote is off."
    if not joined["accuracy"]:
        return f"It does not take part in answers: {joined['rows']:,} validation texts are too few to weigh its vote."
    right = ", ".join(f"{who} {share:.1%}" for who, share in joined["accuracy"].items())
    who = {"both": "it votes beside the router", "model": "it decides, the router breaks ties", "router": "the router decides"}
    return f"In answers {who[joined['choice']]} (best leaves right on {joined['rows']:,} validation texts: {right})."
