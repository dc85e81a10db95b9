"""Evidence as an added view: what people said about other texts moves the answers to texts like them.

Features are gains over what the node's own texts say, and fade in with the number of corrections of the node, of which those
count less that tell what its texts say already (`evidence_news`). What a node gains by chance is taken from it again
(`evidence_chance`). Weights were chosen on nine public sets at once, with corrections for all leaves, for every other leaf, and
for few. Single corrections count as neighbours, by vectors, characters and words, because kinds of texts within a node differ;
their sum counts as a prototype that starts from the node's own texts, which weigh the more the more there are, because one
correction may be wrong or odd (Snell et al., 2017, "Prototypical networks for few-shot learning", shrunk towards a prior mean).
A vote of the nearest corrections weighs nodes against each other (Dudani, 1976, "The distance-weighted k-nearest-neighbor
rule"). A kernel density of the corrections and further centroids added nothing beside these (measured).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.added_views import Block, KnownBlocks
from taxomind_assets.classification.evidence_blocks import SMALLEST_BLOCK, EvidenceBlock, block_starts
from taxomind_assets.classification.evidence_chance import chance, plausibility, share_due
from taxomind_assets.classification.evidence_news import news
from taxomind_assets.classification.evidence_words import EvidenceWords, Postings
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.views.index import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.base_views import BaseViews
    from taxomind_assets.classification.evidence_rows import EvidenceRows
    from taxomind_assets.classification.queries import Query
    from taxomind_assets.views.lexical import Grams

NEAREST: Final = "evidence_nearest"
CHARACTERS: Final = "evidence_characters"
WORDS: Final = "evidence_words"
PROTOTYPE: Final = "evidence_prototype"
VOTE: Final = "evidence_vote"
BOTH: Final = "evidence_vector_and_characters"
PRESENT: Final = "evidence_present"
COUNT: Final = "evidence_count"
CHANCE: Final = "evidence_chance"

#: Logit weights: one vector over all numbers of corrections. Labels, where there are enough, give weight to the others.
WEIGHTS: Final = FusionWeights(
    untrusted={NEAREST: 0.0, CHARACTERS: 7.7, WORDS: 1.8, PROTOTYPE: 9.3, VOTE: 1.0, BOTH: 0.0, CHANCE: -1.0},
    trusted={NEAREST: 5.9, CHARACTERS: 1.15, WORDS: 2.1, PROTOTYPE: 12.7, VOTE: 0.0, BOTH: 1.5, CHANCE: -1.0},
)
_GAINS: Final = (NEAREST, CHARACTERS, WORDS, PROTOTYPE, VOTE, BOTH)
#: Weight of the node's own texts in the prototype, in corrections, when there is one; it grows with the root of their number.
_OWN_TEXTS: Final = 2.5
#: Corrections of a node at which its evidence counts half.
_HALF: Final = 1.0
_NEIGHBOURS: Final = 10
#: How much a neighbour's vote falls with distance.
_STEEPNESS: Final = 8.0
#: Similarities that are closer than this are the same but for rounding.
_TIE: Final = np.float32(1e-6)
#: Weight of corrections under which there are none, but for rounding.
_NO_NEWS: Final = 0.01
_GONE: Final = np.float32(-1.0)


class EvidenceView:
    """An added view (`added_views.AddedView`) over e corrections. Immutable; safe to share between threads.

    Args:
        base: the views of the node index.
        rows: the corrections.
        grown_from: the view of the first of these rows, whose arrangement is used again.
    """

    weights = WEIGHTS
    agreement: Mapping[str, float] = {
        VOTE: 1.0,
        BOTH: 1.0,
        PRESENT: 1.0,
        COUNT: 1.0,
        WORDS: 1.0,
        CHANCE: 0.0,
        NEAREST: 0.0,
        CHARACTERS: 0.0,
        PROTOTYPE: 0.0,
    }

    # A text that is left out to fit weights leaves its node with one correction less. Without bounds, fitting would learn that
    # the node with fewer corrections is right, and internal nodes, which have none, would take the answers of leaves.
    bounds: Mapping[str, tuple[float, float]] = {PRESENT: (0.0, math.inf), COUNT: (0.0, math.inf), CHANCE: (-1.0, 0.0)}

    def __init__(self, base: BaseViews, rows: EvidenceRows, *, grown_from: EvidenceView | None = None) -> None:
        self._base = base
        self.rows = rows
        self._blocks: tuple[EvidenceBlock, ...] = _arranged(rows, grown_from._blocks if grown_from else ())
        self._groups: _Groups = _Groups.of(rows, base) if grown_from is None else grown_from._groups.grown(rows, base)
        self._words: dict[Grams, EvidenceWords] = {}
        self._counting = threading.Lock()
        if grown_from is not None:
            added = rows.store.texts[len(grown_from.rows) : len(rows)]
            self._words = {grams: self._grown(known, added) for grams, known in grown_from._words.items()}

    @property
    def version(self) -> str:
        """Version of the evidence."""
        return self.rows.version

    def with_more(self, texts: Sequence[str], codes: Sequence[str], vectors: NDArray[np.float32]) -> EvidenceView:
        """The view of these and more corrections; `vectors` are float32[k, d] unit rows."""
        rows = self.rows.extended(texts, codes, vectors, self._base.tree.position)
        return EvidenceView(self._base, rows, grown_from=self)

    def blocks(self, query: Query, known: KnownBlocks) -> dict[str, Block]:
        """See `added_views.AddedView.blocks`."""
        return self.features(query, known, None)

    def features(self, query: Query, known: KnownBlocks, own: sparse.csr_array | None) -> dict[str, Block]:
        """The features; `own` sparse [e, b] marks rows that are left out for a text (to score evidence by the rest)."""
        nodes = self._groups.nodes
        similar = np.empty((len(self.rows), len(query)), np.float32)
        for block in self._blocks:
            block.similarities(query.vectors, similar)
        characters = self._of_kind("character").similarities(query.texts, query.shortness)
        words = self._of_kind("word").shared(query.texts, query.shortness)
        counts = np.repeat(self._groups.news[:, None], len(query), axis=1)
        prototype = self._prototype(similar, known.whole[nodes], own)
        if own is not None:
            places, columns = own.nonzero()
            similar[places, columns] = _GONE
            characters[columns, places] = 0
            words = words - words.multiply(own.T)
            counts -= self._own_of_groups(own, self._groups.row_news)
            counts[counts < _NO_NEWS] = 0
        fade = counts / (counts + np.float32(_HALF))
        best = known.best_text[nodes]
        nearest = self._nearest(similar)
        nearest_characters = self._nearest(characters.T)
        own_characters = known.words("text_characters")[nodes]
        found = {
            NEAREST: np.maximum(nearest - best, 0) * fade,
            CHARACTERS: np.maximum(nearest_characters - own_characters, 0) * fade,
            WORDS: self._nearest_of_shared(words) * fade,
            PROTOTYPE: prototype * fade,
            VOTE: self._vote(np.ascontiguousarray(similar.T) + characters) * fade,
            BOTH: np.maximum(nearest, best) * nearest_characters * fade,
            PRESENT: fade,
            COUNT: np.log1p(counts),
        }
        plausible = plausibility(known.total[nodes], own_characters, query.trusted)
        gains = sum(found[name] * WEIGHTS.of(name, query.trusted) for name in _GAINS)
        found[CHANCE] = chance(np.asarray(gains), fade, counts, plausible, query.trusted) * np.float32(self._due)
        return {name: Block(values.astype(np.float32, copy=False), nodes) for name, values in found.items()}

    def _prototype(
        self, similar: NDArray[np.float32], whole: NDArray[np.float32], own: sparse.csr_array | None
    ) -> NDArray[np.float32]:
        """Cosine with the shrunk prototype, less that with the node's own texts, float32[g, b]."""
        own_texts = self._groups.own_texts[:, None]
        sums: NDArray[np.float32] = np.zeros((self._groups.nodes.size, similar.shape[1]), np.float32)
        for block in self._blocks:
            sums[self._groups.place[block.nodes]] += block.sums(similar)
        squares = np.repeat(self._groups.squares[:, None], similar.shape[1], axis=1)
        if own is not None:  # equal texts have equal vectors, so taking one out is a matter of numbers
            gone = self._own_of_groups(own, np.ones(len(self.rows), np.float32))
            squares -= 2 * gone * (sums + own_texts * whole) - gone**2
            sums -= gone
        lengths: NDArray[np.float32] = np.sqrt(np.maximum(squares, np.float32(1e-6)))
        return np.asarray((sums + own_texts * whole) / lengths - whole, np.float32)

    def _own_of_groups(self, own: sparse.csr_array, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weights, float32[e], of the marked rows of each node, float32[g, b]."""
        rows, columns = own.nonzero()
        marked: NDArray[np.float32] = np.zeros((self._groups.nodes.size, own.shape[1]), np.float32)
        np.add.at(marked, (self._group[rows], columns), weights[rows])
        return marked

    def _nearest(self, similar: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest value of each node, at least 0, float32[g, b]; `similar` is float32[e, b]."""
        found = np.zeros((self._groups.nodes.size, similar.shape[1]), np.float32)
        for block in self._blocks:
            places = self._groups.place[block.nodes]
            found[places] = np.maximum(found[places], block.maxima(similar))
        return found

    def _nearest_of_shared(self, similar: sparse.csr_array) -> NDArray[np.float32]:
        """As `_nearest`; `similar` is float32 sparse [b, e]."""
        found = np.zeros((self._groups.nodes.size, similar.shape[0]), np.float32)
        texts = np.repeat(np.arange(similar.shape[0]), np.diff(similar.indptr))
        np.maximum.at(found.ravel(), self._group[similar.indices] * similar.shape[0] + texts, similar.data)
        return found

    def _vote(self, similar: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the nearest corrections that speak for each node, float32[g, b]; `similar` is float32[b, e]."""
        size, rows = similar.shape
        count = min(_NEIGHBOURS, rows)
        last = np.partition(similar, rows - count, axis=1)[:, rows - count]
        texts, places = np.divmod(np.flatnonzero(similar >= (last - _TIE)[:, None]), rows)
        values = similar[texts, places]
        # Equally near corrections share the last places, so that their order does not matter.
        tied = values <= (last + _TIE)[texts]
        ties = np.bincount(texts, tied, size)
        shares = (count - np.bincount(texts, ~tied, size)) / np.maximum(ties, 1)
        votes = np.exp(np.float32(_STEEPNESS) * (values - similar.max(axis=1)[texts])) * np.where(tied, shares[texts], 1)
        votes /= np.bincount(texts, votes, size)[texts]
        shape = (self._groups.nodes.size, size)
        return sparse.csr_array((votes.astype(np.float32), (self._group[places], texts)), shape=shape).toarray()

    @cached_property
    def _due(self) -> float:
        """Share of what is gained by chance that is taken from nodes with evidence."""
        leaf = self._base.tree.is_leaf
        return share_due(float(leaf[self._groups.nodes].sum()) / float(leaf.sum()))

    @cached_property
    def _group(self) -> NDArray[np.int32]:
        """int32[e]: place of each row's node among those with evidence."""
        places: NDArray[np.int32] = self._groups.place[self.rows.nodes]
        return places

    def _of_kind(self, grams: Grams) -> EvidenceWords:
        """The n-grams of the rows, counted when they are first asked for."""
        with self._counting:
            if grams not in self._words:
                parts = [Postings.of(self.rows.store.texts[block.start : block.end], grams) for block in self._blocks]
                self._words[grams] = EvidenceWords.of(parts, *self._base.frequencies(grams), grams)
            return self._words[grams]

    def _grown(self, known: EvidenceWords, added: Sequence[str]) -> EvidenceWords:
        """Counted n-grams with those of further rows, in parts as the blocks are."""
        new = Postings.of(added, known.grams)
        parts: list[Postings] = []
        left = [*known.parts, new]
        for block in self._blocks:
            own = left.pop(0)
            while own.rows.shape[0] < len(block):
                own = own.joined(left.pop(0))
            parts.append(own)
        return known.with_rows(new, parts)

    @cached_property
    def means(self) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Nodes with evidence, int64[g] ascending, unit means of their corrections, float32[g, d], and counts, float32[g]."""
        order = np.argsort(self._groups.nodes)
        sums = _sums(self.rows, self._group, self._groups.nodes.size)
        return self._groups.nodes[order], unit_rows(sums)[order], self._groups.counts[order]

    def nearest_row(self, vector: NDArray[np.float32], node: int) -> tuple[int, float] | None:
        """The correction at or below a node that is nearest to a vector, and its cosine; None without any."""
        inside = np.flatnonzero((self.rows.nodes >= node) & (self.rows.nodes < self._base.tree.ends[node]))
        if not inside.size:
            return None
        cosines = self.rows.vectors[inside] @ vector
        best = int(np.argmax(cosines))
        return int(inside[best]), float(cosines[best])


@dataclass(frozen=True)
class _Groups:
    """The g nodes with evidence.

    Attributes:
        nodes: int64[g], in the order in which they got their first correction.
        place: int32[n], place of each node in `nodes`; -1 = no evidence.
        counts: float32[g], corrections of each.
        squares: float32[g], squared length of each prototype.
        own_texts: float32[g], weight of the node's own texts in it, in corrections.
        news: float32[g], corrections of each, less where they tell what its texts say already.
        row_news: float32[e], the same of each correction.
    """

    nodes: NDArray[np.int64]
    place: NDArray[np.int32]
    counts: NDArray[np.float32]
    squares: NDArray[np.float32]
    own_texts: NDArray[np.float32]
    news: NDArray[np.float32]
    row_news: NDArray[np.float32]

    @classmethod
    def of(cls, rows: EvidenceRows, base: BaseViews) -> _Groups:
        """The nodes of all rows."""
        nodes = np.unique(rows.nodes)
        place = np.full(len(base.tree), -1, np.int32)
        place[nodes] = np.arange(nodes.size, dtype=np.int32)
        owners = place[rows.nodes]
        counts = np.bincount(owners, minlength=nodes.size).astype(np.float32)
        squares = _squares(_sums(rows, owners, nodes.size), nodes, base)
        row_news = news(rows.vectors, rows.nodes, base)
        told = np.bincount(owners, row_news, nodes.size).astype(np.float32)
        return cls(nodes, place, counts, squares, _own_texts(nodes, base), told, row_news)

    def grown(self, rows: EvidenceRows, base: BaseViews) -> _Groups:
        """The nodes after some rows more."""
        known = self.row_news.size
        added = rows.nodes[known:]
        fresh = np.unique(added[self.place[added] < 0])
        nodes, place = np.concatenate((self.nodes, fresh)), self.place.copy()
        place[fresh] = np.arange(self.nodes.size, nodes.size, dtype=np.int32)
        counts = np.concatenate((self.counts, np.zeros(fresh.size, np.float32)))
        np.add.at(counts, place[added], 1)
        squares = np.concatenate((self.squares, np.zeros(fresh.size, np.float32)))
        for node in np.unique(added).tolist():
            total = rows.vectors[np.flatnonzero(rows.nodes == node)].sum(axis=0, keepdims=True)
            squares[place[node]] = _squares(total, np.array([node]), base)[0]
        own_texts = np.concatenate((self.own_texts, _own_texts(fresh, base)))
        row_news = news(rows.vectors[known:], added, base)
        told = np.concatenate((self.news, np.zeros(fresh.size, np.float32)))
        np.add.at(told, place[added], row_news)
        return _Groups(nodes, place, counts, squares, own_texts, told, np.concatenate((self.row_news, row_news)))


def _own_texts(nodes: NDArray[np.int64], base: BaseViews) -> NDArray[np.float32]:
    """Weight of the own texts of nodes in their prototypes, in corrections, float32[g]."""
    return np.asarray(np.float32(_OWN_TEXTS) * np.sqrt(base.own_texts[nodes]), np.float32)


def _squares(sums: NDArray[np.float32], nodes: NDArray[np.int64], base: BaseViews) -> NDArray[np.float32]:
    """Squared lengths of prototypes whose corrections have these sums, float32[g]."""
    prototypes = sums + _own_texts(nodes, base)[:, None] * base.index.whole_vectors[nodes]
    return np.asarray(np.einsum("gd,gd->g", prototypes, prototypes), np.float32)


def _sums(rows: EvidenceRows, owners: NDArray[np.int32], groups: int) -> NDArray[np.float32]:
    """Sums of the vectors of each node, float32[g, d]."""
    ones, shape = np.ones(len(rows), np.float32), (groups, len(rows))
    sums: NDArray[np.float32] = sparse.csr_array((ones, (owners, np.arange(len(rows)))), shape=shape) @ rows.vectors
    return sums


def _arranged(rows: EvidenceRows, known: Sequence[EvidenceBlock]) -> tuple[EvidenceBlock, ...]:
    """The rows in blocks, those of `known` that are still as they were among them."""
    before = [block.start for block in known]
    end = known[-1].end if known else 0
    if known and len(known[-1]) >= SMALLEST_BLOCK and len(rows) > end:
        before.append(end)
    starts = block_starts(before, len(rows))
    ends = [*starts[1:], len(rows)] if starts else []
    same = {(block.start, block.end): block for block in known}
    return tuple(
        same.get((start, stop)) or EvidenceBlock(start, rows.nodes[start:stop], rows.vectors[start:stop])
        for start, stop in zip(starts, ends, strict=True)
    )
