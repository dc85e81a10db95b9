"""Taking away what belongs to a taxonomy whose folder has left the inbox."""

from typing import Final

from dagster import (
    AssetKey,
    Config,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    OpExecutionContext,
    RunConfig,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SkipReason,
    job,
    op,
    sensor,
)
from pydantic import Field

from taxomind_assets.classification.batches import staging_folder
from taxomind_assets.partitions import KEY_TAG, taxonomy_keys
from taxomind_resources.dagster_resources import (
    InboxResource,
    IndexStoreResource,
    OutputsResource,
    SettingsResource,
    VectorStoreResource,
)
from taxomind_resources.files import folder_name, remove_tree
from taxomind_resources.inbox import Inbox
from taxomind_resources.model_store import ModelStore
from taxomind_sensors.jobs import BUILD_ASSETS, LEARN_ASSETS, MODEL_ASSETS, TEXT_ASSETS
from taxomind_sensors.requests import PARTITION_TAG, new_requests

_INTERVAL_S: Final = 10


class RemovalConfig(Config):
    """Which taxonomy is taken away."""

    taxonomy_key: str = Field(description="key of the taxonomy")


@op(description="Removes outputs, vectors, indexes, models, run history and the partition of a taxonomy, no inputs.")
def remove_outputs(
    context: OpExecutionContext,
    config: RemovalConfig,
    *,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
    vectors: VectorStoreResource,
    indexes: IndexStoreResource,
) -> None:
    """The nodes go last: until then the removal is seen as pending, so that one that was killed is taken up again."""
    key = config.taxonomy_key
    if has_folder(inbox.open(), key):
        context.log.info(f"{key} is in the inbox again; nothing is removed.")
        return
    runs = forget_partition(context.instance, key)
    indexes.open().remove(key)
    tables = vectors.open().remove(key)
    data = settings.load().data
    remove_tree(staging_folder(data, key))
    ModelStore(data).remove(key)
    remove_tree(outputs.open().root / "reports" / "figures" / f"taxonomy_key={folder_name(key)}")
    removed = outputs.open().remove_key(key)
    context.log.info(f"{key}: removed {removed} output tables, {tables} vector tables and {runs} runs.")


@job(description="Removes what was made of a taxonomy whose folder has left the inbox.")
def remove_taxonomy() -> None:
    """One op, so that it waits its turn behind other runs of the same taxonomy."""
    remove_outputs()


@sensor(
    job=remove_taxonomy,
    minimum_interval_seconds=_INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Removes the outputs of a taxonomy whose folder has left the inbox.",
)
def removed_taxonomies(
    context: SensorEvaluationContext, inbox: InboxResource, outputs: OutputsResource
) -> list[RunRequest] | SkipReason:
    """An inbox that is absent, or that lost all of several taxonomies at once, is taken for a disk that is not mounted."""
    files, written = inbox.open(), outputs.open()
    made = written.keys("taxonomy.nodes")
    gone = [key for key in made if not has_folder(files, key)]
    if not gone:
        return SkipReason("Every taxonomy has its folder in the inbox.")
    if not files.root.is_dir() or (len(gone) > 1 and len(gone) == len(made)):
        return SkipReason(
            f"All {len(gone)} folders of the inbox are gone, as if {files.root} were not mounted. If they are meant to be "
            "removed, use `taxomind taxonomy remove`."
        )
    requests = [_request(key, _last_removal(context.instance, key)) for key in gone]
    return new_requests(context.instance, requests) or SkipReason(f"Removal was requested before: {', '.join(gone)}.")


def has_folder(inbox: Inbox, key: str) -> bool:
    """Whether the inbox has a folder for a key, whatever is in it."""
    return (inbox.root / folder_name(key)).is_dir() or (inbox.root / key).is_dir()


def forget_partition(instance: DagsterInstance, key: str) -> int:
    """Delete the partition and its history, so that a taxonomy of the same key starts anew; returns the runs deleted.

    Storages that can wipe a partition do so; in the others a materialisation goes with its run.
    """
    assets = [AssetKey(name) for name in dict.fromkeys((*BUILD_ASSETS, *LEARN_ASSETS, *TEXT_ASSETS, *MODEL_ASSETS))]
    instance.delete_dynamic_partition(str(taxonomy_keys.name), key)
    try:
        for asset in assets:
            instance.wipe_asset_partitions(asset, [key])
    except NotImplementedError:
        pass
    finished = [run for run in instance.get_runs(RunsFilter(tags={PARTITION_TAG: key})) if run.is_finished]
    for run in finished:
        instance.delete_run(run.run_id)
    instance.wipe_asset_cached_status(assets)
    return len(finished)


def removal_request(key: str, run_key: str | None = None) -> RunRequest:
    """A run that removes what was made of `key`."""
    config = RunConfig(ops={"remove_outputs": RemovalConfig(taxonomy_key=key)})
    return RunRequest(run_key=run_key, run_config=config, tags={KEY_TAG: key})


def _request(key: str, last_removal: str) -> RunRequest:
    # A key may be added and removed any number of times, with the same files: each removal follows another one.
    return removal_request(key, f"{key}:removal after {last_removal or 'none'}")


def _last_removal(instance: DagsterInstance, key: str) -> str:
    filters = RunsFilter(job_name="remove_taxonomy", tags={KEY_TAG: key}, statuses=[DagsterRunStatus.SUCCESS])
    runs = instance.get_runs(filters, limit=1)
    return runs[0].run_id if runs else ""
