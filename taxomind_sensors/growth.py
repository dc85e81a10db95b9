"""The sensor of growth: one run per taxonomy when answers, corrections, remarks or decisions landed, and once a day."""

from datetime import UTC, datetime

from dagster import DefaultSensorStatus, RunRequest, SensorEvaluationContext, SensorResult, SkipReason, sensor

from taxomind_assets.pending import pending_build, pending_corrections, pending_growth
from taxomind_resources.dagster_resources import InboxResource, IndexStoreResource, OutputsResource, SettingsResource
from taxomind_sensors.inbox import for_keys, is_busy, learning_run_key, sensor_result
from taxomind_sensors.jobs import growth_pipe, key_request
from taxomind_sensors.requests import run_of

#: Growth can wait; each look reads the state of all files of answers.
INTERVAL_S = 60


@sensor(
    job=growth_pipe,
    minimum_interval_seconds=INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Finds candidates for growth when answers, corrections or decisions landed, and once a day.",
)
def growth_watch(
    context: SensorEvaluationContext,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
    indexes: IndexStoreResource,
) -> SensorResult | SkipReason:
    """It waits until the taxonomy is built and its corrections are learned, and for runs that are under way."""
    opened, files, written, built = settings.load(), inbox.open(), outputs.open(), indexes.open()
    remarks: list[str] = []

    def request(key: str) -> RunRequest | None:
        wanted = pending_growth(key, opened, files, written, built, today=datetime.now(UTC).date().isoformat())
        if not wanted:
            return None
        build, _ = pending_build(key, opened, files, written)
        to_learn = pending_corrections(key, files, written, built)
        # One attempt each: corrections or texts may be unusable, and growth must not wait for them for ever.
        is_learning = to_learn and run_of(context.instance, learning_run_key(key, to_learn, written)) is None
        if is_learning or is_busy(context.instance, key, build):
            remarks.append(f"{key}: growth waits for work that comes first.")
            return None
        return key_request(key, f"{key}:{wanted}:growth")

    requests = for_keys(files.keys(), request, remarks)
    return sensor_result(context.instance, requests, remarks, "Everything is observed.")
