"""Finding candidates: observations and decisions to candidates, each with all that a person wants to know.

What is there is read and whole files are written, each naming what it was made from; doing it again changes nothing, and a
process that is killed leaves the former state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from taxomind_assets.growth.candidates import Described, candidates_table, described
from taxomind_assets.growth.decisions import Standing, decisions_table, read_decisions
from taxomind_assets.growth.detector import Detected, Rules, detect, wished_texts
from taxomind_assets.growth.labeller import label_texts
from taxomind_assets.growth.misfits import Known, Misfits, cluster_rows, current_misfits, drawn_by_wishes, middle_of
from taxomind_assets.growth.observations import Observation, observations_from, observations_table
from taxomind_assets.growth.observing import FROM_LLM, OBSERVATIONS, Window, growth_lock, in_order, observed_window
from taxomind_assets.growth.review import versions_in_force
from taxomind_assets.growth.usage import probe_of, write_zero_usage
from taxomind_assets.views.index import unit_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.llm import LlmClient
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import GrowthSettings, Settings

CANDIDATES: Final = "growth.candidates"
DECISIONS: Final = "growth.decisions"


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
        window = observed_window(outputs, key, rules, moment, fitting=own.most_texts if own.clusters else 0)
        looked_at = _open(window, own.most_texts)
        misfits = current_misfits(classifier, looked_at, own.low_confidence, standing.decided_texts)
        rows, probe = window.rows, probe_of(outputs, key)
        if client is not None:
            rows = (*rows, *_labelled(key, outputs, client, tree, misfits, most=own.llm_texts))
        if own.clusters:
            wished = wished_texts(rows, tree, moment, rules, standing.rejected)
            rows = (*rows, *drawn_by_wishes(misfits, wished, classifier.embedder, classifier.index))
            known = Known.of(classifier, probe.others)
            rows = (*rows, *_clustered(classifier, misfits, standing, own, rows, known=known))
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


def _open(window: Window, most: int) -> list[Observation]:
    """Texts that are looked at, the earliest first: those that do not fit and, as far as there is room, the newest others."""
    misfits = [row for row in window.rows if row.misfit and row.text][-most:]
    return in_order([*misfits, *window.fitting[max(len(window.fitting) - (most - len(misfits)), 0) :]])


def _clustered(
    classifier: Classifier,
    misfits: Misfits,
    standing: Standing,
    settings: GrowthSettings,
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
    return cluster_rows(
        misfits, min_size=settings.min_count, known=known, rejected=rejected, wishes=wishes, least=settings.group_probability
    )


def _labelled(
    key: str, outputs: Outputs, client: LlmClient, tree: Taxonomy, misfits: Misfits, *, most: int
) -> list[Observation]:
    """Ask about texts that nobody was asked about; what was answered before is kept in its own part."""
    known = list(observations_from(outputs.read(OBSERVATIONS, key, parts=[FROM_LLM])))
    answered = {row.text_id for row in known}
    open_ = [row for row in misfits.rows if row.text_id not in answered][-most:]
    options = [[row.primary_code] if row.primary_code else [] for row in open_]
    made = label_texts(client, tree, open_, [[*own, *_beside(tree, own)] for own in options]) if open_ else []
    if made:
        outputs.write(OBSERVATIONS, key, observations_table([*known, *made]), part=FROM_LLM)
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
