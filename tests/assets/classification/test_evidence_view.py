from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from taxomind_assets.classification.added_views import KnownBlocks
from taxomind_assets.classification.evidence_news import news
from taxomind_assets.classification.evidence_rows import EvidenceRows
from taxomind_assets.classification.evidence_view import EvidenceView
from taxomind_assets.classification.queries import Query
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.embedding import Embedder

TOLD = [
    ("person who reads bedtime stories to toddlers", "5311"),
    ("minder of toddlers", "5311"),
    ("till operator at the discounter", "5230"),
    ("till operator in a canteen", "5230"),
    ("till operator in a canteen", "5246"),
    ("someone who drafts contracts", "2611"),
    ("school or kindergarten, who knows", "23"),
    ("child minder", "5311"),
    ("pours coffee", "5132"),
    ("writes apps", "2512"),
    ("web shop programmer", "2513"),
    ("sells hats", "5223"),
]
QUERIES = ["till operator", "reads stories to toddlers", "contract drafter", "programmer of apps", "", "zzz"]


@pytest.fixture(scope="module")
def scorer(occupations: NodeIndex) -> Scorer:
    return Scorer(occupations)


@pytest.fixture(scope="module")
def evidence(embedder: Embedder) -> Evidence:
    texts, codes = zip(*TOLD, strict=True)
    return Evidence.of(texts, codes, embedder.embed(texts, "query"))


@pytest.fixture(scope="module")
def view(scorer: Scorer, evidence: Evidence) -> EvidenceView:
    return EvidenceView(scorer.base, EvidenceRows.of(evidence, scorer.tree.position))


def known(scorer: Scorer, query: Query) -> KnownBlocks:
    best = scorer.features(query)["best_text"].values
    total = scorer.logits(query)
    return KnownBlocks(best, lambda name: scorer.words(name, query.texts), scorer.base.whole, query, total)


def features(view: EvidenceView, scorer: Scorer, query: Query, own: sparse.csr_array | None = None) -> dict[str, np.ndarray]:
    found = view.features(query, known(scorer, query), own)
    return {name: block.dense(len(scorer.tree)) for name, block in found.items()}


def test_features_are_those_of_their_definition(scorer: Scorer, view: EvidenceView, embedder: Embedder) -> None:
    query = scorer.query(embedder.embed(QUERIES, "query"), QUERIES)
    found, base = features(view, scorer, query), known(scorer, query)
    for code in ("5311", "5230", "23", "2611"):
        node = scorer.tree.position[code]
        rows = [i for i, told in enumerate(view.rows.codes) if told == code]
        root = np.sqrt(scorer.base.own_texts[node])
        told = news(view.rows.vectors[rows], view.rows.nodes[rows], scorer.base).sum()
        fade = told / (told + 1.0)
        vectors = view.rows.vectors[rows]
        nearest = np.maximum((vectors @ query.vectors.T).max(axis=0), 0)
        expected = fade * np.maximum(nearest - base.best_text[node], 0)
        np.testing.assert_allclose(found["evidence_nearest"][node], expected, atol=1e-5)
        prototype = 2.5 * root * scorer.index.whole_vectors[node] + vectors.sum(axis=0)
        cosine = query.vectors @ (prototype / np.linalg.norm(prototype))
        np.testing.assert_allclose(found["evidence_prototype"][node], fade * (cosine - base.whole[node]), atol=1e-5)
        np.testing.assert_allclose(found["evidence_present"][node], fade, atol=1e-6)
    assert found["evidence_characters"][scorer.tree.position["5230"], 0] > 0.1
    assert found["evidence_words"][scorer.tree.position["5230"], 0] > 0.3
    untouched = scorer.tree.position["1420"]
    assert all((values[untouched] == 0).all() for values in found.values())


def test_what_the_texts_of_a_node_say_already_is_less_news(scorer: Scorer, embedder: Embedder) -> None:
    node, other = scorer.tree.position["5230"], scorer.tree.position["2611"]
    vectors = scorer.index.whole_vectors[[node, node]]
    known, corrected = news(vectors, np.array([node, other]), scorer.base)
    assert known == pytest.approx(1 - 0.8 * (1 - 1 / scorer.base.own_texts[node]))
    assert corrected == 1
    assert known < 1


def test_votes_of_a_text_sum_to_one(scorer: Scorer, view: EvidenceView, embedder: Embedder) -> None:
    query = scorer.query(embedder.embed(QUERIES[:4], "query"), QUERIES[:4])
    found = features(view, scorer, query)
    present = np.maximum(found["evidence_present"], 1e-9)
    np.testing.assert_allclose((found["evidence_vote"] / present).sum(axis=0), 1, atol=1e-5)


