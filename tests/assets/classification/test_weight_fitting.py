from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.classification.weight_fitting import Choices, fit_weights
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.embedding import Embedder

TRUE = np.array([4.0, -1.0])
PRIOR = FusionWeights(untrusted={"a": 1.0, "b": 1.0}, trusted={"a": 1.0, "b": 1.0})


def drawn(texts: int, seed: int = 0, trusted: float = 1.0) -> Choices:
    """Texts whose right leaf is drawn with the chances that the weights `TRUE` give."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(texts, 12, 2)).astype(np.float32)
    logits = features @ TRUE + generator.gumbel(size=(texts, 12))
    right = np.zeros((texts, 12), bool)
    right[np.arange(texts), logits.argmax(axis=1)] = True
    return Choices(("a", "b"), features, right, np.full(texts, trusted, np.float32), np.ones(texts, np.float32))


def test_weights_are_found_again() -> None:
    found = fit_weights(drawn(3_000), PRIOR)
    assert [found.trusted["a"], found.trusted["b"]] == pytest.approx(TRUE, rel=0.1)
    assert found.untrusted == PRIOR.untrusted


def test_few_texts_leave_the_prior_almost_as_it_is() -> None:
    found = fit_weights(drawn(3), PRIOR)
    assert found.trusted["a"] == pytest.approx(1.0, abs=0.8)
    assert fit_weights(drawn(0), PRIOR) == PRIOR


def test_each_kind_of_texts_has_weights_of_its_own() -> None:
    both = Choices.concatenate([drawn(800, 1, trusted=0.0), drawn(800, 2, trusted=1.0)])
    found = fit_weights(both, PRIOR)
    apart = fit_weights(drawn(800, 1, trusted=0.0), PRIOR)
    assert found.untrusted == pytest.approx(apart.untrusted, abs=1e-3)
    assert found.trusted != found.untrusted


def test_a_text_that_counts_twice_is_a_text_that_is_there_twice() -> None:
    once, halves = drawn(300), drawn(300, seed=4)
    doubled = replace(once, counts=np.full(300, 2, np.float32))
    both = Choices.concatenate([once, once])
    assert fit_weights(doubled, PRIOR).trusted == pytest.approx(fit_weights(both, PRIOR).trusted, abs=0.02)
    silent = Choices.concatenate([once, replace(halves, counts=np.zeros(300, np.float32))])
    assert fit_weights(silent, PRIOR).trusted == pytest.approx(fit_weights(once, PRIOR).trusted, abs=0.01)


def test_the_prior_may_start_elsewhere_where_there_are_texts() -> None:
    starts = FusionWeights(untrusted={"a": 9.0}, trusted={"a": 9.0})
    found = fit_weights(drawn(3), PRIOR, starts=starts)
    assert found.trusted["a"] == pytest.approx(9.0, abs=0.8)
    assert found.trusted["b"] == pytest.approx(1.0, abs=0.8)
    assert found.untrusted == PRIOR.untrusted


def test_a_weight_stays_within_its_bounds() -> None:
    found = fit_weights(drawn(1_000), PRIOR, {"b": (0.0, np.inf)}).trusted
    assert found["b"] == 0.0  # free it would be -1
    assert fit_weights(drawn(1_000), PRIOR, {"a": (0.0, 2.0)}).trusted["a"] == 2.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1_000), texts=st.integers(1, 60))
def test_fitted_weights_explain_the_texts_no_worse_than_the_prior(seed: int, texts: int) -> None:
    choices = drawn(texts, seed)
    found = fit_weights(choices, PRIOR).trusted

    def surprise(weights: np.ndarray) -> float:
        logits = choices.features @ weights
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return float(-np.log((chances * choices.right).sum(axis=1)).sum())

    assert surprise(np.array([found["a"], found["b"]])) <= surprise(np.ones(2)) + 1e-3


def test_choices_hold_the_features_of_the_best_leaves(occupations: NodeIndex, embedder: Embedder) -> None:
    scorer = Scorer(occupations)
    texts = ["Shop manager", "lawyer"]
    query = scorer.query(embedder.embed(texts, "query"), texts)
    gold = [[scorer.tree.position["1420"]], [scorer.tree.position["2611"], scorer.tree.position["2612"]]]
    choices = Choices.of(scorer, query, gold, np.ones(2, np.float32))
    assert choices.right.sum(axis=1).tolist() == [1, 2]
    weights = np.array([scorer.weights.trusted.get(name, 0.0) for name in choices.names])
    logits = scorer.logits(query)[scorer.tree.is_leaf]
    kept = np.sort(choices.features @ weights, axis=1)[:, ::-1]
    np.testing.assert_allclose(kept[:, :5], np.sort(logits, axis=0)[::-1][:5].T, atol=0.01)
