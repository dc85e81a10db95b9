"""Groups that no node explains: told from explained ones by comparison, without knowing the encoder."""

from __future__ import annotations

import numpy as np
import pytest

from taxomind_assets.growth.clusters import NOISE
from taxomind_assets.growth.unexplained import (
    FEWEST_GROUPS,
    MEASURES,
    Answered,
    group_labels,
    measures,
    tree_groups,
    unexplained_groups,
)

DIMENSIONS, TOPICS, TEXTS = 64, 24, 8
MISSING = 3


def topics(missing: int | None = MISSING) -> Answered:
    """Texts of 24 topics, each with a node in its middle; one may lack it, and its texts are given to its neighbour's node."""
    rng = np.random.default_rng(0)
    middles = np.eye(DIMENSIONS, dtype=np.float32)[:TOPICS]
    noise = rng.normal(scale=0.5 / np.sqrt(DIMENSIONS), size=(TOPICS, TEXTS, DIMENSIONS)).astype(np.float32)
    vectors = (middles[:, None] + noise).reshape(-1, DIMENSIONS)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    own = np.repeat(np.arange(TOPICS), TEXTS)
    known = np.array([topic for topic in range(TOPICS) if topic != missing])
    leaves = np.where(own == missing, (own + 1) % TOPICS, own)
    probabilities = np.where(own == missing, 0.3, 0.9).astype(np.float32)
    return Answered(vectors, leaves[:, None].astype(np.int64), probabilities[:, None], middles[known])


def test_the_texts_of_a_missing_node_are_found_among_those_of_the_others():
    (group,) = unexplained_groups(topics(), min_size=5, least=0.4) or ()
    assert group.places.tolist() == list(range(MISSING * TEXTS, (MISSING + 1) * TEXTS))
    assert 0.4 <= group.probability <= 1


def test_where_nothing_is_missing_nothing_is_found():
    assert unexplained_groups(topics(missing=None), min_size=5, least=0.4) == []


@pytest.mark.parametrize("texts", [0, 1, 40])
def test_few_groups_are_not_judged(texts):
    found = topics()
    few = Answered(found.vectors[:texts], found.leaves[:texts], found.probabilities[:texts], found.references)
    assert len(list(tree_groups(few.vectors, 5))) < FEWEST_GROUPS
    assert unexplained_groups(few, min_size=5, least=0.0) is None


def test_no_text_is_in_two_groups():
    groups = unexplained_groups(topics(), min_size=2, least=0.0) or []
    places = np.concatenate([group.places for group in groups])
    assert len(set(places.tolist())) == len(places)
    labels = group_labels(groups, TOPICS * TEXTS)
    assert {int(labels[place]) for place in groups[0].places} == {0}
    assert (labels == NOISE).sum() == TOPICS * TEXTS - len(places)


def test_measures_are_finite_and_shares_are_shares():
    found = topics()
    groups = list(tree_groups(found.vectors, 2))
    values = measures(found, groups)
    assert values.shape == (len(groups), len(MEASURES))
    assert np.isfinite(values).all()
    assert ((values[:, 0] >= 0) & (values[:, 0] <= 1)).all()
    whole = next(i for i, own in enumerate(groups) if own.tolist() == list(range(MISSING * TEXTS, (MISSING + 1) * TEXTS)))
    assert values[whole, 0] == 0  # the neighbour's own texts have the better claim on its node


def test_without_references_every_group_leads():
    found = topics()
    bare = Answered(found.vectors, found.leaves, found.probabilities, found.references[:0])
    assert (bare.nearest_reference() == -1).all()
    assert np.isfinite(measures(bare, list(tree_groups(bare.vectors, 5)))).all()
