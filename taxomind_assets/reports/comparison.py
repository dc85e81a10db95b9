"""Strategies side by side: the served answers and other ways to decide, on the same texts.

Every strategy starts from the same vectors, scores, retrieved nodes and candidates, so that only the decision differs. The
confidence of an answer is the served probability of its node, whatever the strategy. Only `best_leaf` and the answers as they
would be served rank leaves; the measures of ranked candidates are undefined for the others.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.own_labels import Unseen
from taxomind_assets.classification.retrieval import decide_by_rules, pooled_scores, retrieve, top_nodes, view_similarities
from taxomind_assets.classification.routing import route
from taxomind_assets.classification.rules import candidate_subgraph
from taxomind_assets.classification.stopping import force_leaf
from taxomind_assets.classification.strategies import STRATEGIES, VetoOptions, run_strategy
from taxomind_assets.reports.definitions import MEASURES
from taxomind_assets.reports.judged import list_column
from taxomind_assets.reports.judging import judge
from taxomind_assets.reports.metrics import COMPARISON, compare
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_assets.views.texts import clean, normalise
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from taxomind_assets.classification.calibration import Masses
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.classification.descent import Hits
    from taxomind_resources.settings import Settings

SERVED: Final = "served"
#: Name of the slice of `reports.metrics` that holds the comparison.
COMPARED: Final = "compared"
#: Texts compared unless asked otherwise, and the seed of their choice (those of the older evaluation).
COMPARED_TEXTS: Final = 2_000
SEED: Final = 7

_OWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        SERVED: "the answers as served",
        "guarantee": "the stop rule `mass`: the deepest node above the threshold, proven where there are enough labels",
        "gate": "the stop rule `gate`: learned from labelled texts, the threshold where they are too few",
        "best_leaf": "always the most probable leaf",
        "nearest_label": "the node whose label is nearest (label kNN, k = 1)",
        "rules": "the older stop rule as a whole: retrieval, routing, validation, a second try",
        "routed": "routing by the older rules alone",
        "validated": "the same, checked against the best leaf",
    }
)
#: Strategies that are a stop rule of the classifier. They learn from labels, so each text is answered by labels of others.
_STOP_RULES: Final[Mapping[str, str]] = MappingProxyType({"guarantee": "mass", "gate": "gate"})
#: All strategies by name, with one line on each.
SUMMARIES: Final[Mapping[str, str]] = MappingProxyType(
    {**_OWN, **{name: strategy.summary for name, strategy in STRATEGIES.items()}}
)
#: Compared when nothing else is asked for.
DEFAULT: Final = (
    *(SERVED, "gate", "best_leaf", "rules", "routed", "nearest_label"),
    *("flat", "topdown", "bottomup", "hybrid", "consensus"),
)
ALL: Final = "all"
#: Measures that a comparison shows; the others are written too.
_SHOWN: Final = (
    *("exact", "safe", "kept_accuracy", "under", "over", "wrong_branch", "abstained", "ambiguous", "root_accuracy"),
    *("level_accuracy", "hF1", "hierarchical_distance", "depth_right", "information", "safe_aurc", "safe_cover_90"),
)


def strategy_names(wanted: Sequence[str]) -> tuple[str, ...]:
    """Names to compare, `served` first, each once; `all` stands for all of them, no name for no comparison.

    Raises:
        Fault: `invalid_input` when there is no such strategy.
    """
    for name in wanted:
        if name != ALL and name not in SUMMARIES:
            near = difflib.get_close_matches(name, SUMMARIES, 1, 0.0)[0]
            allowed = f"did you mean {near!r}? {ALL}, or any of: {', '.join(SUMMARIES)}"
            raise Fault("invalid_input", f"There is no strategy {name!r}.", value=name, allowed=allowed)
    names = tuple(SUMMARIES) if ALL in wanted else tuple(wanted)
    return tuple(dict.fromkeys((SERVED, *names))) if names else ()


def chosen_rows(errors: pa.Table, most: int) -> NDArray[np.int64]:
    """The texts to compare: at most `most`, those with the smallest seeded hash of language and text; int64[m], rising.

    The choice depends on the texts alone, neither on their order nor on the files that hold them.
    """
    if len(errors) <= most:
        return np.arange(len(errors))
    keys = zip(errors["language"].to_pylist(), errors["text"].to_pylist(), strict=True)
    digests = [
        hashlib.blake2b(f"{SEED}\x1f{language}\x1f{normalise(text)}".encode(), digest_size=8).digest()
        for language, text in keys
    ]
    order = np.argsort(np.array([int.from_bytes(digest) for digest in digests], np.uint64), kind="stable")
    return np.sort(order[:most])


def compared(
    classifier: Classifier,
    targets: pa.Table,
    served: pa.Table,
    names: Sequence[str],
    *,
    most: int = COMPARED_TEXTS,
    unseen: Unseen | None = None,
) -> pa.Table:
    """Judge and measure several strategies on the same texts.

    Args:
        classifier: the one that serves.
        targets: `targets.TARGETS`.
        served: `reports.errors` of all of them, in the same order.
        names: see `strategy_names`.
        most: texts compared.
        unseen: what answered `served`, when it exists already.

    Returns:
        A table with the schema `metrics.COMPARISON`; no rows when there are no names.

    Raises:
        Fault: what the classifier raises; `invalid_input` when there is no such strategy.
    """
    names = strategy_names(names)
    if not names or not len(served) or most < 1:
        return COMPARISON.empty_table()
    rows = pa.array(chosen_rows(served, most))
    texts, answers = targets.take(rows), {SERVED: served.take(rows)}
    others, verbatim = names[1:], answers[SERVED]["verbatim"].to_pylist()
    decided = _decided(classifier, texts["text"].to_pylist(), [name for name in others if name not in _STOP_RULES])
    for name in others:
        if name in _STOP_RULES:
            unseen = unseen or Unseen.of(classifier, texts["text"].to_pylist(), texts["codes"].to_pylist())
            results = _by_stop_rule(unseen, classifier.settings, _STOP_RULES[name], texts)
        else:
            results = _results(classifier, decided[name], texts["text_id"])
        answers[name] = judge(classifier.tree, texts, results, verbatim=verbatim)
    return compare(classifier.tree, answers, seed=SEED)


def as_metrics(comparison: pa.Table, report_id: str, measured_at: datetime) -> pa.Table:
    """A comparison as rows of `reports.metrics`, in the slice `compared`."""
    schema = BY_NAME["reports.metrics"].arrow
    n = len(comparison)
    same: dict[str, Any] = {"report_id": report_id, "slice": COMPARED, "measured_at": measured_at}
    columns = {
        name: comparison[name] if name in comparison.column_names else pa.array([same[name]] * n) for name in schema.names
    }
    return pa.table({name: column.cast(schema.field(name).type) for name, column in columns.items()}, schema=schema)


def stored_comparison(metrics: pa.Table) -> pa.Table:
    """The comparison in `reports.metrics` (the inverse of `as_metrics`), with the schema `metrics.COMPARISON`."""
    own = metrics.filter(pc.equal(metrics["slice"], COMPARED)).to_pylist()
    values: dict[tuple[str, int | None], list[float]] = {}
    for row in own:
        if row["value"] is not None:
            values.setdefault((row["metric"], row["level"]), []).append(row["value"])
    for row in own:
        found, better = values.get((row["metric"], row["level"])), MEASURES[row["metric"]].better
        best = None if not found or not better else max(found) if better == "higher" else min(found)
        row["best"] = None if best is None else row["value"] == best
    return pa.Table.from_pylist([{name: row[name] for name in COMPARISON.names} for row in own], COMPARISON)


def shown(comparison: pa.Table) -> pa.Table:
    """The measures that people compare strategies by."""
    return comparison.filter(pc.is_in(comparison["metric"], value_set=pa.array(_SHOWN)))


def compared_size(comparison: pa.Table) -> int:
    """Texts that strategies were compared on; 0 for no comparison."""
    return int(pc.max(comparison.filter(pc.equal(comparison["metric"], "exact"))["n"]).as_py() or 0)


@dataclass(frozen=True)
class _Texts:
    """What all strategies share about b texts: vectors float32[b, d], scores float32[b, n], candidates bool[b, n]."""

    texts: Sequence[str]
    vectors: NDArray[np.float32]
    mass: Masses
    label_similarities: NDArray[np.float32]
    scores: NDArray[np.float32]
    candidates: NDArray[np.bool_]
    hits: Hits


def _shared(classifier: Classifier, texts: Sequence[str]) -> _Texts:
    scorer, settings = classifier.scorer, classifier.settings
    vectors = classifier.embedder.embed(texts, "query")
    similarities = view_similarities(scorer, vectors, settings.scoring)
    hits = retrieve(scorer, texts, similarities, settings.retrieval)
    return _Texts(
        texts,
        vectors,
        classifier.probabilities(texts, vectors=vectors),
        similarities["label"],
        pooled_scores(scorer, texts, vectors, similarities, settings.scoring),
        candidate_subgraph(scorer.tree, hits),
        hits,
    )


def _decided(classifier: Classifier, texts: Sequence[str], names: Sequence[str]) -> dict[str, list[pa.Table]]:
    """Answers of each strategy, block by block."""
    found: dict[str, list[pa.Table]] = {name: [] for name in names}
    cleaned = [clean(text) for text in texts]
    for start in range(0, len(cleaned) if names else 0, classifier.block_size):
        block = _shared(classifier, cleaned[start : start + classifier.block_size])
        for name in names:
            decisions = _decide(name, classifier, block)
            found[name].append(_answers(classifier, decisions, block.mass, ranked=name == "best_leaf"))
    return found


def _decide(name: str, classifier: Classifier, block: _Texts) -> Decisions:
    routing, retrieval, tree = classifier.settings.routing, classifier.settings.retrieval, classifier.tree
    if name == "best_leaf":
        threshold = classifier.calibration.threshold_for(routing.accuracy_target)
        return force_leaf(tree, block.mass, route(tree, block.mass, routing.top_codes), threshold)
    if name == "nearest_label":
        nodes = top_nodes(block.label_similarities, 1)[0]
        return Decisions(nodes[:, 0], np.full(len(nodes), name, object), nodes[:, 0] == ROOT, nodes[:, 1:])
    if name == "rules":
        return decide_by_rules(classifier.scorer, block.texts, block.vectors, block.mass, classifier.settings)
    options: object | None = None
    if name in ("routed", "validated"):
        options = VetoOptions(routing=routing, retrieval=retrieval, validated=name == "validated")
        name = "veto_fixed" if routing.enable_parent_veto else "veto_none"
    elif STRATEGIES[name].options is VetoOptions:
        options = VetoOptions(routing=routing, retrieval=retrieval)
    return run_strategy(name, tree, block.scores, block.candidates, block.hits, options=options)


def _by_stop_rule(unseen: Unseen, settings: Settings, rule: str, texts: pa.Table) -> pa.Table:
    """Answers with another stop rule and without second opinions, each by labels of other texts."""
    off = {"routing": {"stop_rule": rule}, "judge": {"enabled": False}, "reranker": {"model": None}}
    groups = {name: getattr(settings, name).model_copy(update=values) for name, values in off.items()}
    answers = unseen.under(settings.model_copy(update=groups)).classify(texts["text"].to_pylist())
    return answers.append_column("text_id", texts["text_id"])


def _answers(classifier: Classifier, decisions: Decisions, mass: Masses, *, ranked: bool) -> pa.Table:
    """What `judging.judge` needs of b answers, without their ids."""
    codes = pa.array(classifier.tree.codes, pa.string())
    columns = {
        "code": codes.take(pa.array(decisions.nodes, mask=decisions.nodes == ROOT)),
        "confidence": pa.array(mass.of(decisions.nodes), pa.float32()),
        "stop_reason": pa.array(decisions.reasons, pa.string()),
        "ambiguous": pa.array(decisions.ambiguous),
    }
    if ranked:
        found = route(classifier.tree, mass, classifier.settings.routing.top_codes)
        kept = found.leaves != ROOT
        offsets = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
        columns["top_codes"] = list_column(offsets, codes.take(pa.array(found.leaves[kept])))
        columns["leaf_confidence"] = pa.array(found.leaf_probabilities[:, 0], pa.float32())
    return pa.table(columns)


def _results(classifier: Classifier, answers: list[pa.Table], text_ids: pa.ChunkedArray) -> pa.Table:
    table = pa.concat_tables(answers).append_column("text_id", text_ids)
    return table.append_column("index_version", pa.array([classifier.index.version] * len(table), pa.string()))
