"""Failed runs and jobs: said clearly, with the code of the fault, in the log and to those whom the settings name."""

import time
from collections.abc import Mapping
from typing import Final

from dagster import (
    DefaultSensorStatus,
    RunFailureSensorContext,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_failure_sensor,
    sensor,
)
from dagster._core.execution.plan.objects import StepFailureData

from taxomind_assets.partitions import KEY_TAG
from taxomind_resources.alerts import Alert, deliver
from taxomind_resources.dagster_resources import SettingsResource
from taxomind_resources.job_store import has_jobs, job_store
from taxomind_resources.jobs import JOB_TAG, Job
from taxomind_resources.settings import AlertSettings
from taxomind_sensors.requests import PARTITION_TAG

INTERVAL_S: Final = 30
#: Jobs that somebody stopped did not fail by themselves.
_STOPPED: Final = "stopped"
_MOST_LINES: Final = 20


@run_failure_sensor(
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=INTERVAL_S,
    description="Tells of each failed run: taxonomy, step, code of the fault, cause and next step.",
)
def failure_alerts(context: RunFailureSensorContext, settings: SettingsResource) -> None:
    """The log of this sensor is the list of failures; it is shown under the sensor's ticks."""
    run, lines = context.dagster_run, alert_lines(context)
    for line in lines:
        context.log.error(line)
    if JOB_TAG in run.tags:
        return  # told as a job
    details = {"kind": "run", "run_id": run.run_id, "job_name": run.job_name, "taxonomy": _key_of(run.tags)}
    alert = Alert(f"Run failed: {run.job_name} of {details['taxonomy']}", tuple(lines[:_MOST_LINES]), details)
    for remark in told(alert, settings.load().alerts):
        context.log.warning(remark)


@sensor(
    minimum_interval_seconds=INTERVAL_S,
    default_status=DefaultSensorStatus.RUNNING,
    description="Tells of jobs of the HTTP service that failed, by webhook and e-mail (settings of the group alerts).",
)
def job_alerts(context: SensorEvaluationContext, settings: SettingsResource) -> SensorResult | SkipReason:
    """One message for all that failed since the last look; the first look begins with what comes."""
    opened = settings.load()
    if not has_jobs(opened):
        return SkipReason("There are no jobs.")
    if context.cursor is None:
        return SensorResult(skip_reason="Jobs are watched from now on.", cursor=repr(time.time()))
    failed = job_store(opened).failed_since(float(context.cursor))
    if not failed:
        return SkipReason("No job has failed.")
    jobs = [job for job in failed if job.error_code != _STOPPED]
    remarks = told(alert_of(jobs), opened.alerts) if jobs else []
    return SensorResult(
        skip_reason="\n".join([*map(job_line, jobs), *remarks]) or "Jobs were stopped.", cursor=repr(failed[-1].failed_at)
    )


def alert_of(jobs: list[Job]) -> Alert:
    """One message about jobs that failed."""
    lines = [job_line(job) for job in jobs[:_MOST_LINES]]
    if len(jobs) > _MOST_LINES:
        lines.append(f"and {len(jobs) - _MOST_LINES:,} more")
    title = f"{len(jobs):,} jobs failed" if len(jobs) > 1 else f"Job failed: {jobs[0].kind} of {jobs[0].taxonomy or 'all'}"
    names = ("id", "kind", "tenant", "taxonomy", "error", "error_code")
    rows = [{name: getattr(job, name) for name in names} for job in jobs[:_MOST_LINES]]
    return Alert(title, tuple(lines), {"kind": "job", "jobs": rows})


def job_line(job: Job) -> str:
    """A failed job in one line."""
    return (
        f"[{job.error_code}] {job.tenant} {job.taxonomy}: {job.kind} {job.id[:8]}: {' '.join((job.error or '').split())[:1000]}"
    )


def told(alert: Alert, settings: AlertSettings) -> list[str]:
    """Deliver a message; returns what could not be delivered."""
    return [f"The alert was not delivered by {name}: {why}" for name, why in deliver(alert, settings).items() if why]


def alert_lines(context: RunFailureSensorContext) -> list[str]:
    """One line per failed step; of a run that failed outside its steps, one line."""
    tags = context.dagster_run.tags
    where = f"{_key_of(tags)}: {context.dagster_run.job_name} {context.dagster_run.run_id[:8]}"
    lines = []
    for event in context.get_step_failure_events():
        code, cause = cause_of(event.step_failure_data)
        lines.append(f"[{code}] {where}, step {event.step_key}: {cause}")
    return lines or [f"[run_failed] {where}: {' '.join((context.failure_event.message or '').split())[:1000]}"]


def cause_of(data: StepFailureData) -> tuple[str, str]:
    """Why a step failed: the code of its fault, and one line."""
    failure = data.user_failure_data
    metadata = failure.metadata if failure else {}
    code = str(metadata["fault code"].value) if "fault code" in metadata else "unexpected"
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause  # beneath what Dagster says of every failed step
    cause = (failure.description if failure else None) or (error.message if error else "no cause was recorded")
    return code, " ".join(cause.split())[:1000]


def _key_of(tags: Mapping[str, str]) -> str:
    return tags.get(KEY_TAG) or tags.get(PARTITION_TAG) or "several taxonomies"
