"""The fine-tuned encoder, on an encoder of two small layers with the embedded model's tokenizer."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from taxomind_assets.models.contracts import Rows
from taxomind_assets.models.plugins.classifiers import fine_tuning
from taxomind_assets.models.plugins.classifiers.transformer import Transformer
from taxomind_resources.embedding.loading import packaged_model
from taxomind_resources.faults import Fault

GIVEN = {"num_epochs": 6, "batch_size": 16, "learning_rate": 2e-3, "max_length": 16, "device": "cpu", "dropout": 0.0}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a random encoder of two layers."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder, safe_serialization=True)
    shutil.copy(packaged_model() / "tokenizer.json", folder)
    return folder


@pytest.fixture(scope="module")
def rows(examples, tree):
    nodes = np.array([tree.position[code] for code in ("cat", "bread", "cold")])
    kept = np.flatnonzero(np.isin(examples.nodes, nodes))
    classes = np.searchsorted(nodes, examples.nodes[kept]).astype(np.int64)
    return Rows([examples.texts[i] for i in kept.tolist()], classes, np.ones(kept.size, np.float32), 3)


def trained(tiny, rows, surroundings, checkpoints=None, validation=None, **others):
    own = Transformer(Transformer.Parameters(model_name=str(tiny), **GIVEN | others), surroundings)
    own.train(rows, validation, checkpoints)
    return own


@pytest.fixture(scope="module")
def model(tiny, rows, surroundings):
    return trained(tiny, rows, surroundings)


def test_it_learns_and_answers_alike_when_it_is_loaded(model, rows, surroundings, folder):
    scores = model.scores(rows.inputs)
    assert (scores.argmax(axis=1) == rows.classes).mean() > 0.9
    model.save(folder)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    loaded = Transformer.load(folder, model.parameters, surroundings)
    np.testing.assert_allclose(loaded.scores(rows.inputs), scores, atol=1e-5)


def test_the_loss_of_each_epoch_is_kept_with_the_model(model, surroundings, folder):
    model.save(folder)
    kept = json.loads((folder / "losses.json").read_text())
    assert [row["epoch"] for row in kept] == [1, 2, 3, 4, 5, 6]
    assert kept[-1]["training"] < kept[0]["training"]
    assert {row["validation"] for row in kept} == {None}
    assert Transformer.load(folder, model.parameters, surroundings).losses == model.losses


def test_a_text_gets_the_same_alone_and_in_any_batch(model):
    texts = ["the cat was here", "a very chilled and icy long dish of gazpacho that nobody ate", "bread"]
    together = model.scores(texts)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(model.scores([text])[0], together[row], atol=1e-4)


def test_long_texts_are_cut_and_none_gives_none(model):
    assert np.isfinite(model.scores(["word " * 500])).all()
    assert model.scores([]).shape == (0, 3)


def test_two_trainings_with_one_seed_are_equal(tiny, rows, surroundings):
    first, second = (trained(tiny, rows, surroundings, num_epochs=1).scores(rows.inputs) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_training_that_was_killed_ends_as_one_that_was_not(tiny, rows, surroundings, tmp_path, monkeypatch):
    whole = trained(tiny, rows, surroundings, num_epochs=3)
    real = fine_tuning._epoch
    calls = []

    def killed(*args, **others):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args, **others)

    monkeypatch.setattr(fine_tuning, "_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(tiny, rows, surroundings, tmp_path / "steps", num_epochs=3)
    assert [path.name for path in (tmp_path / "steps").iterdir()] == ["epoch-2"]
    resumed = trained(tiny, rows, surroundings, tmp_path / "steps", num_epochs=3)
    assert len(calls) == 4  # one more epoch, not three
    np.testing.assert_allclose(resumed.scores(rows.inputs), whole.scores(rows.inputs), atol=1e-5)


def test_it_stops_when_validation_rows_gain_nothing(tiny, rows, surroundings, tmp_path):
    wrong = Rows(rows.inputs, (rows.classes + 1) % 3, rows.weights, 3)
    trained(tiny, rows, surroundings, tmp_path, wrong, num_epochs=6, patience=1)
    (last,) = tmp_path.iterdir()
    facts = json.loads((last / "progress.json").read_text())
    assert facts["epoch"] < 6
    assert facts["stale"] == 1


def test_a_gpu_that_is_not_there_is_told_of(tiny, rows, surroundings):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(Fault, match="no GPU"):
        trained(tiny, rows, surroundings, device="cuda")


def test_a_damaged_encoder_is_told_of(model, surroundings, folder):
    model.save(folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(Fault) as raised:
        Transformer.load(folder, model.parameters, surroundings)
    assert raised.value.code == "model_damaged"


@pytest.mark.slow
def test_the_embedded_encoder_is_fine_tuned(rows, surroundings):
    own = Transformer(Transformer.Parameters(num_epochs=2, max_length=16, device="cpu"), surroundings)
    own.train(rows, None, None)
    assert (own.scores(rows.inputs).argmax(axis=1) == rows.classes).mean() > 0.9
