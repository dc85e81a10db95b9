from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from taxomind_assets.classification.trust import LanguageTrust
from taxomind_assets.views.index import NodeIndex

ENGLISH = ["manager of a small shop", "teacher in a primary school", "software developer"]
OTHER = ["gérant de magasin", "Lehrerin an einer Grundschule", "desarrollador de programas", "Verkäufer"]


def test_a_taxonomy_in_both_kinds_of_languages_decides_per_text(occupations: NodeIndex) -> None:
    trust = LanguageTrust.fit(occupations)
    assert trust.constant is None
    assert (trust.of(ENGLISH) > 0.9).all()
    assert (trust.of(OTHER) < 0.1).all()


def test_what_tells_nothing_is_trusted_by_half(occupations: NodeIndex) -> None:
    np.testing.assert_allclose(LanguageTrust.fit(occupations).of(["", "?", "日本"]), 0.5, atol=0.01)


@pytest.mark.parametrize(("languages", "expected"), [({"en"}, 1.0), (set(), 0.0)])
def test_languages_of_one_kind_need_no_decision(notes: NodeIndex, languages: set[str], expected: float) -> None:
    trust = LanguageTrust.fit(replace(notes, trusted_languages=frozenset(languages)))
    assert trust.constant == expected
    assert trust.of([*ENGLISH, *OTHER]).tolist() == [expected] * 7
    assert trust.of([]).shape == (0,)


def test_trust_does_not_depend_on_the_batch(occupations: NodeIndex) -> None:
    trust = LanguageTrust.fit(occupations)
    texts = [*ENGLISH, *OTHER, "manager Verkäufer", "chef"]
    np.testing.assert_allclose(trust.of(texts), [trust.of([text])[0] for text in texts], atol=1e-6)
    assert ((trust.of(texts) >= 0) & (trust.of(texts) <= 1)).all()
