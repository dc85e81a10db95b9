"""Leaves of which nobody has told anything, when a fusion is fitted to what people have told.

Every known text belongs to a leaf that has texts. Fitted to these alone, weights and voters learn that nobody ever means one
of the others, whose texts were then lost (up to 34 points, measured). And a text that is left out leaves its leaf with one
correction less, or with none, which teaches that corrections are worth little. Both are one matter: how many of the texts to
come belong to leaves with corrections. Generalised zero-shot learning knows it as the bias towards seen classes (Chao et al.,
2016, "An empirical study and analysis of generalized zero-shot learning for object recognition in the wild"), and the answer
is the usual one for samples that differ from what is to come (Shimodaira, 2000, "Improving predictive inference under
covariate shift by weighting the log-likelihood function"): in each fold some nodes lose all of their corrections, so that
their texts are scored as those of untold leaves will be, and both kinds of texts weigh as much as they are due.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.label_calibration import text_share
from taxomind_assets.classification.labelled_sample import FEWEST_TEXTS, FOLDS, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.evidence_rows import EvidenceRows
    from taxomind_assets.taxonomy.tree import Taxonomy

#: Texts of untold leaves weigh more than these leaves are of the tree: what is lost there, no correction brings back.
_EMPHASIS: Final = 1.5
#: Most that they weigh together, as a share of all texts.
_MOST_WEIGHT: Final = 0.85
#: Leaves that texts must belong to, unless half of the tree has fewer.
_FEWEST_LEAVES: Final = 20
#: Most nodes that lose their corrections in a fold: a tree with hardly any correction left would be another task.
_MOST_HIDDEN: Final = 0.5


def says_enough(tree: Taxonomy, known: Sequence[Sequence[int]]) -> bool:
    """Whether known texts are of so many leaves (20, or half of a small tree) that they say anything of the others.

    Args:
        tree: the taxonomy.
        known: positions of the nodes that texts belong to.
    """
    return len(_told(tree, known)) >= min(_FEWEST_LEAVES, int(tree.is_leaf.sum()) / 2)


def untold_share(tree: Taxonomy, known: Sequence[Sequence[int]]) -> float:
    """What texts of untold leaves are to weigh among all, 0 to 0.85; `known` as in `says_enough`."""
    return min(_MOST_WEIGHT, _EMPHASIS * (1 - len(_told(tree, known)) / int(tree.is_leaf.sum())))


def _told(tree: Taxonomy, known: Sequence[Sequence[int]]) -> set[int]:
    return {node for nodes in known for node in nodes if tree.is_leaf[node]}


def hidden_rows(rows: EvidenceRows, share: float) -> list[NDArray[np.bool_]]:
    """For each fold the corrections that it does without, bool[e]: those of some nodes, drawn by a hash of the code."""
    most = min(share, _MOST_HIDDEN)
    codes, place = np.unique(np.array(rows.codes, dtype=object), return_inverse=True)
    return [np.array([text_share(code, f"hidden {fold}") < most for code in codes])[place] for fold in range(FOLDS)]


def text_weights(
    sample: Sample, rows: EvidenceRows, hidden: Sequence[NDArray[np.bool_]], share: float
) -> NDArray[np.float32] | None:
    """How much each text counts in a fit, float32[b]; None = too few of them show what corrections are worth.

    Corrected texts whose nodes have none left weigh `share` of all corrected texts. Texts that are no corrections are a sample
    of their own, and count one.

    Args:
        sample: b texts.
        rows: the corrections.
        hidden: see `hidden_rows`.
        share: see `untold_share`.
    """
    told, corrected = np.zeros((2, len(sample)), np.bool_)
    left = [np.bincount(rows.nodes[~gone], minlength=int(rows.nodes.max(initial=0)) + 1) for gone in hidden]
    for i, (text, nodes, fold) in enumerate(zip(sample.texts, sample.gold, sample.folds.tolist(), strict=True)):
        own = list(rows.rows_of(text))
        corrected[i] = bool(own)
        own_nodes = rows.nodes[[row for row in own if not hidden[fold][row]]]
        told[i] = any(node < left[fold].size and left[fold][node] > np.count_nonzero(own_nodes == node) for node in nodes)
    alone = corrected & ~told
    if int((~alone).sum()) < FEWEST_TEXTS:
        return None
    weight = share / (1 - share) * int((corrected & told).sum()) / max(int(alone.sum()), 1)
    return np.where(alone, weight, 1).astype(np.float32)
