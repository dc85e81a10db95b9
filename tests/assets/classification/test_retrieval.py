from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.retrieval import merge_by_rank, pooled_scores, retrieve, top_nodes, view_similarities
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_assets.views.index import NodeIndex, unit_rows
from taxomind_resources.embedding import Embedder
from taxomind_resources.settings import RetrievalSettings, ScoringSettings

Trees = Callable[..., Taxonomy]
Indexes = Callable[..., NodeIndex]
NUMBERS = st.lists(st.integers(0, 1000), min_size=1, max_size=20)
TEXTS = ["Shop manager", "lawyer for tax law", "Legislators", "someone who looks after children in a nursery"]
MISSING = -1e6


@pytest.fixture(scope="session")
def scorer(occupations: NodeIndex) -> Scorer:
    return Scorer(occupations)


def similarities(scorer: Scorer, embedder: Embedder, texts: Sequence[str]) -> dict[str, np.ndarray]:
    return view_similarities(scorer, embedder.embed(texts, "query"))


@settings(max_examples=30)
@given(numbers=NUMBERS, seed=st.integers(0, 9))
def test_view_similarities_are_the_best_cosines_per_node(
    tree_of: Trees, random_index: Indexes, numbers: list[int], seed: int
) -> None:
    index = random_index(tree_of(numbers), seed=seed)
    vectors = unit_rows(np.random.default_rng(seed).normal(size=(2, 16)).astype(np.float32))
    found = view_similarities(Scorer(index), vectors)
    for node, code in enumerate(index.tree.codes):
        for view, values in found.items():
            rows = [i for i, text in enumerate(index.texts) if (text.code, text.view) == (code, view)]
            if rows:
                np.testing.assert_allclose(values[:, node], (vectors @ index.vectors[rows].T).max(axis=1), atol=1e-6)
            else:
                assert (values[:, node] < MISSING).all()


@given(scores=st.lists(st.integers(0, 4), min_size=1, max_size=12), k=st.integers(1, 15), missing=st.integers(0, 11))
def test_top_nodes_come_best_first_with_ties_in_tree_order(scores: list[int], k: int, missing: int) -> None:
    row = np.array([scores], np.float32)
    row[0, missing % len(scores)] = -1e9
    nodes, values = top_nodes(row, k)
    known = [i for i in range(len(scores)) if i != missing % len(scores)]
    expected = sorted(known, key=lambda i: (-row[0, i], i))[:k]
    assert [node for node in nodes[0].tolist() if node != ROOT] == expected
    assert values[0, : len(expected)].tolist() == row[0, expected].tolist()
    assert np.isneginf(values[0][nodes[0] == ROOT]).all()


def test_ranks_are_merged_reciprocally() -> None:
    first = np.array([[3, 1, ROOT]], np.int32), np.array([[9, 8, -np.inf]], np.float32)
    second = np.array([[1, 2, 0]], np.int32), np.array([[0.3, 0.2, 0.1]], np.float32)
    nodes, scores = merge_by_rank([first, second], 5, 10)
    assert nodes[0].tolist() == [1, 3, 2, 0, ROOT]
    np.testing.assert_allclose(scores[0, :4], [1 / 61 + 1 / 62, 1 / 61, 1 / 62, 1 / 63], rtol=1e-6)


