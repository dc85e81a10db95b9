"""From texts and their vectors to one score per node: every view apart, then a weighted sum.

Scores are kept node-major, [n, b]: sums over subtrees, maxima over a node's texts and steps down the tree are then
operations on whole rows, which a processor does many at a time.

The default weights need no labels. They were chosen on several public taxonomies at once: keeping each text of a node as a
vector of its own and adding raw cosines is better than one concatenated text and than reciprocal-rank fusion. Where the
encoder cannot be trusted for a language, characters decide instead (`trust.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.row_maxima import RowMaxima
from taxomind_assets.classification.trust import LanguageTrust
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_assets.views.lexical import CountedTexts, Grams, HashedTfidf
from taxomind_resources.products import BATCH, RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.views.index import NodeIndex

Features = dict[str, "NDArray[np.float32]"]


@dataclass(frozen=True)
class Profile:
    """Weights of the views, and the scale that turns a fused score into a logit."""

    weights: Mapping[str, float]
    scale: float

    def logit_weight(self, name: str) -> float:
        """What one unit of a view adds to the logit."""
        return self.scale * self.weights.get(name, 0.0)


#: For texts in a language that the encoder knows.
TRUSTED: Final = Profile(
    {
        "best_text": 1.0,
        "whole": 1.0,
        "path": 0.25,
        "ancestors": 0.25,
        "whole_characters": 0.3,
        "whole_words": 0.3,
    },
    7.5,
)
#: For all other texts.
UNTRUSTED: Final = Profile({"best_text": 1.0, "text_characters": 1.0, "whole_characters": 1.0, "path_characters": 1.0}, 4.0)
VIEWS: Final = tuple(dict.fromkeys((*TRUSTED.weights, *UNTRUSTED.weights)))
_LEXICAL: Final[Mapping[str, tuple[str, Grams]]] = {
    "text_characters": ("text", "character"),
    "whole_characters": ("whole", "character"),
    "path_characters": ("path", "character"),
    "whole_words": ("whole", "word"),
}
#: Long texts share many words with every node; their lexical evidence is scaled by this many words over their own.
_LONG_TEXT_WORDS: Final = 8.0
#: n-grams in more documents than this cost most of the time and tell nodes apart least (0.2 points of accuracy in all).
_MAX_DOCUMENTS: Final = 100


class _Lexical:
    """tf-idf of documents of nodes; a node's similarity is that of its nearest document."""

    def __init__(self, documents: Sequence[tuple[int, str]], grams: Grams, nodes: int) -> None:
        self._model = HashedTfidf.fit([text for _, text in documents], grams, max_documents=_MAX_DOCUMENTS)
        self._owners = np.array([node for node, _ in documents], np.int64)
        self._nodes = nodes

    def __call__(self, texts: Sequence[str], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._model.group_similarities(texts, self._owners, self._nodes, weights)


class Scorer:
    """Scores texts against all n nodes of an index. Immutable; safe to share between threads.

    Args:
        index: the node index.
        negative_weight: how much a node loses for a negative example that is nearer than its own texts.
    """

    def __init__(self, index: NodeIndex, negative_weight: float = 0.5) -> None:
        self.index = index
        self.negative_weight = negative_weight
        self.tree: Taxonomy = index.tree
        self.trust = LanguageTrust.fit(index)
        named = index.naming_rows
        examples, negatives = index.rows_of("example"), index.rows_of("negative")
        self._naming = RowMaxima.of(index.owners[named])
        self._examples = RowMaxima.of(index.owners[examples])
        self._negatives = RowMaxima.of(index.owners[negatives])
        self._order = np.concatenate(
            (named[self._naming.order], examples[self._examples.order], negatives[self._negatives.order])
        )
        self._ends = np.cumsum([named.size, examples.size, negatives.size])
        self._products = RowProducts(index.vectors[self._order])
        self._fitting = threading.Lock()
        self._fitted: dict[str, _Lexical] = {}

    @property
    def single_threaded(self) -> bool:
        """Whether a block keeps one core busy, so that several are best scored by several threads."""
        return self._products.single_threaded

    def _lexical(self, name: str) -> _Lexical:
        """A lexical view, fitted when it is first needed: a text in a trusted language needs only two of them."""
        with self._fitting:
            if name not in self._fitted:
                kind, grams = _LEXICAL[name]
                self._fitted[name] = _Lexical(self.index.documents[kind], grams, len(self.tree))
            return self._fitted[name]

    @cached_property
    def _context(self) -> sparse.csr_array:
        """float32 [n, m]: whole and path view by their logit weights, out of the similarities of the single texts.

        Both are weighted means of vectors, and a product with a mean is the mean of the products.
        """
        weights = [TRUSTED.logit_weight(name) for name in ("whole", "path")]
        combined = weights[0] * self.index.whole_mixture + weights[1] * self.index.path_mixture
        return sparse.csr_array(combined[:, self._order], dtype=np.float32)

    @cached_property
    def _above(self) -> sparse.csr_array:
        """float32 [n, n]: mean over the strict ancestors; rows of top nodes are empty."""
        tree = self.tree
        nodes, places = np.nonzero((tree.paths != ROOT) & (np.arange(tree.depth) < tree.depths[:, None] - 1))
        shares = (1 / np.maximum(tree.depths[nodes] - 1, 1)).astype(np.float32)
        return sparse.csr_array((shares, (nodes, tree.paths[nodes, places])), shape=(len(tree), len(tree)))

    def logits(
        self, vectors: NDArray[np.float32], texts: Sequence[str], trusted: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Fused scores as logits, float32[n, b]; softmax over leaves gives probabilities.

        Args:
            vectors: float32[b, d], unit rows.
            texts: the b texts themselves.
            trusted: float32[b], how far the encoder is trusted with each text; `trust.of(texts)` when None.
        """
        texts = CountedTexts.of(texts)
        trusted = self.trust.of(texts) if trusted is None else trusted
        total = np.empty((len(self.tree), len(texts)), np.float32)
        for start in range(0, len(texts), BATCH):
            columns = slice(start, start + BATCH)
            total[:, columns] = self._dense_logits(vectors[columns], trusted[columns])
        shortness = _shortness(texts)
        for name in _LEXICAL:
            weight = _weights(name, trusted) * shortness
            if weight.any():
                total += self._lexical(name)(texts, weight)
        return total

    def _dense_logits(self, vectors: NDArray[np.float32], trusted: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of the logits that comes from vectors, float32[n, b]."""
        similar = self._products(vectors)
        context = self._context @ similar if trusted.any() else None  # before the maxima overwrite the similarities
        naming, best = self._best_texts(similar)
        total = best * _weights("best_text", trusted)
        self._penalise(total, similar, best, trusted)
        if context is not None:
            context *= trusted
            total += context
            total += (self._above @ naming) * _weights("ancestors", trusted)
        return total

    def contributions(
        self, vectors: NDArray[np.float32], texts: Sequence[str], trusted: NDArray[np.float32] | None = None
    ) -> Features:
        """What each view adds to the logit, float32[n, b] each; they add up to `logits` (same arguments)."""
        texts = CountedTexts.of(texts)
        trusted = self.trust.of(texts) if trusted is None else trusted
        similar = self._products(vectors).copy()
        naming, best = self._best_texts(similar)
        found: Features = {
            "best_text": best,
            "whole": self.index.whole_vectors @ vectors.T,
            "path": self.index.path_vectors @ vectors.T,
            "ancestors": self._above @ naming,
        }
        found |= {name: self.words(name, texts) for name in _LEXICAL if _weights(name, trusted).any()}
        weighted = {name: part * _weights(name, trusted) for name, part in found.items()}
        weighted["negative_examples"] = np.zeros_like(best)
        self._penalise(weighted["negative_examples"], similar, best, trusted)
        return {name: part for name, part in weighted.items() if name == "best_text" or np.any(part)}

    def words(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """One lexical view, float32[n, b]."""
        return self._lexical(name)(texts, _shortness(texts))

    def largest_logit(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Logit of a node with which all views agree fully, float32[b]."""
        trusted = self.trust.of(texts)
        total: NDArray[np.float32] = np.sum([_weights(name, trusted) for name in VIEWS], axis=0, dtype=np.float32)
        return total

    def _best_texts(self, similar: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Best cosine per node among its labels and definitions, and among all its texts, float32[n, b] each.

        Args:
            similar: float32[m, b] in the order of `_order`, overwritten up to the negative examples.
        """
        naming = np.zeros((len(self.tree), similar.shape[1]), np.float32)
        naming[self._naming.groups] = self._naming(similar[: self._ends[0]])
        best = naming.copy()
        examples = self._examples(similar[self._ends[0] : self._ends[1]])
        groups = self._examples.groups
        best[groups] = np.maximum(best[groups], examples)
        return naming, best

    def _penalise(
        self, total: NDArray[np.float32], similar: NDArray[np.float32], best: NDArray[np.float32], trusted: NDArray[np.float32]
    ) -> None:
        """Take from `total` [n, b] what nodes lose to negative examples that are nearer than their best text."""
        groups = self._negatives.groups
        if groups.size and self.negative_weight:
            nearest = self._negatives(similar[self._ends[1] :])
            excess = np.maximum(nearest - best[groups], 0)
            total[groups] -= excess * (np.float32(self.negative_weight) * _weights("best_text", trusted))

    def nearest_texts(self, vectors: NDArray[np.float32], nodes: Sequence[int]) -> list[int]:
        """For each vector and its node: row of the node's text that is nearest (for explanations), -1 for `ROOT`."""
        rows = []
        for vector, node in zip(vectors, nodes, strict=True):
            first, last = np.searchsorted(self.index.owners, [node, node + 1])
            own = np.array([row for row in range(first, last) if self.index.texts[row].view != "negative"], np.int64)
            rows.append(int(own[np.argmax(self.index.vectors[own] @ vector)]) if node != ROOT else -1)
        return rows


def _weights(name: str, trusted: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logit weight of a view for each text, float32[b]."""
    return (TRUSTED.logit_weight(name) * trusted + UNTRUSTED.logit_weight(name) * (1 - trusted)).astype(np.float32)


def _shortness(texts: Sequence[str]) -> NDArray[np.float32]:
    """float32[b] in 0..1: 1 up to eight words, then falling (lexical views mislead on long texts, measured)."""
    words = np.fromiter((text.count(" ") + 1 for text in texts), np.float32, len(texts))
    shares: NDArray[np.float32] = np.minimum(1.0, _LONG_TEXT_WORDS / words).astype(np.float32)
    return shares
