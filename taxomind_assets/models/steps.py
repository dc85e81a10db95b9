"""What the assets `model_study` and `exported_model` do for one taxonomy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dagster import MetadataValue

from taxomind_assets.by_key import Written
from taxomind_assets.metadata import preview

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.models.assets import ExportConfig, StudyConfig
    from taxomind_assets.models.tuning.study import Tuned
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

_EXPORTS_SHOWN: Final = [
    "variant",
    "state",
    "reason",
    "size_bytes",
    "latency_p50_ms",
    "texts_per_second",
    "agreement",
    "accuracy",
]
_TRIALS_SHOWN: Final = ["trial", "state", "name", "value", "best", "seconds", "parameters"]
_NO_MODEL: Final = "There is no model yet: `taxomind models train --taxonomy {key}`."


def export(
    key: str,
    config: ExportConfig,
    settings: Settings,
    outputs: Outputs,
    *,
    embedder: Callable[[], Embedder],
    say: Callable[[str], None],
) -> Written:
    """Export a version, if that was not done before."""
    from taxomind_assets.models.exports.exporting import export_version
    from taxomind_assets.models.exports.report import stored_export
    from taxomind_assets.models.stored import labelled_texts as stored_texts
    from taxomind_assets.models.stored import write_export
    from taxomind_assets.models.training import examples_of
    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_resources.model_store import ModelStore

    store = ModelStore(settings.data)
    if not store.ready(key):
        return Written("none", 0, {"note": _NO_MODEL.format(key=key)})
    number = int(store.folder(key, config.version or store.ready(key)[0]).name.removeprefix("v"))
    found = None if config.again else stored_export(store, key, number)
    if found is None:
        tree = stored_taxonomy(outputs, key)
        examples = examples_of(tree, stored_texts(outputs, key, tree), "validation")
        found = export_version(store, key, number, tree, examples, embedder=embedder, say=say)
    table = write_export(outputs, key, found)
    metadata = {
        "version": number,
        "may be served": ", ".join(found.accepted()) or "the version as it was trained, alone",
        "texts compared": found.texts,
        "variants": preview(table, _EXPORTS_SHOWN),
    }
    return Written(f"v{number}:{found.exported_at.isoformat()}", table.num_rows, metadata)


def tune(
    key: str,
    config: StudyConfig,
    settings: Settings,
    outputs: Outputs,
    *,
    embedder: Callable[[], Embedder],
    say: Callable[[str], None],
) -> Written:
    """Make the trials that are missing, and show the study."""
    from taxomind_assets.models.contracts import Surroundings
    from taxomind_assets.models.fitting import check_enough
    from taxomind_assets.models.registry import registry
    from taxomind_assets.models.stored import labelled_texts as stored_texts
    from taxomind_assets.models.stored import write_trials
    from taxomind_assets.models.training import examples_of
    from taxomind_assets.models.tuning.study import Plan, Tuner, open_study, tuned
    from taxomind_assets.taxonomy.stored import stored_taxonomy
    from taxomind_resources.embedding.runtimes import available_cores
    from taxomind_resources.model_store import ModelStore

    own, folder = settings.for_taxonomy(key).models, ModelStore(settings.data).study(key)
    if not config.trials:
        study = open_study(folder)
        if study is None:
            return Written("none", 0, {"note": f"There is no study yet: `taxomind models tune --taxonomy {key}`."})
        found = tuned(study)
    else:
        tree = stored_taxonomy(outputs, key)
        rows = stored_texts(outputs, key, tree)
        train = examples_of(tree, rows, "train", own_texts=own.node_texts)
        check_enough(train, tree)
        seed = own.seed if config.seed is None else config.seed
        metric: Any = config.metric or own.tuning_metric
        plan = Plan(config.trials, config.timeout_s, tuple(config.combinations), metric, seed, own.node_texts)
        around = Surroundings(embedder, seed, available_cores(), None, say)
        validation = examples_of(tree, rows, "validation")
        tuner = Tuner(folder, plan, tree, train, validation, plugins=registry(), surroundings=around)
        found = tuner.run(fresh=config.fresh)
    table = write_trials(outputs, key, found)
    return Written(f"{table.num_rows}:{found.best_trial}:{found.value}", table.num_rows, _study_metadata(found, table))


def _study_metadata(found: Tuned, table: pa.Table) -> dict[str, Any]:
    from taxomind_assets.models.tuning.figure import optimisation_history
    from taxomind_assets.reports.style import as_markdown_image

    metadata: dict[str, Any] = {
        "trials": table.num_rows,
        "history": MetadataValue.md(as_markdown_image(optimisation_history(found), "value of each trial and the best so far")),
        "rows": preview(table, _TRIALS_SHOWN),
    }
    if found.best is not None and found.value is not None:
        metadata |= {"best": found.best.name, f"validation {found.metric}": found.value}
    return metadata
