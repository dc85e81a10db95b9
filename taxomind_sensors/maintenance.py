"""What keeps the stores small: old vectors, old indexes, work that was given up."""

import shutil
import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

from dagster import Config, OpExecutionContext, job, op
from pydantic import Field

from taxomind_assets.pending import IndexState
from taxomind_resources.dagster_resources import (
    IndexStoreResource,
    OutputsResource,
    SettingsResource,
    VectorStoreResource,
)
from taxomind_resources.files import sweep_temporary
from taxomind_resources.index_store import IndexStore
from taxomind_resources.outputs import Outputs

_DAY_S: Final = 24 * 3600.0


class MaintenanceConfig(Config):
    """How much of the past is kept."""

    keep_indexes: int = Field(5, ge=1, description="index versions kept per taxonomy; the current one always stays")
    keep_days: float = Field(30.0, ge=0, description="days that vectors, pins and unfinished batches are kept")


@op(description="Compacts vectors, removes what is older than the limits and what killed processes left behind.")
def maintain(
    context: OpExecutionContext,
    config: MaintenanceConfig,
    *,
    settings: SettingsResource,
    outputs: OutputsResource,
    vectors: VectorStoreResource,
    indexes: IndexStoreResource,
) -> None:
    """Nothing that the current indexes need is touched, so runs may go on meanwhile."""
    written, built, data = outputs.open(), indexes.open(), settings.load().data
    keys = written.keys("views.node_vectors")
    for done in vectors.open().maintain(
        keep_tags=current_tags(keys, written, built), older_than=timedelta(days=config.keep_days)
    ):
        context.log.info(
            f"{done.key}, {done.view}: {done.versions_before} versions before, {done.versions_after} now, "
            f"{len(done.expired_tags)} pins expired"
        )
    for key in keys:
        if pruned := built.prune(key, config.keep_indexes):
            context.log.info(f"{key}: {len(pruned)} old indexes removed")
    abandoned = remove_abandoned(data / "staging", config.keep_days * _DAY_S)
    swept = sum(sweep_temporary(folder) for folder in folders_below(data))
    outputs.publish()
    context.log.info(f"{abandoned} unfinished batches and {swept} unfinished files removed")


@job(description="Weekly care of the stores: compacts vectors, removes old pins, old indexes and unfinished files.")
def maintenance() -> None:
    """One op; nothing waits for it."""
    maintain()


def current_tags(keys: Iterable[str], outputs: Outputs, indexes: IndexStore) -> set[str]:
    """The pins that the current indexes of these taxonomies stand on."""
    tags = set()
    for key in keys:
        state = IndexState.parse(outputs.digest("views.node_vectors", key))
        tags |= {f"nodes-{state.taxonomy_version}-{state.vector_class[:12]}", f"index-{indexes.current(key)}"}
    return tags


def remove_abandoned(staging: Path, older_than_s: float) -> int:
    """Remove batches that nobody has worked on for a time; returns how many."""
    batches = [batch for batch in staging.glob("*/*") if batch.is_dir()]
    old = [batch for batch in batches if time.time() - _newest(batch) > older_than_s]
    for batch in old:
        shutil.rmtree(batch, ignore_errors=True)
    return len(old)


def folders_below(data: Path) -> list[Path]:
    """Folders in which unfinished files of killed processes may lie."""
    roots = [data / name for name in ("outputs", "inbox", "indexes", "staging")]
    return [data, *roots, *(path for root in roots for path in root.rglob("*") if path.is_dir())]


def _newest(folder: Path) -> float:
    times = [path.stat().st_mtime for path in [folder, *folder.rglob("*")] if path.exists()]
    return max(times, default=0.0)
