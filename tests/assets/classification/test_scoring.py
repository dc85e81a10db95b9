from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taxomind_assets.classification.added_views import Block, KnownBlocks
from taxomind_assets.classification.base_views import FAMILIAR, BaseViews
from taxomind_assets.classification.branch_view import BranchView
from taxomind_assets.classification.fusion import SHIPPED, FusionWeights
from taxomind_assets.classification.queries import Query
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.taxonomy.tree import ROOT, Node, NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex, unit_rows
from taxomind_resources.embedding import Embedder

Trees = Callable[..., Taxonomy]
Indexes = Callable[..., NodeIndex]
NUMBERS = st.lists(st.integers(0, 1000), min_size=1, max_size=20)
TEXTS = [
    "Shop manager",
    "lawyer in a large firm",
    "Koch",
    "vendeur en magasin",
    "React Native mobile developer",
    "a person who looks after small children all day while their parents are at work in the city",
    "",
    "?!",
]


def queries(index: NodeIndex, count: int, seed: int = 7) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(count, index.vectors.shape[1])).astype(np.float32))


@pytest.fixture(scope="session")
def scorer(occupations: NodeIndex) -> Scorer:
    return Scorer(occupations)


@pytest.mark.parametrize("trust", [None, 0.0, 0.4, 1.0])
def test_the_parts_add_up_to_the_logits(scorer: Scorer, embedder: Embedder, trust: float | None) -> None:
    vectors = embedder.embed(TEXTS, "query")
    if trust is None:
        trusted = scorer.trust.of(TEXTS)
        parts = scorer.contributions(scorer.query(vectors, TEXTS))
    else:
        trusted = np.full(len(TEXTS), trust, np.float32)
        parts = scorer.contributions(scorer.query(vectors, TEXTS, trusted))
    np.testing.assert_allclose(sum(parts.values()), scorer.logits(scorer.query(vectors, TEXTS, trusted)), atol=1e-2)


@settings(max_examples=30)
@given(numbers=NUMBERS, seed=st.integers(0, 9))
def test_dense_views_are_those_of_their_definition(
    tree_of: Trees, random_index: Indexes, numbers: list[int], seed: int
) -> None:
    index = random_index(tree_of(numbers), seed=seed)
    tree, vectors = index.tree, queries(index, 2)
    similar = vectors @ index.vectors.T
    scorer = Scorer(index)
    parts = scorer.contributions(scorer.query(vectors, ["zzz", "yyy"]))
    for node in range(len(tree)):
        own = {
            view: [i for i, text in enumerate(index.texts) if text.code == tree.codes[node] and text.view == view]
            for view in ("label", "definition", "example")
        }
        best = similar[:, [row for rows in own.values() for row in rows]].max(axis=1)
        np.testing.assert_allclose(parts["best_text"][node], SHIPPED.trusted["best_text"] * best, atol=1e-4)
        views = [index.vectors[rows].mean(axis=0) for rows in own.values() if rows]
        whole = sum(view / np.linalg.norm(view) for view in views)
        expected = vectors @ (whole / np.linalg.norm(whole)) * SHIPPED.trusted["whole"]
        np.testing.assert_allclose(parts["whole"][node], expected, atol=1e-3)
        if "ancestors" in parts:
            np.testing.assert_allclose(parts["ancestors"][node], _ancestors(index, similar, node), atol=1e-4)


def _ancestors(index: NodeIndex, similar: np.ndarray, node: int) -> np.ndarray:
    above = [place for place in index.tree.paths[node].tolist() if place not in (ROOT, node)]
    naming = [
        similar[
            :, [i for i, text in enumerate(index.texts) if text.code == index.tree.codes[a] and text.view != "example"]
        ].max(axis=1)
        for a in above
    ]
    return SHIPPED.trusted["ancestors"] * np.mean(naming, axis=0) if above else np.zeros(len(similar))


def test_logits_do_not_depend_on_the_batch(scorer: Scorer, embedder: Embedder) -> None:
    texts = [f"{text} {i}" for i in range(25) for text in TEXTS]  # more than one product, and a rest
    vectors = embedder.embed(texts, "query")
    together = scorer.logits(scorer.query(vectors, texts))
    for place in (0, 63, 64, 130, 199):
        alone = scorer.logits(scorer.query(vectors[[place]], [texts[place]]))
        np.testing.assert_allclose(together[:, [place]], alone, atol=1e-4)


def test_no_texts_have_no_logits(scorer: Scorer, occupations: NodeIndex) -> None:
    query = scorer.query(np.empty((0, occupations.vectors.shape[1]), np.float32), [])
    assert scorer.logits(query).shape == (len(occupations.tree), 0)


