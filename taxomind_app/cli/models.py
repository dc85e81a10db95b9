"""`taxomind models`: supervised models of a taxonomy, trained, judged, promoted and asked."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxomind_app.cli.model_exports import VariantChoice
from taxomind_app.cli.session import Session, Taxonomy, styled
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from taxomind_resources.embedding import Embedder
    from taxomind_resources.model_store import ModelStore
    from taxomind_resources.outputs import Outputs

TRAIN_EPILOG = """Examples

taxomind models train --taxonomy news

taxomind models train --taxonomy news --preset fast --param C=0.5

taxomind models train --taxonomy jobs --classifier svm --features tfidf+sbert --hierarchy per_parent --json
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
PREDICT_EPILOG = """Examples

taxomind models predict --taxonomy news "Champion wins final in extra time"

taxomind models predict --taxonomy news --variant onnx-int8 "Champion wins final in extra time"

taxomind models predict --taxonomy news --input texts.csv --output answers.tsv
"""
PLUGINS_EPILOG = """Examples

taxomind models plugins

taxomind models plugins svm
"""
_FIRST = 20
_ALTERNATIVES = 3

Version = Annotated[
    int | None, typer.Option("--version", metavar="N", min=1, help="Version (default: the latest).", show_default=False)
]
Used = Annotated[
    int | None,
    typer.Option(
        "--version", metavar="N", min=1, help="Version (default: the promoted one, else the latest).", show_default=False
    ),
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


class KindChoice(StrEnum):
    """Kinds of plug-ins."""

    TOKENIZER = "tokenizer"
    FEATURES = "features"
    CLASSIFIER = "classifier"


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
) -> None:
    """Train a model on the labelled texts and corrections of a taxonomy, as a new version; judge it.

    What is not named is as the settings of the group models say. The version is not in use before `taxomind models promote`.
    """
    from taxomind_app.cli.graph import MODELS, run_assets

    place = _Place(session, taxonomy)
    if input_ is not None:
        place.put(input_)
    config: dict[str, Any] = {
        "preset": preset,
        "tokenizer": tokenizer,
        "features": features,
        "classifier": classifier,
        "hierarchy": hierarchy,
        "class_weight": class_weight,
        "seed": seed,
        "parameters": list(param or ()),
    }
    given = {name: str(value) if isinstance(value, StrEnum) else value for name, value in config.items() if value is not None}
    place.check(given)
    run_assets(session, place.key, MODELS, {"trained_model": given})
    number = place.store.ready(place.key)[0]
    place.show(number)
    if not session.json:
        session.say(f"\nPut it to use with: taxomind models promote {number} --taxonomy {place.key}")


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

    place = _Place(session, taxonomy)
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

    place = _Place(session, taxonomy)
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
    for row in rows:
        if row["reason"]:
            session.say(f"  version {row['version']}: {row['reason']}")


def show(session: Session, *, taxonomy: Taxonomy = None, version: Used = None) -> None:
    """Show a version: what it is made of, what it was trained on, and how good it is."""
    place = _Place(session, taxonomy)
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

    place = _Place(session, taxonomy)
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

    place = _Place(session, taxonomy)
    used = place.store.rollback(place.key)
    write_versions(place.outputs, place.store, place.key)
    joined = place.join()
    if session.json:
        session.print_json({"taxonomy": place.key, "promoted": used, "joined": joined})
    else:
        session.say(
            f"No model of {place.key} is in use now." if used is None else f"Version {used} of {place.key} is in use again."
        )


def predict(
    session: Session,
    *,
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]", help="Texts to answer.", show_default=False)] = None,
    taxonomy: Taxonomy = None,
    version: Used = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="CSV, TSV, JSONL or Parquet with texts.", show_default=False),
    ] = None,
    variant: Annotated[
        VariantChoice | None, typer.Option("--variant", help="Form in which it answers (default: source).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write all answers as TSV.", show_default=False)
    ] = None,
) -> None:
    """Ask one version alone, without the classifier around it: its best code and probability for each text.

    A text that is empty gets no code and shifts nothing. Without --output the first 20 answers are shown.
    """
    from taxomind_assets.models.training import load_model

    place = _Place(session, taxonomy)
    if bool(texts) == (input_ is not None):
        raise Fault("invalid_input", "It is not clear what to answer.", value=texts, allowed="texts, or --input FILE")
    pipeline, manifest = load_model(
        place.store, place.key, version, embedder=place.embedder, variant=str(variant or VariantChoice.SOURCE)
    )
    named = _read(session, input_) if input_ else [(str(number), text) for number, text in enumerate(texts or (), 1)]
    found = pipeline.predict([text for _, text in named])
    ranked = found.ranked(_ALTERNATIVES)
    rows = []
    for place_, (text_id, text) in enumerate(named):
        best = int(found.best[place_])
        rows.append(
            {
                "text_id": text_id,
                "text": text,
                "code": None if best < 0 else found.tree.codes[best],
                "label": None if best < 0 else found.tree.nodes[best].label,
                "confidence": round(float(found.confidence[place_]), 6),
                "next": [(found.tree.codes[node], float(found.own[place_, node])) for node in ranked[place_, 1:] if best >= 0],
                "version": manifest["version"],
            }
        )
    _print_answers(session, rows, output)


