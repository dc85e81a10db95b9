"""Writing observations: what answers, corrections and files in the inbox come to, and the window of them that growth looks at.

Whole files are written, each naming what it was made from; doing it again changes nothing, and a process that is killed leaves
the former state. The time at which a text was first observed is kept when its answer is made anew: how long a topic lasts must
not depend on when its texts were answered last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.growth.detector import Rules
from taxomind_assets.growth.observations import (
    OBSERVATIONS_VERSION,
    Observation,
    ReadLines,
    observations_from,
    observations_of_corrections,
    observations_of_results,
    observations_table,
    read_lines,
)
from taxomind_assets.learning.reviews import REVIEWS
from taxomind_assets.taxonomy.stored import stored_taxonomy
from taxomind_resources.files import folder_name, locked

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

OBSERVATIONS: Final = "growth.observations"
RESULTS: Final = "classification.results"
RETAGGED: Final = "taxonomy.retagged"
CORRECTIONS: Final = "learning.corrections"
FROM_LLM: Final = "llm"
_FROM_CORRECTIONS, _FROM_INBOX = "corrections", "inbox"


def growth_lock(outputs: Outputs, key: str) -> AbstractContextManager[None]:
    """Held while observations or candidates of a taxonomy are written.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    return locked(outputs.root / "growth" / f".{folder_name(key)}.lock")


@dataclass
class Observed:
    """What was observed: rows of each origin, and lines of input files that are no observations."""

    rows: dict[str, int] = field(default_factory=dict)
    skipped: int = 0
    untimed: int = 0
    written: int = 0


def observe(key: str, settings: Settings, inbox: Inbox, outputs: Outputs) -> Observed:
    """Write the observations that answers, corrections and input files come to. What has not changed stays as it is.

    Raises:
        Fault: `unknown_taxonomy`, `invalid_key` or `storage_failed`.
    """
    own = settings.for_taxonomy(key).growth
    how = f"{OBSERVATIONS_VERSION}:{own.low_confidence}:{own.store_titles}"
    found = Observed()
    with growth_lock(outputs, key):
        wanted = {FROM_LLM}
        for table, rerun in ((RESULTS, False), (RETAGGED, True)):
            for part in outputs.parts(table, key):
                name = f"{table.partition('.')[2]}-{part}"
                wanted.add(name)
                digest = f"{state_of_part(outputs, table, key, part)}:{how}"
                if outputs.digest(OBSERVATIONS, key, name) != digest:
                    rows = outputs.read(table, key, parts=[part])
                    made = observations_of_results(rows, own.low_confidence, store_titles=own.store_titles, rerun=rerun)
                    outputs.write(OBSERVATIONS, key, _with_first_times(outputs, key, name, made), digest=digest, part=name)
                    found.written += 1
        wanted |= _observe_people(key, inbox, outputs, how, store_titles=own.store_titles, found=found)
        for name in set(outputs.parts(OBSERVATIONS, key)) - wanted:
            outputs.delete_part(OBSERVATIONS, key, name)
    for name in outputs.parts(OBSERVATIONS, key):
        origin = name.partition("-")[0]
        rows = outputs.read(OBSERVATIONS, key, columns=["text_id"], parts=[name]).num_rows
        found.rows[origin] = found.rows.get(origin, 0) + rows
    return found


def _observe_people(key: str, inbox: Inbox, outputs: Outputs, how: str, *, store_titles: bool, found: Observed) -> set[str]:
    tree = stored_taxonomy(outputs, key)
    states = ":".join(state_of_part(outputs, table, key, "part") for table in (CORRECTIONS, REVIEWS))
    digest = f"{states}:{tree.version}:{how}"
    if outputs.digest(OBSERVATIONS, key, _FROM_CORRECTIONS) != digest:
        reviews = outputs.read(REVIEWS, key, columns=["correction_id", "kind"]).to_pylist()
        outliers = {row["correction_id"] for row in reviews if row["kind"] == "outlier"}
        given = outputs.read(CORRECTIONS, key)
        rows = observations_of_corrections(given, tree, store_titles=store_titles, outliers=outliers)
        outputs.write(OBSERVATIONS, key, rows, digest=digest, part=_FROM_CORRECTIONS)
        found.written += 1
    digest = f"{inbox.digest(key, 'observations')}:{how}"
    lines = read_observations(inbox, key, store_titles=store_titles)
    found.skipped, found.untimed = lines.skipped, lines.untimed
    if outputs.digest(OBSERVATIONS, key, _FROM_INBOX) != digest:
        outputs.write(OBSERVATIONS, key, observations_table(lines.rows), digest=digest, part=_FROM_INBOX)
        found.written += 1
    return {_FROM_CORRECTIONS, _FROM_INBOX}


