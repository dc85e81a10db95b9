"""Whether a text is English: what tells texts that the encoder reads from those that the student must translate.

Logistic regression on the student's own features (words and character n-grams), taught with the same labels as the student:
English ones against those of all other languages. A few words are enough, and it costs some microseconds a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_resources.crosslingual.features import feature_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy import sparse

    from taxomind_resources.crosslingual.pairs import AlignedPair

PROFILE_BITS: Final = 16
#: The beginning of a text says enough.
_CHARACTERS: Final = 200
#: Texts of one language that are looked at; English gets as many as there are.
_TEXTS_OF_A_LANGUAGE: Final = 4_000
#: Letters from which on a word of an English label is an English text by itself.
_WORD: Final = 4
#: Runs of function words, and words in the longest.
_RUNS: Final = 3_000
_LONGEST_RUN: Final = 4
_ALPHA: Final = 1e-6
_EPOCHS: Final = 8
#: Features of a text that give the evidence its full weight; fewer say less, more say more, up to twice as much.
_ENOUGH_FEATURES: Final = 25.0
_MOST_EVIDENCE: Final = 2.0
#: Log odds of a text in letters that English does not use.
_OTHER_SCRIPT: Final = -20.0
#: Log odds that an accent adds: features leave accents out, and in nine sets no English text in a thousand has one.
_ACCENT: Final = -3.0
_ASCII_END: Final = 0x7F
_LATIN_END: Final = 0x250


@dataclass(frozen=True, eq=False)
class LanguageProfile:
    """Evidence of each feature for English.

    Attributes:
        weights: float16[2**PROFILE_BITS].
        intercept: evidence of a text without any known feature.
    """

    weights: NDArray[np.float16] = field(repr=False)
    intercept: float

    def english(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Log odds that each text is English, float32[b]; 0 for a text without letters. The same alone and in any batch."""
        heads = [text[:_CHARACTERS] for text in texts]
        counts = feature_counts(heads, PROFILE_BITS)
        sizes = np.diff(counts.indptr)
        owners = np.repeat(np.arange(len(heads)), sizes)
        # As with `_unit_rows`: the length of a row of square roots is the square root of its sum.
        told = np.bincount(owners, np.sqrt(counts.data) * self._evidence[counts.indices], minlength=len(heads))
        lengths = np.sqrt(np.maximum(np.bincount(owners, counts.data, minlength=len(heads)), 1))
        odds = (told / lengths + self.intercept) * np.minimum(np.sqrt(sizes / _ENOUGH_FEATURES), _MOST_EVIDENCE)
        for row, text in enumerate(heads):
            letters = [] if text.isascii() else [ord(character) for character in text if character.isalpha()]
            if letters:
                odds[row] += _ACCENT if any(letter > _ASCII_END for letter in letters) else 0.0
                odds[row] = _OTHER_SCRIPT if _is_other_script(letters) else odds[row]
            elif not any(map(str.isalpha, text)):
                odds[row] = 0
        return np.asarray(odds, np.float32)

    @cached_property
    def _evidence(self) -> NDArray[np.float32]:
        """The weights as float32: converting half precision takes longer than looking at a text."""
        return self.weights.astype(np.float32)

    @classmethod
    def fit(cls, pairs: Sequence[AlignedPair], seed: int = 0) -> LanguageProfile:
        """Learn from aligned pairs: English labels, their words and function words; against texts that are no English label."""
        from sklearn.linear_model import SGDClassifier

        labels = {pair.english for pair in pairs}
        words = {word for label in labels for word in label.split() if len(word) >= _WORD}
        english = [*sorted(labels), *sorted(words), *_function_words(seed)]
        others = _other_texts(pairs, labels, seed)
        if not others:
            return cls(np.zeros(1 << PROFILE_BITS, np.float16), -_OTHER_SCRIPT)
        model = SGDClassifier(
            loss="log_loss", alpha=_ALPHA, max_iter=_EPOCHS, tol=None, class_weight="balanced", random_state=seed
        )
        features = _unit_rows(feature_counts([text[:_CHARACTERS] for text in english + others], PROFILE_BITS))
        model.fit(features, np.repeat([1, 0], [len(english), len(others)]))
        return cls(model.coef_[0].astype(np.float16), float(np.float16(model.intercept_[0])))


def _function_words(seed: int) -> list[str]:
    """Runs of English function words: labels lack them, sentences are full of them."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = sorted(ENGLISH_STOP_WORDS)
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, _LONGEST_RUN + 1, _RUNS).tolist()
    return [" ".join(words[place] for place in generator.integers(len(words), size=size).tolist()) for size in sizes]


def _unit_rows(counts: sparse.csr_array) -> sparse.csr_array:
    """Square roots of the counts, rows of unit length, int32 indices."""
    values = np.sqrt(counts.data)
    sizes = np.diff(counts.indptr)
    totals = np.bincount(np.repeat(np.arange(counts.shape[0]), sizes), counts.data, minlength=counts.shape[0])
    values /= np.repeat(np.sqrt(np.maximum(totals, 1)), sizes)
    parts = (values.astype(np.float32), counts.indices.astype(np.int32), counts.indptr.astype(np.int32))
    return type(counts)(parts, shape=counts.shape)


def _other_texts(pairs: Sequence[AlignedPair], labels: set[str], seed: int) -> list[str]:
    """Texts of every other language, at most `_TEXTS_OF_A_LANGUAGE` of each; those that are English labels are left out."""
    by_language: dict[str, list[str]] = {}
    known = {label.casefold() for label in labels}
    for pair in pairs:
        if pair.text.casefold() not in known:
            by_language.setdefault(pair.language, []).append(pair.text)
    generator = np.random.default_rng(seed)
    drawn: list[str] = []
    for _, texts in sorted(by_language.items()):
        places = np.sort(generator.permutation(len(texts))[:_TEXTS_OF_A_LANGUAGE])
        drawn += [texts[place] for place in places.tolist()]
    return drawn


def _is_other_script(letters: Sequence[int]) -> bool:
    """Whether most letters (code points) are none of the Latin script."""
    return 2 * sum(letter >= _LATIN_END for letter in letters) > len(letters)
