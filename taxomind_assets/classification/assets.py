"""CLASSIFICATION: the texts of the inbox, answered."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from dagster import AssetExecutionContext, AssetKey, AssetSpec, Config, MaterializeResult, asset
from pydantic import Field

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.learning.assets import evidence_centroids
from taxomind_assets.metadata import bullet_list, preview, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.pending import SEEN
from taxomind_assets.taxonomy.assets import OWNERS
from taxomind_assets.views.assets import node_index
from taxomind_resources.dagster_resources import (
    EngineResource,
    InboxResource,
    IndexStoreResource,
    OutputsResource,
    SettingsResource,
)
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from taxomind_assets.classification.batches import Batch, BatchRunner
    from taxomind_resources.inbox import Inbox, InboxFile
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

CALIBRATIONS: Final = "classification.calibrations"
#: Share of the corrections that may come or go before everything is fitted anew.
_NEAR: Final = 0.05
_SHOWN = ["text", "language", "path", "label", "confidence", "stop_reason", "alternatives"]

text_files = AssetSpec(
    "text_files",
    description="Files of texts as they were handed in: `inbox/<key>/texts/*.csv`, `.jsonl` or `.parquet`.",
    group_name="inbox",
    kinds={"file"},
    owners=OWNERS,
    tags={"taxomind/stage": "inbox"},
    partitions_def=taxonomy_keys,
)


@asset(
    deps=[AssetKey("labelled_files"), node_index, evidence_centroids],
    partitions_def=taxonomy_keys,
    group_name="classification",
    kinds={"python", "parquet"},
    owners=OWNERS,
    tags={"taxomind/stage": "classification"},
    code_version="1",
    metadata=table_metadata("classification.calibrations"),
)
def stop_calibration(
    context: AssetExecutionContext,
    *,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
) -> MaterializeResult[Any]:
    """What texts with known codes teach the classifier: how much each view counts, how sure an answer is, and where to stop.

    Corrections and labelled files are such texts; each is scored as if nobody had told of it. Weights, voters (classifiers
    trained on corrections), temperatures and the threshold that keeps the accuracy target are fitted, as far as there are
    enough texts. Without enough of them what ships serves, which needs none and proves nothing. A few corrections more do
    not fit all of it anew.
    """
    opened = settings.load(), inbox.open(), outputs.open()

    def calibrate(key: str) -> Written:
        written = _calibrate(key, *opened)
        joined = _joined(key, opened[0], opened[2])
        # A model's weight is learned beside these numbers, so it follows each of them.
        return replace(written, metadata={**written.metadata, **joined})

    result = for_each_key(context, calibrate)
    outputs.publish()
    return result


def _joined(key: str, settings: "Settings", outputs: "Outputs") -> dict[str, Any]:
    """What joining the promoted model has come to."""
    from taxomind_assets.models.joining import join_promoted
    from taxomind_resources.embedding import load_embedder

    own = settings.for_taxonomy(key)
    found = join_promoted(key, settings, outputs, lambda: load_embedder(own.embedding, settings.data))
    if found is None:
        return {}
    shares = {f"right on validation rows, {who}": share for who, share in found.accuracy.items()}
    return {"model": f"version {found.number}", "model joined": found.choice, "validation rows": found.rows, **shares}


def _calibrate(key: str, settings: "Settings", inbox: "Inbox", outputs: "Outputs") -> Written:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.classification.fitted_store import drop_voters, read_fitted, stored_row, write_fitted
    from taxomind_assets.classification.fitting import fit
    from taxomind_assets.classification.labelled_sample import FEWEST_TEXTS
    from taxomind_assets.classification.own_labels import described
    from taxomind_assets.learning.gathering import labelled_corrections, stored_corrections
    from taxomind_assets.reports.sources import read_labelled
    from taxomind_assets.taxonomy.versions import current_translation

    digest, files = inbox.digest(key, "labelled"), inbox.files(key, "labelled")
    classifier = Classifier.load(key, settings, model=False)
    evidence = classifier.scorer.evidence
    corrected = len(evidence.rows) if evidence else 0
    row, problem = stored_row(outputs, key, classifier.index.version), read_fitted(outputs, key, classifier.index.version)[1]
    replaced = {"replaced": problem} if problem else {}
    target = classifier.settings.routing.accuracy_target
    if row and not problem and outputs.digest(CALIBRATIONS, key) == digest and _is_near(row, corrected, target):
        note = f"Fitted on {row['corrected_texts']:,} corrections; {corrected:,} are too few more to fit anew."
        return Written(row["calibration_version"], 1, {"note": note, "corrected": corrected})
    # Refused rows are told by the error report, which reads the same files.
    translation = current_translation(inbox, outputs, key, classifier.tree.version)
    targets = read_labelled(classifier.tree, files, classifier.settings, lambda rows: None, translation=translation).targets
    told = labelled_corrections(classifier.tree, stored_corrections(outputs, key, status="applied"))
    texts, codes = [*targets["text"].to_pylist(), *told[0]], [*targets["codes"].to_pylist(), *told[1]]
    found = fit(classifier, texts, codes)
    if found is None:
        outputs.write(CALIBRATIONS, key, BY_NAME[CALIBRATIONS].arrow.empty_table(), digest=digest)
        drop_voters(outputs, key)
        note = f"{len(texts):,} labelled texts; a calibration needs {FEWEST_TEXTS}. The one of the node index serves."
        metadata = {"note": note, "labelled texts": targets.num_rows, "corrected": corrected, **replaced}
        return Written(classifier.index.calibration.version, 0, metadata)
    version = classifier.with_fitted(found).versions["calibration_version"]
    write_fitted(
        outputs, key, found, index_version=classifier.index.version, version=version, corrected=corrected, digest=digest
    )
    numbers = found.calibration
    figures = {"threshold": numbers.threshold, "accuracy target": numbers.accuracy_target}
    metadata = {
        "result": described(numbers, found.texts),
        "labelled texts": targets.num_rows,
        "corrected": corrected,
        "weights": "fitted" if found.weights else "shipped",
        "voters": "trained" if found.voters else "none (no corrections, few for a large taxonomy, or of few leaves)",
        "proven": numbers.proven,
        "temperature, encoder not trusted": numbers.temperature[0],
        "temperature, encoder trusted": numbers.temperature[1],
        **{name: value for name, value in figures.items() if value is not None},
        **replaced,
    }
    return Written(version, 1, metadata)


def _is_near(row: dict[str, Any], corrected: int, target: float) -> bool:
    """Whether what was fitted still fits: for the same target, on almost as many corrections."""
    before = row["corrected_texts"]
    return row["accuracy_target"] in (None, target) and before > 0 and abs(corrected - before) <= _NEAR * before


class ClassificationConfig(Config):
    """Which files are classified, and whether answers are explained."""

    reclassify: Literal["none", "stale", "all"] = Field(
        "none",
        description="none: only files that are new; stale: also those answered with another index or other settings; all: all",
    )
    explain: bool = Field(
        False,
        description="also write why each text got its answer to classification.explanations (first 1,000 texts of a batch)",
    )
    request: str = Field(
        "", description="classify this one file of the folder `requests` alone: what the service was asked about"
    )


@asset(
    deps=[text_files, node_index, evidence_centroids, stop_calibration],
    partitions_def=taxonomy_keys,
    group_name="classification",
    kinds={"python", "parquet"},
    owners=OWNERS,
    tags={"taxomind/stage": "classification"},
    code_version="1",
    metadata=table_metadata(
        "classification.results",
        {
            **{name: [("text_files", name)] for name in ("text_id", "text", "language")},
            **{name: [("node_index", "code")] for name in ("code", "path", "alternatives", "top_codes")},
        },
    ),
)
def classification_results(
    context: AssetExecutionContext,
    config: ClassificationConfig,
    *,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
    indexes: IndexStoreResource,
    engine: EngineResource,
) -> MaterializeResult[Any]:
    """A place in the taxonomy for every text: code, path, confidence per level, why it stops there, and the next best.

    Each file is a batch named by its content; a batch is classified once. A run that was killed goes on at the first shard that
    is not whole. A file that cannot be read is noted in `classification.rejected_rows` and does not stop the others.
    """
    from taxomind_assets.classification.batches import BatchRunner

    opened, written, built, mapper = settings.load(), outputs.open(), indexes.open(), engine.open()

    def runner(key: str) -> BatchRunner:
        version = built.folder(key).name
        return BatchRunner(key, opened, written, engine=mapper, index_version=version, log=context.log.info)

    result = for_each_key(context, lambda key: _classify(key, inbox.open(), runner(key), config, built))
    outputs.publish()
    return result


def _classify(key: str, inbox: "Inbox", runner: "BatchRunner", config: ClassificationConfig, indexes: "IndexStore") -> Written:
    from taxomind_assets.classification.explanations import explain_batches
    from taxomind_assets.classification.staleness import described, note_stale_batches

    if config.request:
        return _answer_request(key, inbox, runner, config)
    # The digest comes first: a file that arrives meanwhile makes it differ from the inbox, so the next run sees it.
    digest = inbox.digest(key, "texts")
    files = inbox.files(key, "texts")
    chosen = _chosen(files, runner, config.reclassify)
    done = [batch for file, batch_id in chosen if (batch := runner.run(file, batch_id, again=config.reclassify == "all"))]
    outputs = runner.outputs
    empty = BY_NAME["classification.batches"].arrow.empty_table()
    outputs.write("classification.batches", key, empty, digest=digest, part=SEEN)
    batches = outputs.read("classification.batches", key)
    metadata = _metadata(key, outputs, files, done, batches) | explain_batches(runner, wanted=config.explain)
    stale = note_stale_batches(key, runner.shared_settings, outputs, indexes)
    metadata |= {"stale batches": len(stale), "stale": bullet_list(described(stale))}
    return Written(_data_version(key, outputs), sum(batches["rows"].to_pylist()), metadata)


def _answer_request(key: str, inbox: "Inbox", runner: "BatchRunner", config: ClassificationConfig) -> Written:
    """Answer the texts of one request; other files are left to other runs."""
    files = [file for file in inbox.files(key, "requests") if file.name == config.request]
    done = [batch for file, batch_id in _chosen(files, runner, "none") if (batch := runner.run(file, batch_id))]
    batches = runner.outputs.read("classification.batches", key, parts=[batch.batch_id for batch in done])
    version = "-".join([runner.version, *(batch.batch_id for batch in done)])
    return Written(version, sum(batch.rows for batch in done), _metadata(key, runner.outputs, files, done, batches))


def _chosen(files: "list[InboxFile]", runner: "BatchRunner", reclassify: str) -> "Iterator[tuple[InboxFile, str]]":
    """The files to classify, with their batch ids. The same content under two names is one batch."""
    seen: set[str] = set()
    for file in files:
        batch_id = runner.batch_id(file)
        if batch_id is None or batch_id in seen:
            continue
        seen.add(batch_id)
        current = runner.is_current(batch_id) if reclassify == "stale" else runner.is_done(batch_id)
        if reclassify == "all" or not current:
            yield file, batch_id


def _metadata(
    key: str, outputs: "Outputs", files: "list[InboxFile]", done: "list[Batch]", batches: "pa.Table"
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "text files": len(files),
        "batches of this run": len(done),
        "batches": preview(
            batches.sort_by([("finished_at", "descending")]), ["source_file", "rows", "rejected", "abstained", "seconds"]
        ),
    }
    if not files:
        metadata["note"] = f"There are no text files; put them into inbox/{key}/texts."
    refused = [f"{batch.source_file}: {batch.refused}" for batch in done if batch.refused]
    if refused:
        metadata["refused files"] = bullet_list(refused)
    rows = sum(batch.rows for batch in done)
    if rows:
        answered = rows - sum(batch.abstained for batch in done)
        seconds = sum(batch.seconds for batch in done)
        metadata |= {
            "texts of this run": rows,
            "rows refused in this run": sum(batch.rejected for batch in done),
            "share answered": answered / rows,
            "mean depth of answers": sum(batch.depth_sum for batch in done) / max(answered, 1),
            "texts per second": rows / max(seconds, 1e-9),
            "answers": _answers_preview(key, outputs, done),
        }
    return metadata | _costs(done)


def _costs(done: "list[Batch]") -> dict[str, Any]:
    """What second opinions were expected to take, and what the judge has cost; nothing where none is switched on."""
    from taxomind_assets.classification.second_opinion import Outlook
    from taxomind_resources.llm import Spending

    expected = sum((batch.outlook for batch in done), Outlook())
    if not expected.lines():
        return {}
    metadata: dict[str, Any] = {"second opinions, before": bullet_list(expected.lines())}
    if expected.judged is None:
        return metadata
    spent = sum((batch.judged for batch in done), Spending())
    costs = {"judge, US dollars expected at most": expected.judged.cost, "judge, US dollars spent": spent.cost}
    metadata |= {"judge, spent": str(spent), **{name: cost for name, cost in costs.items() if cost is not None}}
    return metadata


def _answers_preview(key: str, outputs: "Outputs", done: "list[Batch]") -> Any:
    from taxomind_assets.classification.batches import shard_part

    batch = next(batch for batch in done if batch.rows)
    return preview(outputs.read("classification.results", key, columns=_SHOWN, parts=[shard_part(batch.batch_id, 0)]), _SHOWN)


def _data_version(key: str, outputs: "Outputs") -> str:
    parts = [part for part in outputs.parts("classification.batches", key) if part != SEEN]
    lines = [f"{part}\t{outputs.digest('classification.batches', key, part)}" for part in parts]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
