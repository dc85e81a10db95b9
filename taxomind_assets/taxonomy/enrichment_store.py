"""What enrichment has written: rows of `taxonomy.enrichment`, in parts, so that each step of a long run is there at once.

A node's rows lie in the part that the first digit of its id names. A part is replaced as a whole: after a kill a node has the
rows of before or those of after, and a text that was paid for is never asked for again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.taxonomy.records import node_id
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_resources.llm import Spending
    from taxomind_resources.outputs import Outputs

TABLE: Final = "taxonomy.enrichment"
RUNS: Final = "taxonomy.enrichment_runs"
QUESTION: Final = "question"

#: (code, language)
Task = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known for one node and language: rows of `taxonomy.enrichment` as dictionaries, the question first."""

    rows: tuple[Mapping[str, Any], ...] = ()

    @property
    def question(self) -> Mapping[str, Any]:
        """The row of the question."""
        return self.rows[0]

    def answers(self, content: str, model: str, prompt_version: str) -> bool:
        """Whether this is the answer to the question as it would be asked now."""
        asked = self.question
        same = (asked["content"], asked["model"], asked["prompt_version"]) == (content, model, prompt_version)
        return same and asked["status"] == "answered"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A row of `taxonomy.enrichment_runs`; `values` holds its columns beside those of `spent`."""

    spent: Spending
    values: Mapping[str, Any] = field(default_factory=dict)


class EnrichmentStore:
    """The enrichment of one taxonomy.

    Args:
        outputs: where it lies.
        key: taxonomy key.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """

    def __init__(self, outputs: Outputs, key: str) -> None:
        self._outputs = outputs
        self._key = key
        self.found: dict[Task, Stored] = _by_task(outputs.read(TABLE, key).to_pylist())

    def bucket(self, code: str) -> str:
        """Name of the part that holds a node's rows."""
        return node_id(self._key, code)[0]

    def keep(self, new: Mapping[Task, Stored]) -> None:
        """Replace what is known about some nodes.

        Raises:
            Fault: `storage_failed`.
        """
        import pyarrow as pa

        self.found.update(new)
        for bucket in sorted({self.bucket(code) for code, _ in new}):
            rows = [row for task, stored in self.found.items() if self.bucket(task[0]) == bucket for row in stored.rows]
            self._outputs.write(TABLE, self._key, pa.Table.from_pylist(rows, schema=BY_NAME[TABLE].arrow), part=bucket)

    def record(self, run: RunRecord) -> None:
        """Add a row to `taxonomy.enrichment_runs`.

        Raises:
            Fault: `storage_failed`.
        """
        import pyarrow as pa

        spent = run.spent
        row = {
            "questions": spent.questions,
            "cached": spent.cached,
            "failed": spent.failed,
            "input_tokens": spent.input_tokens,
            "output_tokens": spent.output_tokens,
            "cost": spent.cost,
            **run.values,
        }
        part = row["run_at"].strftime("%Y%m%dT%H%M%S%f")
        self._outputs.write(RUNS, self._key, pa.Table.from_pylist([row], schema=BY_NAME[RUNS].arrow), part=part)


def last_run(outputs: Outputs, key: str) -> dict[str, Any] | None:
    """The newest row of `taxonomy.enrichment_runs`; None when there is none.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    parts = outputs.parts(RUNS, key)
    rows: pa.Table = outputs.read(RUNS, key, parts=parts[-1:])
    return dict(rows.to_pylist()[0]) if rows.num_rows else None


def _by_task(rows: Iterable[Mapping[str, Any]]) -> dict[Task, Stored]:
    found: dict[Task, list[Mapping[str, Any]]] = {}
    for row in rows:
        own = found.setdefault((row["code"], row["language"]), [])
        own.insert(0, row) if row["kind"] == QUESTION else own.append(row)
    return {task: Stored(tuple(own)) for task, own in found.items() if own[0]["kind"] == QUESTION}
