"""Which nodes a text could belong to: several sources, merged by reciprocal rank.

The older rules route inside the subgraph that these hits span. The default way down scores every node, which is exact and,
up to tens of thousands of nodes, also faster than a search index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.decisions import Decisions
from taxomind_assets.classification.descent import Hits
from taxomind_assets.classification.rules import beam, candidate_subgraph, route_by_rules
from taxomind_assets.classification.validation import validate
from taxomind_assets.taxonomy.tree import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.calibration import Masses
    from taxomind_assets.classification.scoring import Scorer
    from taxomind_resources.settings import RetrievalSettings, ScoringSettings, Settings

#: Constant of reciprocal rank fusion (Cormack et al., 2009).
RANK_CONSTANT: Final = 60
_MISSING: Final = np.float32(-1e9)


def view_similarities(scorer: Scorer, vectors: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Best cosine per node and view, float32[b, n] each; a very low number where a node lacks the view."""
    index = scorer.index
    n = len(index.tree)
    found = {}
    for view in ("label", "definition", "example"):
        rows = np.flatnonzero(np.array([text.view == view for text in index.texts], np.bool_))
        best = np.full((n, vectors.shape[0]), _MISSING, np.float32)
        if rows.size:
            owners = index.owners[rows]
            starts = np.flatnonzero(np.diff(owners, prepend=-1))
            best[owners[starts]] = np.maximum.reduceat(index.vectors[rows] @ vectors.T, starts, axis=0)
        found[view] = np.ascontiguousarray(best.T)
    return found


def top_nodes(scores: NDArray[np.float32], k: int) -> Hits:
    """The k best columns of each row (int32[b, k], float32[b, k]), best first; ties go to the earlier node."""
    k = min(k, scores.shape[1])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(scores, order, axis=1)
    return np.where(values > _MISSING / 2, order, ROOT).astype(np.int32), values.astype(np.float32)


def merge_by_rank(sources: Sequence[Hits], n: int, k: int) -> Hits:
    """Reciprocal rank fusion of several ranked lists over n nodes."""
    merged = np.zeros((sources[0][0].shape[0], n + 1), np.float32)
    for nodes, _ in sources:
        points = 1.0 / (RANK_CONSTANT + 1 + np.arange(nodes.shape[1], dtype=np.float32))
        np.add.at(merged, (np.arange(nodes.shape[0])[:, None], nodes), points[None, :])
    merged = merged[:, :n]  # the place before the first node took the padding
    return top_nodes(np.where(merged > 0, merged, _MISSING), k)


def retrieve(
    scorer: Scorer,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    similarities: Mapping[str, NDArray[np.float32]],
    settings: RetrievalSettings,
) -> Hits:
    """Retrieved nodes of any level for b texts.

    Args:
        similarities: see `view_similarities`.

    Returns:
        (int32[b, k] padded with `ROOT`, float32[b, k] retrieval scores).
    """
    k, n = settings.retrieval_k, len(scorer.tree)
    labels = top_nodes(similarities["label"], k)
    if settings.mode == "label":
        return _with_neighbours(scorer, labels, settings.expand_neighbours)
    words = scorer.words("text_characters", texts)
    words = np.ascontiguousarray(words.T)
    sources = [labels, top_nodes(similarities["example"], k), top_nodes(np.where(words > 0, words, _MISSING), k)]
    return _with_neighbours(scorer, merge_by_rank(sources, n, k), settings.expand_neighbours)


def _with_neighbours(scorer: Scorer, hits: Hits, count: int) -> Hits:
    """Add the nearest nodes of each hit, at the hit's own score."""
    if count == 0:
        return hits
    nodes, scores = hits
    texts = scorer.index.whole_vectors
    flat = np.unique(nodes[nodes != ROOT])
    near = np.zeros((len(scorer.tree), count), np.int32)
    similar = texts[flat] @ texts.T
    similar[np.arange(flat.size), flat] = _MISSING
    near[flat] = top_nodes(similar, count)[0]
    added = np.where(nodes[:, :, None] == ROOT, ROOT, near[np.maximum(nodes, 0)]).reshape(nodes.shape[0], -1)
    return np.concatenate((nodes, added), axis=1), np.concatenate((scores, np.repeat(scores, count, axis=1)), axis=1)