def test_rows_left_out_for_a_text_count_for_nothing(
    scorer: Scorer, view: EvidenceView, evidence: Evidence, embedder: Embedder
) -> None:
    """Leave-one-out features equal those of a view that never had the rows, but for what their n-grams tell of rarity."""
    texts = list(dict.fromkeys(view.rows.texts))
    query = scorer.query(embedder.embed(texts, "query"), texts)
    pairs = [(row, column) for column, text in enumerate(texts) for row in view.rows.rows_of(text)]
    rows, columns = zip(*pairs, strict=True)
    own = sparse.csr_array((np.ones(len(pairs), np.float32), (rows, columns)), shape=(len(view.rows), len(texts)))
    found = features(view, scorer, query, own)
    for column, text in enumerate(texts):
        gone = np.array([other == text for other in view.rows.texts])
        rest = EvidenceView(scorer.base, view.rows.without(gone, scorer.tree.position))
        expected = features(rest, scorer, scorer.query(query.vectors[[column]], [text]))
        for name in ("evidence_nearest", "evidence_prototype", "evidence_present"):
            np.testing.assert_allclose(found[name][:, [column]], expected[name], atol=1e-5, err_msg=f"{name} {text}")
        for name in ("evidence_words", "evidence_vote"):
            np.testing.assert_array_equal(found[name][:, [column]] > 0, expected[name] > 0, err_msg=f"{name} {text}")


def test_learning_one_by_one_is_learning_together(
    scorer: Scorer, view: EvidenceView, evidence: Evidence, embedder: Embedder
) -> None:
    grown = EvidenceView(scorer.base, EvidenceRows.of(Evidence.none(evidence.vectors.shape[1]), scorer.tree.position))
    stages = []
    for text, code in reversed(TOLD):
        grown = grown.with_more([text], [code], embedder.embed([text], "query"))
        stages.append(grown)
    query = scorer.query(embedder.embed(QUERIES, "query"), QUERIES)
    expected = features(view, scorer, query)
    for name, values in features(grown, scorer, query).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)
    assert grown.version == view.version == evidence.version
    # Earlier views are what they were, and a second branch does not disturb the first.
    assert [len(stage.rows) for stage in stages] == list(range(1, len(TOLD) + 1))
    branch = stages[3].with_more(["something else"], ["1420"], embedder.embed(["something else"], "query"))
    assert branch.rows.texts[-1] == "something else"
    np.testing.assert_allclose(stages[4].rows.vectors[4], embedder.embed([stages[4].rows.texts[4]], "query")[0], atol=1e-6)


def test_features_do_not_depend_on_the_batch(scorer: Scorer, view: EvidenceView, embedder: Embedder) -> None:
    texts = [f"{text} {i}" for i in range(25) for text in QUERIES]
    query = scorer.query(embedder.embed(texts, "query"), texts)
    together = scorer.with_evidence(view).logits(query)
    for place in (0, 63, 64, 149):
        alone = scorer.with_evidence(view).logits(scorer.query(query.vectors[[place]], [texts[place]]))
        np.testing.assert_allclose(together[:, [place]], alone, atol=2e-4)


def test_parts_with_evidence_add_up(scorer: Scorer, view: EvidenceView, embedder: Embedder) -> None:
    query = scorer.query(embedder.embed(QUERIES, "query"), QUERIES)
    more = scorer.with_evidence(view)
    parts = more.contributions(query)
    np.testing.assert_allclose(sum(parts.values()), more.logits(query), atol=5e-3)
    assert "evidence_prototype" in parts
    assert more.with_evidence(None).evidence is None


def test_codes_without_a_node_are_left_out(scorer: Scorer, embedder: Embedder) -> None:
    told = Evidence.of(["a", "b"], ["5230", "no such code"], embedder.embed(["a", "b"], "query"))
    assert EvidenceRows.of(told, scorer.tree.position).codes == ("5230",)


def test_the_nearest_correction_lies_at_or_below_the_node(view: EvidenceView, scorer: Scorer, embedder: Embedder) -> None:
    vector = embedder.embed(["toddlers"], "query")[0]
    found = view.nearest_row(vector, scorer.tree.position["53"])
    assert found is not None
    assert view.rows.codes[found[0]] == "5311"
    assert view.nearest_row(vector, scorer.tree.position["1411"]) is None


def test_one_wrong_correction_does_not_take_over_its_siblings(
    occupations: NodeIndex, embedder: Embedder, classifier_of: Callable[..., object]
) -> None:
    base = classifier_of(occupations)
    wrong = base.learn(["lawyer for tax law"], ["2612"])  # type: ignore[attr-defined]
    texts = ["lawyer", "legal adviser", "company lawyer", "attorney", "solicitor in a law firm"]
    before, after = base.answers(texts), wrong.answers(texts)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(before.leaves[:, 0], after.leaves[:, 0])
