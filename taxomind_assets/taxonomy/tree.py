"""The tree in memory: nodes in preorder, so that a subtree is a slice and a sum over it is a difference.

Identity is the code, never the label. The root sentinel is not a node; top nodes have no parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from scipy import sparse

ROOT = -1


@dataclass(frozen=True, slots=True)
class NodeText:
    """Texts of one node in one language (BCP 47 tag, '' = not stated)."""

    language: str
    label: str
    definition: str = ""
    examples: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    negative_examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A place in the taxonomy. `texts[0]` is in the taxonomy's primary language; `parent_code` None = top node.

    `added` holds what a language model wrote, one entry per language and without labels: no word of it stands in the file.
    """

    code: str
    parent_code: str | None
    level: int
    texts: tuple[NodeText, ...]
    added: tuple[NodeText, ...] = ()

    @property
    def label(self) -> str:
        """Label in the primary language."""
        return self.texts[0].label


@dataclass(frozen=True)
class Taxonomy:
    """A checked tree. Build it with `Taxonomy.build`; the constructor expects nodes in preorder.

    Attributes:
        key: taxonomy key.
        nodes: n nodes in preorder (a parent before its children, siblings in input order).
        version: hash of the content, '' while unknown.
        parents: int32[n], position of the parent, `ROOT` (-1) for top nodes.
        ends: int32[n], end of the subtree: the subtree of node i is `nodes[i:ends[i]]`.
        depths: int32[n], number of nodes on the path from the top (1 = top node); `Node.level` may skip levels.
    """

    key: str
    nodes: tuple[Node, ...]
    version: str = ""
    display_name: str = ""
    level_names: dict[int, str] = field(default_factory=dict)

    @classmethod
    def build(cls, key: str, nodes: Iterable[Node], **attributes: object) -> Taxonomy:
        """Put checked nodes into preorder. Nodes must form a tree (see `problems.find_problems`).

        Raises:
            ValueError: the nodes do not form a tree.
        """
        children: dict[str | None, list[Node]] = {}
        total = 0
        for node in nodes:
            children.setdefault(node.parent_code, []).append(node)
            total += 1
        ordered: list[Node] = []
        stack = list(reversed(children.get(None, [])))
        while stack:
            node = stack.pop()
            ordered.append(node)
            stack.extend(reversed(children.get(node.code, [])))
        if len(ordered) != total or len({node.code for node in ordered}) != total:
            raise ValueError(f"{total} nodes do not form a tree: {len(ordered)} can be reached from the top.")
        return cls(key=key, nodes=tuple(ordered), **attributes)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def descendants(self) -> sparse.csr_array:
        """float32 sparse [n, n]: 1 for each node and all below it, which is a slice of the preorder.

        A parent's sum adds the numbers of its children in the same order and some between, so rounding never makes it smaller.
        """
        from scipy import sparse

        sizes = self.ends - np.arange(len(self))
        indptr = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
        columns = np.arange(indptr[-1]) - np.repeat(indptr[:-1] - np.arange(len(self)), sizes)
        ones = np.ones(columns.size, np.float32)
        return sparse.csr_array((ones, columns.astype(np.int32), indptr), shape=(len(self), len(self)))

    @cached_property
    def codes(self) -> list[str]:
        """Codes in preorder."""
        return [node.code for node in self.nodes]

    @cached_property
    def names(self) -> tuple[pa.StringArray, pa.StringArray]:
        """Codes and primary labels in preorder, as Arrow arrays: every table of answers takes its texts from them."""
        from taxomind_resources.arrow_arrays import texts_array

        return texts_array(self.codes), texts_array(node.label for node in self.nodes)

    @cached_property
    def position(self) -> dict[str, int]:
        """Position of each code in preorder."""
        return {code: i for i, code in enumerate(self.codes)}

    @cached_property
    def parents(self) -> NDArray[np.int32]:
        """int32[n]: see the class."""
        position = self.position
        return np.array([ROOT if node.parent_code is None else position[node.parent_code] for node in self.nodes], np.int32)

    @cached_property
    def depths(self) -> NDArray[np.int32]:
        """int32[n]: see the class."""
        depths = np.ones(len(self), np.int32)
        for i, parent in enumerate(self.parents.tolist()):
            if parent != ROOT:
                depths[i] = depths[parent] + 1
        return depths

    @cached_property
    def levels(self) -> NDArray[np.int32]:
        """int32[n]: the node's own level."""
        return np.array([node.level for node in self.nodes], np.int32)

    @cached_property
    def ends(self) -> NDArray[np.int32]:
        """int32[n]: see the class."""
        ends = np.arange(1, len(self) + 1, dtype=np.int32)
        for i in range(len(self) - 1, -1, -1):
            parent = self.parents[i]
            if parent != ROOT:
                ends[parent] = max(ends[parent], ends[i])
        return ends

    @cached_property
    def is_leaf(self) -> NDArray[np.bool_]:
        """bool[n]: True for nodes without children."""
        leaf = np.ones(len(self), np.bool_)
        leaf[self.parents[self.parents != ROOT]] = False
        return leaf

    @cached_property
    def leaf_counts(self) -> NDArray[np.int64]:
        """int64[n]: leaves under each node (1 for a leaf)."""
        before = np.concatenate(([0], np.cumsum(self.is_leaf)))
        return before[self.ends] - before[: len(self)]

    @cached_property
    def children(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(starts int32[n + 2], members int32[n]): children of node i are `members[starts[i + 1]:starts[i + 2]]`.

        Place 0 holds the children of the root sentinel, so `ROOT` (-1) works as an index like any other node.
        """
        members = np.argsort(self.parents, kind="stable").astype(np.int32)
        counts = np.bincount(self.parents + 1, minlength=len(self) + 1)
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return starts, members

    def children_of(self, node: int) -> NDArray[np.int32]:
        """Positions of the children of `node` (`ROOT` for the top nodes)."""
        starts, members = self.children
        return members[starts[node + 1] : starts[node + 2]]

    @cached_property
    def paths(self) -> NDArray[np.int32]:
        """int32[n, depth]: positions from the top node to the node itself, padded with `ROOT` (-1)."""
        table = np.full((len(self), self.depth), ROOT, np.int32)
        for i, parent in enumerate(self.parents.tolist()):
            if parent != ROOT:
                table[i] = table[parent]
            table[i, self.depths[i] - 1] = i
        return table

    @property
    def depth(self) -> int:
        """Longest path in nodes."""
        return int(self.depths.max()) if len(self) else 0

    def path_codes(self, node: int) -> list[str]:
        """Codes from the top node to `node`."""
        return [self.codes[i] for i in self.paths[node].tolist() if i != ROOT]

    def path_labels(self, node: int) -> list[str]:
        """Primary labels from the top node to `node`."""
        return [self.nodes[i].label for i in self.paths[node].tolist() if i != ROOT]

    @cached_property
    def languages(self) -> list[str]:
        """Languages of the node texts, the primary one first."""
        seen: dict[str, None] = {}
        for node in self.nodes:
            seen.setdefault(node.texts[0].language)
        for node in self.nodes:
            for text in node.texts:
                seen.setdefault(text.language)
        return list(seen)


def subtree_sums(tree: Taxonomy, own: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sum of `own` [texts, n] over each subtree: one running sum and one difference.

    Returns:
        float64[texts, n].
    """
    running = np.zeros((own.shape[0], own.shape[1] + 1), np.float64)
    np.cumsum(own, axis=1, out=running[:, 1:])
    return running[:, tree.ends] - running[:, :-1]


def nearest_common(tree: Taxonomy, nodes: Sequence[int]) -> int:
    """Deepest node above or equal to all `nodes`; `ROOT` when they share none."""
    paths = tree.paths[np.asarray(nodes)]
    same = np.all(paths == paths[0], axis=0) & (paths[0] != ROOT)
    depth = int(np.argmin(same)) if not same.all() else same.size
    return int(paths[0, depth - 1]) if depth else ROOT
