"""The sentence-transformers provider and models of the hub, offline."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from taxomind_resources.embedding import embedding_spec, load_embedder
from taxomind_resources.embedding.tokens import Tokens
from taxomind_resources.faults import Fault

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXTS = ["nurse", "senior software engineer", "driver"]


@pytest.fixture
def hub(tmp_path, tiny_models, monkeypatch):
    """A data root whose hub cache holds one downloaded model, as the hub library lays it out."""
    for variable in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    repository = tmp_path / "models" / "hub" / "models--some--encoder"
    shutil.copytree(tiny_models / "xlm-roberta", repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return tmp_path


def test_a_downloaded_model_is_used_without_asking_the_hub(hub, settings, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for revision in (None, COMMIT):
        spec = embedding_spec(settings(provider="sentence-transformers", model="some/encoder", revision=revision), hub)
        assert (spec.model, spec.revision, spec.query_prompt) == ("some/encoder", COMMIT, "query: ")


@pytest.mark.parametrize("model", ["some/other", "some/encoder/too/long"])
def test_a_model_that_is_not_there_is_a_fault_offline(hub, settings, model):
    with pytest.raises(Fault) as caught:
        load_embedder(settings(provider="sentence-transformers", model=model, local_files_only=True), hub)
    assert caught.value.code == "model_unavailable"


def test_another_revision_is_not_replaced_by_the_one_that_is_there(hub, settings):
    chosen = settings(provider="sentence-transformers", model="some/encoder", revision="f" * 40, local_files_only=True)
    with pytest.raises(Fault) as caught:
        load_embedder(chosen, hub)
    assert caught.value.code == "model_unavailable"


@pytest.mark.slow
def test_vectors_are_those_of_the_library_with_the_models_prompts(hub, settings, tiny_models):
    from sentence_transformers import SentenceTransformer

    chosen = settings(provider="sentence-transformers", model="some/encoder", number_format="float32", device="cpu")
    subject = load_embedder(chosen, hub)
    library = SentenceTransformer(str(tiny_models / "xlm-roberta"), device="cpu")
    np.testing.assert_allclose(subject.embed(TEXTS, "query"), library.encode_query(TEXTS), atol=1e-6)
    # The library's encode_document takes an empty "document" before a "passage" that says something.
    np.testing.assert_allclose(subject.embed(TEXTS, "document"), library.encode(TEXTS, prompt_name="passage"), atol=1e-6)
    silent = load_embedder(chosen.model_copy(update={"query_prompt": ""}), hub)
    np.testing.assert_allclose(silent.embed(TEXTS, "query"), library.encode(TEXTS), atol=1e-6)


@pytest.mark.slow
def test_bfloat16_and_cut_vectors_have_unit_length(settings, data, tiny_models):
    values = {"provider": "sentence-transformers", "model": str(tiny_models / "bert"), "number_format": "bfloat16"}
    vectors = load_embedder(settings(**values, dimensions=16), data).embed(TEXTS, "query")
    assert vectors.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.slow
def test_a_gpu_that_is_not_there_is_an_invalid_setting(settings, data, tiny_models):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    chosen = settings(provider="sentence-transformers", model=str(tiny_models / "bert"), device="cuda")
    with pytest.raises(Fault) as caught:
        load_embedder(chosen, data).embed(["nurse"], "query")
    assert caught.value.code == "invalid_setting"


def test_text_parts_stay_within_the_limit_and_lose_nothing(tiny_models):
    for architecture in ("bert", "xlm-roberta"):
        tokens = Tokens(tiny_models / architecture, 16)
        texts = ["nurse", "doctor teacher cook driver farm " * 9, "engineer" * 30]
        pieces, owner = tokens.pieces(texts, "query: ")
        numbers, same_owner = tokens.chunks(texts, "query: ")
        np.testing.assert_array_equal(owner, same_owner)
        assert max(map(len, numbers)) <= 16
        for row, text in enumerate(texts):
            own = [piece for piece, belongs in zip(pieces, owner, strict=True) if belongs == row]
            assert "".join(own).replace(" ", "") == text.replace(" ", "")


def test_a_hub_that_cannot_be_reached_is_a_fault(settings, tmp_path):
    """In a process of its own: the hub library reads its address at import."""
    import subprocess
    import sys

    code = (
        "from pathlib import Path; from taxomind_resources.embedding import load_embedder;"
        "from taxomind_resources.settings import EmbeddingSettings; from taxomind_resources.faults import Fault\n"
        "try:\n"
        f"    load_embedder(EmbeddingSettings(model='bge-m3'), Path({str(tmp_path)!r}))\n"
        "except Fault as fault:\n"
        "    print(fault.code, '|', fault.next_step)"
    )
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_DISABLE_TELEMETRY": "1"}
    environment.pop("HF_HOME", None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert "licence: " in done.stdout
    assert done.stdout.startswith("model_unavailable |")
