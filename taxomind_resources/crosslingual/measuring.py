"""How often a student finds the right English label, beside the encoder alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_resources.crosslingual.pairs import AlignedPairs, label_identity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_resources.crosslingual.student import Student
    from taxomind_resources.embedding.spec import Embedder

#: Texts of one source and language that are asked for; a standard error of 3 points or less.
_MOST_TEXTS: Final = 300


@dataclass(frozen=True)
class HeldOutScore:
    """Retrieval of English labels by texts of one source and language whose labels were not learned.

    Attributes:
        texts: texts asked for.
        labels: English labels of the source, learned or not: what the right one is sought among.
        hit_1, hit_10: share of texts whose label is first, and among the first ten.
        encoder_hit_1, encoder_hit_10: the same for the encoder without a student.
    """

    source: str
    language: str
    texts: int
    labels: int
    hit_1: float
    hit_10: float
    encoder_hit_1: float
    encoder_hit_10: float


def measure(
    student: Student,
    pairs: AlignedPairs,
    held_out: NDArray[np.bool_],
    label_vectors: NDArray[np.float32],
    embedder: Embedder,
) -> tuple[HeldOutScore, ...]:
    """Scores on held-out pairs, by source and language. Texts that are their English label are left out.

    Args:
        held_out: bool[labels].
        label_vectors: float32[labels, encoder dimensions], the encoder's.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    labels_of: dict[str, set[int]] = {}
    for row, (pair, label) in enumerate(zip(pairs.rows, pairs.label_of.tolist(), strict=True)):
        labels_of.setdefault(pair.source, set()).add(label)
        if held_out[label] and label_identity(pair.text) != label_identity(pair.english):
            groups.setdefault((pair.source, pair.language), []).append(row)
    scores = []
    for (source, language), rows in sorted(groups.items()):
        index = np.array(sorted(labels_of[source]), np.int64)
        asked = _spread(rows)
        texts = [pairs.rows[row].text for row in asked]
        right = np.searchsorted(index, pairs.label_of[asked])
        own = ranks(student.vectors(texts), student.project(label_vectors[index]), right)
        encoder = ranks(embedder.embed(texts, "query"), label_vectors[index], right)
        shares = (float(np.mean(found < k)) for found in (own, encoder) for k in (1, 10))
        scores.append(HeldOutScore(source, language, len(asked), index.size, *shares))
    return tuple(scores)


def ranks(queries: NDArray[np.float32], labels: NDArray[np.float32], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many labels are at least as near as the right one, int64[q]; a tie counts against the right one."""
    similar = queries @ labels.T
    own = similar[np.arange(len(queries)), right][:, None]
    found: NDArray[np.int64] = np.sum(similar >= own, axis=1) - 1
    return found


def _spread(rows: Sequence[int]) -> list[int]:
    """At most `_MOST_TEXTS` of the rows, evenly over their order."""
    if len(rows) <= _MOST_TEXTS:
        return list(rows)
    return [rows[place] for place in np.linspace(0, len(rows) - 1, _MOST_TEXTS).astype(int).tolist()]
