"""Which texts are pool and which are test, by a hash of the text alone.

The same string is never on two sides, whatever the set or language it stands in, and nothing depends on the order of rows.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from tests.bench.material import same_text

if TYPE_CHECKING:
    from tests.bench.material import Text

FOLDS: Final = 10
#: First test fold of each split of folds 0 to 4; what is below it is the pool.
FIRST_TEST_FOLD: Final = {"few": 3, "full": 4}
DEVELOPMENT_FOLDS: Final = 5
_SALT: Final = "taxomind-fold"


def rank(text: str, salt: str) -> int:
    """Reproducible pseudo-random number of a text, 64 bits."""
    digest = hashlib.sha256(f"{salt}|{same_text(text)}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def fold(text: str) -> int:
    """Fold of a text, 0 to 9."""
    return rank(text, _SALT) % FOLDS


def split(texts: Sequence[Text], regime: str) -> tuple[list[Text], list[Text]]:
    """Pool and test of the split `few` or `full`.

    Texts with groups (one occupation's labels, which are near copies of each other) are parted by group; a text whose groups
    lie on both sides is on neither. Official test texts are never used.
    """
    pool, test = [], []
    for text in texts:
        if text.official_test:
            continue
        sides = {_side(number, regime) for number in _folds(text)}
        if sides == {"pool"}:
            pool.append(text)
        elif sides == {"test"}:
            test.append(text)
    return pool, test


def _folds(text: Text) -> Iterable[int]:
    if text.groups:
        return [rank(group, _SALT) % DEVELOPMENT_FOLDS for group in text.groups]
    return [fold(text.text)]


def _side(number: int, regime: str) -> str:
    if number >= DEVELOPMENT_FOLDS:
        return "neither"
    return "pool" if number < FIRST_TEST_FOLD[regime] else "test"


def sample(texts: Iterable[Text], limit: int, seed: int = 0) -> list[Text]:
    """At most `limit` texts, chosen and ordered by hash."""
    return sorted(texts, key=lambda text: rank(text.text, f"sample-{seed}"))[:limit]


def few_shot(pool: Iterable[Text], k: int, seed: int = 0) -> list[Text]:
    """At most k texts for each code. Nested: the texts for k are among those for k + 1 of the same seed."""
    by_code: dict[str, list[Text]] = defaultdict(list)
    for text in sorted(pool, key=lambda text: rank(text.text, f"few-{seed}")):
        if len(by_code[text.codes[0]]) < k:
            by_code[text.codes[0]].append(text)
    return [text for texts in by_code.values() for text in texts]
