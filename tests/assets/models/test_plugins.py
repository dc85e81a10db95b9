"""Every plug-in that ships, real, on a few texts: what it makes, and that it is the same after being stored (LX-REG-6)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import sparse

from taxomind_assets.models.contracts import Batch, Rows
from taxomind_assets.models.registry import registry
from taxomind_resources.faults import Fault

TOKENIZERS = {
    "icu": {},
    "spacy": {},
    "sentencepiece": {"vocab_size": 60},
    "huggingface": {},
}
FEATURES = {
    "bow": {"min_df": 1},
    "tfidf": {"min_df": 1},
    "fasttext": {"vector_size": 8, "min_count": 1, "epochs": 2},
    "sbert": {},
}
CLASSIFIERS = {
    "svm": {},
    "logreg": {},
    "nearest_centroid": {},
    "xgboost": {"n_estimators": 8, "min_child_weight": 0},
}


def made(kind, name, given, surroundings):
    return registry().create(kind, name, given, surroundings)


def again(plugin, folder, surroundings):
    plugin.save(folder)
    return type(plugin).load(folder, plugin.parameters, surroundings)


@pytest.fixture(scope="module")
def tokens(examples):
    return [text.split() for text in examples.texts]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_gives_equal_tokens_after_being_stored(name, examples, surroundings, batches, folder):
    own = made("tokenizer", name, TOKENIZERS[name], surroundings)
    own.fit(batches(list(examples.texts)))
    texts = ["The purring CAT was here!", "", "gazpacho 🙂 soup", "日本語 text"]
    found = own.tokenize(texts)
    assert found[1] == []
    assert all(isinstance(token, str) and token for tokens in found for token in tokens)
    assert again(own, folder, surroundings).tokenize(texts) == found


@pytest.mark.parametrize("name", FEATURES)
def test_features_give_equal_rows_after_being_stored(name, examples, surroundings, batches, folder):
    own = made("features", name, FEATURES[name], surroundings)
    tokenize = lambda texts: [text.split() for text in texts]  # noqa: E731
    own.fit(batches(list(examples.texts), tokenize), None)
    batch = Batch(["the cat was here", "a word nobody knows: zyxwv", "", "soup"], tokenize)
    rows = own.transform(batch)
    assert rows.shape == (4, own.num_features)
    assert rows.dtype == np.float32
    stored = again(own, folder, surroundings).transform(Batch(batch.texts, tokenize))
    dense, other = (found.toarray() if sparse.issparse(found) else found for found in (rows, stored))
    np.testing.assert_array_equal(dense, other)
    assert not dense[2].any()  # an empty text has nothing


@pytest.mark.parametrize("name", FEATURES)
def test_features_of_a_text_do_not_depend_on_its_batch(name, examples, surroundings, batches):
    own = made("features", name, FEATURES[name], surroundings)
    tokenize = lambda texts: [text.split() for text in texts]  # noqa: E731
    own.fit(batches(list(examples.texts), tokenize), None)
    texts = ["the cat was here", "our old soup"]
    together = own.transform(Batch(texts, tokenize))
    alone = own.transform(Batch(texts[1:], tokenize))
    dense, single = (found.toarray() if sparse.issparse(found) else found for found in (together, alone))
    np.testing.assert_allclose(dense[1], single[0], atol=1e-6)


@pytest.fixture(scope="module")
def numbers(examples):
    """Rows of 6 numbers that tell three classes apart."""
    random = np.random.default_rng(0)
    classes = np.arange(90) % 3
    inputs = random.normal(size=(90, 6)).astype(np.float32)
    inputs[np.arange(90), classes] += 4
    return Rows(inputs, classes.astype(np.int64), np.ones(90, np.float32), 3)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("is_sparse", [False, True])
def test_a_classifier_learns_and_gives_equal_scores_after_being_stored(name, is_sparse, numbers, surroundings, folder):
    inputs = sparse.csr_array(numbers.inputs) if is_sparse else numbers.inputs
    own = made("classifier", name, CLASSIFIERS[name], surroundings)
    own.train(Rows(inputs, numbers.classes, numbers.weights, 3), None, None)
    scores = own.scores(inputs)
    assert scores.shape == (90, 3)
    assert (scores.argmax(axis=1) == numbers.classes).mean() > 0.9
    np.testing.assert_allclose(again(own, folder, surroundings).scores(inputs), scores, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_classes_are_two_columns(name, numbers, surroundings):
    chosen = numbers.classes < 2
    own = made("classifier", name, CLASSIFIERS[name], surroundings)
    own.train(Rows(numbers.inputs[chosen], numbers.classes[chosen], numbers.weights[chosen], 2), None, None)
    scores = own.scores(numbers.inputs[chosen])
    assert scores.shape == (60, 2)
    assert (scores.argmax(axis=1) == numbers.classes[chosen]).mean() > 0.9


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_two_trainings_with_one_seed_are_equal(name, numbers, surroundings):
    found = []
    for _ in range(2):
        own = made("classifier", name, CLASSIFIERS[name], surroundings)
        own.train(numbers, None, None)
        found.append(own.scores(numbers.inputs))
    np.testing.assert_array_equal(*found)


def test_classes_that_are_trained_in_parts_come_out_as_when_trained_together(numbers, surroundings, monkeypatch):
    from taxomind_assets.models.plugins.classifiers import svm

    whole = made("classifier", "svm", {"tol": 1e-6, "max_iter": 10_000}, surroundings)
    whole.train(numbers, None, None)
    monkeypatch.setattr(svm, "_HELD", 6)  # one class at a time
    parts = made("classifier", "svm", {"tol": 1e-6, "max_iter": 10_000}, surroundings)
    parts.train(numbers, None, None)
    np.testing.assert_allclose(parts.scores(numbers.inputs), whole.scores(numbers.inputs), atol=1e-2)


def test_rare_rows_can_count_more(numbers, surroundings):
    weights = np.where(numbers.classes == 0, 30.0, 0.1).astype(np.float32)
    plain, lifted = (made("classifier", "svm", {}, surroundings) for _ in range(2))
    noisy = numbers.inputs * 0.05
    plain.train(Rows(noisy, numbers.classes, numbers.weights, 3), None, None)
    lifted.train(Rows(noisy, numbers.classes, weights, 3), None, None)
    assert (lifted.scores(noisy).argmax(axis=1) == 0).sum() > (plain.scores(noisy).argmax(axis=1) == 0).sum()


def test_boosted_trees_stop_early_by_validation_rows(numbers, surroundings):
    own = made("classifier", "xgboost", {"n_estimators": 200, "learning_rate": 0.9, "early_stopping_rounds": 2}, surroundings)
    random = np.random.default_rng(1)
    unlike = Rows(random.normal(size=(30, 6)).astype(np.float32), np.arange(30) % 3, np.ones(30, np.float32), 3)
    own.train(numbers, unlike, None)
    assert own._booster.num_boosted_rounds() < 50


def test_icu_breaks_words_by_locale_and_keeps_short_ones(surroundings):
    own = made("tokenizer", "icu", {"locale": "ja", "backend": "icu"}, surroundings)
    assert own.tokenize(["日本語のテキスト"]) == [["日本語", "の", "テキスト"]]
    english = made("tokenizer", "icu", {}, surroundings)
    assert english.tokenize(["It's 🙂🙂 a No. 7 ... cat!"]) == [["it's", "a", "no", "7", "cat"]]


def test_icu_and_its_stand_in_agree_on_plain_words(surroundings):
    texts = ["The cat, the dog - and a hat.", "", "!!!", "Überraschung für alle"]
    found = [made("tokenizer", "icu", {"backend": backend}, surroundings).tokenize(texts) for backend in ("icu", "regex")]
    assert found[0] == found[1]
    assert found[0][2] == []


def test_icu_keeps_the_way_that_it_was_resolved(surroundings, monkeypatch, folder):
    own = made("tokenizer", "icu", {}, surroundings)
    assert own.parameters.backend == "icu"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert made("tokenizer", "icu", {}, surroundings).parameters.backend == "regex"
    with pytest.raises(Fault, match="icu4py") as raised:
        type(own).load(folder, own.parameters, surroundings)
    assert raised.value.code == "missing_extra"
    assert "pip install" in raised.value.next_step


def test_spacy_leaves_out_what_it_is_told_to(surroundings):
    own = made("tokenizer", "spacy", {"remove_stop": True}, surroundings)
    assert own.tokenize(["The Cat, and  the dog!"]) == [["cat", "dog"]]
    plain = made("tokenizer", "spacy", {"lowercase": False, "remove_punct": False}, surroundings)
    assert plain.tokenize(["Cat!"]) == [["Cat", "!"]]


def test_a_pipeline_of_spacy_that_is_not_installed_is_a_sentence(surroundings):
    own = made("tokenizer", "spacy", {"model_name": "en_core_web_sm"}, surroundings)
    with pytest.raises(Fault) as raised:
        own.tokenize(["text"])
    assert raised.value.next_step == "python -m spacy download en_core_web_sm"


def test_sentencepiece_must_be_trained_and_learns_from_the_texts(surroundings, examples, batches):
    own = made("tokenizer", "sentencepiece", {"vocab_size": 80}, surroundings)
    with pytest.raises(Fault, match="not trained"):
        own.tokenize(["text"])
    own.fit(batches(list(examples.texts)))
    assert "".join(own.tokenize(["the cat was here"])[0]).replace("▁", " ").strip() == "the cat was here"


def test_word_pieces_are_those_of_the_embedded_model(surroundings):
    own = made("tokenizer", "huggingface", {}, surroundings)
    assert own.tokenize(["Gazpacho!"]) == [["ga", "##z", "##pac", "##ho", "!"]]
    marked = made("tokenizer", "huggingface", {"add_special_tokens": True, "max_length": 3}, surroundings)
    assert marked.tokenize(["a cat sat"]) == [["[CLS]", "a", "[SEP]"]]


def test_bow_counts_as_scikit_learn_does(examples, surroundings, batches):
    from sklearn.feature_extraction.text import CountVectorizer

    tokenize = lambda texts: [text.split() for text in texts]  # noqa: E731
    given = {"min_df": 2, "max_df": 0.9, "ngram_range": "1,2", "filter_tokens": False}
    own = made("features", "bow", given, surroundings)
    own.fit(batches(list(examples.texts), tokenize), None)
    theirs = CountVectorizer(tokenizer=str.split, token_pattern=None, min_df=2, max_df=0.9, ngram_range=(1, 2), lowercase=False)
    expected = theirs.fit_transform(examples.texts)
    assert list(own.counted.words.places) == list(theirs.get_feature_names_out())
    np.testing.assert_array_equal(own.transform(Batch(examples.texts, tokenize)).toarray(), expected.toarray())


def test_tfidf_weighs_as_scikit_learn_does(examples, surroundings, batches):
    from sklearn.feature_extraction.text import TfidfVectorizer

    tokenize = lambda texts: [text.split() for text in texts]  # noqa: E731
    given = {"min_df": 2, "max_df": 0.9, "ngram_range": "1,1", "filter_tokens": False, "characters": False}
    own = made("features", "tfidf", given, surroundings)
    own.fit(batches(list(examples.texts), tokenize), None)
    theirs = TfidfVectorizer(tokenizer=str.split, token_pattern=None, min_df=2, max_df=0.9, sublinear_tf=True, lowercase=False)
    expected = theirs.fit_transform(examples.texts).toarray()
    np.testing.assert_allclose(own.transform(Batch(examples.texts, tokenize)).toarray(), expected, atol=1e-6)


def test_a_contradiction_between_normalize_and_the_smart_code_is_refused(surroundings):
    with pytest.raises(Fault, match="contradicts"):
        made("features", "tfidf", {"smartirs": "ntn", "normalize": True}, surroundings)


def test_tokens_that_are_no_words_are_dropped_and_counted(surroundings, batches):
    tokenize = lambda texts: [text.split() for text in texts]  # noqa: E731
    own = made("features", "bow", {"min_df": 1, "max_df": 1.0}, surroundings)
    own.fit(batches([f"cat !!!! 12345 {'x' * 60} mp3"], tokenize), None)
    assert list(own.counted.words.places) == ["cat", "mp3"]
    assert own.counted.words.dropped == 3
    kept = made("features", "bow", {"min_df": 1, "max_df": 1.0, "filter_tokens": False}, surroundings)
    kept.fit(batches(["cat 12345"], tokenize), None)
    assert list(kept.counted.words.places) == ["12345", "cat"]


def test_an_empty_vocabulary_is_told_of_with_its_causes(surroundings, batches):
    tokenize = lambda texts: [text.split() for text in texts]  # noqa: E731
    own = made("features", "bow", {}, surroundings)
    with pytest.raises(Fault) as raised:
        own.fit(batches(["each word stands once", "nothing comes again"], tokenize), None)
    assert raised.value.code == "invalid_input"
    assert "min_df" in raised.value.next_step


def test_the_vocabulary_is_bounded_while_it_is_read(surroundings, batches, monkeypatch):
    from taxomind_assets.models.plugins.features import vocabulary

    monkeypatch.setattr(vocabulary, "MOST_COUNTED", 40)
    tokenize = lambda texts: [text.split() for text in texts]  # noqa: E731
    rare = " ".join(f"word{i}" for i in range(100))
    own = made("features", "bow", {"min_df": 2, "max_df": 1.0}, surroundings)
    own.fit(batches(["cat dog", "cat dog", "cat dog", rare] * 8, tokenize), None)
    assert {"cat", "dog"} <= set(own.counted.words.places)


def test_fasttext_knows_words_that_it_never_saw(examples, surroundings, batches):
    tokenize = lambda texts: [text.split() for text in texts]  # noqa: E731
    own = made("features", "fasttext", FEATURES["fasttext"], surroundings)
    own.fit(batches(list(examples.texts), tokenize), None)
    rows = own.transform(Batch(["kittens", ""], tokenize))
    assert rows[0].any()
    assert not rows[1].any()


def test_sentence_vectors_of_another_model_are_refused(surroundings, folder):
    own = made("features", "sbert", {}, surroundings)
    own.save(folder)
    recorded = json.loads((folder / "embedding.json").read_text())
    (folder / "embedding.json").write_text(json.dumps(recorded | {"weights_digest": "f" * 64}))
    with pytest.raises(Fault) as raised:
        type(own).load(folder, own.parameters, surroundings)
    assert raised.value.code == "index_stale"


def test_no_array_of_objects_is_read(folder, surroundings, numbers):
    own = made("classifier", "svm", {}, surroundings)
    own.train(numbers, None, None)
    own.save(folder)

    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('run')",))

    np.savez(folder / "linear.npz", coefficients=np.array([Bomb()], object), intercepts=np.zeros(1))
    with pytest.raises(Fault) as raised:
        type(own).load(folder, own.parameters, surroundings)
    assert raised.value.code == "model_damaged"