def test_the_nearest_text_belongs_to_the_node_and_is_no_negative_example(tree_of: Trees, random_index: Indexes) -> None:
    tree = tree_of([0, 1, 1, 0, 3])
    nodes = [
        Node(
            n.code,
            n.parent_code,
            n.level,
            tuple(NodeText(t.language, t.label, t.definition, t.examples, (), ("not this",)) for t in n.texts),
        )
        for n in tree.nodes
    ]
    index = random_index(Taxonomy.build("negatives", nodes))
    vectors = queries(index, len(tree))
    rows = Scorer(index).nearest_texts(vectors, list(range(len(tree))))
    for node, row in enumerate(rows):
        own = [i for i, text in enumerate(index.texts) if text.code == tree.codes[node] and text.view != "negative"]
        assert row == max(own, key=lambda i: float(index.vectors[i] @ vectors[node]))
    assert Scorer(index).nearest_texts(vectors[:1], [ROOT]) == [-1]


def test_a_negative_example_moves_a_text_to_another_node(index_of: Callable[[Taxonomy], NodeIndex], embedder: Embedder) -> None:
    """TX-41: the penalty counts what the negative example is nearer than the node's own texts."""

    def best(negative: tuple[str, ...], weight: float) -> str:
        texts = {
            "bank": NodeText("en", "Bank clerks", "", ("cashier in a bank", "bank teller"), (), negative),
            "shop": NodeText("en", "Shop cashiers", "", ("cashier in a supermarket",)),
            "farm": NodeText("en", "Farmers", "", ("sheep farmer",)),
        }
        tree = Taxonomy.build("negatives", [Node(code, None, 1, (text,)) for code, text in texts.items()])
        scorer = Scorer(index_of(tree), weight)
        logits = scorer.logits(scorer.query(embedder.embed([query], "query"), [query]))
        return tree.codes[int(logits[:, 0].argmax())]

    query = "cashier at the bank of the river festival shop"
    assert best((), 0.5) == "bank"
    assert best((query,), 2.0) == "shop"
    assert best((query,), 0.0) == "bank"


def test_negative_examples_take_from_their_own_node_alone(
    occupations: NodeIndex, index_of: Callable[[Taxonomy], NodeIndex], embedder: Embedder
) -> None:
    texts = ["legal adviser for divorces", "waiter"]
    vectors = embedder.embed(texts, "query")
    nodes = [
        Node(n.code, n.parent_code, n.level, (_with_negative(n.texts[0], texts[0]), *n.texts[1:])) if n.code == "2611" else n
        for n in occupations.tree.nodes
    ]
    changed = index_of(Taxonomy.build("occupations", nodes))
    after, before = Scorer(changed), Scorer(occupations)
    query = before.query(vectors, texts)
    difference = after.logits(query) - before.logits(query)
    lawyers = occupations.tree.position["2611"]
    difference -= difference[0]  # what is the same for all nodes changes no answer
    assert difference[lawyers, 0] < -0.5
    assert abs(difference[lawyers, 1]) < 1e-3
    np.testing.assert_allclose(np.delete(difference, lawyers, axis=0), 0, atol=1e-3)
    parts = after.contributions(query)["negative_examples"]
    np.testing.assert_allclose(parts[lawyers, 0], difference[lawyers, 0], atol=1e-3)
    assert (np.delete(parts, lawyers, axis=0) == 0).all()


def _with_negative(text: NodeText, phrase: str) -> NodeText:
    return NodeText(text.language, text.label, text.definition, text.examples, text.aliases, (phrase,))


def test_words_count_less_the_longer_a_text_is(scorer: Scorer) -> None:
    short, long = "shop manager", "shop manager " + "and so on " * 10
    views = scorer.words("whole_words", [short, long])
    assert views.max(axis=0)[0] > 2 * views.max(axis=0)[1] > 0


def test_the_largest_logit_is_that_of_full_agreement(scorer: Scorer, embedder: Embedder) -> None:
    for text, weights in (
        ("Rechtsanwältin und Notarin", {**SHIPPED.untrusted, **BranchView.weights.untrusted}),
        ("lawyer who works for the company", {**SHIPPED.trusted, **BranchView.weights.trusted}),
    ):
        query = scorer.query(embedder.embed([text], "query"), [text])
        assert scorer.largest_logit(query)[0] == pytest.approx(sum(weights.values()) - weights.get(FAMILIAR, 0))


