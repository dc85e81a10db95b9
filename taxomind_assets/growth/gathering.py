"""The work behind the assets of growth: answers and corrections to observations, observations and decisions to candidates.

Both steps read what is there and write whole files, each naming what it was made from; doing a step again changes nothing, and
a process that is killed leaves the former state. The time at which a text was first observed is kept when its answer is made
anew: how long a topic lasts must not depend on when its texts were answered last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.growth.candidates import Described, candidates_table, described
from taxomind_assets.growth.decisions import Standing, decisions_table, read_decisions
from taxomind_assets.growth.detector import Detected, Rules, detect
from taxomind_assets.growth.labeller import label_texts
from taxomind_assets.growth.misfits import Known, Misfits, cluster_rows, current_misfits, middle_of
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
from taxomind_assets.growth.review import SOURCE, versions_in_force
from taxomind_assets.growth.trial import Probe
from taxomind_assets.taxonomy.stored import stored_taxonomy
from taxomind_assets.views.index import unit_rows
from taxomind_resources.files import folder_name, locked

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.llm import LlmClient
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

OBSERVATIONS: Final = "growth.observations"
CANDIDATES: Final = "growth.candidates"
DECISIONS: Final = "growth.decisions"
ZERO_USAGE: Final = "growth.zero_usage"
RESULTS: Final = "classification.results"
RETAGGED: Final = "taxonomy.retagged"
CORRECTIONS: Final = "learning.corrections"
_FROM_CORRECTIONS, _FROM_INBOX, _FROM_LLM = "corrections", "inbox", "llm"
#: Texts that fit, and texts that people have placed, which a trial looks at.
_PROBED: Final = 500


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
        wanted = {_FROM_LLM}
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
    digest = f"{state_of_part(outputs, CORRECTIONS, key, 'part')}:{tree.version}:{how}"
    if outputs.digest(OBSERVATIONS, key, _FROM_CORRECTIONS) != digest:
        rows = observations_of_corrections(outputs.read(CORRECTIONS, key), tree, store_titles=store_titles)
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
        totals: distinct texts observed in each window.
        late: all observations later than an hour from now.
    """

    rows: tuple[Observation, ...]
    totals: Mapping[str, int]
    late: int = 0


