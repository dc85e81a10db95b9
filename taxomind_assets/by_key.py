"""Running an asset's work for each taxonomy of a run, and saying clearly what failed.

A run concerns one taxonomy, or many when a backfill puts them together. Then a fault of one does not keep the others from
being written: all are done, the faults are gathered, and the step fails at the end naming each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    DataVersion,
    Failure,
    MaterializeResult,
    MetadataValue,
)

from taxomind_assets.metadata import bullet_list
from taxomind_resources.faults import Fault


@dataclass(frozen=True)
class Written:
    """What was written for one taxonomy.

    Attributes:
        data_version: hash of the content: equal contents have equal versions.
        rows: rows of the asset's table for this taxonomy.
        metadata: what the UI shows; ints and floats become charts over time.
    """

    data_version: str
    rows: int
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Metadata of the materialisation."""
        return {"dagster/partition_row_count": self.rows, **self.metadata}


def for_each_key(context: AssetExecutionContext, work: Callable[[str], Written]) -> MaterializeResult[Any]:
    """Do `work` for every taxonomy of the run; a single one's metadata becomes the result's.

    Raises:
        Failure: with the rendered faults of all taxonomies that failed.
    """
    keys = list(context.partition_keys)
    done: dict[str, Written] = {}
    faults: dict[str, Fault] = {}
    for key in keys:
        try:
            done[key] = work(key)
        except Fault as fault:
            faults[key] = fault
            context.log.error(f"{key}: {fault.render()}")
    if faults:
        raise failure_of(faults, len(done)) from next(iter(faults.values()))
    if len(keys) == 1:
        return MaterializeResult(metadata=done[keys[0]].shown(), data_version=DataVersion(done[keys[0]].data_version))
    for key, written in done.items():
        context.add_asset_metadata(written.shown(), partition_key=key)
    versions = "\n".join(f"{key}\t{written.data_version}" for key, written in sorted(done.items()))
    return MaterializeResult(data_version=DataVersion(hashlib.sha256(versions.encode()).hexdigest()[:16]))


def failure_of(faults: Mapping[str, Fault], done: int = 0) -> Failure:
    """One failure that names the fault of each taxonomy; never retried, since the same input fails again."""
    first = next(iter(faults.values()))
    rendered = [f"{key}: {fault.render()}" if len(faults) + done > 1 else fault.render() for key, fault in faults.items()]
    if done:
        rendered.append(f"{done} other taxonomies of this run have been written.")
    details = [str(detail.get("what", detail)) for fault in faults.values() for detail in fault.details]
    metadata: dict[str, Any] = {
        "fault code": MetadataValue.text(first.code),
        "next step": MetadataValue.text(first.next_step),
        "taxonomies": MetadataValue.text(", ".join(faults)),
    }
    if details:
        metadata["problems"] = bullet_list(details)
    return Failure(description="\n".join(rendered), metadata=metadata, allow_retries=False)


@dataclass(frozen=True)
class Checked:
    """What a check found for one taxonomy.

    Attributes:
        problems: what is wrong, one sentence each; none = passed.
        metadata: what the UI shows.
    """

    problems: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def check_each_key(
    context: AssetCheckExecutionContext,
    check: Callable[[str], Checked],
    severity: AssetCheckSeverity = AssetCheckSeverity.ERROR,
) -> AssetCheckResult:
    """One result for all taxonomies of the run; what cannot be read is a problem of the output, not of the check."""
    found: dict[str, Checked] = {}
    for key in context.op_execution_context.partition_keys:
        try:
            found[key] = check(key)
        except Fault as fault:
            found[key] = Checked((fault.what,))
    problems = [f"{key}: {problem}" for key, checked in found.items() for problem in checked.problems]
    metadata: dict[str, Any] = {"taxonomies": len(found)}
    if len(found) == 1:
        metadata = dict(next(iter(found.values())).metadata)
    if problems:
        metadata["problems"] = bullet_list(problems)
    description = f"{len(problems)} problems: {problems[0]}" if problems else "No problem was found."
    return AssetCheckResult(passed=not problems, severity=severity, metadata=metadata, description=description)
