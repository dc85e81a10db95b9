"""Guesses where the codes of a new version come from, when no crosswalk says so.

Codes that both versions have stay. For codes that only one of them has, two signs are weighed: texts that stand word for word
in a node of the other version (a label, an alias, an example that moved), and the tf-idf cosine of everything that is said
about two nodes. The guess is a proposal for a person to read, never applied by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.taxonomy.crosswalk import Link
from taxomind_assets.taxonomy.tree import Node, Taxonomy
from taxomind_assets.views.lexical import Grams, HashedTfidf
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Least score of a link between nodes that are each other's best, of a further part of a node, and of a part of another node.
RECODED: Final = 0.4
PART: Final = 0.3
#: Share of a node's texts that must come word for word from a node that stays, to be called a part of it.
MOVED_TEXTS: Final = 0.3
_PLACE_BONUS: Final = 0.1
_GRAMS: Final[tuple[Grams, ...]] = ("character", "word")
_BLOCK: Final = 256


@dataclass(frozen=True)
class GuessedLink:
    """A link and how sure it is (0..1)."""

    link: Link
    confidence: float


def guess_links(old: Taxonomy, new: Taxonomy) -> list[GuessedLink]:
    """Links between codes of two versions that differ, in the order of the old tree; codes that simply stay are not named.

    A fresh node is linked with the node that is gone and resembles it most, or with a node that stays when it took texts over
    from it (a split). A node that is gone and resembles no fresh one was merged into the node that took its texts over.
    """
    olds, news = set(old.codes), set(new.codes)
    gone = [i for i, code in enumerate(old.codes) if code not in news]
    fresh = [i for i, code in enumerate(new.codes) if code not in olds]
    if not gone and not fresh:
        return []
    texts = _Texts(old, new)
    found = _paired(old, new, gone, fresh, texts)
    _parts_of_staying(old, new, fresh, texts, found)
    _merged_into_staying(old, new, gone, texts, found)
    return [_guessed(old, new, pair, confidence) for pair, confidence in sorted(found.items())]


def _guessed(old: Taxonomy, new: Taxonomy, pair: tuple[int, int], confidence: float) -> GuessedLink:
    return GuessedLink(Link(old.codes[pair[0]], new.codes[pair[1]], "guessed"), round(min(confidence, 1.0), 3))


class _Texts:
    """Which texts each node holds, word for word: sparse matrices of nodes by texts for both versions."""

    def __init__(self, old: Taxonomy, new: Taxonomy) -> None:
        both = [[_own_texts(node) for node in tree.nodes] for tree in (old, new)]
        places = {text: place for place, text in enumerate(dict.fromkeys(chain.from_iterable(chain(*both))))}
        self.old, self.new = (_incidence(rows, places) for rows in both)
        self.old_counts, self.new_counts = (np.maximum(np.asarray(m.sum(axis=1)).ravel(), 1) for m in (self.old, self.new))

    def common(self, old: Sequence[int], new: Sequence[int]) -> NDArray[np.float32]:
        """float32[o, n]: texts that nodes have in common, as a share of the texts of either, whichever is greater."""
        shared = (self.old[old] @ self.new[new].T).toarray()
        return np.asarray(shared / np.minimum(self.old_counts[old][:, None], self.new_counts[new]), np.float32)

    def source(self, new: int) -> tuple[int, float]:
        """The former node that holds most of a new node's texts, and their share."""
        return _largest(self.old @ self.new[[new]].T, self.new_counts[new])

    def target(self, old: int) -> tuple[int, float]:
        """The new node that holds most of a former node's texts, and their share."""
        return _largest(self.new @ self.old[[old]].T, self.old_counts[old])


def _incidence(rows: Sequence[set[str]], places: dict[str, int]) -> sparse.csr_array:
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows])))
    indices = np.fromiter((places[text] for row in rows for text in row), np.int64)
    return sparse.csr_array((np.ones(indices.size, np.float32), indices, indptr), shape=(len(rows), max(len(places), 1)))


def _largest(shared: sparse.csr_array, total: float) -> tuple[int, float]:
    column = shared.toarray().ravel()
    place = int(column.argmax())
    return place, float(column[place] / total)


