from __future__ import annotations

import numpy as np

from taxomind_assets.classification.voter_features import VoterFeatures
from taxomind_assets.views.index import unit_rows
from taxomind_assets.views.lexical import CountedTexts

TEXTS = ["baker of bread", "bread and cakes", "driver of a truck", "truck and bus driver", "a a a a"]


def features(width: int = 120) -> tuple[VoterFeatures, np.ndarray]:
    vectors = unit_rows(np.random.default_rng(1).normal(size=(len(TEXTS), width)).astype(np.float32))
    return VoterFeatures.of(CountedTexts(TEXTS), vectors), vectors


def test_characters_and_words_of_a_text_have_half_of_its_length_each() -> None:
    own, vectors = features()
    found = own(CountedTexts(TEXTS), vectors)
    np.testing.assert_allclose(found.words.power(2).sum(axis=1), 1, atol=1e-5)
    assert found.words.shape == (len(TEXTS), own.columns.size)
    assert (np.diff(own.columns) > 0).all()


def test_words_that_no_row_had_are_not_seen() -> None:
    own, vectors = features()
    found = own(CountedTexts(["xylophone", "bread"]), vectors[:2])
    assert not found.words[[0]].nnz
    assert found.words[[1]].nnz


def test_the_principal_directions_keep_what_sets_vectors_apart() -> None:
    own, vectors = features()
    found = own(CountedTexts(TEXTS), vectors)
    assert found.principal.shape == (len(TEXTS), 96)
    centred = vectors - vectors.mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(centred @ own.directions, axis=1), np.linalg.norm(centred, axis=1), atol=1e-4)


def test_what_is_seen_of_a_text_depends_on_no_other_text() -> None:
    own, vectors = features(384)
    together = own(CountedTexts(TEXTS), vectors)
    for row, text in enumerate(TEXTS):
        alone = own(CountedTexts([text]), vectors[[row]])
        np.testing.assert_array_equal(alone.principal[0], together.principal[row])
        np.testing.assert_array_equal(alone.words.toarray()[0], together.words.toarray()[row])


def test_what_is_stored_describes_alike() -> None:
    own, vectors = features()
    again = VoterFeatures.from_arrays(own.to_arrays())
    before, after = own(CountedTexts(TEXTS), vectors), again(CountedTexts(TEXTS), vectors)
    np.testing.assert_array_equal(before.stacked.toarray(), after.stacked.toarray())
