"""Jobs that measure: the error report of a tenant's taxonomies, from their labelled files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_app.api.executor import Executor
    from taxomind_resources.jobs import Job


def analyse(executor: Executor, job: Job) -> tuple[str, dict[str, Any]]:
    """Do such a job; returns its message and result.

    Raises:
        Fault: what an asset raised; `invalid_input` when nothing is labelled.
        KeyboardInterrupt: the job was taken away.
    """
    from taxomind_app.api.executor import Run

    service = executor.service
    wanted = [job.stored_key] if job.stored_key else [place.stored for place in service.places_of(job.tenant)]
    keys = [key for key in wanted if service.indexes.current(key) and service.inbox.digest(key, "labelled")]
    if job.stored_key and not keys:
        what = f"The taxonomy {job.taxonomy!r} has no labelled texts to measure with."
        raise Fault("invalid_input", what, next_step="Put files with texts and codes into its inbox folder `labelled`.")
    rows: Counter[str] = Counter()
    counts: dict[str, int] = {}
    metrics: dict[str, Any] = {}
    for key in keys:
        executor.run(job, Run("error_analysis", ["stop_calibration", "error_report"]), key)
        own = service.outputs.read("reports.errors", key, columns=["dataset"])["dataset"].to_pylist()
        chosen = [name for name in own if job.parameters.get("dataset") in (None, name)]
        rows.update(chosen)
        counts[key] = len(chosen)
        metrics[key] = _metrics(executor, key, job.parameters.get("max_rows"))
    result = {"rows": dict(rows), "taxonomy_key_counts": counts, "metrics": metrics}
    return f"{sum(counts.values()):,} texts of {len(counts):,} taxonomies measured.", result


def _metrics(executor: Executor, key: str, most: int | None) -> list[dict[str, Any]]:
    names = ["slice", "strategy", "metric", "level", "value", "n", "interval_low", "interval_high"]
    rows = executor.service.outputs.read("reports.metrics", key, columns=names).to_pylist()
    # NaN is no JSON number; a measure that is not defined is null.
    return [{name: _number(value) for name, value in row.items()} for row in rows[:most]]


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
