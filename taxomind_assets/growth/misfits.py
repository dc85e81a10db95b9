"""Groups among the texts that do not fit: what the taxonomy lacks where nobody says so.

The texts are answered once more by the classifier as it is now, so that what has been taught or added meanwhile counts. Those
that still do not fit are grouped by their vectors, in all languages at once. Groups that hold together are named by their
words, and each of their texts becomes an observation with the source `cluster`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.growth.clusters import NOISE, cluster_names, cluster_texts, keywords
from taxomind_assets.growth.normalise import SEGMENT, comparison_key
from taxomind_assets.growth.observations import Observation, is_catch_all, misfit_of
from taxomind_assets.growth.unexplained import LEAVES, Answered, group_labels, unexplained_groups
from taxomind_assets.views.index import unit_rows
from taxomind_assets.views.texts import clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.embedding import Embedder

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
#: Probability of being a missing node from which on a group is proposed.
LEAST_PROBABILITY: Final = 0.4
#: Texts for which a new label must be wished before it draws others (measured: one text draws too many wrong ones).
_FEWEST_WISHES: Final = 2
#: Cosine with a text of the wish, its lead over the best reference, and probability of its leaf under which a text is drawn.
_NEAR_WISH: Final = 0.5
_CLEARLY: Final = 0.15
_SURE: Final = 0.8


@dataclass(frozen=True)
class Misfits:
    """Texts as the classifier sees them now.

    Attributes:
        rows: m observations; `primary_code` is the best leaf, where the text would lie if it had to lie somewhere, and `misfit`
            says why it does not fit.
        vectors: float32[m, d], their unit vectors as the encoder makes them, without what the index has been adapted to.
        settled: texts that did not fit when they were answered, and do now.
        answered: what all texts of the window look like to the classifier, those that fit included; None = not looked at.
        fitting: the observations of texts that fit, in the order of `answered`, in which they follow `rows`.
    """

    rows: tuple[Observation, ...]
    vectors: NDArray[np.float32]
    settled: int = 0
    answered: Answered | None = None
    fitting: tuple[Observation, ...] = ()

    @property
    def every(self) -> tuple[Observation, ...]:
        """The observations of `answered`."""
        return (*self.rows, *self.fitting)


def current_misfits(
    classifier: Classifier, rows: Sequence[Observation], low_confidence: float, decided: Collection[str] = ()
) -> Misfits:
    """Which texts still do not fit, and what the others look like.

    Each text counts once, by its newest row. Texts that somebody has placed are left out: they fit where they are.

    Args:
        classifier: of the taxonomy in force.
        rows: observations with a text, the earliest first.
        low_confidence: probability under which an answer does not fit.
        decided: ids of texts that belong to candidates which were decided about.
    """
    kept = _countable(classifier, rows, decided)
    if not kept:
        return Misfits((), np.zeros((0, classifier.index.vectors.shape[1]), np.float32))
    texts = [row.text for row in kept]
    vectors = classifier.embedder.embed(texts, "query")
    answers = classifier.classify(texts, vectors=vectors)
    found = answers.select(["code", "label", "confidence", "stop_reason", "leaf_confidence", "top_codes"]).to_pylist()
    seen = [_as_seen(row, answer, low_confidence) for row, answer in zip(kept, found, strict=True)]
    does_fit = np.array([not row.misfit for row in seen], np.bool_)
    order = np.argsort(does_fit, kind="stable")
    misfits, fitting = ([seen[place] for place in np.flatnonzero(does_fit == side).tolist()] for side in (False, True))
    plain = unit_rows(classifier.index.encoded(vectors))[order]
    leaves, probabilities = _best_leaves(classifier, [texts[place] for place in order.tolist()], vectors[order])
    answered = Answered(plain, leaves, probabilities, _references(classifier))
    settled = sum(bool(row.misfit) and fits for row, fits in zip(kept, does_fit.tolist(), strict=True))
    return Misfits(tuple(misfits), plain[: len(misfits)], settled, answered, tuple(fitting))


def _countable(classifier: Classifier, rows: Sequence[Observation], decided: Collection[str]) -> list[Observation]:
    known = classifier.scorer.evidence
    placed = set(known.rows.evidence.texts) if known is not None else set()
    newest: dict[str, Observation] = {}
    for row in rows:
        former = newest.get(row.text_id)
        # A person who left a text above the leaves knows more than the answer that came after.
        if row.text and row.text_id not in decided and not (former and former.source == "user" and not row.source):
            newest[row.text_id] = row
    return [row for row in newest.values() if len(row.text.split()) >= _SHORTEST_TEXT and _is_open(row, placed)]


def _is_open(row: Observation, placed: Collection[str]) -> bool:
    return row.source == "user" or clean(row.text) not in placed


def _as_seen(row: Observation, answer: Mapping[str, Any], low_confidence: float) -> Observation:
    by_user = row.source == "user"
    reason = misfit_of(answer, low_confidence) or (row.misfit if by_user else "")
    best = answer["top_codes"][0] if answer["top_codes"] else None
    return replace(row, primary_code=row.primary_code if by_user else best, misfit=reason, confidence=answer["confidence"])


def _best_leaves(
    classifier: Classifier, texts: Sequence[str], vectors: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(int64[m, k], float32[m, k]): most probable leaves, best first, and their probabilities.

    A leaf that takes whatever is left explains nothing: its probability counts as none.
    """
    tree = classifier.tree
    named = np.array([not is_catch_all(tree.nodes[place].label) for place in range(len(tree))])
    leaves = np.flatnonzero(tree.is_leaf)
    kept = min(LEAVES, leaves.size)
    places = np.empty((len(texts), kept), np.int64)
    probabilities = np.empty((len(texts), kept), np.float32)
    for start in range(0, len(texts), classifier.block_size):
        block = slice(start, start + classifier.block_size)
        mass = classifier.probabilities(texts[block], vectors=vectors[block]).matrix()[:, leaves] * named[leaves]
        best = np.argsort(-mass, axis=1, kind="stable")[:, :kept]
        places[block] = leaves[best]
        probabilities[block] = np.take_along_axis(mass, best, axis=1)
    return places, probabilities


