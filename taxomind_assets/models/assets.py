"""MODELS: labelled texts, a model trained on them, and how good it is."""

import json
from typing import TYPE_CHECKING, Any, Final

from dagster import AssetExecutionContext, AssetKey, Config, MaterializeResult, MetadataValue, asset
from pydantic import Field

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.learning.assets import corrections
from taxomind_assets.metadata import bullet_list, preview, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.taxonomy.assets import OWNERS, enriched_definitions
from taxomind_resources.dagster_resources import EmbeddingResource, InboxResource, OutputsResource, SettingsResource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taxomind_assets.inputs import RejectedRow
    from taxomind_assets.models.labelled import Gathered, Settled
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

_TAGS: Final = {"taxomind/stage": "models"}
_SHOWN: Final = ["text", "code", "split", "source_file"]
_VERSIONS_SHOWN: Final = ["version", "state", "promoted", "name", "training_texts", "accuracy", "macro_f1", "hF1", "ece"]
_NO_MODEL: Final = "There is no model yet: `taxomind models train --taxonomy {key}`."


@asset(
    deps=[AssetKey("labelled_files"), corrections, enriched_definitions],
    partitions_def=taxonomy_keys,
    group_name="models",
    kinds={"python", "parquet"},
    owners=OWNERS,
    tags=_TAGS,
    code_version="1",
    metadata=table_metadata(
        "models.labelled_texts",
        {
            **{name: [("labelled_files", name), ("corrections", name)] for name in ("text_id", "text")},
            "code": [("labelled_files", "code"), ("corrections", "code"), ("enriched_definitions", "code")],
        },
    ),
)
def labelled_texts(
    context: AssetExecutionContext, settings: SettingsResource, inbox: InboxResource, outputs: OutputsResource
) -> MaterializeResult[Any]:
    """All texts with known codes, from labelled files and corrections: each once, in training, validation or test.

    Equal texts are never in two of them, rows of one group neither. What files do not say is drawn by a seeded hash of the text
    within each code. Rows that cannot be used are in `models.rejected_rows`.
    """
    opened = settings.load(), inbox.open(), outputs.open()
    result = for_each_key(context, lambda key: _gather(key, *opened))
    outputs.publish()
    return result


class StudyConfig(Config):
    """What a study looks for; with no trials it is only shown."""

    trials: int = Field(0, ge=0, description="trials that the study shall have in all")
    timeout_s: float | None = Field(None, gt=0, description="seconds after which no further trial begins")
    combinations: list[str] = Field([], description="plug-ins as icu+tfidf+svm; none = the usual ones")
    metric: str = Field("", description="accuracy, macro_f1 or hF1; '' = as the settings say")
    seed: int | None = Field(None, description="seed of drawing and training")
    fresh: bool = Field(False, description="take an earlier study away first")


@asset(
    deps=[labelled_texts, enriched_definitions],
    partitions_def=taxonomy_keys,
    group_name="models",
    kinds={"python", "optuna"},
    owners=OWNERS,
    tags=_TAGS,
    code_version="1",
    metadata=table_metadata("models.trials"),
)
def model_study(
    context: AssetExecutionContext,
    config: StudyConfig,
    *,
    settings: SettingsResource,
    outputs: OutputsResource,
    embedding: EmbeddingResource,
) -> MaterializeResult[Any]:
    """Trials of plug-ins and parameters, judged on validation rows; a study that was killed goes on where it was.

    It begins nothing by itself: `taxomind models tune` says how many trials there shall be, and trains the best one.
    """
    from taxomind_assets.models.progress import sayer
    from taxomind_assets.models.steps import tune

    opened = settings.load(), outputs.open()
    say = sayer(context.log.info)
    result = for_each_key(context, lambda key: tune(key, config, *opened, embedder=lambda: embedding.embedder(key), say=say))
    outputs.publish()
    return result


class ModelConfig(Config):
    """What a training departs from the settings in; '' and nothing = as the settings say."""

    preset: str = Field("", description="fast, balanced, combined or best")
    tokenizer: str = Field("", description="name of a tokenizer")
    features: str = Field("", description="names of features, joined by +")
    classifier: str = Field("", description="name of a classifier")
    parameters: list[str] = Field([], description="name=value, for example classifier.C=0.5")
    hierarchy: str = Field("", description="flat, per_parent or per_level")
    class_weight: str = Field("", description="none, balanced or sqrt")
    seed: int | None = Field(None, description="seed of training")
    max_texts: int | None = Field(None, ge=1, description="training texts at most, every code with its share; null = all")
    spec: str = Field("", description="the whole specification as JSON; nothing else counts then")


