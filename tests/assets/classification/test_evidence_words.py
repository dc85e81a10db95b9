"""Words that corrections share with texts, added up densely or among those that share any."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from taxomind_assets.classification.evidence_words import EvidenceWords, Postings
from taxomind_assets.views.lexical import CountedTexts, Grams

ROWS = ["night nurse", "nurse on a ward", "school teacher", "teacher of music", "night porter"]
TEXTS = ["a nurse at night", "music school", "zzz", ""]


def words_of(*parts: list[str], grams: Grams) -> EvidenceWords:
    postings = [Postings.of(part, grams) for part in parts]
    return EvidenceWords.of(postings, np.zeros(postings[0].rows.shape[1], np.int64), 0, grams)


@pytest.mark.parametrize("grams", ["character", "word"])
@pytest.mark.parametrize("parts", [(ROWS,), (ROWS[:3], ROWS[3:])])
def test_both_ways_give_the_same_numbers(parts: tuple[list[str], ...], grams: Grams) -> None:
    known, texts = words_of(*parts, grams=grams), CountedTexts(TEXTS)
    weights = np.array([1.0, 0.5, 1.0, 1.0], np.float32)
    shared = known.shared(texts, weights)
    assert isinstance(shared, sparse.csr_array)
    assert np.array_equal(shared.toarray(), known.similarities(texts, weights))
    assert shared.toarray()[0].argmax() == 0
    assert not shared.toarray()[2:].any()


def test_without_rows_nothing_is_shared() -> None:
    assert words_of([], grams="word").shared(CountedTexts(TEXTS), np.ones(4, np.float32)).shape == (4, 0)