def _references(classifier: Classifier) -> NDArray[np.float32]:
    """float32[r, d]: nodes that are about something, and corrected texts, as the encoder makes them."""
    tree = classifier.tree
    named = [place for place in range(len(tree)) if not is_catch_all(tree.nodes[place].label)]
    nodes = classifier.index.plain().whole_vectors[named]
    known = classifier.scorer.evidence
    if known is None:
        return nodes
    return np.concatenate((nodes, unit_rows(classifier.index.encoded(known.rows.evidence.vectors))))


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
        return bool((self.vectors @ middle).max(initial=-1.0) >= self.nearness) or self.names(middle, words)

    def names(self, middle: NDArray[np.float32], words: Sequence[str]) -> bool:
        """Whether all words of a near node's label are among these."""
        own = {key for word in words for key in comparison_key(word).split(SEGMENT)}
        near = np.argsort(-(self.vectors @ middle), kind="stable")[:_NEAREST_NODES].tolist()
        return any(label and label <= own for place in near for label in self.words[place])


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
    least: float = LEAST_PROBABILITY,
) -> list[Observation]:
    """An observation for each text of a group that belongs to no node.

    Where there are enough texts for groups to be compared, all texts are looked at (`unexplained`); where there are few, those
    that do not fit, and a group must hold together and be far from all nodes.

    Args:
        found: the texts.
        min_size: fewest texts of a group.
        known: what is there already; groups about an existing node are left out: they need teaching, not a new node.
        rejected: middles (unit vectors float32[d]) of groups that were rejected, by key; groups like them are left out.
        wishes: labels that somebody proposed, by id of the text; a group takes the most frequent one of its texts.
        least: probability that a group needs where groups are compared.
    """
    grouped = _grouped(found, min_size, least)
    if grouped is None:
        return []
    rows, vectors, labels, is_compared = grouped
    words = keywords([row.text for row in rows], labels, most=_WORDS)
    for group, own in words.items():
        middle = middle_of(vectors[labels == group])
        was_rejected = any(float(middle @ other) >= SAME_GROUP for other in (rejected or {}).values())
        is_known = known is not None and (known.names(middle, own) if is_compared else known.has(middle, own))
        if was_rejected or is_known:
            labels[labels == group] = NOISE
    names = cluster_names({group: own for group, own in words.items() if (labels == group).any()})
    for group in names:
        members = (row.text_id for row, label in zip(rows, labels, strict=True) if label == group)
        told = Counter(wish for text_id in members if (wish := (wishes or {}).get(text_id)))
        names[group] = told.most_common(1)[0][0] if told else names[group]
    return [
        replace(row, proposed_label=names[int(label)], source="cluster")
        for row, label in zip(rows, labels, strict=True)
        if label != NOISE and row.text_id not in (wishes or {})
    ]


def _grouped(
    found: Misfits, min_size: int, least: float
) -> tuple[Sequence[Observation], NDArray[np.float32], NDArray[np.int64], bool] | None:
    """(texts, their vectors, their groups, whether groups were compared); None = too few texts."""
    if found.answered is not None:
        groups = unexplained_groups(found.answered, min_size=min_size, least=least)
        if groups is not None:
            labels = group_labels(groups, len(found.every))
            return found.every, found.answered.vectors, labels, True
    if len(found.rows) < min_size:
        return None
    labels = _compact(found.vectors, cluster_texts(found.vectors, min_size=min_size), min_size)
    return found.rows, found.vectors, labels, False


def drawn_by_wishes(
    found: Misfits, wished: Mapping[str, Sequence[Observation]], embedder: Embedder, index: NodeIndex
) -> list[Observation]:
    """Texts that lie near those for which somebody wished a new label, as observations that propose it.

    A text is drawn when it is clearly nearer to such a text than to every node and corrected text, and its answer is not sure.

    Args:
        found: the texts of the window.
        wished: by comparison key, the texts for which the label was wished.
        embedder, index: of the classifier.
    """
    wishes = {key: [row for row in rows if row.text] for key, rows in wished.items()}
    keys = [key for key, rows in wishes.items() if len(rows) >= _FEWEST_WISHES]
    if not keys or found.answered is None:
        return []
    told = {row.text_id for rows in wished.values() for row in rows}
    vectors = unit_rows(index.encoded(embedder.embed([row.text for key in keys for row in wishes[key]], "query")))
    starts = np.cumsum([0, *(len(wishes[key]) for key in keys[:-1])])
    nearness = np.maximum.reduceat(found.answered.vectors @ vectors.T, starts, axis=1)
    best = nearness.argmax(axis=1)
    near = nearness[np.arange(len(best)), best]
    known = found.answered.nearest_reference()
    drawn = (near >= _NEAR_WISH) & (near >= known + _CLEARLY) & (found.answered.probabilities[:, 0] < _SURE)
    labels = {key: Counter(row.proposed_label for row in rows).most_common(1)[0][0] for key, rows in wishes.items() if rows}
    return [
        replace(found.every[place], proposed_label=labels[keys[best[place]]], source="cluster")
        for place in np.flatnonzero(drawn).tolist()
        if found.every[place].text_id not in told
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
