"""Evidence as an added view: what people said about other texts moves the answers to texts like them.

Each feature is a gain over what the node's own texts say, so a node without corrections loses nothing to one with some, and all
fade in with the number of corrections of the node, so a few are never worse than none (weights fitted with each of eight public
sets left out in turn). Single corrections count as neighbours, by vectors, characters and words, because kinds of texts within
a node differ; their sum counts as a prototype that starts from the node's own texts (Snell et al., 2017, "Prototypical networks
for few-shot learning", shrunk towards a prior mean), because one correction may be wrong or odd. A vote of the nearest
corrections weighs nodes against each other (Dudani, 1976, "The distance-weighted k-nearest-neighbor rule"). A kernel density of
the corrections and further centroids added nothing beside these (measured).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.added_views import Block, KnownBlocks
from taxomind_assets.classification.evidence_rows import EvidenceRows, EvidenceWords
from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.classification.row_maxima import RowMaxima
from taxomind_assets.views.index import unit_rows
from taxomind_resources.products import BATCH, RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.base_views import BaseViews
    from taxomind_assets.classification.queries import Query

NEAREST: Final = "evidence_nearest"
CHARACTERS: Final = "evidence_characters"
WORDS: Final = "evidence_words"
PROTOTYPE: Final = "evidence_prototype"
VOTE: Final = "evidence_vote"
BOTH: Final = "evidence_vector_and_characters"
PRESENT: Final = "evidence_present"

#: Logit weights: one vector over all numbers of corrections, fitted on five English and three other sets at once.
WEIGHTS: Final = FusionWeights(
    untrusted={NEAREST: 0.3, CHARACTERS: 6.4, WORDS: 3.5, PROTOTYPE: 7.4, VOTE: 1.9, BOTH: 1.5, PRESENT: 0.0},
    trusted={NEAREST: 7.0, CHARACTERS: 1.5, WORDS: 1.9, PROTOTYPE: 11.2, VOTE: 0.9, BOTH: 2.0, PRESENT: 0.8},
)
#: Weight of the node's own texts in the prototype, in corrections.
_OWN_TEXTS: Final = 3.0
#: Corrections of a node at which its evidence counts half.
_HALF: Final = 0.8
_NEIGHBOURS: Final = 10
#: How much a neighbour's vote falls with distance.
_STEEPNESS: Final = 8.0
_GONE: Final = np.float32(-1.0)


class EvidenceView:
    """An added view (`added_views.AddedView`) over e corrections. Immutable; safe to share between threads.

    Args:
        base: the views of the node index.
        rows: the corrections.
    """

    weights = WEIGHTS
    agreement: Mapping[str, float] = {
        VOTE: 1.0,
        BOTH: 1.0,
        PRESENT: 1.0,
        WORDS: 1.0,
        NEAREST: 0.0,
        CHARACTERS: 0.0,
        PROTOTYPE: 0.0,
    }

    def __init__(self, base: BaseViews, rows: EvidenceRows) -> None:
        self._base = base
        self.rows = rows
        order = np.argsort(rows.nodes, kind="stable")
        maxima = RowMaxima.of(rows.nodes[order].astype(np.int32))
        self._maxima = maxima
        self._order = order[maxima.order]
        self._products = RowProducts(rows.vectors)

    @property
    def version(self) -> str:
        """Version of the evidence."""
        return self.rows.evidence.version

    def with_more(self, texts: Sequence[str], codes: Sequence[str], vectors: NDArray[np.float32]) -> EvidenceView:
        """The view of these and more corrections; `vectors` are float32[k, d] unit rows."""
        return EvidenceView(self._base, self.rows.extended(texts, codes, vectors, self._base.tree.position))

    def blocks(self, query: Query, known: KnownBlocks) -> dict[str, Block]:
        """See `added_views.AddedView.blocks`."""
        return self.features(query, known, None)

    def features(self, query: Query, known: KnownBlocks, own: sparse.csr_array | None) -> dict[str, Block]:
        """The features; `own` sparse [e, b] marks rows that are left out for a text (to score evidence by the rest)."""
        nodes = self._maxima.groups
        similar = self._similarities(query.vectors)
        characters = self._characters.similarities(query.texts, query.shortness).toarray()
        words = self._words.similarities(query.texts, query.shortness).toarray()
        counts = np.repeat(self._counts[:, None], len(query), axis=1)
        prototype = self._prototype(similar, known.whole[nodes], own)
        if own is not None:
            places, columns = own.nonzero()
            similar[places, columns] = _GONE
            characters[columns, places] = words[columns, places] = 0
            counts -= (self._gather @ own).toarray()
        fade = counts / (counts + np.float32(_HALF))
        best = known.best_text[nodes]
        nearest = self._nearest(similar)
        nearest_characters = self._nearest(characters.T)
        found = {
            NEAREST: np.maximum(nearest - best, 0) * fade,
            CHARACTERS: np.maximum(nearest_characters - known.words("text_characters")[nodes], 0) * fade,
            WORDS: self._nearest(words.T) * fade,
            PROTOTYPE: prototype * fade,
            VOTE: self._vote(np.ascontiguousarray(similar.T) + characters) * fade,
            BOTH: np.maximum(nearest, best) * nearest_characters * fade,
            PRESENT: fade,
        }
        return {name: Block(values.astype(np.float32, copy=False), nodes) for name, values in found.items()}

    def _similarities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines with all corrections, float32[e, b]."""
        similar = np.empty((len(self.rows), vectors.shape[0]), np.float32)
        for start in range(0, vectors.shape[0], BATCH):
            similar[:, start : start + BATCH] = self._products(vectors[start : start + BATCH])
        return similar

    def _prototype(
        self, similar: NDArray[np.float32], whole: NDArray[np.float32], own: sparse.csr_array | None
    ) -> NDArray[np.float32]:
        """Cosine with the shrunk prototype, less that with the node's own texts, float32[g, b]."""
        sums = self._gather @ similar
        squares = np.repeat(self._squares[:, None], similar.shape[1], axis=1)
        if own is not None:  # equal texts have equal vectors, so taking one out is a matter of numbers
            gone = (self._gather @ own).toarray()
            squares -= 2 * gone * (sums + _OWN_TEXTS * whole) - gone**2
            sums = sums - gone
        lengths = np.sqrt(np.maximum(squares, 1e-6))
        cosines: NDArray[np.float32] = (sums + np.float32(_OWN_TEXTS) * whole) / lengths - whole
        return cosines

    def _nearest(self, similar: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest value of each node, float32[g, b]; `similar` is float32[e, b]."""
        return np.maximum(self._maxima(similar[self._order]), 0)

    def _vote(self, similar: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of the nearest corrections that speak for each node, float32[g, b]; `similar` is float32[b, e]."""
        size, rows = similar.shape
        count = min(_NEIGHBOURS, rows)
        nearest = (
            np.argpartition(-similar, count - 1, axis=1)[:, :count] if count < rows else np.tile(np.arange(rows), (size, 1))
        )
        values = np.take_along_axis(similar, nearest, axis=1)
        votes = np.exp(np.float32(_STEEPNESS) * (values - values.max(axis=1, keepdims=True)))
        votes /= votes.sum(axis=1, keepdims=True)
        columns = np.repeat(np.arange(size), count)
        shape = (self._maxima.groups.size, size)
        return sparse.csr_array((votes.ravel(), (self._group[nearest.ravel()], columns)), shape=shape).toarray()

    @cached_property
    def _group(self) -> NDArray[np.int64]:
        """int64[e]: place of each row's node among those with evidence."""
        places = np.zeros(len(self._base.tree), np.int64)
        places[self._maxima.groups] = np.arange(self._maxima.groups.size)
        return places[self.rows.nodes]

    @cached_property
    def _gather(self) -> sparse.csr_array:
        """float32 sparse [g, e]: 1 where a row belongs to a node."""
        size = len(self.rows)
        shape = (self._maxima.groups.size, size)
        return sparse.csr_array((np.ones(size, np.float32), (self._group, np.arange(size))), shape=shape)

    @cached_property
    def _counts(self) -> NDArray[np.float32]:
        """float32[g]: corrections of each node."""
        return np.bincount(self._group, minlength=self._maxima.groups.size).astype(np.float32)

    @cached_property
    def _squares(self) -> NDArray[np.float32]:
        """float32[g]: squared length of each prototype."""
        prototypes = self._gather @ self.rows.vectors
        prototypes += np.float32(_OWN_TEXTS) * self._base.index.whole_vectors[self._maxima.groups]
        return np.asarray(np.einsum("gd,gd->g", prototypes, prototypes), np.float32)

    @cached_property
    def _characters(self) -> EvidenceWords:
        return EvidenceWords(self.rows.characters, *self._base.frequencies("character"), "character")

    @cached_property
    def _words(self) -> EvidenceWords:
        return EvidenceWords(self.rows.words, *self._base.frequencies("word"), "word")

    @cached_property
    def means(self) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Nodes with evidence, int64[g] ascending, unit means of their corrections, float32[g, d], and counts, float32[g]."""
        order = np.argsort(self._maxima.groups)
        return self._maxima.groups[order], unit_rows(self._gather @ self.rows.vectors)[order], self._counts[order]

    def nearest_row(self, vector: NDArray[np.float32], node: int) -> tuple[int, float] | None:
        """The correction at or below a node that is nearest to a vector, and its cosine; None without any."""
        inside = np.flatnonzero((self.rows.nodes >= node) & (self.rows.nodes < self._base.tree.ends[node]))
        if not inside.size:
            return None
        cosines = self.rows.vectors[inside] @ vector
        best = int(np.argmax(cosines))
        return int(inside[best]), float(cosines[best])