@asset(
    deps=[labelled_texts, enriched_definitions],
    partitions_def=taxonomy_keys,
    group_name="models",
    kinds={"python", "scikitlearn"},
    owners=OWNERS,
    tags=_TAGS,
    code_version="1",
    metadata=table_metadata("models.versions"),
)
def trained_model(
    context: AssetExecutionContext,
    config: ModelConfig,
    *,
    settings: SettingsResource,
    outputs: OutputsResource,
    embedding: EmbeddingResource,
) -> MaterializeResult[Any]:
    """A model trained on the training rows, published as a version that never changes.

    A training that was killed leaves no half version, and the next one of the same inputs goes on where it was. The version is
    not in use before somebody promotes it.
    """
    from taxomind_assets.models.progress import sayer

    opened = settings.load(), outputs.open()
    say = sayer(context.log.info)
    result = for_each_key(context, lambda key: _train(key, config, *opened, embedder=lambda: embedding.embedder(key), say=say))
    outputs.publish()
    return result


class EvaluationConfig(Config):
    """Which version is judged."""

    version: int | None = Field(None, description="version; null = the latest")
    again: bool = Field(False, description="read the test rows again, although the version was judged on them before")


@asset(
    deps=[trained_model, labelled_texts],
    partitions_def=taxonomy_keys,
    group_name="models",
    kinds={"python", "parquet"},
    owners=OWNERS,
    tags=_TAGS,
    code_version="1",
    metadata=table_metadata("models.evaluations"),
)
def model_evaluation(
    context: AssetExecutionContext,
    config: EvaluationConfig,
    *,
    settings: SettingsResource,
    outputs: OutputsResource,
    embedding: EmbeddingResource,
) -> MaterializeResult[Any]:
    """How good a version is: on validation rows, and once on test rows, which nothing else ever reads."""
    opened = settings.load(), outputs.open()
    result = for_each_key(context, lambda key: _evaluate(key, config, *opened, lambda: embedding.embedder(key)))
    outputs.publish()
    return result


class ExportConfig(Config):
    """Which version is exported."""

    version: int | None = Field(None, description="version; null = the latest")
    again: bool = Field(False, description="export it again, although it was exported before")


@asset(
    deps=[trained_model, model_evaluation],
    partitions_def=taxonomy_keys,
    group_name="models",
    kinds={"python", "onnx"},
    owners=OWNERS,
    tags=_TAGS,
    code_version="1",
    metadata=table_metadata("models.exports"),
)
def exported_model(
    context: AssetExecutionContext,
    config: ExportConfig,
    *,
    settings: SettingsResource,
    outputs: OutputsResource,
    embedding: EmbeddingResource,
) -> MaterializeResult[Any]:
    """A version as ONNX: as it is, optimised, and with 8-bit weights, each beside the version itself.

    Only what answers as the version does may be served. An export that was killed leaves nothing.
    """
    from taxomind_assets.models.progress import sayer
    from taxomind_assets.models.steps import export

    opened = settings.load(), outputs.open()
    say = sayer(context.log.info)
    result = for_each_key(context, lambda key: export(key, config, *opened, embedder=lambda: embedding.embedder(key), say=say))
    outputs.publish()
    return result


def _gather(key: str, settings: "Settings", inbox: "Inbox", outputs: "Outputs") -> Written:
    from taxomind_assets.learning.gathering import labelled_corrections, stored_corrections
    from taxomind_assets.models.evaluation import data_digest
    from taxomind_assets.models.labelled import TABLE, gather, settle
    from taxomind_assets.models.splits import Shares
    from taxomind_assets.taxonomy.stored import rejected_table, stored_taxonomy
    from taxomind_assets.taxonomy.versions import current_translation

    own, tree = settings.for_taxonomy(key), stored_taxonomy(outputs, key)
    digest = inbox.digest(key, "labelled")
    told: Any = ((), ())
    if own.models.corrections:
        told = labelled_corrections(tree, stored_corrections(outputs, key, status="applied"))
    with outputs.writer("models.rejected_rows", key, "part", digest) as rejected:

        def refuse(rows: "Sequence[RejectedRow]") -> None:
            rejected.write(rejected_table("models.rejected_rows", rows))

        translation = current_translation(inbox, outputs, key, tree.version)
        files = inbox.files(key, "labelled")
        gathered = gather(tree, files, own, refuse, translation=translation, corrections=told)
    settled = settle(tree, gathered, Shares(own.models.validation_share, own.models.test_share, own.models.seed))
    outputs.write(TABLE, key, settled.table, digest=digest)
    pairs = zip(settled.table["text_hash"].to_pylist(), settled.table["split"].to_pylist(), strict=True)
    return Written(data_digest(pairs), settled.table.num_rows, _gathered_metadata(key, gathered, settled))


