"""From texts and their vectors to one logit per node: every view apart, then a weighted sum.

The views of the node index are in `base_views.py`, their weights in `fusion.py`; `added_views.py` says how further views join.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from taxomind_assets.classification.added_views import AddedView, Block, KnownBlocks
from taxomind_assets.classification.base_views import DENSE, FAMILIAR, LEXICAL, BaseViews
from taxomind_assets.classification.evidence_view import EvidenceView
from taxomind_assets.classification.fusion import SHIPPED, FusionWeights
from taxomind_assets.classification.queries import Query, shortness
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_resources.products import BATCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.trust import LanguageTrust
    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.crosslingual.lazy import LazyStudent

Features = dict[str, "NDArray[np.float32]"]


class Scorer:
    """Scores texts against all n nodes of an index. Immutable; safe to share between threads.

    Args:
        index: the node index.
        negative_weight: how much a node loses for a negative example that is nearer than its own texts, as a share of the
            weight of its best text.
        added: further views.
        fitted: weights that replace the shipped ones, feature by feature.
        student: a cross-lingual student of the index's encoder.
        base: the base views of this index, when they exist already; they hold the student.
    """

    def __init__(
        self,
        index: NodeIndex,
        negative_weight: float = 0.5,
        *,
        added: Sequence[AddedView] = (),
        fitted: FusionWeights | None = None,
        student: LazyStudent | None = None,
        base: BaseViews | None = None,
    ) -> None:
        self.index = index
        self.negative_weight = negative_weight
        self.tree: Taxonomy = index.tree
        self.base = base or BaseViews(index, student)
        self.trust: LanguageTrust = self.base.trust
        # Evidence comes first, so that what it is told of the others does not depend on the order in which they came.
        self.added = tuple(sorted(added, key=lambda view: not isinstance(view, EvidenceView)))
        self.fitted = fitted
        # What learns from corrections too takes the place of what learns from the taxonomy alone, under the same names.
        named = {name for view in self.added for name in view.agreement}
        branches = [view for view in (index.branches,) if view and named.isdisjoint(view.agreement)]
        #: All views beside those of every index.
        self.further: tuple[AddedView, ...] = (*self.base.crosslingual, *branches, *self.added)
        weights = SHIPPED
        for view in self.further:
            weights = view.weights.over(weights)
        self.weights = fitted.over(weights) if fitted else weights

    def with_views(self, added: Sequence[AddedView]) -> Scorer:
        """The same scorer with other added views."""
        return Scorer(self.index, self.negative_weight, added=added, fitted=self.fitted, base=self.base)

    def with_weights(self, fitted: FusionWeights | None) -> Scorer:
        """The same scorer with other fitted weights."""
        return Scorer(self.index, self.negative_weight, added=self.added, fitted=fitted, base=self.base)

    @property
    def evidence(self) -> EvidenceView | None:
        """The view of the evidence, if there is one."""
        return next((view for view in self.added if isinstance(view, EvidenceView)), None)

    def with_evidence(self, evidence: EvidenceView | None) -> Scorer:
        """The same scorer with other evidence."""
        others = [view for view in self.added if not isinstance(view, EvidenceView)]
        return self.with_views([*others, evidence] if evidence else others)

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """See `AddedView.bounds`."""
        return {name: own for view in self.further for name, own in view.bounds.items()}

    @property
    def single_threaded(self) -> bool:
        """Whether a block keeps one core busy, so that several are best scored by several threads."""
        return self.base.products.single_threaded

    @property
    def reads_untrusted_vectors(self) -> bool:
        """Whether the encoder's vector of a text that it is not trusted with weighs anything; a zero row may replace it if not.

        Evidence and voters read every vector. So do the student's views where no node text is in a trusted language.
        """
        alone = self.base.crosslingual and not self.index.trusted_languages
        return bool(self.added or alone or any(self.weights.untrusted.get(name) for name in DENSE))

    def query(self, vectors: NDArray[np.float32], texts: Sequence[str], trusted: NDArray[np.float32] | None = None) -> Query:
        """A block of texts to score.

        Args:
            vectors: float32[b, d], unit rows.
            texts: the b texts themselves.
            trusted: float32[b], how far the encoder is trusted with each text; `trust.of(texts)` when None.
        """
        return Query.of(vectors, texts, self.trust, trusted)

    def logits(self, query: Query) -> NDArray[np.float32]:
        """Fused scores as logits, float32[n, b]; softmax over leaves gives probabilities."""
        total = np.empty((len(self.tree), len(query)), np.float32)
        best = np.empty_like(total) if self.further else None
        for start in range(0, len(query), BATCH):
            columns = slice(start, start + BATCH)
            total[:, columns], best_here = self._dense_logits(query.vectors[columns], query.trusted[columns])
            if best is not None:
                best[:, columns] = best_here
        asked: Features = {}
        if best is not None:
            known = self._known(query, best, total)
            for view in self.further:
                self._add(total, view.blocks(query, known), query)
            asked = known.asked
        for name in LEXICAL:
            weight = self.weights.of(name, query.trusted)
            if name in asked:
                total += asked[name] * weight
            elif weight.any():
                total += self._signed_lexical(name, query, weight)
        total += self.familiarity(query)
        return total

    def _add(self, total: NDArray[np.float32], blocks: Mapping[str, Block], query: Query) -> None:
        """Add weighted features of a view to `total` [n, b]: those of the same nodes together, looking the nodes up once."""
        sums: dict[int, Block] = {}
        for name, block in blocks.items():
            weight = self.weights.of(name, query.trusted)
            if not weight.any():
                continue
            if block.nodes is None:
                block.add_to(total, weight)
                continue
            part, known = block.values * weight, sums.get(id(block.nodes))
            sums[id(block.nodes)] = Block(part if known is None else known.values + part, block.nodes)
        for block in sums.values():
            total[block.nodes] += block.values

    def familiarity(self, query: Query) -> NDArray[np.float32]:
        """The part of the logits that is the same for all nodes, float32[b]: it changes the energy of a text, no more."""
        return self.base.familiarity(query.texts) * self.weights.of(FAMILIAR, query.trusted)

    def _signed_lexical(self, name: str, query: Query, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """A lexical view times weights, which fitting may have made negative."""
        if (weight >= 0).all():
            return self.base.lexical(name, query.texts, weight * query.shortness)
        return self.words(name, query.texts) * weight

    def _dense_logits(
        self, vectors: NDArray[np.float32], trusted: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The part of the logits that comes from vectors, and the best cosine of each node, float32[n, b] each."""
        if not vectors.any():
            nothing = np.zeros((len(self.tree), len(vectors)), np.float32)
            return nothing, nothing
        similar = self.base.products(vectors)
        shares = ((False, 1 - trusted), (True, trusted))
        contexts = [  # before the maxima overwrite the similarities
            (self._contexts[mode] @ similar) * share for mode, share in shares if share.any() and self._contexts[mode].nnz
        ]
        naming, best = self.base.best_texts(similar)
        total = best * self.weights.of("best_text", trusted)
        self._penalise(total, similar, best, trusted)
        for context in contexts:
            total += context
        ancestors = self.weights.of("ancestors", trusted)
        if ancestors.any():
            total += (self.base.above @ naming) * ancestors
        return total, best

    @cached_property
    def _contexts(self) -> dict[bool, sparse.csr_array]:
        """See `BaseViews.context`, without and with the encoder trusted."""
        modes = {mode: self.weights.mode(mode) for mode in (False, True)}
        return {mode: self.base.context(own.get("whole", 0.0), own.get("path", 0.0)) for mode, own in modes.items()}

    def features(self, query: Query) -> dict[str, Block]:
        """Every feature of the fusion without its weight; `negative_examples` is already the share of `best_text` lost."""
        similar = self.base.products(query.vectors).copy()
        naming, best = self.base.best_texts(similar)
        total = np.zeros_like(best)
        known = self._known(query, best, total)
        nodes, excess = self.base.negative_excess(similar, best)
        found = {
            "best_text": Block(best),
            "whole": Block(known.whole),
            "path": Block(self.index.path_vectors @ query.vectors.T),
            "ancestors": Block(self.base.above @ naming),
            "negative_examples": Block(excess * np.float32(-self.negative_weight), nodes),
        }
        for name, block in found.items():
            block.add_to(total, self.weight(name, query.trusted))
        found[FAMILIAR] = Block(np.repeat(self.base.familiarity(query.texts)[None, :], len(self.tree), axis=0))
        for name, block in self._added_blocks(query, known):
            found[name] = block
            block.add_to(total, self.weight(name, query.trusted))
        return found | {name: Block(known.words(name)) for name in LEXICAL}

    def weight(self, name: str, trusted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weight of one of `features` for each text, float32[b]."""
        return self.weights.of("best_text" if name == "negative_examples" else name, trusted)

    def contributions(self, query: Query) -> Features:
        """What each feature adds to the logit, float32[n, b] each; they add up to `logits`."""
        weighted: Features = {}
        for name, block in self.features(query).items():
            part = block.dense(len(self.tree)) * self.weight(name, query.trusted)
            if name == "best_text" or np.any(part):
                weighted[name] = part
        return weighted

    def words(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """One lexical view, float32[n, b]."""
        return self.base.lexical(name, texts, shortness(texts))

    def largest_logit(self, query: Query) -> NDArray[np.float32]:
        """Logit of a node with which all views agree fully, float32[b], in words that every text of the taxonomy has."""
        agreement = dict.fromkeys((*DENSE, *LEXICAL), 1.0)
        for view in self.further:
            agreement |= view.agreement
        parts = [value * self.weights.of(name, query.trusted) for name, value in agreement.items()]
        total: NDArray[np.float32] = np.sum(parts, axis=0, dtype=np.float32)
        return total

    def _known(self, query: Query, best: NDArray[np.float32], total: NDArray[np.float32]) -> KnownBlocks:
        return KnownBlocks(
            best, lambda name: self.words(name, query.texts), lambda vectors: self.base.whole(vectors), query, total
        )

    def _added_blocks(self, query: Query, known: KnownBlocks) -> Iterator[tuple[str, Block]]:
        for view in self.further:
            yield from view.blocks(query, known).items()

    def _penalise(
        self, total: NDArray[np.float32], similar: NDArray[np.float32], best: NDArray[np.float32], trusted: NDArray[np.float32]
    ) -> None:
        """Take from `total` [n, b] what nodes lose to negative examples that are nearer than their best text."""
        nodes, excess = self.base.negative_excess(similar, best)
        if nodes.size and self.negative_weight:
            total[nodes] -= excess * (np.float32(self.negative_weight) * self.weights.of("best_text", trusted))

    def nearest_texts(self, vectors: NDArray[np.float32], nodes: Sequence[int]) -> list[int]:
        """For each vector and its node: row of the node's text that is nearest (for explanations), -1 for `ROOT`."""
        rows = []
        for vector, node in zip(vectors, nodes, strict=True):
            first, last = np.searchsorted(self.index.owners, [node, node + 1])
            own = np.array([row for row in range(first, last) if self.index.texts[row].view != "negative"], np.int64)
            rows.append(int(own[np.argmax(self.index.vectors[own] @ vector)]) if node != ROOT else -1)
        return rows
