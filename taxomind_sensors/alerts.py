"""Failed runs: said clearly, with the code of the fault."""

from dagster import DefaultSensorStatus, RunFailureSensorContext, run_failure_sensor

from taxomind_assets.partitions import KEY_TAG
from taxomind_sensors.requests import PARTITION_TAG


@run_failure_sensor(
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Logs one line for each failed run: taxonomy, step, code of the fault, cause and next step.",
)
def failure_alerts(context: RunFailureSensorContext) -> None:
    """The log of this sensor is the list of failures; it is shown under the sensor's ticks."""
    for line in alert_lines(context):
        context.log.error(line)


def alert_lines(context: RunFailureSensorContext) -> list[str]:
    """One line per failed step; of a run that failed outside its steps, one line."""
    tags = context.dagster_run.tags
    key = tags.get(KEY_TAG) or tags.get(PARTITION_TAG) or "several taxonomies"
    where = f"{key}: {context.dagster_run.job_name} {context.dagster_run.run_id[:8]}"
    lines = []
    for event in context.get_step_failure_events():
        failure = event.step_failure_data.user_failure_data
        metadata = failure.metadata if failure else {}
        code = metadata["fault code"].text if "fault code" in metadata else "unexpected"
        error = event.step_failure_data.error
        cause = (failure.description if failure else None) or (error.message if error else "no cause was recorded")
        lines.append(f"[{code}] {where}, step {event.step_key}: {' '.join(cause.split())[:1000]}")
    return lines or [f"[run_failed] {where}: {' '.join((context.failure_event.message or '').split())[:1000]}"]
