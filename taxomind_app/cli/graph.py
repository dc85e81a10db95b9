"""Running the asset graph from the command line: the same assets, jobs and records as in the UI, with progress shown."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taxomind_app.cli.session import Session, styled
from taxomind_resources.faults import FAULTS, Fault

if TYPE_CHECKING:
    from dagster import DagsterEvent, Definitions, EventLogEntry, Failure, JobDefinition

BUILD: Final = ("raw_taxonomy", "enriched_definitions", "label_view", "definition_view", "example_view", "node_index")
LEARN: Final = ("corrections", "evidence_centroids", "stop_calibration")
ANSWERS: Final = "classification_results"
REPORT: Final = ("stop_calibration", "error_report")
LEARNING_REPORT: Final = "learning_report"
MODELS: Final = ("labelled_texts", "trained_model", "model_evaluation")
_UNITS: Final[Mapping[str, str]] = {
    "raw_taxonomy": "nodes",
    "enriched_definitions": "nodes",
    "label_view": "texts",
    "definition_view": "texts",
    "example_view": "texts",
    "node_index": "vectors",
    "corrections": "corrections",
    "evidence_centroids": "nodes taught",
    "classification_results": "answers",
    "growth_observations": "observations",
    "growth_candidates": "candidates",
    "stop_calibration": "calibrations",
    "error_report": "texts judged",
    "labelled_texts": "texts",
    "model_study": "trials",
    "trained_model": "versions",
    "model_evaluation": "figures",
    "exported_model": "variants",
    LEARNING_REPORT: "measures",
}
_ROWS: Final = "dagster/partition_row_count"
#: A run of the command line is not taken up by a daemon when its process ends: the next call does so.
STARTED_BY: Final = "command line"
_TAGS: Final = {"taxomind/started_by": STARTED_BY, "dagster/max_retries": "0"}


@dataclass(frozen=True)
class Materialised:
    """An asset that a run has made. `rows`: rows of its table; `seconds`: wall time of its step."""

    asset: str
    rows: int | None
    seconds: float


def run_assets(
    session: Session, key: str, assets: Sequence[str], config: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Materialised]:
    """Materialise assets of one taxonomy in this process, in their order; the run is recorded in the instance of the data root.

    Args:
        session: the call; progress goes to its standard error.
        key: taxonomy key; it becomes a partition when it is none yet.
        assets: names of assets.
        config: what single assets of this run are told.

    Raises:
        Fault: what an asset raised, or `storage_failed`.
    """
    from dagster import AssetKey

    from taxomind_app.cli.instance import open_instance
    from taxomind_assets.partitions import KEY_TAG, taxonomy_keys

    definitions = _definitions(session)
    with open_instance(session.root) as instance, _progress(session) as show:
        instance.add_dynamic_partitions(str(taxonomy_keys.name), [key])
        run_id = _new_run_id()
        watch = _Watch(show)
        instance.add_event_listener(run_id, watch)
        with _plain_ends():
            _job(definitions, assets).execute_in_process(
                instance=instance,
                partition_key=key,
                asset_selection=[AssetKey(name) for name in assets],
                run_id=run_id,
                tags={**_TAGS, KEY_TAG: key},
                run_config={**_logging(session), "ops": {name: {"config": dict(own)} for name, own in (config or {}).items()}},
            )
    return watch.done


def _job(definitions: Definitions, assets: Sequence[str]) -> JobDefinition:
    """The job that holds the assets: the whole job leaves models out, because nobody wants them trained by the way."""
    from taxomind_sensors.jobs import MODEL_ASSETS

    if set(assets) & set(MODEL_ASSETS):
        return definitions.resolve_implicit_global_asset_job_def()
    return definitions.resolve_job_def("whole_job")


def run_removal(session: Session, key: str) -> None:
    """Remove all that was made of a taxonomy: outputs, vectors, indexes, its partition and their history.

    Raises:
        Fault: `storage_failed` or `invalid_key`.
    """
    from dagster import execute_job
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    from taxomind_app.cli.instance import DEFINITIONS_MODULE, open_instance
    from taxomind_sensors.removal import removal_request

    _definitions(session)
    # The job asks for all assets of the repository, which only a job that was loaded from there knows.
    job = ReconstructableRepository.for_module(DEFINITIONS_MODULE, "defs").get_reconstructable_job("remove_taxonomy")
    request = removal_request(key)
    config = {**request.run_config, **_logging(session)}
    with open_instance(session.root) as instance, _plain_ends():
        execute_job(job, instance, run_config=config, tags={**_TAGS, **request.tags}, raise_on_error=True)


def fault_of(failure: Failure) -> Fault:
    """The fault behind a failed step: the one it was raised from, else what the failure says."""
    cause = failure.__cause__
    if isinstance(cause, Fault):
        return cause
    metadata = failure.metadata or {}
    stated = metadata.get("fault code")
    code = str(stated.value) if stated is not None and str(stated.value) in FAULTS else "storage_failed"
    next_step = metadata.get("next step")
    first, *rest = (failure.description or "A step failed.").splitlines()
    found: dict[str, str] = {}
    details = []
    for line in rest:
        name, _, value = line.strip().partition(":")
        if line.startswith("  - "):
            details.append({"what": line[4:]})
        elif name in {"value", "allowed"}:
            found[name] = value.strip()
    return Fault(
        code,
        first.partition("]: ")[2] or first,
        value=_Shown(found["value"]) if "value" in found else None,
        allowed=found.get("allowed"),
        next_step=str(next_step.value) if next_step is not None else None,
        details=details,
    )


@contextmanager
def _plain_ends() -> Iterator[None]:
    """Failed steps as faults, and Ctrl-C as itself."""
    from dagster import DagsterExecutionInterruptedError, Failure

    try:
        yield
    except Failure as failure:
        raise fault_of(failure) from failure
    except DagsterExecutionInterruptedError as interrupted:
        raise KeyboardInterrupt from interrupted


class _Shown(str):
    """A value that is shown already."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Watch:
    """Told every event of a run; turns those of assets into progress."""

    def __init__(self, show: Callable[[str, Materialised | None], None]) -> None:
        self.done: list[Materialised] = []
        self._show = show
        self._started: dict[str, float] = {}

    def __call__(self, entry: EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None:
            return
        if event.is_step_start and event.step_key:
            self._started[event.step_key] = time.monotonic()
            self._show(event.step_key, None)
        elif event.is_step_materialization:
            self._add(event)

    def _add(self, event: DagsterEvent) -> None:
        materialisation = event.step_materialization_data.materialization
        asset = event.asset_key.to_user_string() if event.asset_key else str(event.step_key)
        rows: Any = getattr(materialisation.metadata.get(_ROWS), "value", None)
        started = self._started.get(str(event.step_key), time.monotonic())
        made = Materialised(asset, None if rows is None else int(rows), time.monotonic() - started)
        self.done.append(made)
        self._show(asset, made)


@contextmanager
def _progress(session: Session) -> Iterator[Callable[[str, Materialised | None], None]]:
    """Shows each asset when it is made, and the one that is being made."""
    console = session.err
    with console.status("starting", spinner="dots") as status:

        def show(asset: str, made: Materialised | None) -> None:
            if made is None:
                status.update(asset)
            else:
                rows = "" if made.rows is None else _counted(made.rows, _UNITS.get(asset, "rows"))
                figures = f"{rows:>18}{made.seconds:>8.1f} s"
                console.print(styled("  [green]✓[/] {asset}[dim]{figures}[/]", asset=f"{asset:<24}", figures=figures))

        yield show


def _definitions(session: Session) -> Definitions:
    from taxomind_resources.settings import DATA_VARIABLE

    # Resources read the data root from the environment, as in every other process that runs assets.
    os.environ[DATA_VARIABLE] = str(session.root)
    from taxomind_app.definitions import defs

    return defs


def _logging(session: Session) -> dict[str, Any]:
    level = "INFO" if session.verbose else "CRITICAL"
    return {"loggers": {"console": {"config": {"log_level": level}}}}


def _new_run_id() -> str:
    from uuid import uuid4

    return str(uuid4())


def _counted(rows: int, unit: str) -> str:
    """A number with its unit: `1 text judged`, `2 texts judged`."""
    noun, _, rest = unit.partition(" ")
    return f"{rows:,} {noun.removesuffix('s') if rows == 1 else noun}{' ' if rest else ''}{rest}"
