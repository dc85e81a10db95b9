"""The queue of a taxonomy: stored answers that a person should look at, answered again and put in order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.learning.queue import Ranked, ordered, uncertainty
from taxomind_assets.views.texts import clean, normalise
from taxomind_resources.catalogue import Catalogue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_resources.outputs import Outputs

#: Texts that are weighed against each other.
MOST_WEIGHED: Final = 400
#: Texts asked for beyond those, since people have placed some of them already.
_SPARE: Final = 4
_UNSURE: Final = """
SELECT text, min(text_id) AS text_id, min(batch_id) AS batch_id, max(language) AS language, count(*) AS answers
FROM classification.current_results
WHERE taxonomy_key = $key AND error_code IS NULL AND text <> ''
GROUP BY text
ORDER BY min(leaf_confidence) < 0.1, max(ambiguous) DESC, min(leaf_confidence), text LIMIT $most
"""


@dataclass(frozen=True)
class Queued:
    """A text in the queue.

    Attributes:
        text, text_id, batch_id, language: as it was handed in.
        answers: how often it was.
        rank: why it stands where it stands.
        answer: what it is answered now, a row of `classification.results`.
    """

    text: str
    text_id: str
    batch_id: str
    language: str
    answers: int
    rank: Ranked
    answer: dict[str, Any]


def unsure_texts(classifier: Classifier, outputs: Outputs, placed: Collection[str], limit: int) -> list[Queued]:
    """Texts whose answers are unsure now, in the order in which labels are worth most.

    Args:
        classifier: answers them again, with all that was learned since.
        outputs: where the answers are stored.
        placed: normalised texts that people have placed; they are left out.
        limit: texts at most.

    Raises:
        Fault: `storage_failed`.
    """
    most = _SPARE * MOST_WEIGHED
    rows = Catalogue(outputs.root.parent).query(_UNSURE, {"key": classifier.tree.key, "most": most}).to_pylist()
    rows = [row for row in rows if normalise(row["text"]) not in placed][:MOST_WEIGHED]
    if not rows:
        return []
    texts = [clean(row["text"]) for row in rows]
    vectors = classifier.embedder.embed(texts, "query")
    places = ordered(leaf_uncertainty(classifier, texts, vectors), vectors, limit)
    chosen = [rank.row for rank in places]
    answers = classifier.classify([texts[row] for row in chosen], vectors=vectors[chosen]).to_pylist()
    return [
        Queued(**{**rows[rank.row], "language": rows[rank.row]["language"] or ""}, rank=rank, answer=answer)
        for rank, answer in zip(places, answers, strict=True)
    ]


def leaf_uncertainty(classifier: Classifier, texts: list[str], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """How unsure the classifier is which leaf each text belongs to, float64[b] (0..1)."""
    size, leaves = classifier.block_size, classifier.tree.is_leaf
    blocks = [slice(start, start + size) for start in range(0, len(texts), size)]
    found = [classifier.probabilities(texts[block], vectors=vectors[block]) for block in blocks]
    # Before the curve that makes confidences true: only so the places of a text add up to one.
    return np.concatenate([uncertainty((mass.subtree[leaves] * mass.belongs).T) for mass in found])
