"""Groups among the texts that do not fit: what the taxonomy lacks where nobody says so.

The texts are answered once more by the classifier as it is now, so that what has been taught or added meanwhile counts. Those
that still do not fit are grouped by their vectors, in all languages at once. Groups that hold together are named by their
words, and each of their texts becomes an observation with the source `cluster`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.growth.clusters import NOISE, cluster_names, cluster_texts, keywords
from taxomind_assets.growth.observations import Observation, misfit_of
from taxomind_assets.views.index import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier

#: Mean cosine of a group's texts with their middle; below it the texts have little in common.
LEAST_COHESION: Final = 0.55
#: Cosine with the middle of its group that a text needs to stay in it.
_NEAR_MIDDLE: Final = 0.4
#: Cosine of the middles of two groups from which on a group is one that was rejected before.
SAME_GROUP: Final = 0.8
#: Keywords of a group, from which its name is made.
_WORDS: Final = 5
_SHORTEST_TEXT: Final = 2


@dataclass(frozen=True)
class Misfits:
    """Texts that do not fit, as the classifier sees them now.

    Attributes:
        rows: m observations; `primary_code` is the best leaf, where the text would lie if it had to lie somewhere.
        vectors: float32[m, d], their unit vectors as the encoder makes them, without what the index has been adapted to.
        settled: texts that did not fit when they were answered, and do now.
    """

    rows: tuple[Observation, ...]
    vectors: NDArray[np.float32]
    settled: int = 0


def current_misfits(
    classifier: Classifier, rows: Sequence[Observation], low_confidence: float, decided: Collection[str] = ()
) -> Misfits:
    """Which texts still do not fit. Each text counts once, by its newest row; its first time is kept in another row.

    Args:
        classifier: of the taxonomy in force.
        rows: observations with a `misfit` and a text, the earliest first.
        low_confidence: probability under which an answer does not fit.
        decided: ids of texts that belong to candidates which were decided about.
    """
    newest = {row.text_id: row for row in rows if row.text and row.text_id not in decided}
    kept = [row for row in newest.values() if len(row.text.split()) >= _SHORTEST_TEXT]
    if not kept:
        return Misfits((), np.zeros((0, classifier.index.vectors.shape[1]), np.float32), 0)
    texts = [row.text for row in kept]
    vectors = classifier.embedder.embed(texts, "query")
    answers = classifier.classify(texts, vectors=vectors)
    found = answers.select(["code", "label", "confidence", "stop_reason", "leaf_confidence", "top_codes"]).to_pylist()
    places, misfits = [], []
    for place, (row, answer) in enumerate(zip(kept, found, strict=True)):
        reason = misfit_of(answer, low_confidence)
        # A person who left a text above the leaves knows more than the classifier that repeats it.
        reason = reason or (row.misfit if row.source == "user" else "")  # type: ignore[assignment]
        if reason:
            best = answer["top_codes"][0] if answer["top_codes"] else None
            where = row.primary_code if row.source == "user" else best
            places.append(place)
            misfits.append(replace(row, primary_code=where, misfit=reason, confidence=answer["confidence"]))
    plain = unit_rows(classifier.index.encoded(vectors[np.array(places, np.int64)]))
    return Misfits(tuple(misfits), plain, len(kept) - len(misfits))


def cluster_rows(
    found: Misfits,
    *,
    min_size: int,
    rejected: Mapping[str, NDArray[np.float32]] | None = None,
    wishes: Mapping[str, str] | None = None,
) -> list[Observation]:
    """An observation for each text of a group that holds together.

    Args:
        found: the texts.
        min_size: fewest texts of a group.
        rejected: middles (unit vectors float32[d]) of groups that were rejected, by key; groups like them are left out.
        wishes: labels that somebody proposed, by id of the text; a group takes the most frequent one of its texts.
    """
    if len(found.rows) < min_size:
        return []
    labels = _compact(found.vectors, cluster_texts(found.vectors, min_size=min_size), min_size)
    for group in sorted(set(labels.tolist()) - {NOISE}):
        middle = middle_of(found.vectors[labels == group])
        if any(float(middle @ other) >= SAME_GROUP for other in (rejected or {}).values()):
            labels[labels == group] = NOISE
    texts = [row.text for row in found.rows]
    names = cluster_names(keywords(texts, labels, most=_WORDS))
    for group in names:
        members = (row.text_id for row, label in zip(found.rows, labels, strict=True) if label == group)
        told = Counter(wish for text_id in members if (wish := (wishes or {}).get(text_id)))
        names[group] = told.most_common(1)[0][0] if told else names[group]
    return [
        replace(row, proposed_label=names[int(label)], source="cluster")
        for row, label in zip(found.rows, labels, strict=True)
        if label != NOISE and row.text_id not in (wishes or {})
    ]


def middle_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[d]: the mean of unit vectors, brought to length one."""
    middle = vectors.mean(axis=0)
    return np.asarray(middle / max(float(np.linalg.norm(middle)), 1e-9), np.float32)


def _compact(vectors: NDArray[np.float32], labels: NDArray[np.int64], min_size: int) -> NDArray[np.int64]:
    """The groups without texts far from their middle, and without groups that do not hold together."""
    kept = labels.copy()
    for group in sorted(set(labels.tolist()) - {NOISE}):
        places = np.flatnonzero(labels == group)
        nearness = vectors[places] @ middle_of(vectors[places])
        near = nearness >= _NEAR_MIDDLE
        kept[places[~near]] = NOISE
        if near.sum() < min_size or float(nearness[near].mean()) < LEAST_COHESION:
            kept[places] = NOISE
    return kept
