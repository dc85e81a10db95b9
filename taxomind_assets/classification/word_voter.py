"""A linear support vector machine for each node, on words, characters and what is principal in the vectors of texts.

Each machine tells the texts of one node from those of all others. Of the others it sees the
nearest, which decide where the border lies, and some drawn ones that hold it back elsewhere (hard negatives, as in Felzenszwalb
et al., 2010, "Object detection with discriminatively trained part-based models"). So the time to train grows with the number of
nodes, not with nodes times texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.linear_machines import LinearMachines, train
from taxomind_assets.views.lexical import CountedTexts
from taxomind_assets.views.postings import summed_postings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.training_rows import TrainingRows
    from taxomind_assets.classification.voter_features import Described

#: Texts of other nodes that a machine sees: the nearest and drawn ones, each also as a multiple of the texts of its own node.
_NEAREST: Final = 1_000
_DRAWN: Final = 500
_FOR_EACH: Final = 2
#: Nodes whose nearest texts are looked for at once.
_BLOCK: Final = 64


@dataclass(frozen=True)
class WordVoter:
    """The machines of c nodes.

    Attributes:
        machines: one for each node.
        nodes: int64[c].
    """

    machines: LinearMachines
    nodes: NDArray[np.int64]

    @classmethod
    def fit(cls, described: Described, owners: NDArray[np.int64]) -> WordVoter | None:
        """Train on r texts with their nodes, int64[r]; None when there is nothing to tell apart."""
        nodes, places = np.unique(owners, return_inverse=True)
        if nodes.size < 2 or not described.words.nnz:
            return None
        data, trained = described.stacked, []
        for own, others in _told_apart(described, places):
            sides = np.repeat([1, 0], [own.size, others.size])
            trained.append(train(data[np.concatenate((own, others))], sides))
        return cls(LinearMachines.stacked(trained, described.words.shape[1]), nodes.astype(np.int64))

    def margins(self, texts: Described) -> NDArray[np.float32]:
        """How far each text lies on the side of each node, float32[c, b]."""
        return self.machines.margins(texts)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The numbers by name."""
        return self.machines.to_arrays() | {"nodes": self.nodes}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> WordVoter:
        """The inverse of `to_arrays`."""
        return cls(LinearMachines.from_arrays(arrays), np.asarray(arrays["nodes"]))


def training_cost(rows: TrainingRows) -> int:
    """Numbers that the machines look at in one pass over what they see."""
    counted = CountedTexts(rows.texts)
    each = (counted.characters.nnz + counted.words.nnz) / max(len(rows.texts), 1)
    _, counts = np.unique(rows.nodes, return_counts=True)
    seen = [min(len(rows.texts), size + nearest + drawn) for size in counts.tolist() for nearest, drawn in [_seen(size)]]
    return int(each * sum(seen))


def _seen(own: int) -> tuple[int, int]:
    """How many of the nearest texts of others, and how many drawn ones, a machine sees that has `own` texts."""
    return max(_NEAREST, _FOR_EACH * own), max(_DRAWN, _FOR_EACH * own)


def _told_apart(described: Described, owners: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each node, 0 to c - 1, its rows, and the rows of others that its machine sees, int64 each."""
    words, principal = described.words, described.principal
    rows, nodes = owners.size, int(owners.max()) + 1
    counts = np.bincount(owners)
    gather = sparse.csr_array(((1 / counts)[owners].astype(np.float32), (owners, np.arange(rows))), shape=(nodes, rows))
    means, centres = sparse.csr_array(gather @ words), gather @ principal
    postings = sparse.csr_array(words.T)
    parts = (postings.data, postings.indices.astype(np.int32), postings.indptr.astype(np.int32))
    postings = sparse.csr_array(parts, shape=postings.shape)
    order, ends = np.argsort(owners, kind="stable"), np.cumsum(counts)
    for start in range(0, nodes, _BLOCK):
        block = slice(start, start + _BLOCK)
        similar = summed_postings(means[block], postings) + centres[block] @ principal.T
        for node in range(start, min(start + _BLOCK, nodes)):
            own = order[ends[node] - counts[node] : ends[node]]
            yield own, _others(similar[node - start], own, node)


def _others(similar: NDArray[np.float32], own: NDArray[np.int64], node: int) -> NDArray[np.int64]:
    """The nearest rows of others and some drawn ones; all of them when there are no more."""
    nearest, drawn = _seen(own.size)
    others = np.ones(similar.size, np.bool_)
    others[own] = False
    places = np.flatnonzero(others)
    if places.size <= nearest + drawn:
        return places
    split = np.argpartition(-similar[places], nearest - 1)
    far = np.random.default_rng(node).choice(split[nearest:], drawn, replace=False, shuffle=False)
    return np.sort(places[np.concatenate((split[:nearest], far))])
