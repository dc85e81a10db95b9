"""Groups of texts that no node explains: the texts of a missing node, found among all texts, also those with an answer.

A text of a missing node mostly gets the answer of a near node, and often a sure one. What gives such texts away is seen in
groups alone: they lie nearer to each other than to any node or corrected text, other texts have a better claim on the node
that they were given, and their answers are less sure than is usual. Every group of a tree of groups is measured so, and
compared with all other groups of the same texts: most nodes are not missing, so what is usual is what explained groups look
like, whatever the encoder and the taxonomy. A logistic model of these measures says how probably a group is one of a
missing node. Its numbers
come from public sets of which a tenth of the leaves was hidden (`python -m tests.benchmarks.bench_growth FOLDER --fit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.growth.clusters import NOISE

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Groups from which on the usual can be told; fewer are not judged.
FEWEST_GROUPS: Final = 30
#: Texts of a group at most: larger ones are several topics, or a branch.
_LARGEST_GROUP: Final = 100
#: Leaves kept for each text.
LEAVES: Final = 20
#: Measures that are compared with those of the other groups: in quartile distances from their median, cut here.
_FARTHEST: Final = 4.0
#: Probabilities this near count as equal; of equal groups that contain each other the larger one is taken.
_AS_GOOD: Final = 0.15
_SMALL: Final = 1e-6
#: Texts compared with all references at a time.
_BLOCK: Final = 512


@dataclass(frozen=True)
class Answered:
    """Texts and what the classifier makes of them.

    Attributes:
        vectors: float32[m, d], unit rows as the encoder makes them.
        leaves: int64[m, k], their most probable leaves, best first.
        probabilities: float32[m, k], of these.
        references: float32[r, d], unit rows: nodes and corrected texts, which explain a text that is near them.
    """

    vectors: NDArray[np.float32]
    leaves: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    references: NDArray[np.float32]

    def nearest_reference(self) -> NDArray[np.float32]:
        """float32[m]: cosine of each text with the reference that it is nearest to; -1 = there is none."""
        best = np.full(len(self.vectors), -1.0, np.float32)
        for start in range(0, len(best), _BLOCK):
            cosines = self.vectors[start : start + _BLOCK] @ self.references.T
            best[start : start + _BLOCK] = cosines.max(axis=1, initial=-1.0)
        return best


@dataclass(frozen=True)
class Group:
    """A group of texts: int64 places, sorted, and the probability that it belongs to a missing node."""

    places: NDArray[np.int64]
    probability: float


@dataclass(frozen=True)
class Model:
    """A logistic model of the measures of a group, in the order of `MEASURES`.

    Attributes:
        weights: of the measures.
        bias: added to their weighted sum.
    """

    weights: tuple[float, ...]
    bias: float

    def probabilities(self, measures: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64[g] of float64[g, 5]."""
        return np.asarray(1.0 / (1.0 + np.exp(-(measures @ np.array(self.weights) + self.bias))))


MEASURES: Final = ("claim on its leaf", "log of its texts", "lead over references", "confidence", "nearness of its texts")
MODEL: Final = Model((-3.09, 1.077, 0.614, -0.657, 0.806), -5.679)


def unexplained_groups(found: Answered, *, min_size: int, least: float, model: Model = MODEL) -> list[Group] | None:
    """Groups that probably belong to a missing node, the most probable first; no text is in two of them.

    Args:
        found: m texts.
        min_size: fewest texts of a group.
        least: probability that a group needs.

    Returns:
        Groups, no two of which share a text; None when there are fewer than `FEWEST_GROUPS` groups to compare.
    """
    groups = list(tree_groups(found.vectors, min_size))
    if len(groups) < FEWEST_GROUPS:
        return None
    probabilities = model.probabilities(measures(found, groups))
    sizes = np.array([own.size for own in groups])
    order = np.lexsort((-probabilities, -sizes, -np.round(probabilities / _AS_GOOD)))
    taken = np.zeros(len(found.vectors), np.bool_)
    chosen = []
    for place in order.tolist():
        if probabilities[place] >= least and not taken[groups[place]].any():
            taken[groups[place]] = True
            chosen.append(Group(groups[place], float(probabilities[place])))
    return sorted(chosen, key=lambda own: -own.probability)


