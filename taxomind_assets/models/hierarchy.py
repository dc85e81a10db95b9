"""How classifiers go about a tree: one over all codes, one per parent, or one per level (Silla and Freitas, 2011).

Each is a `Unit`: some nodes between which one classifier decides. A row of an internal node says "stop here"; in the units of a
parent or a level that is a class of its own, the parent itself. What the units say comes together as mass: what reaches a node
is parted among its children and itself, and what reaches a node without a classifier stays there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.models.specification import Hierarchy
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST_CHILDREN: Final = 2
_TINY: Final = 1e-12


@dataclass(frozen=True)
class Unit:
    """Nodes between which one classifier decides.

    Attributes:
        name: `flat`, `node:<code>` (`node:` = the root) or `level:<depth>`.
        classes: positions of the nodes, ascending.
    """

    name: str
    classes: tuple[int, ...]

    def places(self, nodes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows whose node is a class, and the class of each: int64[k] both; `nodes` is int64[n], -1 = none."""
        classes = np.array(self.classes, np.int64)
        found = np.searchsorted(classes, nodes)
        inside = found < classes.size
        inside[inside] = classes[found[inside]] == nodes[inside]
        rows = np.flatnonzero(inside)
        return rows, found[rows].astype(np.int64)


def units_of(
    tree: Taxonomy, hierarchy: Hierarchy, nodes: NDArray[np.int64], labelled: NDArray[np.bool_], fewest: int
) -> list[Unit]:
    """The units that there are texts for.

    Args:
        tree: the taxonomy.
        hierarchy: how to go about it.
        nodes: int64[n], node of each training row.
        labelled: bool[n], False for texts of the taxonomy itself, which never say "stop here".
        fewest: texts that a child needs to count among the two that a parent's classifier needs.

    Raises:
        Fault: `too_few_labels` when nothing can be told apart.
    """
    if hierarchy == "flat":
        found = [Unit("flat", _distinct(nodes[labelled | tree.is_leaf[nodes]]))]
    elif hierarchy == "per_parent":
        found = list(_per_parent(tree, nodes, labelled, fewest))
    else:
        found = [_level(tree, depth, nodes, labelled) for depth in range(1, tree.depth + 1)]
    found = [unit for unit in found if len(unit.classes) > 1]
    root_is_open = len(tree.children_of(ROOT)) > 1 and not any(unit.name in {"flat", "node:", "level:1"} for unit in found)
    if not found or root_is_open:
        counts = np.bincount(nodes, minlength=len(tree))
        what = (
            f"{nodes.size:,} training texts of {np.count_nonzero(counts):,} codes are too few for the hierarchy {hierarchy!r}."
        )
        allowed = "two codes with texts"
        if hierarchy != "flat":
            allowed = f"at least two top nodes with {fewest if hierarchy == 'per_parent' else 1} texts each at or below them"
        raise Fault("too_few_labels", what, allowed=allowed)
    return found