def plugins(
    session: Session,
    *,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this one.", show_default=False)] = None,
    kind: Annotated[KindChoice | None, typer.Option("--kind", help="Only those of a kind.")] = None,
    installed: Annotated[bool, typer.Option("--installed", help="Only those that can work here.")] = False,
) -> None:
    """List the plug-ins that models are made of, or describe one with its parameters."""
    from taxomind_app.cli.showing import dict_table
    from taxomind_assets.models.registry import broken, registry

    found = registry().plugins(kind.value if kind else None, installed=installed)
    if name is not None:
        chosen = [plugin for plugin in found if plugin.info.name == name]
        if not chosen:
            allowed = ", ".join(plugin.info.name for plugin in found)
            raise Fault("invalid_input", f"There is no plug-in {name!r}.", value=name, allowed=allowed)
        found = chosen
    described = [plugin.described() for plugin in found]
    if session.json:
        session.print_json({"plugins": described, "broken": broken()})
        return
    if name is None:
        keys = ("kind", "name", "summary", "input", "speed", "quality", "memory")
        rows = [
            {k: str(own[k]) for k in keys} | {"installed": "yes" if own["installed"] else own["install"]} for own in described
        ]
        session.out.print(dict_table(rows))
    for own in described if name is not None else []:
        session.out.print(styled("[bold]{kind} {name}[/]: {summary}", **{k: own[k] for k in ("kind", "name", "summary")}))
        session.say(f"takes {own['input']}; {own['install'] if own['missing'] else 'installed'}")
        rows = [
            {"parameter": n, "default": json_format.dumps(p["default"], default=list), "meaning": p["meaning"]}
            for n, p in own["parameters"].items()
        ]
        if rows:
            session.out.print(dict_table(rows))
    for problem in broken():
        session.note(f"A plug-in could not be imported: {problem}")


