"""From texts and their vectors to one score per node: every view apart, then a weighted sum.

Scores are kept node-major, [n, b]: sums over subtrees, maxima over a node's texts and steps down the tree are then
operations on whole rows, which a processor does many at a time.

The default weights need no labels. They were chosen on several public taxonomies at once: keeping each text of a node as a
vector of its own and adding raw cosines is better than one concatenated text and than reciprocal-rank fusion (measured, see
`tests/benchmarks`). Where the encoder cannot be trusted for a language, characters decide instead (`trust.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.trust import LanguageTrust
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_assets.views.lexical import HashedTfidf

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.views.index import NodeIndex

Features = dict[str, "NDArray[np.float32]"]


@dataclass(frozen=True)
class Profile:
    """Weights of the views, and the scale that turns a fused score into a logit."""

    weights: Mapping[str, float]
    scale: float


#: For texts in a language that the encoder knows.
TRUSTED: Final = Profile(
    {
        "best_text": 1.0,
        "whole": 1.0,
        "path": 0.25,
        "ancestors": 0.25,
        "text_characters": 0.2,
        "whole_characters": 0.2,
        "whole_words": 0.2,
    },
    7.5,
)
#: For all other texts.
UNTRUSTED: Final = Profile({"best_text": 1.0, "text_characters": 1.0, "whole_characters": 1.0, "path_characters": 1.0}, 4.0)
_LEXICAL: Final = ("text_characters", "whole_characters", "path_characters", "whole_words")
#: Long texts share many words with every node; their lexical evidence is scaled by this many words over their own.
_LONG_TEXT_WORDS: Final = 8.0
#: n-grams in more documents than this share (and than the floor) cost most of the time and tell nodes apart least.
_MAX_SHARE: Final = 0.02
_MAX_DOCUMENTS: Final = 150


def _row_maxima(values: NDArray[np.float32], starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Maximum over consecutive rows: [m, b] to [len(starts), b]."""
    return values if starts.size == values.shape[0] else np.maximum.reduceat(values, starts, axis=0)


@dataclass(frozen=True)
class _Lexical:
    """tf-idf of documents that are sorted by node; a node's similarity is that of its nearest document."""

    model: HashedTfidf
    starts: NDArray[np.int64]

    @classmethod
    def fit(cls, documents: Sequence[tuple[int, str]], grams: str) -> _Lexical:
        owners = np.array([node for node, _ in documents])
        share = max(_MAX_SHARE, _MAX_DOCUMENTS / max(len(documents), 1))
        model = HashedTfidf.fit([text for _, text in documents], "word" if grams == "word" else "character", max_share=share)
        return cls(model, np.flatnonzero(np.diff(owners, prepend=-1)))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return _row_maxima(self.model.similarities(texts), self.starts)


