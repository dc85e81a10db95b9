"""A block of texts on its way through the views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.views.lexical import CountedTexts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.trust import LanguageTrust

#: Long texts share many words with every node; their lexical evidence is scaled by this many words over their own.
_LONG_TEXT_WORDS: Final = 8.0


@dataclass(frozen=True)
class Query:
    """b texts with everything that views need to know of them. Make it with `Query.of`.

    Attributes:
        vectors: float32[b, d], unit rows (zero for an empty text).
        texts: the texts; their n-grams are counted once.
        trusted: float32[b] in 0..1, how far the encoder is trusted with each text.
    """

    vectors: NDArray[np.float32]
    texts: CountedTexts
    trusted: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        vectors: NDArray[np.float32],
        texts: Sequence[str],
        trust: LanguageTrust,
        trusted: NDArray[np.float32] | None = None,
    ) -> Query:
        """A query; `trusted` is what `trust` says of the texts when None."""
        counted = CountedTexts.of(texts)
        return cls(vectors, counted, trust.of(counted) if trusted is None else trusted)

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    @cached_property
    def shortness(self) -> NDArray[np.float32]:
        """float32[b], see `shortness`."""
        return shortness(self.texts)


def shortness(texts: Sequence[str]) -> NDArray[np.float32]:
    """float32[b] in 0..1: 1 up to eight words, then falling (lexical views mislead on long texts, measured)."""
    words = np.fromiter((text.count(" ") + 1 for text in texts), np.float32, len(texts))
    shares: NDArray[np.float32] = np.minimum(1.0, _LONG_TEXT_WORDS / words).astype(np.float32)
    return shares