class _Place:
    """One taxonomy and what belongs to its models."""

    def __init__(self, session: Session, taxonomy: str | None) -> None:
        from taxomind_app.cli.keys import chosen_key
        from taxomind_resources.model_store import ModelStore
        from taxomind_resources.outputs import Outputs

        self._session = session
        self.key = chosen_key(session.settings, taxonomy)
        self.store: ModelStore = ModelStore(session.root)
        self.outputs: Outputs = Outputs(session.root)

    @property
    def embedder(self) -> Callable[[], Embedder]:
        """Gives the embedding model of the taxonomy."""
        from taxomind_resources.embedding import load_embedder

        settings = self._session.settings
        return lambda: load_embedder(settings.for_taxonomy(self.key).embedding, settings.data)

    def number(self, version: int | None, *, latest: bool = False) -> int:
        """A version that there is."""
        known = self.store.ready(self.key)
        wanted = known[0] if version is None and latest and known else version
        return int(self.store.folder(self.key, wanted).name.removeprefix("v"))

    def put(self, file: Path) -> None:
        """Put a file of labelled texts into the inbox."""
        from taxomind_resources.inbox import Inbox

        settings = self._session.settings
        Inbox(settings.data, settings.limits.settle_s).put(self.key, "labelled", file)

    def check(self, given: dict[str, Any]) -> None:
        """Refuse what no model can be made of before a run is started."""
        from taxomind_assets.models.registry import registry
        from taxomind_assets.models.specification import chosen_spec

        own = self._session.settings.for_taxonomy(self.key).models
        fields = {name: value for name, value in given.items() if name != "preset"}
        chosen_spec(registry(), given.get("preset") or own.preset, **fields)

    def join(self) -> dict[str, Any] | None:
        """Let the promoted version take part in answers; what came out, None where there is nothing to join."""
        from taxomind_assets.models.joining import join_promoted

        if not self._session.settings.for_taxonomy(self.key).models.vote:
            return None
        found = join_promoted(self.key, self._session.settings, self.outputs, self.embedder)
        shown = ("number", "choice", "rows", "accuracy", "strength", "familiarity")
        return None if found is None else {name: getattr(found, name) for name in shown}

    def show(self, number: int, compared: dict[str, Any] | None = None) -> None:
        """Print a version."""
        from taxomind_assets.models.stored import EVALUATIONS, part_of

        manifest = self.store.manifest(self.key, number)
        parts = [part_of(number, split) for split in ("validation", "test")]
        measures = self.outputs.read(EVALUATIONS, self.key, parts=parts).to_pylist()
        if self._session.json:
            shown = {name: value for name, value in manifest.items() if name not in {"files", "codes"}}
            self._session.print_json(
                {
                    "taxonomy": self.key,
                    "version": number,
                    "promoted": self.store.promoted(self.key) == number,
                    "manifest": shown,
                    "codes": len(manifest["codes"]),
                    "measures": measures,
                    "comparison": compared,
                }
            )
            return
        self._print(number, manifest, compared)

    def _print(self, number: int, manifest: dict[str, Any], compared: dict[str, Any] | None) -> None:
        from taxomind_app.cli.showing import dict_table
        from taxomind_assets.models.summary import class_rows, figure_rows

        session, data = self._session, manifest["data"]
        use = ", in use" if self.store.promoted(self.key) == number else ""
        session.out.print(
            styled(
                "[bold]Version {number}[/] of {key}: {name}{use}", number=number, key=self.key, name=manifest["name"], use=use
            )
        )
        session.say(
            f"trained in {manifest['seconds']['training']:.1f} s on {data['train']:,} texts and {data['node_texts']:,} of the "
            f"taxonomy; {len(manifest['codes']):,} codes; {manifest['size_bytes'] / 1e6:.1f} MB"
        )
        figures = figure_rows(self.outputs, self.key, number)
        if figures:
            session.out.print(dict_table(figures))
        worst = class_rows(self.outputs, self.key, number, "test", 10)
        if worst:
            session.out.print(styled("\n[bold]Codes answered worst[/] [dim](test)[/]\n"))
            session.out.print(dict_table(worst))
        if compared:
            session.say(
                f"\nAgainst version {compared['against']} on {compared['n']:,} test texts: {compared['verdict']} "
                f"({compared['accuracy_a']:.1%} and {compared['accuracy_b']:.1%}, p = {compared['p_value']:.3f})"
            )


def _joined_sentence(joined: dict[str, Any] | None) -> str:
    if joined is None:
        return "It does not take part in answers: there is no index, or models.vote is off."
    if not joined["accuracy"]:
        return f"It does not take part in answers: {joined['rows']:,} validation texts are too few to weigh its vote."
    right = ", ".join(f"{who} {share:.1%}" for who, share in joined["accuracy"].items())
    who = {"both": "it votes beside the router", "model": "it decides, the router breaks ties", "router": "the router decides"}
    return f"In answers {who[joined['choice']]} (best leaves right on {joined['rows']:,} validation texts: {right})."


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _read(session: Session, path: Path) -> list[tuple[str, str]]:
    """Ids and texts of a file; rows that cannot be used are told on standard error."""
    from taxomind_assets.classification.text_readers import read_texts

    settings = session.settings
    found: list[tuple[str, str]] = []
    for block in read_texts(path, settings.text, settings.limits):
        found += zip(block.text_id, block.text, strict=True)
        for row in block.rejected:
            session.note(f"{row.source_file}, line {row.line}: {row.reason}")
    return found


def _print_answers(session: Session, rows: Sequence[dict[str, Any]], output: Path | None) -> None:
    from taxomind_app.cli.showing import dict_table

    if output is not None:
        lines = ["text_id\tcode\tconfidence\tversion"]
        lines += [f"{row['text_id']}\t{row['code'] or ''}\t{row['confidence']:.6f}\t{row['version']}" for row in rows]
        from taxomind_resources.files import replace_bytes

        replace_bytes(output, ("\n".join(lines) + "\n").encode())
    if session.json:
        session.print_json({"answers": rows})
        return
    shown = [
        {
            "text": row["text"][:60],
            "answer": f"{row['code']} {row['label']}" if row["code"] else "-",
            "sure": f"{row['confidence']:.0%}",
        }
        for row in rows[:_FIRST]
    ]
    if shown:
        session.out.print(dict_table(shown))
    if len(rows) > _FIRST:
        session.say(f"... and {len(rows) - _FIRST:,} more{'' if output else '; --output FILE writes all of them'}")
    if output is not None:
        session.say(f"{len(rows):,} answers are in {output}")
