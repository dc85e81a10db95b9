"""How much of a correction is news: what a node's own texts say already needs no telling.

A correction of a text that its node's texts fit best anyway confirms them. It moves the node towards all texts around it and
no own text is gained by that, so it counts for less, and the less the more texts the node has (a node that is known by its
label alone learns from every text). People mostly correct what was wrong, which counts in full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.base_views import BaseViews

#: What a correction that is no news loses where its node has very many texts.
_MOST: Final = 0.8
#: Cosines that are closer than this are the same but for rounding.
_TIE: Final = 1e-5
_BLOCK: Final = 256


def news(vectors: NDArray[np.float32], nodes: NDArray[np.int64], base: BaseViews) -> NDArray[np.float32]:
    """Weight of each correction, float32[e] in 0.2 to 1.

    Args:
        vectors: float32[e, d], unit rows.
        nodes: int64[e], the node of each.
        base: the views of the node index.
    """
    lost = np.float32(_MOST) * (1 - 1 / base.own_texts[nodes])
    found = np.ones(nodes.size, np.float32)
    several = np.flatnonzero(lost)
    for start in range(0, several.size, _BLOCK):
        rows = several[start : start + _BLOCK]
        fits = vectors[rows] @ base.index.whole_vectors.T
        own = fits[np.arange(rows.size), nodes[rows]]
        known = own >= fits.max(axis=1, where=base.tree.is_leaf, initial=-1) - _TIE
        found[rows] -= known * lost[rows]
    return found
