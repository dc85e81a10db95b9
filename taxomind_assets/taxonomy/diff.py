"""What changed between two versions of a taxonomy: added, removed, recoded, renamed, moved, split, merged, edited.

A crosswalk decides what became of a code. Without one, codes that both versions have stay what they are, and for the others
links are guessed from their texts (`diff_links`); each change then says how sure the guess is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from taxomind_assets.taxonomy.crosswalk import Crosswalk
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

Kind = Literal["added", "removed", "recoded", "split", "merged", "regrouped", "renamed", "moved", "edited"]
#: What each kind of change means.
KINDS: Final[Mapping[Kind, str]] = {
    "added": "a node that no former one leads to",
    "removed": "a node without a successor; what is known about it is parked",
    "recoded": "the same node under another code",
    "split": "one node became several",
    "merged": "several nodes became one",
    "regrouped": "several nodes were divided among several others",
    "renamed": "another label in some language",
    "moved": "another parent",
    "edited": "other definitions, examples or aliases",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        kind: a key of `KINDS`.
        old_codes: codes of the old version that it concerns.
        new_codes: codes of the new version.
        old: what stood there before: labels, or for `moved` the code of the former parent.
        new: what stands there now.
        confidence: how sure a guess is (0..1); None = it follows from the codes or from a crosswalk.
    """

    kind: Kind
    old_codes: tuple[str, ...]
    new_codes: tuple[str, ...]
    old: str = ""
    new: str = ""
    confidence: float | None = None


def find_changes(
    old: Taxonomy, new: Taxonomy, crosswalk: Crosswalk, confidences: Mapping[tuple[str, str], float] | None = None
) -> list[Change]:
    """All changes, ordered by kind and then by the order of the trees.

    Args:
        old: former version.
        new: later version.
        crosswalk: where the codes went.
        confidences: how sure links of the crosswalk are, by (old code, new code), when they were guessed.
    """
    sure = confidences or {}
    found = [*_regroupings(old, new, crosswalk, sure), *_new_nodes(new, crosswalk), *_lost_nodes(old, crosswalk)]
    for before, after in _successors(old, new, crosswalk):
        found += _node_changes(before, after, crosswalk)
    order = {kind: place for place, kind in enumerate(KINDS)}
    places = (old.position, new.position)
    found.sort(key=lambda change: (order[change.kind], _place(change, *places)))
    return found


def _place(change: Change, old: Mapping[str, int], new: Mapping[str, int]) -> tuple[int, int]:
    first_new = new[change.new_codes[0]] if change.new_codes else len(new)
    return first_new, old[change.old_codes[0]] if change.old_codes else -1


def _new_nodes(new: Taxonomy, crosswalk: Crosswalk) -> Iterator[Change]:
    for node in new.nodes:
        if not crosswalk.backward(node.code):
            yield Change("added", (), (node.code,), "", node.label)


def _lost_nodes(old: Taxonomy, crosswalk: Crosswalk) -> Iterator[Change]:
    for node in old.nodes:
        if not crosswalk.forward(node.code):
            yield Change("removed", (node.code,), (), node.label, "")


def _regroupings(old: Taxonomy, new: Taxonomy, crosswalk: Crosswalk, sure: Mapping[tuple[str, str], float]) -> Iterator[Change]:
    """One change per group of codes that hang together through the crosswalk."""
    done: set[str] = set()
    for code in old.codes:
        if code in done or crosswalk.relation(code) in {"same", "gone"}:
            continue
        olds, news = _component(code, crosswalk)
        done |= olds
        before = tuple(sorted(olds, key=old.position.__getitem__))
        after = tuple(sorted(news, key=new.position.__getitem__))
        pairs = [sure[a, b] for a in before for b in crosswalk.forward(a) if (a, b) in sure]
        yield Change(
            _group_kind(before, after), before, after, _labels(old, before), _labels(new, after), min(pairs, default=None)
        )


def _component(code: str, crosswalk: Crosswalk) -> tuple[set[str], set[str]]:
    olds, news, waiting = {code}, set[str](), [code]
    while waiting:
        for target in crosswalk.forward(waiting.pop()):
            news.add(target)
            for source in crosswalk.backward(target):
                if source not in olds:
                    olds.add(source)
                    waiting.append(source)
    return olds, news


def _group_kind(before: Sequence[str], after: Sequence[str]) -> Kind:
    if len(before) == len(after) == 1:
        return "recoded"
    if len(before) == 1:
        return "split"
    return "merged" if len(after) == 1 else "regrouped"


def _labels(tree: Taxonomy, codes: Iterable[str]) -> str:
    return "; ".join(tree.nodes[tree.position[code]].label for code in codes)


def _successors(old: Taxonomy, new: Taxonomy, crosswalk: Crosswalk) -> Iterator[tuple[Node, Node]]:
    """Pairs of nodes that are one and the same thing, whatever their codes."""
    for node in old.nodes:
        if crosswalk.relation(node.code) in {"same", "recoded"}:
            (code,) = crosswalk.forward(node.code)
            yield node, new.nodes[new.position[code]]
        elif node.code in crosswalk.forward(node.code):
            yield node, new.nodes[new.position[node.code]]


def _node_changes(before: Node, after: Node, crosswalk: Crosswalk) -> Iterator[Change]:
    codes = (before.code,), (after.code,)
    if _by_language(before, _label) != _by_language(after, _label):
        old, new = _differing(_by_language(before, _label), _by_language(after, _label))
        yield Change("renamed", *codes, old, new)
    expected = () if before.parent_code is None else crosswalk.forward(before.parent_code)
    if after.parent_code not in (expected or (None,)):
        yield Change("moved", *codes, before.parent_code or "", after.parent_code or "")
    if _by_language(before, _rest) != _by_language(after, _rest):
        yield Change("edited", *codes)


def _label(text: NodeText) -> object:
    return text.label


def _rest(text: NodeText) -> object:
    return text.definition, frozenset(text.examples), frozenset(text.aliases), frozenset(text.negative_examples)


def _by_language(node: Node, part: Callable[[NodeText], object]) -> dict[str, object]:
    return {text.language: part(text) for text in node.texts}


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, str]:
    """The labels of the first language in which they differ."""
    languages = [language for language in {**before, **after} if before.get(language) != after.get(language)]
    return str(before.get(languages[0], "")), str(after.get(languages[0], ""))
