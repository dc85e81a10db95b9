"""The sensors of the inbox: each compares inputs with outputs and requests what is missing, exactly once.

They keep no state: an output says which inputs it was made from, and a run key which state of the inputs a run was for. A
daemon that is killed, restarted or late changes nothing but the time.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from dagster import (
    AssetKey,
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from taxomind_assets.partitions import taxonomy_keys
from taxomind_assets.pending import pending_build, pending_corrections, pending_report, pending_texts
from taxomind_resources.dagster_resources import InboxResource, IndexStoreResource, OutputsResource, SettingsResource
from taxomind_resources.faults import Fault
from taxomind_resources.job_store import keys_in_hand
from taxomind_resources.jobs import CHANGES
from taxomind_resources.outputs import Outputs
from taxomind_sensors.jobs import BUILD_ASSETS, LABEL_ASSETS, LEARN_ASSETS, error_analysis, inference, key_request, whole_job
from taxomind_sensors.requests import PARTITION_TAG, UNDER_WAY, new_requests, run_of

INTERVAL_S: Final = 10

Remarks = list[str]


@sensor(
    job=whole_job,
    minimum_interval_seconds=INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Builds a taxonomy whose file is new or changed, then learns its corrections, answers its texts and reports.",
)
def taxonomy_inbox(
    context: SensorEvaluationContext, settings: SettingsResource, inbox: InboxResource, outputs: OutputsResource
) -> SensorResult | SkipReason:
    """A new key becomes a partition in the same tick in which its first run is requested."""
    opened, files, written = settings.load(), inbox.open(), outputs.open()
    remarks: Remarks = []
    in_hand = keys_in_hand(opened, CHANGES)

    def request(key: str) -> RunRequest | None:
        build, waiting = pending_build(key, opened, files, written)
        remarks.extend(waiting)
        if not build:
            return None
        if key in in_hand:
            remarks.append(f"{key}: the service is building it.")
            return None
        following = {"corrections": LEARN_ASSETS, "texts": ("classification_results",), "labelled": LABEL_ASSETS}
        wanted = [assets for kind, assets in following.items() if files.digest(key, kind)]
        selected = dict.fromkeys((*BUILD_ASSETS, *(asset for assets in wanted for asset in assets)))
        return key_request(key, build_run_key(key, build), asset_selection=[AssetKey(asset) for asset in selected])

    return sensor_result(context.instance, for_keys(files.keys(), request, remarks), remarks, "Every taxonomy is built.")


@sensor(
    job=inference,
    minimum_interval_seconds=INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Answers text files that are new. A file that arrives before its taxonomy is built waits for it.",
)
def texts_inbox(
    context: SensorEvaluationContext,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
    indexes: IndexStoreResource,
) -> SensorResult | SkipReason:
    """While a run of the taxonomy is under way its texts wait: it may be a build, or deal with them already."""
    opened, files, written, built = settings.load(), inbox.open(), outputs.open(), indexes.open()
    remarks: Remarks = []

    def request(key: str) -> RunRequest | None:
        texts = pending_texts(key, files, written, built)
        if not texts:
            if files.digest(key, "texts") and built.current(key) is None:
                remarks.append(f"{key}: texts wait until its taxonomy is built.")
            return None
        build, _ = pending_build(key, opened, files, written)
        wanted = pending_corrections(key, files, written, built)
        # Corrections come first, so that no answer is stale when it is made; one attempt, since they may be unusable.
        to_learn = bool(wanted) and run_of(context.instance, learning_run_key(key, wanted, written)) is None
        if to_learn or is_busy(context.instance, key, build):
            remarks.append(f"{key}: texts wait for {'its corrections' if to_learn else 'a run that is under way'}.")
            return None
        return key_request(key, f"{key}:{texts}:texts")

    return sensor_result(context.instance, for_keys(files.keys(), request, remarks), remarks, "Every text is answered.")


@sensor(
    job=error_analysis,
    minimum_interval_seconds=INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Makes the error report of a taxonomy whose labelled files are new or changed.",
)
def labelled_inbox(
    context: SensorEvaluationContext,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
    indexes: IndexStoreResource,
) -> SensorResult | SkipReason:
    """Reports that are stale for another reason (a new index, other settings) are made by the nightly schedule."""
    opened, files, written, built = settings.load(), inbox.open(), outputs.open(), indexes.open()
    remarks: Remarks = []

    def request(key: str) -> RunRequest | None:
        labelled, _ = pending_report(key, opened, files, written, built)
        if not labelled:
            return None
        build, _ = pending_build(key, opened, files, written)
        if is_busy(context.instance, key, build):
            return None
        return key_request(key, f"{key}:{labelled}:report")

    return sensor_result(
        context.instance, for_keys(files.keys(), request, remarks), remarks, "Every labelled file is reported on."
    )


def build_run_key(key: str, build: str) -> str:
    """Run key of the build that `Pending.build` asks for."""
    return f"{key}:{build}:build"


def learning_run_key(key: str, wanted: str, outputs: Outputs) -> str:
    """Run key of the run that `Pending.corrections` asks for.

    A file that is taken away brings an earlier state back, which must be asked for again: so each run follows the evidence
    that was written before it. A run that fails writes none, and is not asked for a second time.
    """
    path = outputs.path("learning.centroids", key)
    written = path.stat().st_mtime_ns if path.exists() else 0
    return f"{key}:{wanted}:corrections after {written}"


def for_keys(keys: Sequence[str], request: Callable[[str], RunRequest | None], remarks: Remarks) -> Iterator[RunRequest]:
    """The requests of all keys; a fault of one is remarked and does not stop the others."""
    for key in keys:
        try:
            found = request(key)
        except Fault as fault:
            remarks.append(f"{key}: {fault.what}")
            continue
        if found:
            yield found


def sensor_result(
    instance: DagsterInstance, requests: Iterator[RunRequest], remarks: Remarks, nothing: str
) -> SensorResult | SkipReason:
    """The requests that were not made before, with the partitions they need; without any, why there is `nothing` to do."""
    found = new_requests(instance, requests)
    if not found:
        return SkipReason("\n".join(remarks) or nothing)
    known = set(instance.get_dynamic_partitions(str(taxonomy_keys.name)))
    new = sorted({str(request.partition_key) for request in found} - known)
    return SensorResult(run_requests=found, dynamic_partitions_requests=[taxonomy_keys.build_add_request(new)] if new else [])


def is_busy(instance: DagsterInstance, key: str, build: str) -> bool:
    """Whether a run may already be dealing with these inputs, or a build that is wanted has not been requested yet."""
    if build and run_of(instance, build_run_key(key, build)) is None:
        return True
    return bool(instance.get_runs(RunsFilter(tags={PARTITION_TAG: key}, statuses=list(UNDER_WAY)), limit=1))
