"""Where a new node hangs, and the code that it gets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from taxomind_assets.growth.normalise import PATH_SIGNS, SEGMENT
from taxomind_assets.growth.observations import Observation, is_catch_all
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from taxomind_assets.growth.known_forms import KnownForms

ParentRule = Literal["written", "key", "texts", "root", "missing"]
#: Why a parent, in words.
PARENT_RULES: Final[Mapping[ParentRule, str]] = {
    "written": "the label names it",
    "key": "the label begins with its name, and half of the texts lie below it",
    "texts": "most of its texts lie below it",
    "root": "the texts lie in different places",
    "missing": "the label names a parent that does not exist",
}
#: Share of the texts that must lie below a parent.
_TEXTS_SHARE: Final = 0.8
_KEY_SHARE: Final = 0.5
#: The same for groups of texts that fit nowhere: their nearest leaves scatter over the right branch and others (measured).
_CLUSTER_SHARE: Final = 0.4
_LEAST_SHARE: Final = 1e-9


@dataclass(frozen=True)
class Parent:
    """Where a new node would hang. `code` None = at the top; `label`: of a parent that is missing, the name proposed."""

    code: str | None
    label: str
    exists: bool
    rule: ParentRule


def parent_of(key: str, spelling: str, rows: Sequence[Observation], forms: KnownForms) -> tuple[str, Parent]:
    """Label and parent of a new node: what the proposer wrote, else what its key says, else where its texts lie.

    Args:
        key: its comparison key.
        spelling: as it was proposed, perhaps with signs of a path (`Tech > AI`).
        rows: its texts.
        forms: names of the existing nodes.
    """
    parts = [part.strip() for part in PATH_SIGNS.split(spelling) if part.strip()]
    if len(parts) > 1:
        return _written_parent(parts, forms)
    tree = forms.tree
    below = _texts_below(tree, rows)
    segments = key.split(SEGMENT)
    for length in range(len(segments) - 1, 0, -1):
        place = forms.names.get(SEGMENT.join(segments[:length]))
        if place is not None and below[place] >= _KEY_SHARE * len(rows):
            return spelling, _existing(tree, place, "key")
    # Texts that were drawn to a wish scatter like those of a group that nobody named.
    is_cluster = any(row.source == "cluster" for row in rows)
    place = _deepest(tree, below, len(rows), is_cluster=is_cluster)
    return spelling, _existing(tree, place, "texts") if place != ROOT else Parent(None, "", exists=True, rule="root")


def _written_parent(parts: Sequence[str], forms: KnownForms) -> tuple[str, Parent]:
    """Of a written path: the last part, below the longest beginning that exists; else the part before it is missing."""
    place = _known_beginning(parts[:-1], forms)
    if place is not None and place[1] == len(parts) - 1:
        return parts[-1], _existing(forms.tree, place[0], "written")
    above = forms.tree.codes[place[0]] if place else None
    return parts[-1], Parent(above, parts[-2], exists=False, rule="missing")


def _known_beginning(parts: Sequence[str], forms: KnownForms) -> tuple[int, int] | None:
    """(node, number of parts) of the longest beginning of a written path that is an existing path or label."""
    keys = [forms.key(part) for part in parts]
    for length in range(len(keys), 0, -1):
        place = forms.nodes.get(SEGMENT.join(keys[:length]))
        if place is not None:
            return place, length
    return None


def missing_parents(spelling: str, forms: KnownForms) -> list[tuple[str, str, Parent]]:
    """(key, label, parent) of the middle nodes that a written path lacks."""
    parts = [part.strip() for part in PATH_SIGNS.split(spelling) if part.strip()][:-1]
    known = _known_beginning(parts, forms)
    found = []
    for length in range((known[1] if known else 0) + 1, len(parts) + 1):
        label, parent = parts[length - 1], Parent(None, "", exists=True, rule="root")
        if length > 1:
            label, parent = _written_parent(parts[:length], forms)
        key = SEGMENT.join(forms.key(part) for part in parts[:length])
        if key and key not in forms.nodes:
            found.append((key, label, parent))
    return found


def _existing(tree: Taxonomy, place: int, rule: ParentRule) -> Parent:
    return Parent(tree.codes[place], tree.nodes[place].label, exists=True, rule=rule)


def _texts_below(tree: Taxonomy, rows: Sequence[Observation]) -> np.ndarray:
    """int64[n]: texts whose primary node lies at or below each node."""
    own = np.zeros(len(tree) + 1, np.int64)
    for row in rows:
        place = tree.position.get(row.primary_code or "")
        if place is not None:
            own[place + 1] += 1
    running = np.cumsum(own)
    return np.asarray(running[tree.ends] - running[:-1])


def _deepest(tree: Taxonomy, below: np.ndarray, texts: int, *, is_cluster: bool) -> int:
    """The deepest node above or equal to those of enough texts; of a catch-all its parent.

    A leaf on the lowest level of a tree of several levels, or the nearest leaf of a group, gives way to its parent: the new
    node stands beside it.
    """
    share = _CLUSTER_SHARE if is_cluster else _TEXTS_SHARE
    enough = np.flatnonzero(below >= max(share * texts, _LEAST_SHARE))
    if not enough.size:
        return ROOT
    # Of equally deep nodes the one with most texts.
    place = int(enough[np.lexsort((-below[enough], -tree.depths[enough]))[0]])
    if tree.is_leaf[place] and (is_cluster or (tree.depth > 1 and tree.depths[place] == tree.depth)):
        place = int(tree.parents[place])
    while place != ROOT and is_catch_all(tree.nodes[place].label):
        place = int(tree.parents[place])
    return place


def proposed_code(label_key: str, parent_code: str | None, tree: Taxonomy, used: Collection[str] = ()) -> str:
    """A code for a new node that was never used.

    The next number where all siblings are the parent's code and as many digits, else `g-` and the key.

    Args:
        label_key: comparison key of its label.
        parent_code: its parent, None = at the top.
        tree: the taxonomy.
        used: all codes that the taxonomy ever had.
    """
    taken = {*used, *tree.codes}
    parent = ROOT if parent_code is None else tree.position[parent_code]
    before = parent_code or ""
    tails = [
        tree.codes[child][len(before) :] for child in tree.children_of(parent).tolist() if tree.codes[child].startswith(before)
    ]
    digits = {len(tail) for tail in tails if tail.isascii() and tail.isdigit()}
    if tails and len(digits) == 1 and len(tails) == len(tree.children_of(parent)) and all(tail.isdigit() for tail in tails):
        (width,) = digits
        for number in range(max(map(int, tails)) + 1, 10**width):
            code = f"{before}{number:0{width}d}"
            if code not in taken:
                return code
    stem = f"g-{label_key.replace(SEGMENT, '-')}"
    code, number = stem, 1
    while code in taken:
        number += 1
        code = f"{stem}-{number}"
    return code
