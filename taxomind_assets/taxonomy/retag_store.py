"""Retag runs as the outputs hold them.

    taxonomy.retag_runs     a run: what it is to do, its state and history       one file per run
    taxonomy.retag_plans    the answers that it looks at again                    one file per run
    taxonomy.retag_texts    what became of each                                   one file per checkpoint
    taxonomy.retagged       its answers, while they are applied                   one file per run

The stored answers themselves are never touched. To apply a run is to write the one file of `taxonomy.retagged`, to roll it back
is to remove it: nothing in between can be seen, and nothing can be left half done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_resources.outputs import Outputs

RUNS: Final = "taxonomy.retag_runs"
PLANS: Final = "taxonomy.retag_plans"
TEXTS: Final = "taxonomy.retag_texts"
RETAGGED: Final = "taxonomy.retagged"
State = Literal["planned", "running", "paused_cost", "completed", "canceled", "failed"]


@dataclass(frozen=True)
class RetagRun:
    """A run. Fields as in `taxonomy.retag_runs`; `applied` follows from the outputs."""

    run: str
    taxonomy_version: str
    index_version: str
    strategy: str
    selection: Mapping[str, Any]
    texts: int
    questions: int = 0
    tokens: int = 0
    cost: float | None = 0.0
    spent: float | None = 0.0
    state: State = "planned"
    applied: bool = False
    history: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def noted(self, by: str, what: str, **changes: Any) -> RetagRun:
        """The run with one more entry in its history."""
        entry = {"at": datetime.now(UTC), "by": by, "what": what}
        return replace(self, history=[*self.history, entry], **changes)


class RetagStore:
    """The retag runs of one taxonomy."""

    def __init__(self, outputs: Outputs, key: str) -> None:
        self.outputs = outputs
        self.key = key

    def runs(self) -> list[RetagRun]:
        """All runs, oldest first.

        Raises:
            Fault: `storage_failed`.
        """
        rows = self.outputs.read(RUNS, self.key).to_pylist()
        runs = [RetagRun(**{**row, "selection": json.loads(row["selection"])}) for row in rows]
        return sorted((replace(run, applied=self.is_applied(run.run)) for run in runs), key=lambda run: int(run.run))

    def run(self, name: str) -> RetagRun:
        """One run.

        Raises:
            Fault: `invalid_input`, naming those that there are.
        """
        runs = {run.run: run for run in self.runs()}
        if name not in runs:
            next_step = f"taxomind taxonomy retag list {self.key}"
            allowed = ", ".join(runs) or "there are none yet"
            what = f"{self.key!r} has no retag run {name!r}."
            raise Fault("invalid_input", what, value=name, allowed=allowed, next_step=next_step)
        return runs[name]

    def next_name(self) -> str:
        """Name of the next run."""
        return str(max((int(run.run) for run in self.runs()), default=0) + 1)

    def save(self, run: RetagRun) -> RetagRun:
        """Write a run's row.

        Raises:
            Fault: `storage_failed`.
        """
        row = {**run.__dict__, "selection": json.dumps(dict(run.selection)), "history": [dict(entry) for entry in run.history]}
        self.outputs.write(RUNS, self.key, table(RUNS, [row]), part=run.run)
        return run

    def plan(self, run: str) -> pa.Table:
        """The answers that a run looks at again, in their order."""
        return self.outputs.read(PLANS, self.key, parts=[run])

    def save_plan(self, run: str, rows: pa.Table) -> None:
        """Write the answers that a run looks at again."""
        self.outputs.write(PLANS, self.key, rows, part=run)

    def has_checkpoint(self, run: str, number: int) -> bool:
        """Whether a checkpoint of a run is whole."""
        return self.outputs.exists(TEXTS, self.key, _checkpoint(run, number))

    def save_checkpoint(self, run: str, number: int, rows: pa.Table) -> None:
        """Write a checkpoint."""
        self.outputs.write(TEXTS, self.key, rows, part=_checkpoint(run, number))

    def texts(self, run: str, columns: Sequence[str] | None = None) -> pa.Table:
        """What became of the texts of a run so far."""
        parts = [part for part in self.outputs.parts(TEXTS, self.key) if part.rpartition("-")[0] == run]
        return self.outputs.read(TEXTS, self.key, columns=columns, parts=parts)

    def is_applied(self, run: str) -> bool:
        """Whether the answers of a run stand in the place of the stored ones."""
        return self.outputs.exists(RETAGGED, self.key, run)

    def put_in_place(self, run: str, rows: pa.Table) -> None:
        """Let answers of a run stand in the place of the stored ones; all of them at once.

        Args:
            rows: rows of `taxonomy.retag_texts`.
        """
        import pyarrow as pa

        moment = pa.array([datetime.now(UTC)] * rows.num_rows, BY_NAME[RETAGGED].arrow.field("applied_at").type)
        self.outputs.write(RETAGGED, self.key, rows.append_column("applied_at", moment), part=run)

    def take_back(self, run: str) -> bool:
        """Let the stored answers stand again; returns whether the run was applied."""
        return self.outputs.delete_part(RETAGGED, self.key, run)


def table(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows with the schema of a table."""
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows], schema=BY_NAME[name].arrow)


def _checkpoint(run: str, number: int) -> str:
    return f"{run}-{number:06d}"