def read_observations(inbox: Inbox, key: str, *, store_titles: bool = True) -> ReadLines:
    """All lines of the files of observations; none when there are no files.

    Raises:
        Fault: `invalid_key`.
    """
    found = ReadLines()
    for file in inbox.files(key, "observations"):
        with file.path.open(encoding="utf-8", errors="replace") as lines:
            read_lines(lines, found, store_titles=store_titles)
    return found


def state_of_part(outputs: Outputs, table: str, key: str, part: str) -> str:
    """Differs whenever a part was written anew; '' when there is none. Opens no file."""
    try:
        status = outputs.path(table, key, part).stat()
    except FileNotFoundError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


def _with_first_times(outputs: Outputs, key: str, name: str, made: pa.Table) -> pa.Table:
    """The rows with the time at which each text was first observed."""
    import pyarrow as pa

    former = outputs.read(OBSERVATIONS, key, columns=["text_id", "observed_at"], parts=[name])
    times = dict(zip(former["text_id"].to_pylist(), former["observed_at"].to_pylist(), strict=True))
    if not times:
        return made
    own = [times.get(text_id) or moment for text_id, moment in zip(*_two(made), strict=True)]
    place = made.column_names.index("observed_at")
    return made.set_column(place, made.schema.field(place), pa.array(own, made.schema.field(place).type))


def _two(table: pa.Table) -> tuple[list[Any], list[Any]]:
    return table["text_id"].to_pylist(), table["observed_at"].to_pylist()


@dataclass(frozen=True)
class Window:
    """Observations from a moment on.

    Attributes:
        rows: those by which somebody proposes a label, or whose text does not fit; the earliest first.
        fitting: the newest of the others, each with its text; the earliest first.
        totals: distinct texts observed in each window.
        late: all observations later than an hour from now.
    """

    rows: tuple[Observation, ...]
    totals: Mapping[str, int]
    late: int = 0
    fitting: tuple[Observation, ...] = ()


def observed_window(outputs: Outputs, key: str, rules: Rules, now: datetime, *, fitting: int = 0) -> Window:
    """What was observed in the longest window.

    Args:
        outputs: where the observations are.
        key: taxonomy key.
        rules: the windows.
        now: their end.
        fitting: most rows of texts that fit.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = outputs.read(OBSERVATIONS, key)
    moments = table["observed_at"]

    def since(days: int) -> pa.ChunkedArray:
        start = pa.scalar(now - timedelta(days=days), moments.type)
        return pc.fill_null(pc.greater_equal(moments, start), True)

    totals: dict[str, int] = {
        span.name: pc.count_distinct(table["text_id"].filter(since(span.days))).as_py() for span in rules.windows()
    }
    late = pc.fill_null(pc.greater(moments, pa.scalar(now + timedelta(hours=1), moments.type)), False)
    telling = pc.or_(pc.not_equal(table["source"], ""), pc.not_equal(table["misfit"], ""))
    inside = since(rules.days)
    rows = in_order(observations_from(table.filter(pc.and_(inside, telling))))
    others = table.filter(pc.and_(inside, pc.and_not(pc.not_equal(table["text"], ""), telling)))
    newest = others.sort_by([("observed_at", "descending")]).slice(0, fitting)
    return Window(tuple(rows), totals, int(pc.sum(late).as_py() or 0), tuple(in_order(observations_from(newest))))


def in_order(rows: Iterable[Observation]) -> list[Observation]:
    """The earliest first; those without a time before all."""
    return sorted(rows, key=lambda row: row.observed_at or datetime.min.replace(tzinfo=UTC))
