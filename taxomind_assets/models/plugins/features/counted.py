"""Counts of words, and of the characters in them, as rows: what `bow` and `tfidf` are made of.

Characters are hashed as everywhere in the product (`views.lexical`), so they need no vocabulary; of the buckets those are kept
that stand in two training texts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from pydantic import Field, field_validator

from taxomind_assets.models.arrays import load_arrays, load_json, save_arrays, save_json
from taxomind_assets.models.contracts import Batch, Batches, PluginParameters, Surroundings
from taxomind_assets.models.plugins.features.vocabulary import Limits, Vocabulary, fit_vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

_WORDS: Final = "vocabulary.json"
_NUMBERS: Final = "frequencies.npz"
_FEWEST_TEXTS: Final = 2


class CountParameters(PluginParameters):
    """What may be set of both."""

    ngram_range: tuple[int, int] = Field((1, 2), description="fewest and most tokens of an n-gram, for example 1,2")
    min_df: int | None = Field(None, ge=1, description="texts that an n-gram must stand in; null = 2, or 3 from 50 texts")
    max_df: float | None = Field(None, gt=0, le=1, description="share of texts that it may stand in; null = 0.5 from 50 texts")
    max_features: int | None = Field(None, ge=1, description="n-grams kept, the most frequent; null = as many as memory allows")
    filter_tokens: bool = Field(True, description="drop tokens that are too long, mostly signs or mostly digits")
    characters: bool = Field(True, description="count runs of 3 to 5 characters inside words as well")

    @field_validator("ngram_range", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        return tuple(int(part) for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("ngram_range")
    @classmethod
    def _rising(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1] <= 5:
            raise ValueError("two numbers from 1 to 5, the smaller one first")
        return value


class Counted:
    """Fitted counts: n-grams of tokens, then buckets of characters."""

    def __init__(self, words: Vocabulary, buckets: NDArray[np.int32], bucket_frequency: NDArray[np.float32]) -> None:
        self.words = words
        self.buckets = buckets
        self.bucket_frequency = bucket_frequency

    @classmethod
    def fit(cls, batches: Batches, parameters: CountParameters, most: int | None) -> Counted:
        """Count in one pass.

        Args:
            batches: the training texts.
            parameters: what is kept.
            most: columns that are wanted at most; words and characters share them.

        Raises:
            Fault: as `vocabulary.fit_vocabulary`.
        """
        share = most if most is None or not parameters.characters else max(most // 2, 1)
        own = parameters.max_features
        limits = Limits(
            *parameters.ngram_range,
            parameters.min_df,
            parameters.max_df,
            own if share is None else share if own is None else min(own, share),
            parameters.filter_tokens,
        )
        frequency = _Buckets()

        def tokens() -> Any:
            for batch in batches():
                if parameters.characters:
                    frequency.add(batch)
                yield batch.tokens

        words = fit_vocabulary(tokens(), limits)
        buckets = frequency.kept(share) if parameters.characters else np.empty(0, np.int32)
        return cls(words, buckets, frequency.of(buckets))

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.words) + int(self.buckets.size)

    @property
    def frequency(self) -> NDArray[np.float32]:
        """float32[width], texts that each column stands in."""
        return np.concatenate((self.words.frequency, self.bucket_frequency))

    def rows(self, batch: Batch) -> tuple[sparse.csr_array, sparse.csr_array]:
        """Counts of n-grams, and of characters: float32 sparse [b, v] and [b, k]."""
        return self.words.counts(batch.tokens), self._characters(batch)

    def _characters(self, batch: Batch) -> sparse.csr_array:
        from scipy import sparse

        from taxomind_assets.views.lexical import BUCKET_BITS, CountedTexts

        if not self.buckets.size:
            return sparse.csr_array(np.zeros((len(batch), 0), np.float32))
        counts = CountedTexts(batch.texts).characters
        place = np.full(1 << BUCKET_BITS, -1, np.int32)
        place[self.buckets] = np.arange(self.buckets.size, dtype=np.int32)
        columns = place[counts.indices]
        kept = columns >= 0
        ends = np.concatenate(([0], np.cumsum(kept)))[counts.indptr]
        return sparse.csr_array((counts.data[kept], columns[kept], ends), shape=(len(batch), self.buckets.size))

    def save(self, folder: Path) -> None:
        """Write all into a folder."""
        limits = self.words.limits
        save_json(
            folder / _WORDS,
            {
                "words": list(self.words.places),
                "texts": self.words.texts,
                "dropped": self.words.dropped,
                "ngram_range": [limits.shortest, limits.longest],
                "filter_tokens": limits.filter_tokens,
            },
        )
        numbers = {"frequency": self.words.frequency, "buckets": self.buckets, "bucket_frequency": self.bucket_frequency}
        save_arrays(folder / _NUMBERS, numbers)

    @classmethod
    def load(cls, folder: Path) -> Counted:
        """The inverse of `save`.

        Raises:
            Fault: `model_damaged`.
        """
        known, numbers = load_json(folder / _WORDS), load_arrays(folder / _NUMBERS)
        shortest, longest = known["ngram_range"]
        limits = Limits(shortest, longest, filter_tokens=known["filter_tokens"])
        places = {word: place for place, word in enumerate(known["words"])}
        words = Vocabulary(places, numbers["frequency"], known["texts"], known["dropped"], limits)
        return cls(words, numbers["buckets"], numbers["bucket_frequency"])


class _Buckets:
    """How many texts each bucket of characters stands in."""

    def __init__(self) -> None:
        from taxomind_assets.views.lexical import BUCKET_BITS

        self._frequency = np.zeros(1 << BUCKET_BITS, np.float32)

    def add(self, batch: Batch) -> None:
        from taxomind_assets.views.lexical import CountedTexts

        self._frequency += np.bincount(CountedTexts(batch.texts).characters.indices, minlength=self._frequency.size)

    def kept(self, most: int | None) -> NDArray[np.int32]:
        known = np.flatnonzero(self._frequency >= _FEWEST_TEXTS)
        if most is not None and known.size > most:
            known = np.sort(known[np.argsort(-self._frequency[known], kind="stable")[:most]])
        return known.astype(np.int32)

    def of(self, buckets: NDArray[np.int32]) -> NDArray[np.float32]:
        return self._frequency[buckets]


class CountFeatures:
    """What features share that are counts, weighted or not."""

    parameters: CountParameters

    def __init__(self, parameters: CountParameters, surroundings: Surroundings, counted: Counted | None = None) -> None:
        self.parameters = parameters
        self._counted = counted

    def fit(self, batches: Batches, most_features: int | None) -> None:
        """See `contracts.Features`."""
        self._counted = Counted.fit(batches, self.parameters, most_features)

    @property
    def counted(self) -> Counted:
        """What was fitted."""
        assert self._counted is not None, "not fitted"
        return self._counted

    @property
    def num_features(self) -> int:
        """See `contracts.Features`."""
        return self.counted.width

    def save(self, folder: Path) -> None:
        """See `contracts.Features`."""
        self.counted.save(folder)

    @classmethod
    def load(cls, folder: Path, parameters: CountParameters, surroundings: Surroundings) -> Self:
        """See `contracts.Features`."""
        return cls(parameters, surroundings, Counted.load(folder))
