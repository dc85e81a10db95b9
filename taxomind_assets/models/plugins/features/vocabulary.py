"""Which tokens count, and how often they stand in texts: what bag of words and tf-idf share.

Fitted in one pass over the texts. What must be kept in memory is one number per different n-gram, never the texts or tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from scipy import sparse

#: Different n-grams that are counted at a time; above it the rarest go (Rehurek and Sojka, 2010, prune the same way).
MOST_COUNTED: Final = 2_000_000
_LONGEST_TOKEN: Final = 40
_DIGIT = re.compile(r"\d")
_JOIN: Final = " "
_EMPTY_HELP: Final = "Lower min_df, raise max_df, switch filter_tokens off, or give more texts."


@dataclass(frozen=True)
class Limits:
    """Which n-grams are kept.

    Attributes:
        shortest, longest: tokens of an n-gram.
        min_df: texts that an n-gram must stand in; None = by the number of texts (`document_limits`).
        max_df: share of the texts that it may stand in at most; None = the same.
        most: n-grams that are kept, the most frequent; None = all.
        filter_tokens: leave out tokens that are no words (`is_wordlike`).
    """

    shortest: int = 1
    longest: int = 1
    min_df: int | None = None
    max_df: float | None = None
    most: int | None = None
    filter_tokens: bool = True


@dataclass(frozen=True)
class Vocabulary:
    """n-grams in the order of their columns.

    Attributes:
        places: n-gram -> column.
        frequency: float32[v], texts that each stands in.
        texts: texts that were counted.
        dropped: different tokens that were left out because they are no words.
        limits: with which it was made.
    """

    places: Mapping[str, int]
    frequency: np.ndarray
    texts: int
    dropped: int
    limits: Limits

    def __len__(self) -> int:
        """Number of columns."""
        return len(self.places)

    def counts(self, tokens: Sequence[Sequence[str]]) -> sparse.csr_array:
        """How often each n-gram stands in each text, float32 sparse [b, v]."""
        from scipy import sparse

        columns: list[int] = []
        values: list[float] = []
        ends = [0]
        for own in tokens:
            found: dict[int, float] = {}
            for gram in grams(own, self.limits):
                place = self.places.get(gram)
                if place is not None:
                    found[place] = found.get(place, 0.0) + 1.0
            columns += found
            values += found.values()
            ends.append(len(columns))
        parts = np.array(values, np.float32), np.array(columns, np.int32), np.array(ends, np.int64)
        matrix = sparse.csr_array(parts, shape=(len(tokens), len(self)))
        matrix.sort_indices()
        return matrix


def fit_vocabulary(batches: Iterable[Sequence[Sequence[str]]], limits: Limits) -> Vocabulary:
    """Count n-grams and keep those within the limits.

    Args:
        batches: tokens of the texts, batch by batch.
        limits: which are kept.

    Raises:
        Fault: `invalid_input` when nothing is left, with the likely causes.
    """
    counted: Counter[str] = Counter()
    no_words: set[str] = set()
    total = 0
    for batch in batches:
        total += len(batch)
        for own in batch:
            if limits.filter_tokens:
                no_words.update(token for token in own if not is_wordlike(token))
            counted.update(set(grams(own, limits)))
        if len(counted) > MOST_COUNTED:
            counted = _pruned(counted)
    least, most = document_limits(total)
    least = least if limits.min_df is None else limits.min_df
    share = most if limits.max_df is None else limits.max_df
    kept = [(gram, number) for gram, number in counted.items() if least <= number <= share * total]
    if not kept:
        what = f"None of {len(counted):,} different n-grams of {total:,} texts is left to learn from."
        allowed = f"n-grams of at least {least} texts and at most {share:.0%} of them"
        raise Fault(
            "invalid_input", what, value=f"{len(no_words):,} tokens were no words", allowed=allowed, next_step=_EMPTY_HELP
        )
    if limits.most is not None and len(kept) > limits.most:
        kept = sorted(kept, key=lambda item: (-item[1], item[0]))[: limits.most]
    kept.sort()
    return Vocabulary(
        {gram: place for place, (gram, _) in enumerate(kept)},
        np.array([number for _, number in kept], np.float32),
        total,
        len(no_words),
        limits,
    )


def document_limits(texts: int) -> tuple[int, float]:
    """Texts that an n-gram must stand in, and the share that it may stand in, for a corpus of this size."""
    if texts < 10:
        return 2, 1.0
    return (2, 0.8) if texts < 50 else (3, 0.5)


def is_wordlike(token: str) -> bool:
    """Whether a token may tell something: not too long, mostly letters and digits, not mostly digits."""
    size = len(token)
    if size > _LONGEST_TOKEN:
        return False
    if token.isalpha():
        return True
    digits = len(_DIGIT.findall(token))
    return sum(character.isalnum() for character in token) * 2 >= size and digits * 2 <= size


def grams(tokens: Sequence[str], limits: Limits) -> Iterator[str]:
    """n-grams of a text's tokens."""
    words = [token for token in tokens if is_wordlike(token)] if limits.filter_tokens else tokens
    for size in range(limits.shortest, limits.longest + 1):
        if size == 1:
            yield from words
        else:
            yield from (_JOIN.join(words[i : i + size]) for i in range(len(words) - size + 1))


def _pruned(counted: Counter[str]) -> Counter[str]:
    """Without the rarest, until half of the room is free."""
    least = 1
    while len(counted) > MOST_COUNTED // 2:
        least += 1
        counted = Counter({gram: number for gram, number in counted.items() if number >= least})
    return counted
