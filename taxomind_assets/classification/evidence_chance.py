"""What nodes with corrections gain by chance, so that they hold no advantage over nodes without any.

Evidence mostly adds. A node with corrections gains from every text near it, and the more the more it has, since the best of
several is better by chance alone; a node that nobody has corrected gains nothing, and would lose its texts to its corrected
neighbours. Each node therefore pays a fare that grows with its corrections, and for each text the part of the gain that all
nodes with evidence have in common: how much the text gains from the evidence of nodes that it plausibly belongs to, on average
(score normalisation by a cohort, as in speaker verification: Auckenthaler, Carey and Lloyd-Thomas, 2000, "Score normalization
for text-independent speaker verification systems"). Where all leaves have evidence this is the same for all of them and
changes nothing.

The price is due in full where corrected and uncorrected leaves both are many: with few corrected leaves few neighbours can win
by chance, and where nearly all leaves have corrections, one without any is one that people rarely mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.fusion import FusionWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What a node pays, in logits: for having evidence at all (faded in), and for each step of log(1 + corrections).
_PRESENT: Final = 0.5
_COUNT: Final = FusionWeights(untrusted={"": 1.2}, trusted={"": 0.42})
#: Share of what a text gains on average that counts as chance.
_COMMON: Final = 0.7
#: Nodes with evidence that a text is compared with: those that it most plausibly belongs to. Fewer tell less of what is chance.
_COHORT: Final = 20
#: Weight of characters in what makes a node plausible, for texts that the encoder does not read.
_CHARACTERS: Final = 6.0
#: Share of the price that is due with a single corrected leaf, and how fast it falls when the last leaves get corrections.
_DUE_AT_FIRST: Final = 0.7
_FALL: Final = 5.0


def share_due(corrected: float) -> float:
    """Share of the price that is due when this share of the leaves has evidence."""
    return min(1.0, _DUE_AT_FIRST + corrected, _FALL * (1.0 - corrected))


def plausibility(
    logits: NDArray[np.float32], characters: NDArray[np.float32], trusted: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How well the texts of g nodes themselves fit b texts, as logits float32[g, b].

    Args:
        logits: float32[g, b], those of vectors.
        characters: float32[g, b], similarity by characters.
        trusted: float32[b], how far the encoder is trusted with each text.
    """
    return logits + np.float32(_CHARACTERS) * (1 - trusted) * characters


def chance(
    gains: NDArray[np.float32],
    fade: NDArray[np.float32],
    counts: NDArray[np.float32],
    plausible: NDArray[np.float32],
    trusted: NDArray[np.float32],
) -> NDArray[np.float32]:
    """What of the gains of g nodes is chance, float32[g, b]; 0 where a node has no correction that counts for the text.

    Args:
        gains: float32[g, b], what evidence adds to the logit of each node.
        fade: float32[g, b], how far the evidence of each node has faded in.
        counts: float32[g, b], corrections of each node.
        plausible: float32[g, b], see `plausibility`.
        trusted: float32[b], how far the encoder is trusted with each text.
    """
    present = counts > 0
    fare = np.float32(_PRESENT) * fade + _COUNT.of("", trusted) * np.log1p(counts)
    if not present.any():
        return fare
    chances = np.where(present, plausible, -np.inf)
    others = max(chances.shape[0] - _COHORT, 0)
    chances = np.where(chances >= np.partition(chances, others, axis=0)[others], chances, -np.inf)
    highest = chances.max(axis=0)
    chances = np.exp(chances - np.where(np.isfinite(highest), highest, 0))
    total = np.maximum(chances.sum(axis=0), np.float32(1e-30))
    average = np.log(np.maximum((chances * np.exp(np.minimum(gains - fare, 60))).sum(axis=0), np.float32(1e-30)) / total)
    # The gain of a few nodes is their own, not what all have in common.
    common = np.where(np.isfinite(highest), average, 0) * np.minimum(present.sum(axis=0) / np.float32(_COHORT), 1)
    return np.asarray(np.where(present, fare + np.float32(_COMMON) * common, 0), np.float32)