def observed_window(outputs: Outputs, key: str, rules: Rules, now: datetime) -> Window:
    """What was observed in the longest window.

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
    rows = table.filter(pc.and_(since(rules.days), telling))
    ordered = sorted(observations_from(rows), key=lambda row: row.observed_at or datetime.min.replace(tzinfo=UTC))
    return Window(tuple(ordered), totals, int(pc.sum(late).as_py() or 0))


@dataclass(frozen=True)
class Found:
    """What a run found.

    Attributes:
        candidates: with all that a person wants to know.
        detected: what the detector said.
        misfits: texts that do not fit now.
        late: observations from the future.
        unused: nodes that no answer uses.
        answers: answers that were counted for that.
    """

    candidates: tuple[Described, ...]
    detected: Detected
    misfits: Misfits | None
    late: int
    unused: int
    answers: int


def find_candidates(
    key: str,
    settings: Settings,
    inbox: Inbox,
    outputs: Outputs,
    *,
    classifier: Classifier,
    state: str,
    now: datetime | None = None,
    client: LlmClient | None = None,
) -> Found:
    """Find what the texts ask for, and write it beside the log of decisions and the nodes that nothing uses.

    Args:
        key: taxonomy key.
        settings: the shared settings.
        inbox: where the decisions are.
        outputs: where the observations are.
        classifier: of the taxonomy in force.
        state: what the candidates are made from (`pending.growth_state`), asked for before anything is read.
        now: end of the windows.
        client: language model that is asked what texts are about; None = nobody is.

    Raises:
        Fault: `unreadable_file` when a decision cannot be read; what the embedder raises; `storage_failed`.
    """
    moment = now or datetime.now(UTC)
    own = settings.for_taxonomy(key).growth
    rules = Rules.of(own)
    with growth_lock(outputs, key):
        tree = classifier.tree
        decisions = read_decisions(inbox, key)
        versions = versions_in_force(inbox, outputs, key, tree.version)
        standing = Standing.of(decisions, versions)
        window = observed_window(outputs, key, rules, moment)
        misfits = current_misfits(classifier, _open(window.rows, own.most_texts), own.low_confidence, standing.decided_texts)
        rows, probe = window.rows, probe_of(outputs, key)
        if client is not None:
            rows = (*rows, *_labelled(key, outputs, client, tree, misfits, most=own.llm_texts))
        if own.clusters:
            known = Known.of(classifier, probe.others)
            rows = (*rows, *_clustered(classifier, misfits, standing, rules, rows, known=known))
        detected = detect(rows, tree, moment, rules, rejected=standing.rejected.keys(), totals=window.totals)
        hidden = {
            found.key: standing.hidden_until(found.key, found.count, moment, own.skip_cooldown_days)
            for found in detected.candidates
        }
        shown = described(classifier, detected.candidates, hidden, _used_codes(outputs, key), trials=own.trials, probe=probe)
        unused, answers = write_zero_usage(key, outputs, tree)
        outputs.write(DECISIONS, key, decisions_table(decisions, tree.position, versions), digest=state)
        outputs.write(CANDIDATES, key, candidates_table(shown), digest=state)
    return Found(tuple(shown), detected, misfits, window.late, unused, answers)


def _open(rows: Sequence[Observation], most: int) -> list[Observation]:
    """Texts that do not fit, the newest of them, the earliest first."""
    found = [row for row in rows if row.misfit and row.text]
    return found[-most:]


def _clustered(
    classifier: Classifier,
    misfits: Misfits,
    standing: Standing,
    rules: Rules,
    rows: Sequence[Observation],
    *,
    known: Known,
) -> list[Observation]:
    rejected: dict[str, NDArray[np.float32]] = {}
    for key, texts in standing.rejected_texts().items():
        if texts:
            vectors = classifier.embedder.embed(texts, "query")
            rejected[key] = middle_of(unit_rows(classifier.index.encoded(vectors)))
    wishes = {row.text_id: row.proposed_label for row in rows if row.source and row.is_divergent}
    return cluster_rows(misfits, min_size=rules.min_count, known=known, rejected=rejected, wishes=wishes)


def _labelled(
    key: str, outputs: Outputs, client: LlmClient, tree: Taxonomy, misfits: Misfits, *, most: int
) -> list[Observation]:
    """Ask about texts that nobody was asked about; what was answered before is kept in its own part."""
    known = list(observations_from(outputs.read(OBSERVATIONS, key, parts=[_FROM_LLM])))
    answered = {row.text_id for row in known}
    open_ = [row for row in misfits.rows if row.text_id not in answered][-most:]
    options = [[row.primary_code] if row.primary_code else [] for row in open_]
    made = label_texts(client, tree, open_, [[*own, *_beside(tree, own)] for own in options]) if open_ else []
    if made:
        outputs.write(OBSERVATIONS, key, observations_table([*known, *made]), part=_FROM_LLM)
    return made


def _beside(tree: Taxonomy, codes: Sequence[str]) -> list[str]:
    """Nodes around a node: those above it, and their children."""
    found: dict[str, None] = {}
    for code in codes:
        for place in [-1, *(tree.position[own] for own in tree.path_codes(tree.position[code]))]:
            found.update(dict.fromkeys(tree.codes[child] for child in tree.children_of(place).tolist()))
    return list(found)


def _used_codes(outputs: Outputs, key: str) -> frozenset[str]:
    return frozenset(outputs.read("taxonomy.node_history", key, columns=["code"])["code"].to_pylist())


def probe_of(outputs: Outputs, key: str) -> Probe:
    """Texts with answers of the newest files, and texts that people have placed."""
    others: list[str] = []
    for part in sorted(outputs.parts(RESULTS, key), key=lambda name: state_of_part(outputs, RESULTS, key, name)[::-1]):
        rows = outputs.read(RESULTS, key, columns=["text", "code"], parts=[part]).slice(0, _PROBED)
        others += [row["text"] for row in rows.to_pylist() if row["code"] is not None]
        if len(others) >= _PROBED:
            break
    columns = ["text", "code", "status", "source"]
    placed = outputs.read(CORRECTIONS, key, columns=columns).to_pylist()
    kept = [(row["text"], row["code"]) for row in placed if row["status"] == "applied" and row["source"] != SOURCE]
    return Probe(tuple(others[:_PROBED]), tuple(kept[-_PROBED:]))


def write_zero_usage(key: str, outputs: Outputs, tree: Taxonomy) -> tuple[int, int]:
    """Flag nodes that no stored answer uses; returns (nodes, answers that were counted).

    An answer uses its node and all above it. Without any answer no node is flagged: nothing is known.
    """
    import pyarrow as pa

    from taxomind_resources.tables import BY_NAME

    used, answers = used_nodes(outputs, key, tree)
    unused = np.flatnonzero(~used).tolist() if answers else []
    rows = [
        {"code": tree.codes[i], "label": tree.nodes[i].label, "is_leaf": bool(tree.is_leaf[i]), "answers": answers}
        for i in sorted(unused, key=lambda place: tree.codes[place])
    ]
    outputs.write(ZERO_USAGE, key, pa.Table.from_pylist(rows, schema=BY_NAME[ZERO_USAGE].arrow), digest=tree.version)
    return len(rows), answers


def used_nodes(outputs: Outputs, key: str, tree: Taxonomy, since: datetime | None = None) -> tuple[NDArray[np.bool_], int]:
    """(bool[n]: nodes with an answer at or below them, number of answers), counted from the stored answers."""
    used = np.zeros(len(tree), np.bool_)
    answers = 0
    for codes in _answered_codes(outputs, key, since):
        answers += sum(codes.values())
        places = [tree.position[code] for code in codes if code in tree.position]
        above = tree.paths[places]
        used[above[above >= 0]] = True
    return used, answers


def _answered_codes(outputs: Outputs, key: str, since: datetime | None) -> Iterator[dict[str, int]]:
    """Answers per code, part by part."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for part in outputs.parts(RESULTS, key):
        rows = outputs.read(RESULTS, key, columns=["code", "classified_at"], parts=[part])
        if since is not None:
            rows = rows.filter(pc.greater_equal(rows["classified_at"], pa.scalar(since, rows["classified_at"].type)))
        counts = pc.value_counts(rows["code"].drop_null())
        yield {row["values"]: row["counts"] for row in counts.to_pylist()}
