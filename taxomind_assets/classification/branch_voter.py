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
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.added_views import Block
from taxomind_assets.classification.linear_machines import LinearMachines, train
from taxomind_assets.taxonomy.tree import ROOT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.voter_features import Described
    from taxomind_assets.taxonomy.tree import Taxonomy

BRANCHES: Final = "branches"
#: Nats of one unit of margin.
_SLOPE: Final = 3.0
#: Nats below which a branch is as unlikely as can be; the feature falls by 1 from a certain branch to there.
_DEEPEST: Final = 8.0
#: Branches that are told apart, from the top level down: further down they have hardly a text but their label, and every text
#: that is answered asks all machines.
_MOST_BRANCHES: Final = 2_000
#: Numbers that the machines of one parent look at in a pass, which takes about a minute; no benchmark set has a third of it.
_MOST_COST: Final = 500_000_000


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
            rows = _afforded(rows, data, tree.children_of(int(tree.parents[paths[owners[rows[0]], level]])).size)
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

    def block(self, texts: Described) -> Block:
        """The feature of all nodes: how much likelier the walk to each is than walks of the text are on average, -1 to 1.

        A walk leads somewhere for texts that belong nowhere, too: it says where a text belongs, not whether. So what counts is
        its lead over the average, not how sure it is.
        """
        chances = self._chances(texts)
        found = np.maximum(1 + chances / np.float32(_DEEPEST), 0)
        found -= np.einsum("gb,gb->b", np.exp(chances[self._last]), found[self._last])
        # The last row is that of nodes above which nothing is decided (-1).
        return Block(np.concatenate((found, np.zeros((1, found.shape[1]), np.float32))), rows=self.nearest)

    def _chances(self, texts: Described) -> NDArray[np.float32]:
        """Log chance of the walk to each branch, float32[g, b]."""
        own = self.machines.margins(texts) * np.float32(_SLOPE)
        starts, sizes = np.append(0, self.ends[:-1]), np.diff(self.ends, prepend=0)
        own -= np.repeat(np.maximum.reduceat(own, starts, axis=0), sizes, axis=0)
        own -= np.repeat(np.log(np.add.reduceat(np.exp(own), starts, axis=0)), sizes, axis=0)
        return np.asarray(self.walks @ own, np.float32)

    @cached_property
    def _last(self) -> NDArray[np.int64]:
        """Branches under which no machine decides anything: each walk ends at one of them."""
        passed = np.asarray((self.walks - sparse.eye_array(self.ends[-1])).sum(axis=0)).ravel()
        return np.flatnonzero(passed == 0)

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


def _families(tree: Taxonomy, owners: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """For each parent of which a child has children: the rows below its children, and the level of these (0 = top).

    Level by level, as long as the branches are not too many.
    """
    told = 0
    divided = np.zeros(len(tree) + 1, np.bool_)  # the last is ROOT (-1)
    divided[tree.parents[~tree.is_leaf]] = True
    for level in range(tree.depth):
        parents = tree.paths[owners, level - 1] if level else np.full(owners.size, ROOT)
        rows = np.flatnonzero((tree.paths[owners, level] != ROOT) & divided[parents])
        told += np.unique(tree.paths[owners[rows], level]).size
        if told > _MOST_BRANCHES:
            return
        order = rows[np.argsort(parents[rows], kind="stable")]
        for family in np.split(order, np.flatnonzero(np.diff(parents[order])) + 1):
            if family.size:
                yield family, level


def _afforded(rows: NDArray[np.int64], data: sparse.csr_matrix, sisters: int) -> NDArray[np.int64]:
    """The rows, or as many of them, evenly spread, as the machines of so many sisters can look at."""
    most = max(1, _MOST_COST * len(data.indptr) // (max(data.nnz, 1) * sisters))
    return rows if rows.size <= most else rows[np.linspace(0, rows.size - 1, most).astype(np.int64)]


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
