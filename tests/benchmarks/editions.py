"""Two editions of a taxonomy with a known crosswalk between them, made from a real one.

Nothing is invented: the later edition is the real taxonomy (but for its mergers), the former one the same with siblings put
together (which the later one splits), leaves under other codes, other parents and other labels. So each text with a known place
has a known place in both.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from taxomind_assets.taxonomy.crosswalk import Crosswalk, Link
from taxomind_assets.taxonomy.records import content_version
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy


@dataclass
class Editions:
    """A former and a later edition.

    Attributes:
        old, new: the editions.
        links: rows of the crosswalk that a publisher would print: all codes that did not simply stay.
        old_of: code in the former edition of each node of the real taxonomy.
        new_of: code in the later one.
        changed: codes of the real taxonomy by what happened to them: split, merged, recoded, moved, renamed.
    """

    old: Taxonomy
    new: Taxonomy
    links: tuple[Link, ...]
    old_of: dict[str, str]
    new_of: dict[str, str]
    changed: dict[str, list[str]] = field(default_factory=dict)

    @property
    def crosswalk(self) -> Crosswalk:
        """The crosswalk between all codes."""
        return Crosswalk.between(self.links, self.old.codes, self.new.codes)


def make_editions(tree: Taxonomy, seed: int = 0, share: float = 0.1) -> Editions:
    """Editions in which each kind of change concerns about `share` of the leaves; a leaf changes once."""
    rng = random.Random(seed)
    groups = _sibling_groups(tree, rng)
    wanted = max(int(share * int(tree.is_leaf.sum())), 2)
    split, merged = _take(groups, wanted), _take(groups, wanted)
    free = [code for group in groups for code in group]
    rng.shuffle(free)
    recoded, moved, renamed = (free[i * wanted : (i + 1) * wanted] for i in range(3))
    parents = {tree.nodes[tree.position[code]].parent_code for code in free}
    homes = sorted(parent for parent in parents if parent is not None)

    old = {node.code: node for node in tree.nodes}
    new = dict(old)
    old_of, new_of = {code: code for code in tree.codes}, {code: code for code in tree.codes}
    for group in split:
        _merge(old, old_of, group, "-was-one")
    for group in merged:
        _merge(new, new_of, group, "-now-one")
    for code in recoded:
        _replace(old, old_of, code, replace(old[code], code=f"{code}-old"))
    for code in moved:
        _replace(old, old_of, code, replace(old[code], parent_code=_other_home(old[code], homes, tree, rng)))
    for code in renamed:
        _replace(old, old_of, code, _relabelled(old[code]))
    links = dict.fromkeys((old_of[c], new_of[c]) for c in tree.codes if not old_of[c] == new_of[c] == c)
    changed = {
        "split": [code for group in split for code in group],
        "merged": [code for group in merged for code in group],
        "recoded": list(recoded),
        "moved": list(moved),
        "renamed": list(renamed),
    }
    return Editions(_built(tree, old), _built(tree, new), tuple(Link(*pair) for pair in links), old_of, new_of, changed)


def _sibling_groups(tree: Taxonomy, rng: random.Random) -> list[list[str]]:
    """Leaves under one parent, two or three at a time, in random order."""
    groups = []
    for parent in range(-1, len(tree)):
        leaves = [tree.codes[i] for i in tree.children_of(parent).tolist() if tree.is_leaf[i]]
        rng.shuffle(leaves)
        while len(leaves) >= 2:
            size = min(rng.choice((2, 3)), len(leaves))
            groups.append([leaves.pop() for _ in range(size)])
    rng.shuffle(groups)
    return groups


def _take(groups: list[list[str]], leaves: int) -> list[list[str]]:
    taken: list[list[str]] = []
    while groups and sum(map(len, taken)) < leaves:
        taken.append(groups.pop())
    return taken


def _merge(nodes: dict[str, Node], places: dict[str, str], group: Sequence[str], suffix: str) -> None:
    first = nodes[group[0]]
    merged = replace(first, code=f"{group[0]}{suffix}", texts=_put_together([nodes[code] for code in group]))
    for code in group[1:]:
        del nodes[code]
    _replace(nodes, places, group[0], merged)
    for code in group:
        places[code] = merged.code


def _put_together(nodes: Sequence[Node]) -> tuple[NodeText, ...]:
    languages = [text.language for text in nodes[0].texts]
    found = []
    for language in languages:
        own = [text for node in nodes for text in node.texts if text.language == language]
        found.append(
            NodeText(
                language,
                " and ".join(text.label for text in own),
                " ".join(text.definition for text in own if text.definition),
                tuple(example for text in own for example in text.examples),
                tuple(alias for text in own for alias in text.aliases),
            )
        )
    return tuple(found)


def _replace(nodes: dict[str, Node], places: dict[str, str], code: str, node: Node) -> None:
    """Put a leaf in another's place, in the order of the file."""
    for known in list(nodes):
        own = nodes.pop(known)
        nodes[node.code if known == code else known] = node if known == code else own
    places[code] = node.code


def _other_home(node: Node, homes: Sequence[str], tree: Taxonomy, rng: random.Random) -> str:
    level = tree.nodes[tree.position[str(node.parent_code)]].level if node.parent_code else 1
    same = [home for home in homes if tree.nodes[tree.position[home]].level == level and home != node.parent_code]
    return rng.choice(same) if same else str(node.parent_code)


def _relabelled(node: Node) -> Node:
    """As an office renames: the words in another order."""
    first, *rest = node.texts
    words = first.label.split()
    label = f"{' '.join(words[1:])}, {words[0]}" if len(words) > 1 else f"{first.label}, other"
    return replace(node, texts=(replace(first, label=label), *rest))


def _built(tree: Taxonomy, nodes: dict[str, Node]) -> Taxonomy:
    built = Taxonomy.build(tree.key, nodes.values(), display_name=tree.display_name, level_names=tree.level_names)
    return replace(built, version=content_version(built))


def as_csv(tree: Taxonomy) -> str:
    """The taxonomy as a file."""
    import csv
    import io

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["code", "parent_code", "level", "label", "definition", "examples", "aliases", "language"])
    for node in tree.nodes:
        for text in node.texts:
            lists = ("\n".join(values) for values in (text.examples, text.aliases))
            writer.writerow([node.code, node.parent_code or "", node.level, text.label, text.definition, *lists, text.language])
    return file.getvalue()


def crosswalk_csv(links: Iterable[Link]) -> str:
    """A crosswalk as a file."""
    rows = "".join(f"{link.old_code},{link.new_code},{link.note}\n" for link in links)
    return f"old_code,new_code,note\n{rows}"