def group_labels(groups: Sequence[Group], count: int) -> NDArray[np.int64]:
    """int64[count]: the number of each text's group; `NOISE` = none."""
    labels = np.full(count, NOISE, np.int64)
    for number, group in enumerate(groups):
        labels[group.places] = number
    return labels


def tree_groups(vectors: NDArray[np.float32], min_size: int) -> Iterator[NDArray[np.int64]]:
    """Every group of a size that can be judged of the tree that average linkage makes of the texts; int64 places, sorted."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    count = len(vectors)
    if count < 2:
        return
    distances = np.maximum(1.0 - vectors @ vectors.T, 0.0)
    np.fill_diagonal(distances, 0.0)
    merges = linkage(squareform(distances, checks=False), "average")
    members: dict[int, NDArray[np.int64]] = {}
    for step, (first, second, _, size) in enumerate(merges):
        if size > _LARGEST_GROUP:
            continue
        parts = [members.pop(part, np.array([part], np.int64)) for part in (int(first), int(second))]
        members[count + step] = np.sort(np.concatenate(parts))
        if size >= min_size:
            yield members[count + step]


def measures(found: Answered, groups: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """float64[g, 5]: what tells groups of missing nodes from others; see `MEASURES`.

    The claim is the share of the texts with the best claim on the group's leaf that belong to the group. The lead is the mean
    cosine of the texts with the most typical one of them, less that with the best reference. It, the mean confidence and the
    mean cosine of pairs are compared with those of the other groups.
    """
    sizes = np.array([own.size for own in groups], np.float64)
    member = _membership(groups, len(found.vectors))
    sums = np.asarray(member @ found.vectors, np.float64)
    nearness = (np.square(sums).sum(axis=1) - sizes) / (sizes * (sizes - 1))
    typical = np.array(
        [((found.vectors[own] @ total).max() - 1) / (own.size - 1) for own, total in zip(groups, sums, strict=True)]
    )
    lead = typical - _best_reference(sums / sizes[:, None], found.references)
    confidence = np.asarray(member @ found.probabilities[:, 0]) / sizes
    compared = [_compared(values) for values in (lead, confidence, nearness)]
    return np.column_stack((_claims(found, groups, member), np.log(sizes), *compared))


def _membership(groups: Sequence[NDArray[np.int64]], count: int) -> Any:
    """Sparse [g, m]: 1 where a text is in a group."""
    from scipy import sparse

    rows = np.repeat(np.arange(len(groups)), [own.size for own in groups])
    return sparse.csr_array((np.ones(rows.size), (rows, np.concatenate(groups))), shape=(len(groups), count))


def _best_reference(means: NDArray[np.float64], references: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64[g]: mean cosine of a group's texts with the reference that they are nearest to."""
    if not len(references):
        return np.zeros(len(means))
    return np.asarray((means.astype(np.float32) @ references.T).max(axis=1), np.float64)


def _claims(found: Answered, groups: Sequence[NDArray[np.int64]], member: Any) -> NDArray[np.float64]:
    """float64[g]: of the texts with the highest probability of a group's leaf, as many as it has, the share that is in it."""
    from scipy import sparse

    count, kept = found.leaves.shape
    rows = np.repeat(np.arange(count), kept)
    places, columns = np.unique(found.leaves.ravel(), return_inverse=True)
    shape = (count, len(places))
    by_leaf = sparse.csr_array((found.probabilities.ravel().astype(np.float64), (rows, columns)), shape=shape)
    own_leaf = np.asarray((member @ by_leaf).todense()).argmax(axis=1)
    columns_of = by_leaf.tocsc()
    shares = np.empty(len(groups))
    for number, (own, leaf) in enumerate(zip(groups, own_leaf.tolist(), strict=True)):
        start, end = columns_of.indptr[leaf], columns_of.indptr[leaf + 1]
        order = np.argsort(-columns_of.data[start:end], kind="stable")[: own.size]
        shares[number] = np.isin(columns_of.indices[start:end][order], own).sum() / own.size
    return shares


def _compared(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return np.asarray(np.clip((values - middle) / max(high - low, _SMALL), -_FARTHEST, _FARTHEST), np.float64)
