"""Corrected texts answered as if nobody had corrected them: what evidence is worth to texts that are like it.

A text that is evidence itself would find itself and be right. To measure, and to fit what a confidence is worth, each text is
scored by the corrections of all other texts: leave-one-out, exact and as cheap as an answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from taxomind_assets.classification.evidence_view import EvidenceView
from taxomind_assets.learning.evidence import Evidence

if TYPE_CHECKING:
    from taxomind_assets.classification.added_views import Block, KnownBlocks
    from taxomind_assets.classification.base_views import BaseViews
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.classification.evidence_rows import EvidenceRows
    from taxomind_assets.classification.queries import Query


class UnseenEvidence(EvidenceView):
    """Evidence that is silent about its own texts.

    Args:
        base: the views of the node index.
        rows: the corrections.
    """

    def __init__(self, base: BaseViews, rows: EvidenceRows) -> None:
        # No text is found word for word, so none is answered by its own correction.
        super().__init__(base, replace(rows, finds=False))
        self._told = rows

    def blocks(self, query: Query, known: KnownBlocks) -> dict[str, Block]:
        """As `EvidenceView.blocks`, with the corrections of each text itself left out."""
        marked = [(row, column) for column, text in enumerate(query.texts) for row in self._told.rows_of(text)]
        if not marked:
            return self.features(query, known, None)
        rows, columns = np.array(marked, np.int64).T
        shape = (len(self.rows), len(query))
        return self.features(query, known, sparse.csr_array((np.ones(rows.size, np.float32), (rows, columns)), shape=shape))


def unseen(classifier: Classifier) -> Classifier:
    """The classifier with evidence that is silent about its own texts; the same one when it has no evidence.

    Fitted weights and voters have seen the texts as well, so shipped weights take their place; `own_labels.Unseen` fits
    them without the texts that they are to answer.
    """
    known = classifier.scorer.evidence
    if known is None or isinstance(known, UnseenEvidence):
        return classifier
    if classifier.scorer.fitted:
        classifier = classifier.with_fitted(None)
    view = UnseenEvidence(classifier.scorer.base, known.rows)
    return classifier.with_scorer(classifier.scorer.with_evidence(view))


def untaught(classifier: Classifier) -> Classifier:
    """The classifier without any evidence."""
    return classifier.with_evidence(Evidence.none(classifier.index.vectors.shape[1]))