class _Lengths:
    """Two features for tests: the length of a text for every node, and how far it is over ten for two nodes."""

    weights = FusionWeights(untrusted={"length": 0.25}, trusted={"length": 0.5, "excess": -2.0})
    agreement: ClassVar = {"length": 2.0, "excess": 1.0}
    bounds: ClassVar = {"length": (0.0, 9.0)}
    version = "1"

    def blocks(self, query: Query, known: KnownBlocks) -> dict[str, Block]:
        lengths = np.array([len(text) for text in query.texts], np.float32)
        return {
            "length": Block(known.best_text * lengths),
            "excess": Block(np.tile(np.maximum(lengths - 10, 0), (2, 1)), np.array([5, 3])),
        }


@pytest.mark.parametrize("fitted", [None, FusionWeights({"length": 3.0}, {"excess": 0.5, "whole_words": -1.0, "path": 0.0})])
def test_an_added_view_joins_logits_and_contributions(scorer: Scorer, embedder: Embedder, fitted: FusionWeights | None) -> None:
    query = scorer.query(embedder.embed(TEXTS, "query"), TEXTS)
    more = scorer.with_views([_Lengths()]).with_weights(fitted)
    parts = more.contributions(query)
    np.testing.assert_allclose(sum(parts.values()), more.logits(query), atol=1e-2)
    assert more.base is scorer.base
    if fitted is None:
        own = _Lengths().blocks(query, KnownBlocks(more.features(query)["best_text"].values, None, None, query, None))  # type: ignore[arg-type]
        expected = scorer.logits(query)
        expected += own["length"].values * (0.25 + 0.25 * query.trusted)
        expected[[5, 3]] += own["excess"].values * (-2 * query.trusted)
        np.testing.assert_allclose(more.logits(query), expected, atol=1e-3)
        ours = 2 * (0.25 + 0.25 * query.trusted) - 2 * query.trusted
        np.testing.assert_allclose(more.largest_logit(query), scorer.largest_logit(query) + ours, atol=1e-4)


def test_a_view_may_build_on_base_similarities(scorer: Scorer, embedder: Embedder) -> None:
    class Words:
        weights = FusionWeights({"twice": 1.0}, {"twice": 1.0})
        agreement: ClassVar = {"twice": 1.0}
        bounds: ClassVar = {}
        version = "1"

        def blocks(self, query: Query, known: KnownBlocks) -> dict[str, Block]:
            return {"twice": Block(known.words("text_characters") + known.whole)}

    query = scorer.query(embedder.embed(TEXTS, "query"), TEXTS)
    expected = scorer.logits(query) + scorer.words("text_characters", TEXTS) + scorer.index.whole_vectors @ query.vectors.T
    np.testing.assert_allclose(scorer.with_views([Words()]).logits(query), expected, atol=1e-3)


def test_weights_know_their_version_and_survive_json() -> None:
    assert FusionWeights.from_json(SHIPPED.to_json()) == SHIPPED
    other = FusionWeights({}, {"best_text": 7.0})
    assert other.version != SHIPPED.version
    assert other.over(SHIPPED).trusted == {**SHIPPED.trusted, "best_text": 7.0}
    np.testing.assert_allclose(other.over(SHIPPED).of("best_text", np.array([0, 0.5, 1], np.float32)), [4, 5.5, 7])


def test_words_of_the_taxonomy_are_familiar_where_it_speaks_one_kind_of_language(occupations: NodeIndex) -> None:
    assert not BaseViews(occupations).familiarity(["Lawyer", "zebra"]).any()  # it has labels in German too
    english = replace(occupations, languages={"en": 1.1}, trusted_languages=frozenset({"en"}))
    views = BaseViews(english)
    label = english.tree.nodes[0].label
    known, half, strange, empty = views.familiarity([label, f"{label} zebra", "zebra crossings", ""])
    assert 0 >= known > half > strange
    assert strange == pytest.approx(-np.log(1 + len(english.documents["text"])), rel=1e-5)
    assert empty == 0
    assert views.familiarity([label], own=True)[0] < known
    assert views.familiarity(["zebra crossings"], own=True)[0] == strange


def test_familiar_words_move_no_answer(occupations: NodeIndex, embedder: Embedder) -> None:
    english = replace(occupations, languages={"en": 1.1}, trusted_languages=frozenset({"en"}))
    scorer = Scorer(english)
    query = scorer.query(embedder.embed(TEXTS, "query"), TEXTS)
    silent = scorer.with_weights(FusionWeights({FAMILIAR: 0.0}, {FAMILIAR: 0.0}))
    shift = scorer.logits(query) - silent.logits(query)
    assert np.ptp(shift, axis=0).max() < 1e-4
    np.testing.assert_allclose(shift[0], scorer.familiarity(query), atol=1e-4)
    np.testing.assert_allclose(sum(scorer.contributions(query).values()), scorer.logits(query), atol=1e-2)
