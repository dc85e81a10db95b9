"""What happens by the clock."""

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from taxomind_assets.pending import pending_report
from taxomind_resources.dagster_resources import InboxResource, IndexStoreResource, OutputsResource, SettingsResource
from taxomind_resources.faults import Fault
from taxomind_sensors.jobs import error_analysis, key_request
from taxomind_sensors.maintenance import maintenance

weekly_maintenance = ScheduleDefinition(
    name="weekly_maintenance",
    job=maintenance,
    cron_schedule="0 3 * * 0",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Sundays at 3: compaction of vectors, removal of old pins, indexes and unfinished files.",
)


@schedule(
    job=error_analysis,
    cron_schedule="0 2 * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Every night at 2: error reports of all taxonomies with labelled files whose report is not up to date.",
)
def nightly_error_reports(
    context: ScheduleEvaluationContext,
    *,
    settings: SettingsResource,
    inbox: InboxResource,
    outputs: OutputsResource,
    indexes: IndexStoreResource,
) -> list[RunRequest] | SkipReason:
    """A report depends on files, index and settings alone: one that is up to date would come out the same."""
    opened, files, written, built = settings.load(), inbox.open(), outputs.open(), indexes.open()
    requests = []
    keys = files.keys()
    for key in keys:
        try:
            new, stale = pending_report(key, opened, files, written, built)
        except Fault as fault:
            context.log.warning(f"{key}: {fault.what}")
            continue
        if new or stale:
            day = context.scheduled_execution_time.date().isoformat()
            requests.append(key_request(key, f"{key}:{day}:nightly report"))
    return requests or SkipReason("Every report is up to date.")
