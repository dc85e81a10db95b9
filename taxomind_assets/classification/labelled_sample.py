"""The texts that a fusion is fitted on: what people have told, each text once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.label_calibration import text_share
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier

#: Texts under which fitting would say more about them than about the taxonomy.
FEWEST_TEXTS: Final = 50
FOLDS: Final = 4
#: Decides by a hash which texts are taken where there are too many.
SALT: Final = "calibration"
#: Texts that are scored, and numbers of their logits; more would only cost time.
_MOST_TEXTS: Final = 10_000
_MOST_LOGITS: Final = 40_000_000
_FOLD_SALT: Final = "fold"


@dataclass(frozen=True)
class Sample:
    """b texts with known nodes, and the fold of each.

    Attributes:
        texts: clean texts, no two the same but for case and spaces.
        gold: positions of the known nodes of each.
        vectors: float32[b, d].
        folds: int64[b] in 0..3.
    """

    texts: list[str]
    gold: list[list[int]]
    vectors: NDArray[np.float32]
    folds: NDArray[np.int64]

    @classmethod
    def of(cls, classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> Sample:
        """Corrected and labelled texts that are not the taxonomy's own, each with all of its nodes; by a hash if too many.

        Args:
            classifier: knows the corrections.
            texts: further labelled texts.
            codes: known codes of each.
        """
        position, evidence = classifier.tree.position, classifier.scorer.evidence
        gold: dict[str, set[int]] = {}
        shown: dict[str, str] = {}
        row_of: dict[str, int] = {}
        if evidence:
            for row, (text, node) in enumerate(zip(evidence.rows.texts, evidence.rows.nodes.tolist(), strict=True)):
                key = normalise(text)
                gold.setdefault(key, set()).add(node)
                shown.setdefault(key, text)
                row_of.setdefault(key, row)
        for text, known in zip(texts, codes, strict=True):
            key = normalise(text)
            gold.setdefault(key, set()).update(position[code] for code in known)
            shown.setdefault(key, text)
        most = min(_MOST_TEXTS, _MOST_LOGITS // len(classifier.tree))
        keys = sorted(_not_in_the_taxonomy(classifier, gold), key=lambda key: text_share(key, SALT))[:most]
        others = [key for key in keys if key not in row_of]
        vectors = np.empty((len(keys), classifier.index.vectors.shape[1]), np.float32)
        place = {key: i for i, key in enumerate(keys)}
        if others:
            embedded = classifier.embedder.embed([shown[key] for key in others], "query")
            vectors[[place[key] for key in others]] = embedded
        told = [key for key in keys if key in row_of]
        if told and evidence:
            vectors[[place[key] for key in told]] = evidence.rows.vectors[[row_of[key] for key in told]]
        return cls([shown[key] for key in keys], [sorted(gold[key]) for key in keys], vectors, folds_of(keys))

    def take(self, places: NDArray[np.int64]) -> Sample:
        """Some of the texts."""
        chosen = places.tolist()
        texts, gold = [self.texts[i] for i in chosen], [self.gold[i] for i in chosen]
        return Sample(texts, gold, self.vectors[places], self.folds[places])

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)


def folds_of(texts: Sequence[str]) -> NDArray[np.int64]:
    """The fold of each text, int64[b] in 0..3, by a hash: texts that are the same but for case and spaces share one."""
    return np.array([int(FOLDS * text_share(text, _FOLD_SALT)) for text in texts], np.int64)


def _not_in_the_taxonomy(classifier: Classifier, keys: Collection[str]) -> Collection[str]:
    """Texts that do not stand word for word in the taxonomy, unless these are too few.

    Those that do are found again, which says nothing of texts that do not: with them, thresholds promised too much (where a
    fifth of the labelled texts were examples of the taxonomy, 90 % was promised and 86 % of other texts were right).
    """
    own = {normalise(text.text) for text in classifier.index.texts if text.view != "negative"}
    found = [key for key in keys if key not in own]
    return found if len(found) >= FEWEST_TEXTS else keys
