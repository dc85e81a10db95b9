"""Linear support vector machines that tell the branches of a tree apart, at each parent of which a child has children.

A local classifier for each parent node (Silla and Freitas, 2011, "A survey of hierarchical classification across different
application domains", 3.2.2) sees what sets sister branches apart, which is lost when each leaf is told from all others: with
many noisy leaves it is worth most. A text's margins at a parent become chances of the branches there, and a branch has the
product of chances from the top down. Where all children are leaves there is no machine, and they have what their parent has:
between sister leaves the other views say as much (measured), and branches are so few that it costs little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.linear_machines import LinearMachines, train
from taxomind_assets.taxonomy.tree import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.voter_features import Described
    from taxomind_assets.taxonomy.tree import Taxonomy

BRANCHES: Final = "branches"
#: Nats of one unit of margin.
_SLOPE: Final = 3.0
#: Nats below which a branch is as unlikely as can be; the feature is 1 for a certain branch, and 0 there.
_DEEPEST: Final = 8.0


@dataclass(frozen=True)
class BranchVoter:
    """The machines of g branches, those of one parent side by side.

    Attributes:
        machines: one for each branch, against its sisters.
        ends: int64[p], where the branches of each parent end; ascending, the last is g.
        walks: float32 sparse [g, g], ones: the branches from the top down to each branch, itself included.
        nearest: int64[n], the nearest branch at or above each node; -1 = none.
    """

    machines: LinearMachines
    ends: NDArray[np.int64]
    walks: sparse.csr_array
    nearest: NDArray[np.int64]

    @staticmethod
    def has_work(tree: Taxonomy) -> bool:
        """Whether some parent has children to tell apart of which one has children."""
        return any(tree.children_of(parent).size > 1 for parent in set(tree.parents[~tree.is_leaf].tolist()))

    @classmethod
    def fit(cls, described: Described, owners: NDArray[np.int64], tree: Taxonomy) -> BranchVoter | None:
        """Train on r texts with their nodes, int64[r]; None where no parent has two branches with texts."""
        paths, data = tree.paths, described.stacked
        trained, branches, ends = [], [], []
        for rows, level in _families(tree, owners):
            sisters, sides = np.unique(paths[owners[rows], level], return_inverse=True)
            if sisters.size < 2:
                continue
            coefficients, intercepts = train(data[rows], sides)
            if sisters.size == 2:  # one machine decides between two
                coefficients, intercepts = np.vstack((-coefficients, coefficients)), np.append(-intercepts, intercepts)
            trained.append((coefficients, intercepts))
            branches.append(sisters)
            ends.append(sisters.size)
        if not trained:
            return None
        machines = LinearMachines.stacked(trained, described.words.shape[1])
        return cls(machines, np.cumsum(ends), *_walks(tree, np.concatenate(branches)))

    def features(self, texts: Described) -> NDArray[np.float32]:
        """How likely the walk to each node is, float32[n, b]: 1 = certain, 0 = a chance of e^-8 or less."""
        chances = self.machines.margins(texts) * np.float32(_SLOPE)
        for start, end in zip([0, *self.ends[:-1].tolist()], self.ends.tolist(), strict=True):
            own = chances[start:end]
            own -= own.max(axis=0)
            own -= np.log(np.exp(own).sum(axis=0))
        found = np.maximum(1 + (self.walks @ chances) / np.float32(_DEEPEST), 0)
        # The last row is that of nodes above which nothing is decided (-1).
        return np.concatenate((found, np.ones((1, found.shape[1]), np.float32)))[self.nearest]

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """The numbers by name."""
        own: dict[str, NDArray[np.generic]] = {
            "ends": self.ends,
            "walks": self.walks.indices.astype(np.int32),
            "walk_ends": self.walks.indptr.astype(np.int64),
            "nearest": self.nearest,
        }
        return self.machines.to_arrays() | own

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> BranchVoter:
        """The inverse of `to_arrays`."""
        machines, steps = LinearMachines.from_arrays(arrays), np.asarray(arrays["walks"])
        branches = machines.intercepts.size
        parts = np.ones(steps.size, np.float32), steps, np.asarray(arrays["walk_ends"])
        walks: sparse.csr_array = sparse.csr_array(parts, shape=(branches, branches))
        return cls(machines, np.asarray(arrays["ends"]), walks, np.asarray(arrays["nearest"]))


def relative(found: NDArray[np.float32], total: NDArray[np.float32], leaves: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features float32[n, b] less their mean over what other views take for likely.

    A walk leads somewhere for texts that belong nowhere, too: it says where a text belongs, not whether. Without its mean it
    leaves the energy as it was, to first order.

    Args:
        found: what `BranchVoter.features` gave.
        total: float32[n, b], logits of other views.
        leaves: int64[l], positions of the leaves.
    """
    likely = total[leaves]
    likely -= likely.max(axis=0)
    np.exp(likely, out=likely)
    mean = np.einsum("lb,lb->b", likely, found[leaves]) / likely.sum(axis=0)
    return np.asarray(found - mean, np.float32)


def _families(tree: Taxonomy, owners: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """For each parent of which a child has children: the rows below its children, and the level of these (0 = top)."""
    divided = np.zeros(len(tree) + 1, np.bool_)  # the last is ROOT (-1)
    divided[tree.parents[~tree.is_leaf]] = True
    for level in range(tree.depth):
        parents = tree.paths[owners, level - 1] if level else np.full(owners.size, ROOT)
        rows = np.flatnonzero((tree.paths[owners, level] != ROOT) & divided[parents])
        order = rows[np.argsort(parents[rows], kind="stable")]
        for family in np.split(order, np.flatnonzero(np.diff(parents[order])) + 1):
            if family.size:
                yield family, level


def _walks(tree: Taxonomy, branches: NDArray[np.int64]) -> tuple[sparse.csr_array, NDArray[np.int64]]:
    """`BranchVoter.walks` and `nearest` of machines of these nodes, int64[g]."""
    machine = np.full(len(tree) + 1, -1)  # the last is ROOT (-1)
    machine[branches] = np.arange(branches.size)
    steps = machine[tree.paths]
    rows, levels = np.nonzero(steps[branches] >= 0)
    ones, shape = np.ones(rows.size, np.float32), (branches.size, branches.size)
    walks = sparse.csr_array((ones, (rows, steps[branches][rows, levels])), shape=shape)
    # Rows grow from the top down, so the largest of a path is the nearest.
    return walks, steps.max(axis=1)