def test_label_mode_looks_at_label_vectors_only(scorer: Scorer, embedder: Embedder) -> None:
    found = similarities(scorer, embedder, TEXTS)
    nodes, scores = retrieve(scorer, TEXTS, found, RetrievalSettings(mode="label", retrieval_k=5))
    expected = np.argsort(-found["label"], axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(nodes, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(found["label"], expected, axis=1))


@pytest.mark.parametrize("mode", ["hybrid", "label"])
@pytest.mark.parametrize("neighbours", [0, 2, 500])
def test_each_node_is_retrieved_once(scorer: Scorer, embedder: Embedder, mode: str, neighbours: int) -> None:
    wanted = RetrievalSettings(mode=mode, retrieval_k=4, expand_neighbours=neighbours)  # type: ignore[arg-type]
    nodes, scores = retrieve(scorer, TEXTS, similarities(scorer, embedder, TEXTS), wanted)
    for row, values in zip(nodes, scores, strict=True):
        kept = row[row != ROOT]
        assert len(set(kept.tolist())) == kept.size
        assert np.isneginf(values[row == ROOT]).all()
        assert np.isfinite(values[row != ROOT]).all()
    plain, _ = retrieve(
        scorer, TEXTS, similarities(scorer, embedder, TEXTS), wanted.model_copy(update={"expand_neighbours": 0})
    )
    for row, before in zip(nodes, plain, strict=True):
        assert set(before.tolist()) <= set(row.tolist())
        if neighbours == 500:
            assert set(row[row != ROOT].tolist()) == set(range(len(scorer.tree)))


def test_neighbours_are_the_nearest_other_nodes(scorer: Scorer, embedder: Embedder) -> None:
    lawyers = scorer.tree.position["2611"]
    text = ["Lawyers"]
    wanted = RetrievalSettings(mode="label", retrieval_k=1, expand_neighbours=2)
    nodes, _ = retrieve(scorer, text, similarities(scorer, embedder, text), wanted)
    assert nodes[0, 0] == lawyers
    vectors = scorer.index.whole_vectors
    nearest = [node for node in np.argsort(-(vectors @ vectors[lawyers])).tolist() if node != lawyers][:2]
    assert nodes[0, 1:].tolist() == nearest


def test_hybrid_mode_finds_by_word_what_labels_miss(scorer: Scorer, embedder: Embedder) -> None:
    text = ["barista"]
    found = similarities(scorer, embedder, text)
    by_example = [i for i, values in enumerate(found["example"].T) if values[0] == found["example"].max()]
    nodes, _ = retrieve(scorer, text, found, RetrievalSettings(retrieval_k=5))
    assert by_example[0] in nodes[0].tolist()


def test_pooling_takes_the_best_view_or_the_mean_of_two_or_the_sum(scorer: Scorer, embedder: Embedder) -> None:
    vectors, found = embedder.embed(TEXTS, "query"), similarities(scorer, embedder, TEXTS)

    def pooled(**options: object) -> np.ndarray:
        return pooled_scores(scorer, TEXTS, vectors, found, ScoringSettings(**options))  # type: ignore[arg-type]

    stacked = np.stack([np.where(view < MISSING, np.nan, view) for view in found.values()])
    short, long = 0, 3  # texts of two and of eight words
    best = pooled(view_pooling="max")
    np.testing.assert_allclose(best[short], found["label"][short])
    np.testing.assert_allclose(best[long], np.nanmax(stacked[:, long], axis=0))
    np.testing.assert_allclose(pooled(view_pooling="max", short_query_tokens=0)[short], np.nanmax(stacked[:, short], axis=0))
    two = pooled(view_pooling="top2_mean")
    expected = np.nanmean(np.sort(stacked, axis=0)[::-1][:2], axis=0)  # NaN sorts last and is reversed to the front
    kept = ~np.isnan(stacked).any(axis=0)
    np.testing.assert_allclose(two[kept], expected[kept], atol=1e-6)
    fused = pooled(view_pooling="fusion")
    np.testing.assert_array_equal(fused.argmax(axis=1), scorer.logits(scorer.query(vectors, TEXTS)).argmax(axis=0))
    assert (np.abs(fused) <= 1 + 1e-5).all()


def test_a_node_with_one_view_keeps_its_score_under_the_mean_of_two(tree_of: Trees, random_index: Indexes) -> None:
    index = random_index(tree_of([0, 0, 0]))
    vectors = index.vectors[:1]
    found = view_similarities(Scorer(index), vectors)
    pooled = pooled_scores(Scorer(index), ["x"], vectors, found, ScoringSettings(view_pooling="top2_mean"))
    assert pooled[0, 2] == found["label"][0, 2]  # node 2 has a label only


def test_evidence_draws_labels_and_is_a_view_of_its_own(
    occupations: NodeIndex, classifier_of: Callable[..., Classifier]
) -> None:
    """TX-36, TX-37: of k corrections the share k / (k + tau), at most the largest share; their mean is a view."""
    learned = classifier_of(occupations).learn(["keeper of keys", "keeper of the keys"], ["5151", "5151"])
    node = learned.tree.position["5151"]
    embedder = learned.embedder
    vectors = embedder.embed(["keeper of many keys", "lawyer"], "query")
    before = view_similarities(Scorer(occupations), vectors)
    after = view_similarities(learned.scorer, vectors, ScoringSettings(evidence_tau=2.0))  # type: ignore[call-arg]
    rows = [i for i, text in enumerate(occupations.texts) if (text.code, text.view) == ("5151", "label")]
    mean = unit_rows(embedder.embed(["keeper of keys", "keeper of the keys"], "query").sum(axis=0, keepdims=True))
    drawn = unit_rows(0.5 * occupations.vectors[rows] + 0.5 * mean)
    np.testing.assert_allclose(after["label"][:, node], (vectors @ drawn.T).max(axis=1), atol=1e-5)
    np.testing.assert_allclose(after["evidence"][:, node], vectors @ mean[0], atol=1e-5)
    others = np.arange(len(learned.tree)) != node
    np.testing.assert_allclose(after["label"][:, others], before["label"][:, others], atol=1e-6)
    assert (after["evidence"][:, others] < MISSING).all()
    texts = ["keeper of many keys", "lawyer"]
    hits, _ = retrieve(learned.scorer, texts, after, RetrievalSettings(retrieval_k=3))
    assert node in hits[0].tolist()
