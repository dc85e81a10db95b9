"""The work of a job: inputs into the inbox, a run of the asset graph, what it wrote as a result.

Every job is a run of Dagster with its own id, tags and log, recorded in the instance like any other. It is executed in the
process of the worker, which keeps models and indexes: starting a process for each would take longer than most jobs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from taxomind_app.api.jobs import RESULTS, Service
from taxomind_app.api.reconcile import close_run
from taxomind_app.api.restoring import drop_former
from taxomind_app.api.results import classify_result, gather, label_result, texts_of
from taxomind_app.api.wire import shown_key
from taxomind_resources.faults import Fault
from taxomind_resources.files import replace_bytes
from taxomind_resources.jobs import JOB_TAG, Job

if TYPE_CHECKING:
    from dagster import DagsterInstance, EventLogEntry

_LOG: Final = logging.getLogger("taxomind.worker")
BUILD: Final = ("raw_taxonomy", "enriched_definitions", "label_view", "definition_view", "example_view", "node_index")
LEARN: Final = ("corrections", "evidence_centroids", "stop_calibration")
#: Texts of a job whose answers are explained.
_MOST_TRACES: Final = 1000


@dataclass
class Progress:
    """How far a job is, written by the run and read by the heartbeat.

    Attributes:
        steps: steps of the run; `done`: those that are done.
        rows: tells the rows that are done, where steps say too little.
    """

    steps: int = 1
    done: int = 0
    rows: Callable[[], int] | None = None

    def of(self, total: int) -> int:
        """Rows done of a total; the last one is left to the end of the job."""
        found = self.rows() if self.rows else total * self.done // max(self.steps, 1)
        return max(0, min(found, total))


@dataclass(frozen=True)
class Run:
    """What Dagster is to run for a job."""

    job_name: str
    assets: Sequence[str]
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Executor:
    """Does jobs, one at a time, in this process.

    Args:
        service: the stores.
        instance: the Dagster instance; its process must see the data root in TAXOMIND_DATA.
        worker: id of the worker that has claimed the jobs.
    """

    def __init__(self, service: Service, instance: DagsterInstance, worker: str) -> None:
        self.service = service
        self.instance = instance
        self.worker = worker
        self.progress = Progress()

    def do(self, job: Job, ending: Callable[[], None]) -> None:
        """Do a claimed job to its end; what goes wrong with it ends it as failed.

        Args:
            job: the job.
            ending: called before its end is written, so that nobody takes the end for a job that was taken away.

        Raises:
            KeyboardInterrupt: the job was taken away (cancelled, or its time is over).
        """
        self.progress = Progress()
        try:
            message, result = self._work(job)
            path = None if result is None else self._written(job, result)
        except Fault as fault:
            ending()
            self.service.jobs.fail(job.id, error_text(fault), fault.code, worker=self.worker)
        except Exception as error:
            _LOG.exception("job %s failed", job.id)
            ending()
            text = f"Internal failure: {type(error).__name__}. The log of the worker says more under {job.id}."
            self.service.jobs.fail(job.id, text, "internal_error", worker=self.worker)
        else:
            ending()
            if self.service.jobs.complete(job.id, self.worker, message, path):
                drop_former(self.service, job)
            elif path is not None:
                (self.service.data / path).unlink(missing_ok=True)
        self._clear(job)

    def _written(self, job: Job, result: dict[str, Any]) -> str:
        path = RESULTS / f"{job.id}.json"
        replace_bytes(self.service.data / path, json.dumps(result, ensure_ascii=True, allow_nan=False).encode())
        return str(path)

    def _work(self, job: Job) -> tuple[str, dict[str, Any] | None]:
        from taxomind_app.api import building, learning, reporting

        if job.kind in {"label", "classify"}:
            return self._answer(job)
        if job.kind == "learn":
            return learning.learn(self, job)
        if job.kind == "error-analysis":
            return reporting.analyse(self, job)
        return building.build(self, job), None

    def _answer(self, job: Job) -> tuple[str, dict[str, Any]]:
        from taxomind_assets.classification.batches import rows_answered

        service = self.service
        batch_id = str(job.parameters["batch"])
        request = service.data / (job.input or "")
        self._check_index(job)
        self.progress.rows = lambda: rows_answered(service.data, job.stored_key, batch_id)
        config = {"classification_results": {"request": request.name}}
        self.run(job, Run("inference_batch", ["classification_results"], config))
        answered = gather(service.outputs, service.indexes, job.stored_key, batch_id, request)
        if job.kind == "label":
            return label_result(answered, job.batch_id or "")
        traces: dict[int, Any] = {}
        if job.parameters.get("trace"):
            traces = self._traces(job, list(texts_of(answered))[:_MOST_TRACES])
        return classify_result(answered, shown_key(job), traces)

    def _check_index(self, job: Job) -> None:
        if self.service.indexes.current(job.stored_key) is None:
            what = f"The taxonomy {job.taxonomy!r} has no index: its build did not succeed."
            raise Fault("index_missing", what, next_step="Send the taxonomy again: POST /taxonomies.")

    def _traces(self, job: Job, texts: Sequence[tuple[int, str]]) -> dict[int, Any]:
        from taxomind_assets.classification.shards import shard_config, shared_classifier

        version = self.service.indexes.folder(job.stored_key).name
        classifier = shared_classifier(shard_config(job.stored_key, self.service.settings, version))
        return {row: classifier.explain(text) for row, text in texts}

    def run(self, job: Job, run: Run, key: str | None = None) -> str:
        """Run assets of a taxonomy; returns the id of the run.

        Args:
            job: the job that the run is for.
            run: what to run.
            key: stored key (default: that of the job).

        Raises:
            Fault: what an asset raised, or `storage_failed`.
            KeyboardInterrupt: the run was interrupted.
        """
        from dagster import AssetKey, DagsterExecutionInterruptedError, Failure

        from taxomind_app.cli.graph import fault_of
        from taxomind_app.definitions import defs
        from taxomind_assets.partitions import KEY_TAG, taxonomy_keys

        own = key or job.stored_key
        run_id = str(uuid4())
        # A former attempt died with its worker, and could not close its run.
        close_run(self.instance, job, "The worker that executed the run is gone.")
        if not self.service.jobs.started_run(job.id, self.worker, run_id):
            raise KeyboardInterrupt
        self.instance.add_dynamic_partitions(str(taxonomy_keys.name), [own])
        self.progress.steps, self.progress.done = len(run.assets) + 1, 0
        self.instance.add_event_listener(run_id, self._count)
        tags = {KEY_TAG: own, JOB_TAG: job.id, "taxomind/started_by": "service", "dagster/max_retries": "0"}
        ops = {name: {"config": dict(config)} for name, config in run.config.items()}
        try:
            defs.resolve_job_def(run.job_name).execute_in_process(
                instance=self.instance,
                partition_key=own,
                asset_selection=[AssetKey(name) for name in run.assets],
                run_id=run_id,
                tags=tags,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, "ops": ops},
            )
        except Failure as failure:
            raise fault_of(failure) from failure
        except DagsterExecutionInterruptedError as interrupted:
            raise KeyboardInterrupt from interrupted
        return run_id

    def _count(self, entry: EventLogEntry) -> None:
        event = entry.dagster_event
        if event is not None and event.is_step_success:
            self.progress.done += 1

    def _clear(self, job: Job) -> None:
        """Remove what was asked once the job has ended: personal texts are kept no longer than it needs them."""
        current = self.service.jobs.get(job.id)
        if job.input is not None and (current is None or current.is_terminal):
            (self.service.data / job.input).unlink(missing_ok=True)


def error_text(fault: Fault) -> str:
    """A fault as the error of a job: one readable text."""
    from taxomind_app.api.errors import sentence_of

    if fault.code == "storage_failed":
        return f"{fault.kind.title}. [{fault.code}]"
    return f"{sentence_of(fault)} [{fault.code}]"
