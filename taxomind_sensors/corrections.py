"""The sensor of corrections: one run per taxonomy for all that came, changed or went."""

from dagster import DefaultSensorStatus, RunRequest, SensorEvaluationContext, SensorResult, SkipReason, sensor

from taxomind_assets.pending import pending_build, pending_corrections
from taxomind_resources.dagster_resources import InboxResource, IndexStoreResource, OutputsResource, SettingsResource
from taxomind_resources.job_store import keys_in_hand
from taxomind_resources.jobs import CHANGES
from taxomind_sensors.inbox import INTERVAL_S, for_keys, is_busy, learning_run_key, sensor_result
from taxomind_sensors.jobs import key_request, learning_pipe


@sensor(
    job=learning_pipe,
    minimum_interval_seconds=INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Learns from corrections that came, changed or went. Former answers stay until they are asked for again.",
)
def corrections_inbox(
    context: SensorEvaluationContext,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
    indexes: IndexStoreResource,
) -> SensorResult | SkipReason:
    """Evidence that a rebuild left with another taxonomy or model is made anew as well."""
    opened, files, written, built = settings.load(), inbox.open(), outputs.open(), indexes.open()
    remarks: list[str] = []
    in_hand = keys_in_hand(opened, CHANGES)

    def request(key: str) -> RunRequest | None:
        wanted = pending_corrections(key, files, written, built)
        if not wanted:
            if files.digest(key, "corrections") and built.current(key) is None:
                remarks.append(f"{key}: corrections wait until its taxonomy is built.")
            return None
        if key in in_hand:
            remarks.append(f"{key}: the service is learning its corrections.")
            return None
        build, _ = pending_build(key, opened, files, written)
        if is_busy(context.instance, key, build):
            remarks.append(f"{key}: corrections wait for a run that is under way.")
            return None
        return key_request(key, learning_run_key(key, wanted, written))

    requests = for_keys(files.keys(), request, remarks)
    return sensor_result(context.instance, requests, remarks, "Every correction is learned.")
