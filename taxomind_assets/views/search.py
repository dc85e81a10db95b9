"""Search-as-you-type over a taxonomy: codes, labels and aliases in all its languages.

What is typed is looked for, from the best kind of match to the weakest: a code or name that is it, that begins with it, that
has it at the start of a word, that has it anywhere; names in which every word that was typed begins a word ("soft dev"); and
names that share n-grams with it, for what is misspelt. Substrings are found in one long string by the regular expression
engine, which takes a fraction of a millisecond for a thousand nodes and some milliseconds for a hundred thousand.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from taxomind_assets.views.lexical import HashedTfidf
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import NodeText, Taxonomy

Kind = Literal["code", "label", "alias"]
LONGEST_QUERY: Final = 200
#: Names looked at of one kind of match; the better kinds come first.
_MOST_MATCHES: Final = 4000
#: Cosine of n-grams below which two names have nothing to do with each other.
_LEAST_SIMILAR: Final = 0.2
_LINE: Final = "\n"
_WORD: Final = re.compile(r"\w+")
_LAST: Final = chr(0x10FFFF)
_IN_WORD: Final = re.compile(r"\w").match
#: What a kind of match is worth; the share of the name that was typed decides within a kind.
_EQUAL, _BEGINS, _WORD_BEGINS, _WORDS_BEGIN, _INSIDE, _SIMILAR = 6.0, 5.0, 4.0, 3.0, 2.0, 1.0
_KIND_BONUS: Final = {"code": 0.3, "label": 0.2, "alias": 0.0}


@dataclass(frozen=True)
class Hit:
    """A node that was found.

    Attributes:
        code, label: of the node, the label in the taxonomy's primary language.
        level: its level.
        is_leaf: it has no children.
        path_labels: labels from the top node to the node itself.
        matched: the code, label or alias that was found.
        language: its language, '' = a code, or not stated.
        kind: what it is.
    """

    code: str
    label: str
    level: int
    is_leaf: bool
    path_labels: tuple[str, ...]
    matched: str
    language: str
    kind: Kind


@dataclass(frozen=True)
class _Name:
    """A name under which a node can be found."""

    node: int
    text: str
    language: str
    kind: Kind


class NodeSearch:
    """Finds nodes by what a person types. Immutable; safe to share between threads.

    Args:
        tree: the taxonomy.
    """

    def __init__(self, tree: Taxonomy) -> None:
        self._tree = tree
        self._names = tuple(_names(tree))
        self._folded = [folded(name.text) for name in self._names]
        # Every name between two line feeds, so that one pattern finds whole names, their beginnings and their words.
        self._all = _LINE + _LINE.join(self._folded) + _LINE
        lengths = np.fromiter((len(text) + 1 for text in self._folded), np.int64, len(self._folded))
        self._starts = np.concatenate(([0], np.cumsum(lengths)))[:-1] + 1

    def find(self, query: str, limit: int = 10) -> list[Hit]:
        """The nodes that fit best, each once.

        Args:
            query: what was typed; only the first 200 characters count.
            limit: nodes at most.
        """
        wanted = folded(query[:LONGEST_QUERY])
        if not wanted or not self._names or limit < 1:
            return []
        scores: dict[int, tuple[float, int]] = {}
        for end, worth in ((_LINE, _EQUAL), ("", _BEGINS)):
            self._add(scores, self._names_at([at + 1 for at in self._places_of(_LINE + wanted + end)]), wanted, worth)
        places = self._places_of(wanted)
        begun = [at for at in places if not _IN_WORD(self._all[at - 1])]
        self._add(scores, self._names_at(begun), wanted, _WORD_BEGINS)
        words = _WORD.findall(wanted)
        if len(words) > 1:
            self._add(scores, self._with_words(words), wanted, _WORDS_BEGIN)
        # One or two Latin letters stand inside of nearly every name; one ideograph says much.
        if len(scores) < limit and (len(wanted) > 2 or not wanted.isascii()):
            self._add(scores, self._names_at(places), wanted, _INSIDE)
        if len(scores) < limit and len(wanted) > 2:
            self._add_similar(scores, wanted)
        best = sorted(scores.items(), key=lambda item: (-item[1][0], item[0]))[:limit]
        return [self._hit(self._names[place]) for _, (_, place) in best]

    def _places_of(self, text: str) -> list[int]:
        """Where a text stands in the string of all names; a plain text is found much faster than a pattern."""
        return [match.start() for match in islice(re.finditer(re.escape(text), self._all), _MOST_MATCHES)]

    def _names_at(self, places: list[int]) -> list[int]:
        """The names in which places of the string of all names lie, each once."""
        names: list[int] = np.unique(np.searchsorted(self._starts, places, side="right") - 1).tolist()
        return names

    def _with_words(self, words: list[str]) -> list[int]:
        """Names in which every word begins a word, in any order."""
        vocabulary, starts, members = self._words
        kept = np.ones(len(self._names), np.bool_)
        for word in words:
            low, high = bisect_left(vocabulary, word), bisect_left(vocabulary, word + _LAST)
            with_word = np.zeros(len(self._names), np.bool_)
            with_word[members[starts[low] : starts[high]]] = True
            kept &= with_word
        places: list[int] = np.flatnonzero(kept)[:_MOST_MATCHES].tolist()
        return places

    @cached_property
    def _words(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
        """Words in order, and the names that have the i-th: `members[starts[i]:starts[i + 1]]`."""
        places: dict[str, list[int]] = {}
        for place, text in enumerate(self._folded):
            for word in set(_WORD.findall(text)):
                places.setdefault(word, []).append(place)
        vocabulary = sorted(places)
        members = np.fromiter(chain.from_iterable(places[word] for word in vocabulary), np.int64)
        starts = np.concatenate(([0], np.cumsum([len(places[word]) for word in vocabulary]))).astype(np.int64)
        return vocabulary, starts, members

    @cached_property
    def _lexical(self) -> HashedTfidf:
        # What stands in thousands of names tells none of them apart, and would make each search long.
        return HashedTfidf.fit(self._folded, "character", max_documents=_MOST_MATCHES)

    def _add_similar(self, scores: dict[int, tuple[float, int]], wanted: str) -> None:
        similar = (self._lexical.queries([wanted]) @ self._lexical.documents).tocoo()
        for place, cosine in zip(similar.coords[1].tolist(), similar.data.tolist(), strict=True):
            if cosine >= _LEAST_SIMILAR:
                self._keep(scores, place, _SIMILAR + cosine - 1)

    def _add(self, scores: dict[int, tuple[float, int]], places: list[int], wanted: str, worth: float) -> None:
        for place in places:
            share = len(wanted) / max(len(self._folded[place]), len(wanted))
            self._keep(scores, place, worth + 0.5 * share + _KIND_BONUS[self._names[place].kind])

    def _keep(self, scores: dict[int, tuple[float, int]], place: int, score: float) -> None:
        node = self._names[place].node
        if node not in scores or score > scores[node][0]:
            scores[node] = score, place

    def _hit(self, name: _Name) -> Hit:
        tree = self._tree
        node = tree.nodes[name.node]
        leaf, path = bool(tree.is_leaf[name.node]), tuple(tree.path_labels(name.node))
        return Hit(node.code, node.label, node.level, leaf, path, name.text, name.language, name.kind)


def folded(text: str) -> str:
    """A text as it is compared: the same for capitals, accents and widths, in one line."""
    parts = unicodedata.normalize("NFKD", normalise(text))
    return "".join(part for part in parts if not unicodedata.combining(part)).replace(_LINE, " ")


def _names(tree: Taxonomy) -> Iterator[_Name]:
    for place, node in enumerate(tree.nodes):
        yield _Name(place, node.code, "", "code")
        for text in node.texts:
            yield from _names_in(place, text)


def _names_in(place: int, text: NodeText) -> Iterator[_Name]:
    if text.label:
        yield _Name(place, text.label, text.language, "label")
    for alias in text.aliases:
        yield _Name(place, alias, text.language, "alias")
