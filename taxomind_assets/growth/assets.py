"""GROWTH: what does not fit, and what the taxonomy lacks. A person decides; these assets never write a taxonomy."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from dagster import AssetExecutionContext, AssetSpec, BackfillPolicy, MaterializeResult, asset

from taxomind_assets.by_key import Written, for_each_key
from taxomind_assets.classification.assets import classification_results
from taxomind_assets.learning.assets import corrections
from taxomind_assets.metadata import bullet_list, preview, table_metadata
from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.taxonomy.assets import OWNERS
from taxomind_assets.views.assets import node_index
from taxomind_resources.dagster_resources import InboxResource, IndexStoreResource, OutputsResource, SettingsResource

if TYPE_CHECKING:
    from taxomind_assets.growth.gathering import Found
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.llm import LlmClient
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

_SHOWN: Final = ["label", "parent_label", "parent_rule", "count", "day_span", "share", "status", "sources", "titles"]
_SAMPLES: Final = 5
_DECIDED: Final = ["decided_at", "decided_by", "action", "label", "state", "code"]

observation_files = AssetSpec(
    "observation_files",
    description="Labels that people and programs would give: `inbox/<key>/observations/*.jsonl`.",
    group_name="inbox",
    kinds={"file"},
    owners=OWNERS,
    tags={"taxomind/stage": "inbox"},
    partitions_def=taxonomy_keys,
)
decision_files = AssetSpec(
    "decision_files",
    description="What people decided about candidates: `inbox/<key>/decisions/*.jsonl`, written by `taxomind growth`.",
    group_name="inbox",
    kinds={"file"},
    owners=OWNERS,
    tags={"taxomind/stage": "inbox"},
    partitions_def=taxonomy_keys,
)


@asset(
    deps=[classification_results, corrections, observation_files],
    partitions_def=taxonomy_keys,
    backfill_policy=BackfillPolicy.single_run(),
    group_name="growth",
    kinds={"python", "parquet"},
    owners=OWNERS,
    tags={"taxomind/stage": "growth"},
    code_version="1",
    metadata=table_metadata(
        "growth.observations",
        {
            "primary_code": [("classification_results", "code"), ("corrections", "code")],
            "text": [("classification_results", "text"), ("corrections", "text")],
            "confidence": [("classification_results", "confidence")],
        },
    ),
)
def growth_observations(
    context: AssetExecutionContext, settings: SettingsResource, inbox: InboxResource, outputs: OutputsResource
) -> MaterializeResult[Any]:
    """What each answer, each correction and each remark says about the fit of the taxonomy.

    One row for each: the node that the text was given, the label it should have had where somebody says so, and why it does not
    fit where nobody does. Each file of answers is read once; all else is as it was.
    """
    opened = settings.load(), inbox.open(), outputs.open()
    result = for_each_key(context, lambda key: _observe(key, *opened))
    outputs.publish()
    return result


@asset(
    deps=[growth_observations, decision_files, node_index],
    partitions_def=taxonomy_keys,
    backfill_policy=BackfillPolicy.single_run(),
    group_name="growth",
    kinds={"python", "scikitlearn", "parquet"},
    owners=OWNERS,
    tags={"taxomind/stage": "growth"},
    code_version="1",
    metadata=table_metadata(
        "growth.candidates",
        {"label": [("growth_observations", "proposed_label")], "texts": [("growth_observations", "text")]},
    ),
)
def growth_candidates(
    context: AssetExecutionContext,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
    indexes: IndexStoreResource,
) -> MaterializeResult[Any]:
    """Nodes that the texts ask for: labels that were proposed, and groups of texts that do not fit, named by their words.

    Each with its texts, its spread in time, the nearest nodes, the parent it would get, and a trial. They wait for a person:
    `taxomind growth review`. The log of decisions and the nodes that no answer uses are written beside them.
    """
    opened = settings.load(), inbox.open(), outputs.open(), indexes.open()
    result = for_each_key(context, lambda key: _find(key, *opened))
    outputs.publish()
    return result


def _observe(key: str, settings: "Settings", inbox: "Inbox", outputs: "Outputs") -> Written:
    import hashlib

    from taxomind_assets.growth.observing import OBSERVATIONS, observe

    found = observe(key, settings, inbox, outputs)
    state = "\n".join(f"{part}:{outputs.digest(OBSERVATIONS, key, part)}" for part in outputs.parts(OBSERVATIONS, key))
    metadata: dict[str, Any] = {
        **{f"from {origin}": count for origin, count in sorted(found.rows.items())},
        "parts made anew": found.written,
        "lines that are no observation": found.skipped,
        "lines without a time": found.untimed,
    }
    return Written(hashlib.sha256(state.encode()).hexdigest()[:16], sum(found.rows.values()), metadata)


def _find(key: str, settings: "Settings", inbox: "Inbox", outputs: "Outputs", indexes: "IndexStore") -> Written:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.growth.gathering import CANDIDATES, DECISIONS, find_candidates
    from taxomind_assets.pending import growth_state

    now = datetime.now(UTC)
    state = growth_state(key, settings, inbox, outputs, indexes, today=now.date().isoformat())
    classifier = Classifier.load(key, settings)
    client = _client(key, settings)
    found = find_candidates(key, settings, inbox, outputs, classifier=classifier, state=state, now=now, client=client)
    table = outputs.read(CANDIDATES, key)
    log = outputs.read(DECISIONS, key).sort_by([("decided_at", "descending")])
    metadata: dict[str, Any] = {**_counts(found), "preview": preview(table, _SHOWN), "decisions": preview(log, _DECIDED)}
    return Written(state, table.num_rows, metadata)


def _client(key: str, settings: "Settings") -> "LlmClient | None":
    """The language model, when the settings want it."""
    from taxomind_resources.llm import load_llm

    own = settings.for_taxonomy(key)
    return load_llm(own.llm, settings.data) if own.growth.label_by_llm else None


def _counts(found: "Found") -> dict[str, Any]:
    pending = [own for own in found.candidates if own.hidden_until is None]
    samples = [f"{own.candidate.label}: {text}" for own in pending for text in own.candidate.texts[:_SAMPLES]]
    trials = [f"{own.candidate.label}: {own.trial.sentence()}" for own in pending if own.trial]
    hints = [f"{given or 'nowhere'} > {wanted}: {count:,}" for (given, wanted), count in found.detected.hints.items()]
    return {
        "pending": len(pending),
        "skipped": len(found.candidates) - len(pending),
        "texts that do not fit": len(found.misfits.rows) if found.misfits else 0,
        "texts that fit by now": found.misfits.settled if found.misfits else 0,
        "observations from the future": found.late,
        "nodes that no answer uses": found.unused,
        "answers counted": found.answers,
        "sample texts": bullet_list(samples),
        "trials": bullet_list(trials),
        "wished for and there already": bullet_list(hints),
        "next step": "taxomind growth review" if pending else "-",
    }