def _gathered_metadata(key: str, gathered: "Gathered", settled: "Settled") -> dict[str, Any]:
    refused = sum(file.refused.total() for file in gathered.files)
    metadata: dict[str, Any] = {
        **{f"{split} texts": count for split, count in settled.counts().items()},
        "files": len(gathered.files),
        "rows refused": refused,
        "rows that repeat a text": settled.repeats,
        "texts with contradicting codes": settled.contradictions,
        "rows moved out of training": settled.moved,
        "codes": len(set(settled.table["code"].to_pylist())),
        "problems": bullet_list([f"{file.name}: {file.problem}" for file in gathered.files if file.problem]),
        "first refused rows": bullet_list([f"{r.source_file}, line {r.line}: {r.reason}" for r in gathered.examples]),
        "preview": preview(settled.table, _SHOWN),
    }
    if not settled.table.num_rows:
        metadata["note"] = f"There are no labelled texts; put files with text and code into inbox/{key}/labelled."
    return metadata


def _train(
    key: str,
    config: ModelConfig,
    settings: "Settings",
    outputs: "Outputs",
    *,
    embedder: "Callable[[], Embedder]",
    say: "Callable[[str], None]",
) -> Written:
    from taxomind_assets.models.registry import registry
    from taxomind_assets.models.specification import ModelSpec, chosen_spec
    from taxomind_assets.models.stored import drop_evaluations, write_versions
    from taxomind_assets.models.stored import labelled_texts as stored_texts
    from taxomind_assets.models.training import train_model, with_fewer_texts
    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_resources.model_store import ModelStore

    own, store = settings.for_taxonomy(key), ModelStore(settings.data)
    tree = stored_taxonomy(outputs, key)
    texts = stored_texts(outputs, key, tree)
    if config.max_texts is not None:
        texts = with_fewer_texts(texts, config.max_texts, own.models.seed if config.seed is None else config.seed)
    spec = (
        ModelSpec.from_json(json.loads(config.spec))
        if config.spec
        else chosen_spec(
            registry(),
            config.preset or own.models.preset,
            tokenizer=config.tokenizer or None,
            features=config.features or None,
            classifier=config.classifier or None,
            parameters=config.parameters,
            hierarchy=config.hierarchy or own.models.hierarchy,
            class_weight=config.class_weight or own.models.class_weight,
            node_texts=own.models.node_texts,
            seed=own.models.seed if config.seed is None else config.seed,
        )
    )
    try:
        trained = train_model(key, spec, tree, texts, store, embedder=embedder, say=say)
    finally:
        # A training that failed has taken a number, which is listed too.
        versions = write_versions(outputs, store, key)
    store.prune(key, own.models.keep)
    drop_evaluations(outputs, key, set(store.ready(key)))
    manifest = trained.manifest
    figures = {name: value for name, value in manifest["validation"].items() if value is not None and name != "n"}
    metadata = {
        "version": trained.number,
        "made of": manifest["name"],
        "training texts": manifest["data"]["train"],
        "texts of the taxonomy": manifest["data"]["node_texts"],
        "codes": len(manifest["codes"]),
        "training seconds": manifest["seconds"]["training"],
        "megabytes": manifest["size_bytes"] / 1e6,
        **{f"validation {name}": value for name, value in figures.items()},
        "versions": preview(versions, _VERSIONS_SHOWN),
    }
    return Written(f"v{trained.number}", versions.num_rows, metadata)


def _evaluate(
    key: str, config: EvaluationConfig, settings: "Settings", outputs: "Outputs", embedder: "Callable[[], Embedder]"
) -> Written:
    from taxomind_assets.models.judging import judge_version
    from taxomind_assets.models.stored import stored_figures
    from taxomind_assets.models.summary import class_table, figures_table
    from taxomind_resources.model_store import ModelStore

    store = ModelStore(settings.data)
    if not store.ready(key):
        return Written("none", 0, {"note": _NO_MODEL.format(key=key)})
    number = int(store.folder(key, config.version or store.ready(key)[0]).name.removeprefix("v"))
    judged = judge_version(key, number, outputs, store, embedder, again=config.again)
    metadata: dict[str, Any] = {"version": number, "note": "; ".join(judged.notes) or "-"}
    for split in ("validation", "test"):
        figures = stored_figures(outputs, key, number, split)
        charted = {f"{split} {name}": value for name, value in figures.items() if value is not None}
        metadata |= charted
    metadata["figures"] = MetadataValue.md(figures_table(outputs, key, number))
    metadata["codes"] = MetadataValue.md(class_table(outputs, key, number))
    return Written(f"v{number}:{judged.digest}", judged.measures, metadata)