def pooled_scores(
    scorer: Scorer,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    similarities: Mapping[str, NDArray[np.float32]],
    settings: ScoringSettings,
) -> NDArray[np.float32]:
    """Score of each node on the scale of cosines, float32[b, n], as the older rules use it.

    `max`: best view, the label alone for texts of up to `short_query_tokens` words; `top2_mean`: mean of the two best views;
    `fusion`: the weighted sum, brought to the mean scale of its dense parts.
    """
    if settings.view_pooling == "fusion":
        return _fused_cosines(scorer, texts, vectors)
    stacked = np.sort(np.stack(list(similarities.values())), axis=0)[::-1]
    best: NDArray[np.float32] = stacked[0]
    if settings.view_pooling == "top2_mean":
        second = stacked[1]
        return np.where(second > _MISSING / 2, (best + second) / 2, best).astype(np.float32)
    words = np.fromiter((text.count(" ") + 1 for text in texts), np.int64, len(texts))
    short = words <= settings.short_query_tokens
    return np.where(short[:, None], similarities["label"], best).astype(np.float32)


def _fused_cosines(scorer: Scorer, texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits divided by the largest that the profile allows, float32[b, n]."""
    ceiling = scorer.largest_logit(texts)
    return np.ascontiguousarray((scorer.logits(vectors, texts) / ceiling).T)


def decide_by_rules(
    scorer: Scorer, texts: Sequence[str], vectors: NDArray[np.float32], mass: Masses, settings: Settings
) -> Decisions:
    """Answers by the older service's tests: retrieve, span the subgraph, route down, validate (stop rule `rules`).

    Texts whose validation lacks support are retrieved once more, three times as widely.
    """
    similarities = view_similarities(scorer, vectors)
    scores = pooled_scores(scorer, texts, vectors, similarities, settings.scoring)
    known = _Known(scorer, similarities, scores, mass.matrix())
    decisions = _routed(known, texts, vectors, settings)
    details = decisions.details or []
    short = np.flatnonzero([str(d.get("validation_status", "")).startswith("INSUFFICIENT") for d in details])
    if not short.size:
        return decisions
    wider = settings.retrieval.model_copy(update={"retrieval_k": 3 * settings.retrieval.retrieval_k})
    again = _routed(
        known.of(short), [texts[i] for i in short], vectors[short], settings.model_copy(update={"retrieval": wider})
    )
    return _replaced(decisions, short, again)


@dataclass(frozen=True)
class _Known:
    """What routing by rules needs of b texts and does not depend on the number of hits."""

    scorer: Scorer
    similarities: Mapping[str, NDArray[np.float32]]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]

    def of(self, rows: NDArray[np.int64]) -> _Known:
        """The same for some of the texts."""
        parts = {view: values[rows] for view, values in self.similarities.items()}
        return _Known(self.scorer, parts, self.scores[rows], self.probabilities[rows])


def _routed(known: _Known, texts: Sequence[str], vectors: NDArray[np.float32], settings: Settings) -> Decisions:
    tree, routing = known.scorer.tree, settings.routing
    hits = retrieve(known.scorer, texts, vectors, known.similarities, settings.retrieval)
    candidates = candidate_subgraph(tree, hits)
    beams = beam(tree, hits, settings.retrieval)
    routed = route_by_rules(tree, known.scores, candidates, beams, routing, probabilities=known.probabilities)
    return validate(
        tree=tree,
        scores=known.scores,
        candidates=candidates,
        decisions=routed,
        threshold=routing.validation_threshold,
        stability_margin=routing.validation_stability_margin,
        deepen_margin=routing.validation_deepen_margin if routing.validation_deepen else None,
        max_level=routing.max_depth,
    )


def _replaced(decisions: Decisions, rows: NDArray[np.int64], others: Decisions) -> Decisions:
    nodes, reasons, ambiguous = decisions.nodes.copy(), decisions.reasons.copy(), decisions.ambiguous.copy()
    alternatives, details = decisions.alternatives.copy(), list(decisions.details or [])
    nodes[rows], reasons[rows], ambiguous[rows] = others.nodes, others.reasons, others.ambiguous
    alternatives[rows] = others.alternatives
    for row, detail in zip(rows.tolist(), others.details or [], strict=True):
        details[row] = detail
    return Decisions(nodes, reasons, ambiguous, alternatives, details)