def unit_nodes(tree: Taxonomy, unit: Unit, nodes: NDArray[np.int64], labelled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The class of each row in a unit as a node, int64[n]; -1 where it has none. `labelled` as in `units_of`."""
    if unit.name == "flat":
        return nodes
    paths = np.vstack([tree.paths, np.full((1, tree.depth), ROOT, np.int32)]).astype(np.int64)
    depths = np.append(tree.depths, 0)[nodes]
    kind, _, name = unit.name.partition(":")
    if kind == "level":
        depth = int(name)
        at = np.where(depths >= depth, paths[nodes, depth - 1], -1)
        return np.where((depths == depth - 1) & labelled & ~tree.is_leaf[nodes], nodes, at)
    parent = tree.position[name] if name else ROOT
    depth = 0 if parent == ROOT else int(tree.depths[parent])
    below = depths > depth
    if parent != ROOT:
        below &= paths[nodes, depth - 1] == parent
    found = np.where(below, paths[nodes, min(depth, tree.depth - 1)], -1)
    return found if parent == ROOT else np.where((nodes == parent) & labelled, parent, found)


def _distinct(nodes: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(np.unique(nodes).tolist())


def _per_parent(tree: Taxonomy, nodes: NDArray[np.int64], labelled: NDArray[np.bool_], fewest: int) -> Iterator[Unit]:
    own = np.bincount(nodes, minlength=len(tree))
    stops = np.bincount(nodes[labelled], minlength=len(tree))
    below = np.concatenate(([0], np.cumsum(own)))
    texts = below[tree.ends] - below[np.arange(len(tree))]
    for parent in (ROOT, *np.flatnonzero(~tree.is_leaf).tolist()):
        children = np.asarray(tree.children_of(parent), np.int64)
        known = children[texts[children] > 0]
        if np.count_nonzero(texts[children] >= fewest) < _FEWEST_CHILDREN:
            continue
        classes = known.tolist() if parent == ROOT or not stops[parent] else [parent, *known.tolist()]
        yield Unit(f"node:{'' if parent == ROOT else tree.codes[parent]}", tuple(sorted(classes)))


def _level(tree: Taxonomy, depth: int, nodes: NDArray[np.int64], labelled: NDArray[np.bool_]) -> Unit:
    unit = Unit(f"level:{depth}", ())
    found = unit_nodes(tree, unit, nodes, labelled)
    return Unit(unit.name, _distinct(found[found >= 0]))


def own_mass(tree: Taxonomy, units: Sequence[Unit], given: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Probability that a text belongs to a node and to nothing below it: float32 [b, n], rows add up to 1.

    Args:
        tree: the taxonomy that the units are of.
        units: u units.
        given: probabilities of each unit, float32 [b, classes].
    """
    b = given[0].shape[0]
    if units[0].name == "flat":
        own = np.zeros((b, len(tree)), np.float32)
        own[:, list(units[0].classes)] = given[0]
        return own
    return _parted(tree, _shares(tree, units, given), b)


def _shares(tree: Taxonomy, units: Sequence[Unit], given: Sequence[NDArray[np.float32]]) -> dict[int, tuple[list[int], Any]]:
    """By parent: the nodes among which its mass is parted (itself = stop), and float32 [b, them]."""
    found: dict[int, tuple[list[int], Any]] = {}
    for unit, chances in zip(units, given, strict=True):
        depth = int(unit.name.partition(":")[2]) if unit.name.startswith("level:") else 0
        groups: dict[int, list[int]] = {}
        for place, node in enumerate(unit.classes):
            groups.setdefault(_parent_in(tree, unit, node, depth), []).append(place)
        for parent, places in groups.items():
            members = [unit.classes[place] for place in places]
            # A parent of whose children none was seen keeps what it has.
            if members != [parent]:
                found[parent] = members, chances[:, places]
    return found


def _parent_in(tree: Taxonomy, unit: Unit, node: int, depth: int) -> int:
    """The parent whose mass a class of a unit takes a share of; a class may be that parent itself."""
    if depth:
        return node if tree.depths[node] < depth else int(tree.parents[node])
    code = unit.name.partition(":")[2]
    return tree.position[code] if code else ROOT


def _parted(tree: Taxonomy, shares: dict[int, tuple[list[int], Any]], b: int) -> NDArray[np.float32]:
    own = np.zeros((b, len(tree)), np.float32)
    reach = np.zeros((b, len(tree)), np.float32)
    for node in (ROOT, *np.flatnonzero(~tree.is_leaf).tolist()):  # parents come before their children
        mass = np.ones(b, np.float32) if node == ROOT else reach[:, node]
        if node not in shares:
            children = tree.children_of(node)
            if len(children) == 1:  # there is no other way
                reach[:, children[0]] = mass
            elif node != ROOT:
                own[:, node] = mass
            continue
        members, chances = shares[node]
        parts = mass[:, None] * chances / np.maximum(chances.sum(axis=1, keepdims=True), _TINY)
        for place, member in enumerate(members):
            (own if member == node else reach)[:, member] = parts[:, place]
    leaves = np.flatnonzero(tree.is_leaf)
    own[:, leaves] = reach[:, leaves]
    return own
