"""Which texts the encoder can be trusted with.

An encoder cuts words of a language that it has not learned into many pieces. `word pieces per word` of a taxonomy's labels
(fertility; Rust et al., 2021, "How good is your tokenizer?") is at most 1.33 for English and at least 1.82 for nine other
languages with the default model, so the node index marks each language as trusted or not without any language detection.

Texts come in any language, whatever the taxonomy speaks, so the decision is made per text. The language profile of a
cross-lingual student says whether a text is English; where the taxonomy has labels in both kinds of languages, a naive Bayes
over the character n-grams of its own node texts decides with it (Cavnar and Trenkle, 1994, use the same features). Without a
student, a taxonomy whose languages are all of one kind has nothing to tell texts apart by, and its kind decides for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.views.lexical import character_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.crosslingual.language import LanguageProfile

#: How fast trust changes with the mean log odds of an n-gram, and the band outside which it counts as certain.
_STEEPNESS: Final = 8.0
_BAND: Final = (0.1, 0.9)
#: Log odds against English at which a text is no longer trusted at all; at none it is trusted altogether. Between the two,
#: English titles lose nothing, and at 0.5 those in other languages 3 points of 50 (measured).
_DOUBT: Final = 3.0
#: What the profile's log odds count beside the n-grams of the taxonomy's own texts.
_PROFILE_WEIGHT: Final = 0.7
#: Log odds by which the profile must speak against English before it outweighs the taxonomy's own texts.
_SURE: Final = 1.5
_LARGEST: Final = 30.0


@dataclass(frozen=True)
class LanguageTrust:
    """`of(texts)` is 1 for texts in trusted languages, 0 for others, between where it cannot be told.

    Attributes:
        constant: the answer for every text when nothing tells them apart.
        log_odds: float32[buckets], evidence of each n-gram for the trusted languages; None = all are of one kind.
        profile: tells English texts from others; None = no student.
    """

    constant: float | None
    log_odds: NDArray[np.float32] | None = None
    profile: LanguageProfile | None = None

    @classmethod
    def fit(cls, index: NodeIndex, profile: LanguageProfile | None = None) -> LanguageTrust:
        """Fit on the texts of an index. A profile is that of a student of the index's encoder, which reads English only."""
        groups: dict[bool, list[str]] = {True: [], False: []}
        for language, text in index.language_texts:
            groups[language in index.trusted_languages].append(text)
        if not groups[True] or not groups[False]:
            return cls(None, None, profile) if groups[True] and profile else cls(1.0 if groups[True] else 0.0)
        known, other = (_ngram_counts(groups[kind]) for kind in (True, False))
        log_odds = np.log(_shares(known)) - np.log(_shares(other))
        log_odds[known + other == 0] = 0  # what no node text holds tells nothing
        return cls(None, log_odds.astype(np.float32), profile)

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[b] in 0..1."""
        if self.constant is not None:
            return np.full(len(texts), self.constant, np.float32)
        english = self.profile.english(texts) if self.profile else np.zeros(len(texts), np.float32)
        if self.log_odds is None:
            doubted: NDArray[np.float32] = np.clip(1 + english / np.float32(_DOUBT), 0, 1)
            return doubted
        counts = character_counts(texts)
        evidence = _STEEPNESS * np.asarray(counts @ self.log_odds) / np.maximum(np.asarray(counts.sum(axis=1)), 1.0)
        evidence += _PROFILE_WEIGHT * english
        trust = 1 / (1 + np.exp(-np.clip(evidence, -_LARGEST, _LARGEST)))
        trust = np.clip((trust - _BAND[0]) / (_BAND[1] - _BAND[0]), 0, 1)
        # A language that the taxonomy does not speak has no n-grams of its own there; the profile knows it all the same.
        allowed = np.clip(1 + (english + _SURE) / _DOUBT, 0, 1)
        return np.asarray(np.minimum(trust, allowed), np.float32)


def _ngram_counts(texts: Sequence[str]) -> NDArray[np.float64]:
    """How often each n-gram occurs, float64[buckets]."""
    return np.asarray(character_counts(texts).sum(axis=0), np.float64)


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smoothed share of each n-gram, float64[buckets]."""
    smoothed = counts + 0.05
    shares: NDArray[np.float64] = smoothed / smoothed.sum()
    return shares
