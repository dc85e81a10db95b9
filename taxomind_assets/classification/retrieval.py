"""Which nodes a text could belong to: several sources, merged by reciprocal rank.

The older rules route inside the subgraph that these hits span. The default way down scores every node, which is exact and,
up to tens of thousands of nodes, also faster than a search index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.descent import Hits
from taxomind_assets.classification.validation import RETRY_FACTOR, route_validated
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_assets.views.index import unit_rows
from taxomind_assets.views.texts import VIEWS
from taxomind_resources.settings import ScoringSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.calibration import Masses
    from taxomind_assets.classification.decisions import Decisions
    from taxomind_assets.classification.evidence_view import EvidenceView
    from taxomind_assets.classification.scoring import Scorer
    from taxomind_resources.settings import RetrievalSettings, Settings

#: Constant of reciprocal rank fusion (Cormack et al., 2009).
RANK_CONSTANT: Final = 60
_MISSING: Final = np.float32(-1e9)


def view_similarities(
    scorer: Scorer, vectors: NDArray[np.float32], settings: ScoringSettings | None = None
) -> dict[str, NDArray[np.float32]]:
    """Best cosine per node and view, float32[b, n] each; a very low number where a node lacks the view.

    With evidence there is a view more, `evidence` (the mean of a node's corrections), and labels are drawn towards it: of k
    corrections the share k / (k + `evidence_tau`), at most `evidence_max_beta`.
    """
    index = scorer.index
    n = len(index.tree)
    found: dict[str, NDArray[np.float32]] = {}
    for view in VIEWS:
        rows = index.rows_of(view)
        texts = index.vectors[rows]
        if view == "label" and scorer.evidence:
            texts = _drawn_labels(scorer.evidence, index.owners[rows], texts, settings or ScoringSettings())  # type: ignore[call-arg]
        found[view] = _best_of(texts, index.owners[rows], n, vectors)
    if scorer.evidence:
        nodes, means, _ = scorer.evidence.means
        found["evidence"] = _best_of(means, nodes, n, vectors)
    return found


def _best_of(
    rows: NDArray[np.float32], owners: NDArray[np.int32] | NDArray[np.int64], n: int, vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Best cosine of each of n nodes, float32[b, n]; `owners` of the rows are ascending."""
    best = np.full((n, vectors.shape[0]), _MISSING, np.float32)
    if owners.size:
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        best[owners[starts]] = np.maximum.reduceat(rows @ vectors.T, starts, axis=0)
    return np.ascontiguousarray(best.T)


def _drawn_labels(
    evidence: EvidenceView, owners: NDArray[np.int32], labels: NDArray[np.float32], settings: ScoringSettings
) -> NDArray[np.float32]:
    """Label vectors drawn towards the mean of the corrections of their node, unit rows."""
    nodes, means, counts = evidence.means
    places = np.searchsorted(nodes, owners).clip(max=nodes.size - 1)
    shares = np.where(nodes[places] == owners, counts[places] / (counts[places] + settings.evidence_tau), 0)
    shares = np.minimum(shares, settings.evidence_max_beta).astype(np.float32)[:, None]
    return unit_rows((1 - shares) * labels + shares * means[places])


def top_nodes(scores: NDArray[np.float32], k: int) -> Hits:
    """The k best columns of each row (int32[b, k], float32[b, k]), best first; ties go to the earlier node."""
    k = min(k, scores.shape[1])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(scores, order, axis=1)
    known = values > _MISSING / 2
    return np.where(known, order, ROOT).astype(np.int32), np.where(known, values, -np.inf).astype(np.float32)


def merge_by_rank(sources: Sequence[Hits], n: int, k: int) -> Hits:
    """Reciprocal rank fusion of several ranked lists over n nodes."""
    merged = np.zeros((sources[0][0].shape[0], n + 1), np.float32)
    for nodes, _ in sources:
        points = 1.0 / (RANK_CONSTANT + 1 + np.arange(nodes.shape[1], dtype=np.float32))
        np.add.at(merged, (np.arange(nodes.shape[0])[:, None], nodes), points[None, :])
    merged = merged[:, :n]  # the place before the first node took the padding
    return top_nodes(np.where(merged > 0, merged, _MISSING), k)


def retrieve(
    scorer: Scorer, texts: Sequence[str], similarities: Mapping[str, NDArray[np.float32]], settings: RetrievalSettings
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
    if "evidence" in similarities:
        sources.append(top_nodes(similarities["evidence"], k))
    return _with_neighbours(scorer, merge_by_rank(sources, n, k), settings.expand_neighbours)


def _with_neighbours(scorer: Scorer, hits: Hits, count: int) -> Hits:
    """Add the nearest nodes of each hit, at the hit's own score."""
    count = min(count, len(scorer.tree))
    if count == 0:
        return hits
    nodes, scores = hits
    vectors = scorer.index.whole_vectors
    flat = np.unique(nodes[nodes != ROOT])
    near = np.full((len(scorer.tree), count), ROOT, np.int32)
    similar = vectors[flat] @ vectors.T
    similar[np.arange(flat.size), flat] = _MISSING
    near[flat] = top_nodes(similar, count)[0]
    added = np.where(nodes[:, :, None] == ROOT, ROOT, near[np.maximum(nodes, 0)]).reshape(nodes.shape[0], -1)
    together = np.concatenate((nodes, added), axis=1)
    values = np.concatenate((scores, np.repeat(scores, count, axis=1)), axis=1)
    return _without_repeats(together, values)


def _without_repeats(nodes: NDArray[np.int32], scores: NDArray[np.float32]) -> Hits:
    """Keep the first appearance of each node in a row; later ones become padding."""
    order = np.argsort(nodes, axis=1, kind="stable")
    ordered = np.take_along_axis(nodes, order, axis=1)
    repeated = np.zeros_like(ordered, np.bool_)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    drop = np.zeros_like(repeated)
    np.put_along_axis(drop, order, repeated, axis=1)
    drop |= nodes == ROOT
    return np.where(drop, ROOT, nodes).astype(np.int32), np.where(drop, -np.inf, scores).astype(np.float32)


def pooled_scores(
    scorer: Scorer,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    similarities: Mapping[str, NDArray[np.float32]],
    settings: ScoringSettings,
) -> NDArray[np.float32]:
    """Score of each node on the scale of cosines, float32[b, n], as the older rules use it.

    `max`: best view, label and evidence alone for texts of up to `short_query_tokens` words; `top2_mean`: mean of the two best
    views; `fusion`: the weighted sum, brought to the mean scale of its dense parts.
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
    named = np.maximum(similarities["label"], similarities.get("evidence", _MISSING))
    return np.where(short[:, None], named, best).astype(np.float32)


def _fused_cosines(scorer: Scorer, texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits divided by the largest that the profile allows, float32[b, n]."""
    query = scorer.query(vectors, texts)
    return np.ascontiguousarray(((scorer.logits(query) - scorer.familiarity(query)) / scorer.largest_logit(query)).T)


def decide_by_rules(
    scorer: Scorer, texts: Sequence[str], vectors: NDArray[np.float32], mass: Masses, settings: Settings
) -> Decisions:
    """Answers by the older service's tests: retrieve, span the subgraph, route down, validate (stop rule `rules`)."""
    similarities = view_similarities(scorer, vectors, settings.scoring)
    scores = pooled_scores(scorer, texts, vectors, similarities, settings.scoring)

    def hits(rows: NDArray[np.int64], factor: int) -> Hits:
        wider = settings.retrieval.model_copy(update={"retrieval_k": factor * settings.retrieval.retrieval_k})
        known = {view: values[rows] for view, values in similarities.items()}
        return retrieve(scorer, [texts[row] for row in rows], known, wider)

    return route_validated(
        scorer.tree,
        scores,
        hits(np.arange(len(texts)), 1),
        settings.retrieval,
        settings.routing,
        probabilities=mass.matrix(),
        retrieve_more=lambda rows: hits(rows, RETRY_FACTOR),
    )
