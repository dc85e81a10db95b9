"""What is fitted before a classifier: vocabularies, rows of all combinations of plug-ins, and the weights of rare codes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import sparse

from taxomind_assets.models.contracts import Batch
from taxomind_assets.models.fitting import Fitter, _row_weights
from taxomind_assets.models.pipeline import load_encoding, save_encoding
from taxomind_assets.models.plugins.features.vocabulary import document_limits
from taxomind_assets.models.registry import registry
from taxomind_assets.models.specification import chosen_spec

TOKENIZERS = {"icu": [], "spacy": [], "sentencepiece": ["vocab_size=80"], "huggingface": []}
FEATURES = {"bow": ["min_df=1"], "tfidf": ["min_df=1"], "fasttext": ["vector_size=8", "min_count=1", "epochs=1"]}


def spec_of(tokenizer, features, **more):
    parameters = [*TOKENIZERS[tokenizer], *FEATURES[features]]
    return chosen_spec(registry(), "fast", tokenizer=tokenizer, features=features, parameters=parameters, **more)


@pytest.mark.parametrize(("tokenizer", "features"), product(TOKENIZERS, FEATURES))
def test_every_tokenizer_with_every_features_gives_equal_rows_after_being_stored(
    tokenizer, features, tree, examples, surroundings, folder
):
    """LX-REG-6: with the classifiers, which take any rows (`test_plugins`), all combinations that can be."""
    spec = spec_of(tokenizer, features)
    own = Fitter(spec, tree, registry(), surroundings)._encoding(examples, 5)
    save_encoding(own, folder)
    loaded = load_encoding(folder, own.spec, registry(), surroundings)
    texts = ["the old kitten came today", "gazpacho 🙂", "nobody knows zyxwv"]
    rows, again = (found.rows(found.batch(texts)) for found in (own, loaded))
    first, second = (found.toarray() if sparse.issparse(found) else found for found in (rows, again))
    assert first[0].any()
    np.testing.assert_array_equal(first, second)


def test_every_combination_that_can_be_is_allowed_and_no_other():
    matrix = ["svm", "logreg", "nearest_centroid", "xgboost"]
    for tokenizer, features, classifier in product(TOKENIZERS, FEATURES, matrix):
        assert spec_of(tokenizer, features, classifier=classifier).classifier.name == classifier
    for classifier in matrix:
        assert chosen_spec(registry(), "balanced", classifier=classifier).name == f"sbert+{classifier}"


@pytest.mark.parametrize(
    ("texts", "limits"), [(9, (2, 1.0)), (10, (2, 0.8)), (49, (2, 0.8)), (50, (3, 0.5)), (10_000, (3, 0.5))]
)
def test_how_often_a_word_must_and_may_stand_depends_on_the_number_of_texts(texts, limits):
    assert document_limits(texts) == limits


@pytest.mark.parametrize("features", FEATURES)
def test_a_fit_reads_each_text_once_for_each_pass(features, surroundings):
    passes = []

    def batches():
        passes.append(1)
        return [Batch(["the cat was here", "the dog was there"] * 3, lambda texts: [text.split() for text in texts])]

    given = dict(parameter.split("=") for parameter in FEATURES[features])
    own = registry().create("features", features, given | ({"max_df": 1.0} if features != "fasttext" else {}), surroundings)
    own.fit(batches, None)
    assert len(passes) <= (1 if features != "fasttext" else 1 + 1 + own.parameters.epochs)


def test_sentence_vectors_are_made_of_the_texts_and_not_of_their_tokens(surroundings):
    def tokens(texts):
        raise AssertionError("nobody asked for tokens")

    own = registry().create("features", "sbert", {}, surroundings)
    own.fit(lambda: [Batch(["The cat!"], tokens)], None)
    found = own.transform(Batch(["The cat!"], tokens))
    np.testing.assert_allclose(found, surroundings.embedder().embed(["The cat!"], "query"), atol=1e-6)


def test_rare_codes_are_lifted_as_far_as_is_wanted():
    classes = np.array([0] * 8 + [1] * 2, np.int64)
    plain, balanced, half = (_row_weights(classes, 2, kind) for kind in ("none", "balanced", "sqrt"))
    np.testing.assert_allclose(plain, 1)
    assert balanced[classes == 0].sum() == pytest.approx(balanced[classes == 1].sum())
    assert half[-1] / half[0] == pytest.approx(2)
    for weights in (plain, balanced, half):
        assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize("kind", ["none", "balanced", "sqrt"])
def test_class_weights_reach_the_classifier(kind, tree, examples, surroundings, monkeypatch):
    seen = []
    factory = registry().get("classifier", "svm").factory
    real = factory.train
    monkeypatch.setattr(factory, "train", lambda self, rows, *more: seen.append(rows.weights) or real(self, rows, *more))
    few = type(examples)(examples.texts[:120], examples.nodes[:120], examples.labelled[:120])
    rare = few.nodes != few.nodes[0]
    rare[:10] = True
    kept = type(examples)([few.texts[i] for i in np.flatnonzero(rare)], few.nodes[rare], few.labelled[rare])
    Fitter(spec_of("icu", "tfidf", class_weight=kind), tree, registry(), surroundings).fit(kept, kept)
    assert (np.unique(seen[0].round(4)).size > 1) is (kind != "none")


def test_texts_are_cleaned_alike_in_training_and_in_answers(tree, examples, surroundings):
    own = Fitter(spec_of("icu", "tfidf"), tree, registry(), surroundings).fit(examples, examples)
    found = own.predict(["the old kitten came today", "  the\told\r\nkitten \u00a0came  today\n"])
    np.testing.assert_array_equal(found.own[0], found.own[1])
