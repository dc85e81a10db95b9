"""The views that every node index has: dense similarities of its texts, and words and characters of its documents.

Scores are kept node-major, [n, b]: sums over subtrees, maxima over a node's texts and steps down the tree are then
operations on whole rows, which a processor does many at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from taxomind_assets.classification.crosslingual import CrosslingualViews
from taxomind_assets.classification.row_maxima import RowMaxima
from taxomind_assets.classification.trust import LanguageTrust
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_assets.views.lexical import CountedTexts, Grams, GroupedTfidf, HashedTfidf
from taxomind_resources.products import RowProducts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.crosslingual.lazy import LazyStudent

#: Lexical views: the documents of each, and their n-grams.
LEXICAL: Final[Mapping[str, tuple[str, Grams]]] = {
    "text_characters": ("text", "character"),
    "whole_characters": ("whole", "character"),
    "path_characters": ("path", "character"),
    "whole_words": ("whole", "word"),
}
DENSE: Final = ("best_text", "whole", "path", "ancestors")
#: The same for all nodes: it moves no answer, but what counts as belonging nowhere.
FAMILIAR: Final = "familiar_words"
#: n-grams in more documents than this cost most of the time and tell nodes apart least (0.2 points of accuracy in all).
_MAX_DOCUMENTS: Final = 100


class BaseViews:
    """Similarities with all n nodes of an index. Immutable; safe to share between threads.

    Args:
        index: the node index.
        student: a cross-lingual student of its encoder, for texts in languages that the encoder does not read.
    """

    def __init__(self, index: NodeIndex, student: LazyStudent | None = None) -> None:
        self.index = index
        self.tree: Taxonomy = index.tree
        self.trust = LanguageTrust.fit(index, student.profile if student else None)
        #: Views of the student, if there is one.
        self.crosslingual = (CrosslingualViews(index, student),) if student else ()
        named = index.naming_rows
        examples, negatives = index.rows_of("example"), index.rows_of("negative")
        self._naming = RowMaxima.of(index.owners[named])
        self._examples = RowMaxima.of(index.owners[examples])
        self._negatives = RowMaxima.of(index.owners[negatives])
        #: int64[m]: row of the index at each place of the products.
        self.order = np.concatenate(
            (named[self._naming.order], examples[self._examples.order], negatives[self._negatives.order])
        )
        self._ends = np.cumsum([named.size, examples.size, negatives.size])
        #: Cosines with all texts in `order`, float32[m, b].
        self.products = RowProducts(index.vectors[self.order], bfloat16=index.spec.get("number_format") != "float32")
        self._fitting = threading.Lock()
        self._fitted: dict[str, GroupedTfidf] = {}
        self._frequencies: dict[Grams, tuple[NDArray[np.int64], int]] = {}
        self._mixed: dict[tuple[float, float], sparse.csr_array] = {}

    @cached_property
    def whole(self) -> RowProducts:
        """Cosines with the whole vectors of the nodes, float32[n, b]; unlike NumPy's, on the calling thread's core alone."""
        return RowProducts(self.index.whole_vectors)

    def context(self, whole: float, path: float) -> sparse.csr_array:
        """Whole and path view by these weights, out of the similarities of the single texts, float32 sparse [n, m].

        Both are weighted means of vectors, and a product with a mean is the mean of the products. Kept, so that a scorer with
        another view beside these makes none of it anew.
        """
        with self._fitting:
            if (whole, path) not in self._mixed:
                mixed = whole * self.index.whole_mixture + path * self.index.path_mixture
                mixed.eliminate_zeros()
                self._mixed[whole, path] = sparse.csr_array(mixed[:, self.order], dtype=np.float32)
            return self._mixed[whole, path]

    def lexical(self, name: str, texts: Sequence[str], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """A lexical view times `weights` float32[b], float32[n, b].

        It is fitted when it is first needed: a text in a trusted language needs only two of them.
        """
        with self._fitting:
            if name not in self._fitted:
                kind, grams = LEXICAL[name]
                self._fitted[name] = _lexical(self.index.documents[kind], grams, len(self.tree))
            fitted = self._fitted[name]
        return fitted(texts, weights)

    def frequencies(self, grams: Grams) -> tuple[NDArray[np.int64], int]:
        """In how many labels and examples each n-gram is, int64[buckets], and the number of these texts."""
        with self._fitting:
            if grams not in self._frequencies:
                texts = [text for _, text in self.index.documents["text"]]
                counts = CountedTexts(texts).of_kind(grams)
                self._frequencies[grams] = np.bincount(counts.indices, minlength=counts.shape[1]), len(texts)
            return self._frequencies[grams]

    def familiarity(self, texts: Sequence[str], *, own: bool = False) -> NDArray[np.float32]:
        """How well the taxonomy knows the words of each text, float32[b]: 0 at most.

        Minus the mean idf of its words and pairs of words among all labels and examples. What lies near a taxonomy's subject
        and is written otherwise (job titles before a classification of business activities) betrays itself by its words. A
        taxonomy that also speaks languages which the encoder does not read gives 0: there words tell the language first.

        Args:
            own: the texts are labels or examples of the taxonomy themselves, and none vouches for its own words.
        """
        if not self.index.trusted_languages >= set(self.index.languages):
            return np.zeros(len(texts), np.float32)
        counts = CountedTexts.of(texts).words
        frequency, _ = self.frequencies("word")
        strangeness = self._strangeness[np.maximum(frequency[counts.indices] - own, 0)]
        rows = np.repeat(np.arange(len(texts)), np.diff(counts.indptr))
        totals = np.bincount(rows, strangeness, minlength=len(texts))
        return (-totals / np.maximum(np.diff(counts.indptr), 1)).astype(np.float32)

    @cached_property
    def own_texts(self) -> NDArray[np.float32]:
        """Labels, definitions and examples of each node, in the language that has most of them, float32[n]; at least 1."""
        rows = self.index.rows_of("label", "definition", "example")
        languages = {language: place for place, language in enumerate(dict.fromkeys(t.language for t in self.index.texts))}
        kinds = np.array([languages[self.index.texts[row].language] for row in rows.tolist()], np.int64)
        shape = (len(self.tree), max(len(languages), 1))
        found = np.bincount(self.index.owners[rows] * shape[1] + kinds, minlength=shape[0] * shape[1])
        most: NDArray[np.int64] = np.maximum(found.reshape(shape).max(axis=1), 1)
        return most.astype(np.float32)

    @cached_property
    def _strangeness(self) -> NDArray[np.float32]:
        """float32: idf of a word among labels and examples by the number of those that have it."""
        frequency, texts = self.frequencies("word")
        return np.log((1 + texts) / (1 + np.arange(int(frequency.max(initial=0)) + 1))).astype(np.float32)

    @cached_property
    def above(self) -> sparse.csr_array:
        """float32 [n, n]: mean over the strict ancestors; rows of top nodes are empty."""
        tree = self.tree
        nodes, places = np.nonzero((tree.paths != ROOT) & (np.arange(tree.depth) < tree.depths[:, None] - 1))
        shares = (1 / np.maximum(tree.depths[nodes] - 1, 1)).astype(np.float32)
        return sparse.csr_array((shares, (nodes, tree.paths[nodes, places])), shape=(len(tree), len(tree)))

    def best_texts(self, similar: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Best cosine per node among its labels and definitions, and among all its texts, float32[n, b] each.

        Args:
            similar: float32[m, b] in `order`, overwritten up to the negative examples.
        """
        naming = np.zeros((len(self.tree), similar.shape[1]), np.float32)
        naming[self._naming.groups] = self._naming(similar[: self._ends[0]])
        best = naming.copy()
        examples = self._examples(similar[self._ends[0] : self._ends[1]])
        groups = self._examples.groups
        best[groups] = np.maximum(best[groups], examples)
        return naming, best

    def negative_excess(
        self, similar: NDArray[np.float32], best: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nodes with negative examples, int64[g], and by how much these are nearer than the node's best text, float32[g, b].

        Args:
            similar: float32[m, b] in `order`; the part of the negative examples is overwritten.
            best: float32[n, b].
        """
        groups = self._negatives.groups
        return groups, np.maximum(self._negatives(similar[self._ends[1] :]) - best[groups], 0)


def _lexical(documents: Sequence[tuple[int, str]], grams: Grams, nodes: int) -> GroupedTfidf:
    """tf-idf of documents of nodes; a node's similarity is that of its nearest document."""
    model = HashedTfidf.fit([text for _, text in documents], grams, max_documents=_MAX_DOCUMENTS)
    return GroupedTfidf(model, np.array([node for node, _ in documents], np.int64), nodes)