class Scorer:
    """Scores texts against all n nodes of an index. Immutable; safe to share between threads."""

    def __init__(self, index: NodeIndex) -> None:
        self.index = index
        self.tree: Taxonomy = index.tree
        self._starts = np.flatnonzero(np.diff(index.owners, prepend=-1))
        self._own = index.vectors
        self._context = np.concatenate((index.whole_vectors, index.path_vectors))
        self.trust = LanguageTrust.fit(index)

    @cached_property
    def _lexical(self) -> dict[str, _Lexical]:
        documents = self.index.documents
        return {
            "text_characters": _Lexical.fit(documents["text"], "character"),
            "whole_characters": _Lexical.fit(documents["whole"], "character"),
            "path_characters": _Lexical.fit(documents["path"], "character"),
            "whole_words": _Lexical.fit(documents["whole"], "word"),
        }

    def features(self, vectors: NDArray[np.float32], texts: Sequence[str], names: Sequence[str]) -> Features:
        """The views called `names`, float32[n, b] each, for b texts with unit `vectors` float32[b, d]."""
        n = len(self.tree)
        wanted = set(names)
        found: Features = {}
        columns = np.ascontiguousarray(vectors.T)
        own = self._own @ columns
        found["best_text"] = _row_maxima(own, self._starts)
        if wanted & {"whole", "path"}:
            context = self._context @ columns
            found["whole"], found["path"] = context[:n], context[n:]
        if "ancestors" in wanted:
            found["ancestors"] = self._ancestors(own)
        for name in _LEXICAL:
            if name in wanted:
                found[name] = self._lexical[name](texts) * _shortness(texts)
        return {name: found[name] for name in names}

    def _ancestors(self, own: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean over the strict ancestors of their best label or definition; 0 for top nodes."""
        naming = _row_maxima(own[self.index.naming_rows], self.index.naming_starts)
        tree = self.tree
        sums = np.zeros_like(naming)
        for depth in range(2, tree.depth + 1):
            nodes = np.flatnonzero(tree.depths == depth)
            parents = tree.parents[nodes]
            sums[nodes] = sums[parents] + naming[parents]
        counts = np.maximum(tree.depths - 1, 1).astype(np.float32)
        return sums / counts[:, None]

    def logits(
        self, vectors: NDArray[np.float32], texts: Sequence[str], trusted: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Fused scores as logits, float32[n, b]; softmax over leaves gives probabilities.

        Args:
            trusted: float32[b], how far the encoder is trusted with each text; `trust.of(texts)` when None.
        """
        trusted = self.trust.of(texts) if trusted is None else trusted
        if trusted.min(initial=1.0) >= 1.0:
            return self._fuse(vectors, texts, TRUSTED)
        if trusted.max(initial=0.0) <= 0.0:
            return self._fuse(vectors, texts, UNTRUSTED)
        # Features are shared between the profiles, so a block of mixed languages is scored once.
        names = list(dict.fromkeys((*TRUSTED.weights, *UNTRUSTED.weights)))
        found = self.features(vectors, texts, names)
        mixed = _weighted(found, TRUSTED) * trusted
        mixed += _weighted(found, UNTRUSTED) * (1 - trusted)
        return mixed

    def _fuse(self, vectors: NDArray[np.float32], texts: Sequence[str], profile: Profile) -> NDArray[np.float32]:
        return _weighted(self.features(vectors, texts, list(profile.weights)), profile)

    def largest_logit(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Logit of a node with which all views agree fully, float32[b]."""
        trusted = self.trust.of(texts)
        highest = [profile.scale * sum(profile.weights.values()) for profile in (TRUSTED, UNTRUSTED)]
        return (trusted * highest[0] + (1 - trusted) * highest[1]).astype(np.float32)

    def contributions(self, vectors: NDArray[np.float32], texts: Sequence[str]) -> Features:
        """What each view adds to the logit, float32[n, b] each; they add up to `logits`."""
        names = list(dict.fromkeys((*TRUSTED.weights, *UNTRUSTED.weights)))
        trusted = self.trust.of(texts)
        parts: Features = {}
        for name, values in self.features(vectors, texts, names).items():
            weight = TRUSTED.scale * TRUSTED.weights.get(name, 0.0) * trusted
            weight = weight + UNTRUSTED.scale * UNTRUSTED.weights.get(name, 0.0) * (1 - trusted)
            if np.any(weight):
                parts[name] = (values * weight).astype(np.float32)
        return parts

    def nearest_texts(self, vectors: NDArray[np.float32], nodes: Sequence[int]) -> list[int]:
        """For each vector and its node: row of the node's text that is nearest (for explanations)."""
        rows = []
        for vector, node in zip(vectors, nodes, strict=True):
            first, last = np.searchsorted(self.index.owners, [node, node + 1])
            rows.append(int(first + np.argmax(self._own[first:last] @ vector)) if node != ROOT else -1)
        return rows


def _weighted(found: Features, profile: Profile) -> NDArray[np.float32]:
    """scale x weighted sum of the views, float32[n, b]."""
    total: NDArray[np.float32] | None = None
    for name, weight in profile.weights.items():
        part = found[name] * np.float32(weight * profile.scale)
        total = part if total is None else np.add(total, part, out=total)
    assert total is not None
    return total


def _shortness(texts: Sequence[str]) -> NDArray[np.float32]:
    """float32[b] in 0..1: 1 up to eight words, then falling (lexical views mislead on long texts, measured)."""
    words = np.fromiter((text.count(" ") + 1 for text in texts), np.float32, len(texts))
    return np.minimum(1.0, _LONG_TEXT_WORDS / words).astype(np.float32)