def _own_texts(node: Node) -> set[str]:
    return {
        normalised
        for text in node.texts
        for value in (text.label, *text.aliases, *text.examples, text.definition)
        if (normalised := normalise(value))
    }


def _paired(
    old: Taxonomy, new: Taxonomy, gone: Sequence[int], fresh: Sequence[int], texts: _Texts
) -> dict[tuple[int, int], float]:
    """Links between nodes that only one version has: recoded ones, and the parts of nodes that were split or put together."""
    found: dict[tuple[int, int], float] = {}
    if not gone or not fresh:
        return found
    best_old, best_score = np.zeros(len(fresh), np.int64), np.zeros(len(fresh), np.float32)
    best_new: list[tuple[int, float]] = []
    for start, scores in _scores(old, new, gone, fresh, texts):
        best_new += [(int(column), float(scores[row, column])) for row, column in enumerate(scores.argmax(axis=1))]
        better = scores.max(axis=0) > best_score
        best_old[better] = scores.argmax(axis=0)[better] + start
        best_score = np.maximum(best_score, scores.max(axis=0))
    for row, (column, score) in enumerate(best_new):
        if score >= (RECODED if best_old[column] == row else PART):
            found[gone[row], fresh[column]] = score
    for column, (row, score) in enumerate(zip(best_old.tolist(), best_score.tolist(), strict=True)):
        if score >= PART:
            found[gone[row], fresh[column]] = score
    return found


def _scores(
    old: Taxonomy, new: Taxonomy, gone: Sequence[int], fresh: Sequence[int], texts: _Texts
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """How alike nodes are, block by block: (first row, float32[rows, f])."""
    documents = [_said(new.nodes[i]) for i in fresh]
    views = [HashedTfidf.fit(documents, grams) for grams in _GRAMS]
    parents = np.array([new.nodes[i].parent_code for i in fresh], object)
    levels = np.array([new.nodes[i].level for i in fresh])
    for start in range(0, len(gone), _BLOCK):
        block = gone[start : start + _BLOCK]
        said = [_said(old.nodes[i]) for i in block]
        cosines = sum((view.queries(said) @ view.documents).toarray() for view in views) / len(views)
        alike = np.maximum(cosines, texts.common(block, fresh))
        for row, i in enumerate(block):
            bonus = _PLACE_BONUS * (parents == old.nodes[i].parent_code) - _PLACE_BONUS * (levels != old.nodes[i].level)
            alike[row] = np.where(alike[row] > 0, alike[row] + bonus, 0)
        yield start, alike


def _said(node: Node) -> str:
    """Everything that is said about a node, its labels first and twice: they tell most."""
    labels = [text.label for text in node.texts]
    rest = [value for text in node.texts for value in (text.definition, *text.aliases, *text.examples)]
    return " ".join((*labels, *labels, *rest))


def _parts_of_staying(
    old: Taxonomy, new: Taxonomy, fresh: Sequence[int], texts: _Texts, found: dict[tuple[int, int], float]
) -> None:
    """A fresh node that took texts over from a node that stays, and left it: the node was split."""
    taken = {new_place for _, new_place in found}
    for i in fresh:
        source, share = (-1, 0.0) if i in taken else texts.source(i)
        stays = new.position.get(old.codes[source]) if share >= MOVED_TEXTS else None
        if stays is not None and _left(old.nodes[source], new.nodes[stays], new.nodes[i]):
            found[source, i] = share
            found[source, stays] = 1.0


def _left(before: Node, after: Node, part: Node) -> bool:
    """Whether the texts that the part took over are gone from where they were."""
    moved = _own_texts(before) & _own_texts(part)
    return len(moved - _own_texts(after)) > len(moved) / 2


def _merged_into_staying(
    old: Taxonomy, new: Taxonomy, gone: Sequence[int], texts: _Texts, found: dict[tuple[int, int], float]
) -> None:
    """A node that is gone, whose texts now stand in a node that stays."""
    linked = {old_place for old_place, _ in found}
    for i in gone:
        target, share = (-1, 0.0) if i in linked else texts.target(i)
        if share >= MOVED_TEXTS and new.codes[target] in old.position:
            found[i, target] = share
