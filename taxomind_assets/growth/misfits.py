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
from taxomind_assets.growth.normalise import SEGMENT, comparison_key
from taxomind_assets.growth.observations import Observation, misfit_of
from taxomind_assets.views.index import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier

#: Mean cosine of the pairs of a group's texts; below it they have little in common. Unrelated sentences have about 0.05.
LEAST_ALIKE: Final = 0.18
#: Cosine with the middle of its group that a text needs to stay in it.
_NEAR_MIDDLE: Final = 0.4
#: Cosine of the middles of two groups from which on a group is one that was rejected before.
SAME_GROUP: Final = 0.8
#: Cosine with the nearest node from which on a group is taken to belong there, where the taxonomy's own texts say nothing.
NEAR_NODE: Final = 0.45
#: Share of the texts with answers that may be farther from their node than a group must be from all nodes.
_USUAL: Final = 0.25
#: Texts with answers from which on that is measured.
_FEWEST_TEXTS: Final = 50
_NEAREST_NODES: Final = 3
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


@dataclass(frozen=True)
class Known:
    """What is there already.

    Attributes:
        vectors: float32[n, d], unit vectors of the nodes as the encoder makes them.
        words: comparison keys of the words of each node's labels, one set for each label.
        nearness: cosine with a node from which on a group of texts belongs there.
    """

    vectors: NDArray[np.float32]
    words: tuple[tuple[frozenset[str], ...], ...]
    nearness: float = NEAR_NODE

    @classmethod
    def of(cls, classifier: Classifier, texts: Sequence[str] = ()) -> Known:
        """The nodes of a classifier's taxonomy.

        Args:
            classifier: of the taxonomy in force.
            texts: texts with answers. How near the texts of a node usually are to it differs between taxonomies (labels alone
                are farther from texts than definitions), so it is measured on them.
        """
        nodes = classifier.index.plain().whole_vectors
        words = tuple(
            tuple(frozenset(comparison_key(text.label, text.language).split(SEGMENT)) for text in node.texts)
            for node in classifier.tree.nodes
        )
        return cls(nodes, words, _usual_nearness(classifier, texts, nodes))

    def has(self, middle: NDArray[np.float32], words: Sequence[str]) -> bool:
        """Whether a group is about an existing node: near it, or named by all words of a near node's label."""
        nearness = self.vectors @ middle
        own = {key for word in words for key in comparison_key(word).split(SEGMENT)}
        near = np.argsort(-nearness, kind="stable")[:_NEAREST_NODES].tolist()
        is_named = any(label and label <= own for place in near for label in self.words[place])
        return bool(nearness.max(initial=-1.0) >= self.nearness) or is_named


def _usual_nearness(classifier: Classifier, texts: Sequence[str], nodes: NDArray[np.float32]) -> float:
    """Cosine with their node that three in four texts with an answer reach."""
    if len(texts) < _FEWEST_TEXTS:
        return NEAR_NODE
    vectors = classifier.embedder.embed(list(texts), "query")
    codes = classifier.classify(list(texts), vectors=vectors)["code"].to_pylist()
    places = np.array([-1 if code is None else classifier.tree.position[code] for code in codes], np.int64)
    answered = np.flatnonzero(places >= 0)
    if answered.size < _FEWEST_TEXTS:
        return NEAR_NODE
    plain = unit_rows(classifier.index.encoded(vectors[answered]))
    return float(np.quantile((plain * nodes[places[answered]]).sum(axis=1), _USUAL))


def cluster_rows(
    found: Misfits,
    *,
    min_size: int,
    known: Known | None = None,
    rejected: Mapping[str, NDArray[np.float32]] | None = None,
    wishes: Mapping[str, str] | None = None,
) -> list[Observation]:
    """An observation for each text of a group that holds together.

    Args:
        found: the texts.
        min_size: fewest texts of a group.
        known: what is there already; groups about an existing node are left out: they need teaching, not a new node.
        rejected: middles (unit vectors float32[d]) of groups that were rejected, by key; groups like them are left out.
        wishes: labels that somebody proposed, by id of the text; a group takes the most frequent one of its texts.
    """
    if len(found.rows) < min_size:
        return []
    labels = _compact(found.vectors, cluster_texts(found.vectors, min_size=min_size), min_size)
    words = keywords([row.text for row in found.rows], labels, most=_WORDS)
    for group, own in words.items():
        middle = middle_of(found.vectors[labels == group])
        was_rejected = any(float(middle @ other) >= SAME_GROUP for other in (rejected or {}).values())
        if was_rejected or (known is not None and known.has(middle, own)):
            labels[labels == group] = NOISE
    names = cluster_names({group: own for group, own in words.items() if (labels == group).any()})
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
        if near.sum() < min_size or _alike(vectors[places[near]]) < LEAST_ALIKE:
            kept[places] = NOISE
    return kept


def _alike(vectors: NDArray[np.float32]) -> float:
    """Mean cosine of all pairs of m unit vectors: (|sum|^2 - m) / (m (m - 1))."""
    size = len(vectors)
    return (float(np.square(vectors.sum(axis=0)).sum()) - size) / (size * (size - 1))
