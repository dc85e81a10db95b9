"""From labelled texts to a version: what it holds, that it answers alike when loaded, and that a killed training goes on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from taxomind_assets.models import fitting
from taxomind_assets.models.held_out import HeldOut
from taxomind_assets.models.registry import registry
from taxomind_assets.models.specification import chosen_spec
from taxomind_assets.models.training import ArrowTexts, examples_of, load_model, train_model, trained_texts, with_fewer_texts
from taxomind_resources.faults import Fault
from taxomind_resources.model_store import ModelStore

COMBINATIONS = {
    "icu+tfidf+svm": {"parameters": ["min_df=1"]},
    "spacy+bow+xgboost": {"classifier": "xgboost", "features": "bow", "tokenizer": "spacy", "parameters": ["n_estimators=10"]},
    "sentencepiece+tfidf+logreg": {
        "classifier": "logreg",
        "tokenizer": "sentencepiece",
        "parameters": ["vocab_size=80", "min_df=1"],
    },
    "huggingface+fasttext+nearest_centroid": {
        "classifier": "nearest_centroid",
        "features": "fasttext",
        "tokenizer": "huggingface",
        "parameters": ["vector_size=16", "min_count=1"],
    },
    "icu+tfidf+sbert+svm": {"features": "tfidf+sbert"},
}


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path)


def spec_of(**given):
    return chosen_spec(registry(), "fast", **given)


def train(store, tree, labelled, embedder, spec=None, **others):
    return train_model(
        "things",
        spec or spec_of(parameters=["min_df=1"]),
        tree,
        labelled,
        store,
        embedder=lambda: embedder,
        threads=1,
        **others,
    )


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_version_answers_as_it_did_when_it_was_trained(name, store, tree, labelled, embedder):
    spec = spec_of(**COMBINATIONS[name])
    assert spec.name == name
    trained = train(store, tree, labelled, embedder, spec)
    texts = ["the cat was here", "", "a very boiling end", "nothing known zyxwv"]
    loaded, manifest = load_model(store, "things", embedder=lambda: embedder, threads=1)
    first, second = trained.pipeline.predict(texts), loaded.predict(texts)
    np.testing.assert_allclose(second.own, first.own, atol=1e-6)
    np.testing.assert_allclose(second.own.sum(axis=1), [1, 0, 1, 1], rtol=1e-4)
    assert second.best.tolist()[1] == -1
    assert manifest["name"] == name
    assert trained.validation is not None
    assert trained.validation.value("accuracy") > 0.5


@pytest.mark.parametrize("hierarchy", ["per_parent", "per_level"])
def test_hierarchies_place_texts_and_stop_where_texts_stop(hierarchy, store, tree, labelled, embedder):
    spec = spec_of(
        parameters=["min_df=1", *(["node:food.classifier=logreg"] if hierarchy == "per_parent" else [])], hierarchy=hierarchy
    )
    train(store, tree, labelled, embedder, spec)
    loaded, _ = load_model(store, "things", embedder=lambda: embedder)
    found = loaded.predict(["the kitten was here", "our old meal was here", "a very icy dish came today chilled"])
    assert [tree.codes[node] for node in found.best.tolist()[:2]] == ["cat", "food"]
    kinds = {trained.unit.name: trained.classifier.info.name for trained in loaded.units}
    assert kinds.get("node:food", "logreg") == "logreg"


def test_a_version_holds_all_that_it_depends_on(store, tree, labelled, embedder):
    trained = train(store, tree, labelled, embedder)
    manifest = store.manifest("things", trained.number)
    assert {"spec", "taxonomy_version", "text_policy", "codes", "data", "libraries", "validation", "files", "seconds"} <= set(
        manifest
    )
    assert manifest["codes"] == [code for code in tree.codes if code in {"cat", "dog", "food", "bread", "hot", "cold"}]
    assert manifest["libraries"]["scikit-learn"]
    assert manifest["data"]["train"] + manifest["data"]["validation"] + manifest["data"]["test"] == labelled.num_rows
    assert set(manifest["files"]) >= {"units.json", "taxonomy.json", "split.parquet", "unit-0/linear.npz"}
    known = trained_texts(store.folder("things", trained.number))
    test_rows = [
        h for h, s in zip(labelled["text_hash"].to_pylist(), labelled["split"].to_pylist(), strict=True) if s == "test"
    ]
    assert not known & set(test_rows)


def test_no_file_of_a_version_can_run_code(store, tree, labelled, embedder):
    for given in COMBINATIONS.values():
        train(store, tree, labelled, embedder, spec_of(**given))
    allowed = {".json", ".npz", ".parquet", ".safetensors", ".model"}
    for number in store.ready("things"):
        files = [path for path in store.folder("things", number).rglob("*") if path.is_file()]
        assert {path.suffix for path in files} <= allowed
        for path in files:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    assert all(arrays[name].dtype != object for name in arrays.files)


def test_two_trainings_with_one_seed_give_equal_bytes(store, tree, labelled, embedder):
    first, second = (train(store, tree, labelled, embedder) for _ in range(2))
    assert first.number != second.number
    assert first.manifest["files"] == second.manifest["files"]


def test_test_rows_are_not_looked_at(store, tree, labelled, embedder):
    test = [split == "test" for split in labelled["split"].to_pylist()]
    changed = labelled.set_column(
        labelled.column_names.index("text"),
        "text",
        [[text if not own else f"{text} changed" for text, own in zip(labelled["text"].to_pylist(), test, strict=True)]],
    )
    first, second = (train(store, tree, rows, embedder) for rows in (labelled, changed))
    assert first.manifest["files"] == second.manifest["files"]
    assert first.manifest["validation"] == second.manifest["validation"]


def test_a_training_that_was_killed_goes_on_where_it_was(store, tree, labelled, embedder, monkeypatch):
    spec = spec_of(parameters=["min_df=1"], hierarchy="per_parent")
    real, done = fitting.Fitter._classifier, []

    def killed(self, place, unit, rows, validation):
        if place == "2":
            raise KeyboardInterrupt
        done.append(place)
        return real(self, place, unit, rows, validation)

    monkeypatch.setattr(fitting.Fitter, "_classifier", killed)
    with pytest.raises(KeyboardInterrupt):
        train(store, tree, labelled, embedder, spec)
    assert store.ready("things") == []
    assert store.versions("things")[0].state == "failed"
    monkeypatch.setattr(fitting.Fitter, "_classifier", real)
    trains = []
    svm = registry().get("classifier", "svm").factory
    train_real = svm.train
    monkeypatch.setattr(svm, "train", lambda self, *args: trains.append(1) or train_real(self, *args))
    resumed = train(store, tree, labelled, embedder, spec)
    # Two of four classifiers were there; all four learn from validation texts in the end.
    assert (resumed.number, len(trains), len(done)) == (2, 2 + 4, 2)
    assert not (store.root / "things" / "checkpoints").exists()
    plain = train(store, tree, labelled, embedder, spec)
    assert plain.manifest["files"] == resumed.manifest["files"]


def test_in_the_end_a_model_learns_from_validation_texts_as_well(store, tree, labelled, embedder):
    """Its temperatures, its figures and what weighs its vote are of the model that had not."""
    trained = train(store, tree, labelled, embedder)
    held_out = HeldOut.load(store.folder("things", trained.number))
    validation = labelled.filter([split == "validation" for split in labelled["split"].to_pylist()])
    assert trained.manifest["learned_from_validation"]
    assert sorted(held_out.hashes) == sorted(validation["text_hash"].to_pylist())
    held, said = held_out.said(trained.pipeline.tree, ["unknown", *validation["text_hash"].to_pylist()])
    assert held == list(range(1, 1 + validation.num_rows))
    now = trained.pipeline.predict(validation["text"].to_pylist()).own
    gold = [trained.pipeline.tree.position[code] for code in validation["code"].to_pylist()]
    rows = np.arange(len(gold))
    assert 1 - now[rows, gold].mean() < 0.9 * (1 - said[rows, gold].mean())
    before = said.argmax(axis=1) == gold
    assert trained.manifest["validation"]["accuracy"] == pytest.approx(before.mean())


def test_what_needs_validation_texts_to_stop_never_learns_from_them(store, tree, labelled, embedder):
    spec = spec_of(classifier="xgboost", parameters=["n_estimators=5"])
    trained = train(store, tree, labelled, embedder, spec)
    assert not trained.manifest["learned_from_validation"]
    assert HeldOut.load(store.folder("things", trained.number)) is None


def test_slow_tokenizers_are_asked_once_for_each_text(store, tree, labelled, embedder, monkeypatch):
    factory = registry().get("tokenizer", "spacy").factory
    real, asked = factory.tokenize, []
    monkeypatch.setattr(factory, "tokenize", lambda self, texts: asked.extend(texts) or real(self, texts))
    spec = spec_of(tokenizer="spacy", features="bow+tfidf", parameters=["bow.min_df=1", "tfidf.min_df=1"])
    trained = train(store, tree, labelled, embedder, replace(spec, node_texts=False))
    texts = trained.manifest["data"]["train"]
    # Once for both vocabularies, once for the matrix, and the validation rows twice.
    assert len(asked) == 2 * texts + 2 * trained.manifest["data"]["validation"]


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_texts_are_told_of_with_their_counts(rows, store, tree, labelled, embedder):
    with pytest.raises(Fault) as raised:
        train(
            store, tree, labelled.filter([split == "train" for split in labelled["split"].to_pylist()]).slice(0, rows), embedder
        )
    assert raised.value.code == "too_few_labels"
    assert f"{rows} training texts" in raised.value.what
    assert store.versions("things") == []


def test_one_example_of_a_code_is_enough_to_be_trained(store, tree, labelled, embedder):
    train_rows = labelled.filter([split == "train" for split in labelled["split"].to_pylist()])
    codes = train_rows["code"].to_pylist()
    kept = [code != "dog" or place == codes.index("dog") for place, code in enumerate(codes)]
    trained = train(store, tree, train_rows.filter(kept), embedder, replace(spec_of(parameters=["min_df=1"]), node_texts=False))
    assert "dog" in trained.manifest["codes"]
    assert trained.validation is None


def test_a_damaged_version_is_not_loaded(store, tree, labelled, embedder):
    trained = train(store, tree, labelled, embedder)
    path = store.folder("things", trained.number) / "units.json"
    path.write_text(json.dumps([]))
    with pytest.raises(Fault) as raised:
        load_model(store, "things", embedder=lambda: embedder)
    assert raised.value.code == "model_damaged"


def test_a_cap_takes_training_rows_alone(labelled):
    found = with_fewer_texts(labelled, 20, 1)
    counts = found["split"].to_pylist()
    assert counts.count("train") == 20
    others = labelled.filter([split != "train" for split in labelled["split"].to_pylist()])
    assert found.filter([split != "train" for split in counts]).equals(others)
    assert set(found["code"].to_pylist()) == set(labelled["code"].to_pylist())


def test_texts_of_a_column_are_a_sequence(labelled):
    texts = ArrowTexts(labelled["text"], ["one more", "and another"])
    plain = [*labelled["text"].to_pylist(), "one more", "and another"]
    assert len(texts) == len(plain)
    for place in (0, 5, len(plain) - 1, len(plain) - 2):
        assert texts[place] == plain[place]
    for start, stop in ((0, 3), (len(plain) - 4, len(plain)), (len(plain) - 1, len(plain) + 5), (4, 4)):
        assert texts[start:stop] == plain[start:stop]


def test_texts_of_the_taxonomy_join_the_training_rows(tree, labelled):
    plain, more = (examples_of(tree, labelled, "train", own_texts=own) for own in (False, True))
    assert len(more) == len(plain) + 2 * len(tree)  # a label and a definition each
    assert plain.labelled.all()
    assert (~more.labelled).sum() == 2 * len(tree)


def test_texts_of_the_taxonomy_are_rows_in_the_languages_of_the_labelled_texts(labelled):
    import pyarrow as pa

    from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

    names = {"cat": ("chat", "Katze"), "dog": ("chien", "Hund")}
    nodes = [
        Node(code, None, 1, (NodeText("en-GB", code), NodeText("fr", fr), NodeText("", f"{code} {fr}"), NodeText("de", de)))
        for code, (fr, de) in names.items()
    ]
    tree = Taxonomy.build("pets", nodes, version="1" * 12)

    def own(*languages: str) -> set[str]:
        rows = [{**labelled.to_pylist()[0], "code": "cat", "split": "train", "language": given} for given in languages]
        found = examples_of(tree, pa.Table.from_pylist(rows, schema=labelled.schema), "train", own_texts=True)
        return {found.texts[i] for i in range(len(found)) if not found.labelled[i]}

    neutral = {"cat chat", "dog chien"}
    assert own("en", "en-US") == {"cat", "dog", *neutral}
    assert own("en", "de") == {"cat", "dog", "Katze", "Hund", *neutral}
    every = {"cat", "dog", "chat", "chien", "Katze", "Hund", *neutral}
    assert own("en", "") == every
    assert own("pl") == every
