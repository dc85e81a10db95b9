"""The texts that voters are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.evidence_rows import EvidenceRows
    from taxomind_assets.views.index import NodeIndex


@dataclass(frozen=True)
class TrainingRows:
    """r texts with their nodes: own texts of leaves, then corrections.

    Attributes:
        texts: the texts.
        nodes: int64[r].
        vectors: float32[r, d].
        corrected: bool[r], False for texts of the taxonomy.
    """

    texts: tuple[str, ...]
    nodes: NDArray[np.int64]
    vectors: NDArray[np.float32]
    corrected: NDArray[np.bool_]

    @classmethod
    def of(cls, index: NodeIndex, evidence: EvidenceRows, kept: NDArray[np.bool_]) -> TrainingRows:
        """Rows of an index and of the evidence that is marked in bool[e]."""
        leaf = index.tree.is_leaf[index.owners]
        own = np.flatnonzero(leaf & np.array([text.view != "negative" for text in index.texts], np.bool_))
        told = np.flatnonzero(kept)
        return cls(
            (*(index.texts[i].text for i in own.tolist()), *(evidence.texts[i] for i in told.tolist())),
            np.concatenate((index.owners[own].astype(np.int64), evidence.nodes[told])),
            np.concatenate((index.vectors[own], evidence.vectors[told])),
            np.repeat([False, True], [own.size, told.size]),
        )
