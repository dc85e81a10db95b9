"""The local provider with the real default model."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from taxomind_resources.embedding import load_embedder
from taxomind_resources.embedding.local import LocalEncoder
from taxomind_resources.embedding.runtimes import chosen_runtime

TITLES = [
    "nurse",
    "registered nurse",
    "software engineer",
    "welder",
    "Primary school teacher",
    "cook",
    "head chef",
    "infirmière",
]
LONG = "Plans the work of a team of welders. " * 60 + "Keeps bees and sells honey."


@pytest.fixture(params=["openvino", "onnxruntime"])
def local(request, settings, data):
    return load_embedder(settings(runtime=request.param), data)


def test_similar_titles_are_near(local):
    vectors = local.embed(TITLES, "document")
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.7 > 0.4 > cosines[0, 3]
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-5)


def test_a_text_has_the_same_vector_alone_and_in_any_batch(local):
    texts = TITLES + [LONG, LONG[:300], "x"] + [f"{title} {number}" for title in TITLES for number in range(30)]
    together = local.embed(texts, "query")
    alone = np.concatenate([local.embed([text], "query") for text in texts[:40]])
    assert (together[:40] * alone).sum(axis=1).min() >= 0.9999


def test_float32_vectors_do_not_depend_on_batch_or_runtime(settings, data):
    exact = load_embedder(settings(number_format="float32"), data)
    texts = [*TITLES, LONG, LONG[:300]]
    together = exact.embed(texts, "query")
    alone = np.concatenate([exact.embed([text], "query") for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    other = load_embedder(settings(runtime="onnxruntime"), data)
    np.testing.assert_allclose(together, other.embed(texts, "query"), atol=1e-6)


def test_the_end_of_a_long_text_counts(local):
    other_end = LONG.replace("Keeps bees and sells honey.", "Repairs the engines of fishing boats.")
    vectors = local.embed([LONG, other_end, "bees and honey", LONG[:300]], "document")
    assert vectors[0] @ vectors[1] < 0.9999
    assert vectors[0] @ vectors[2] > vectors[1] @ vectors[2]
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-6)


def test_a_long_text_is_the_mean_of_its_parts(settings, data):
    subject = load_embedder(settings(number_format="float32", max_tokens=16), data)
    words = ["doctor", "nurse", "cook", "driver"] * 7  # a token each; 14 to a part besides the two special ones
    whole, *parts = subject.embed([" ".join(words), " ".join(words[:14]), " ".join(words[14:])], "query")
    mean = parts[0] + parts[1]
    np.testing.assert_allclose(whole, mean / np.linalg.norm(mean), atol=1e-5)


def test_pieces_are_counted_without_special_tokens_and_without_a_cut(local):
    assert local.word_pieces(["nurse", "electroencephalographist", "", "nurse " * 1000]).tolist() == [1, 6, 0, 1000]


def test_cut_vectors_are_the_beginning_scaled_to_length_one(settings, data):
    whole = load_embedder(settings(number_format="float32"), data).embed(TITLES, "query")[:, :64]
    cut = load_embedder(settings(number_format="float32", dimensions=64), data).embed(TITLES, "query")
    np.testing.assert_allclose(cut, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-6)


def test_many_threads_get_what_one_gets(local):
    expected = local.embed(TITLES, "query")
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(local.embed(TITLES, "query"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        assert (result * expected).sum(axis=1).min() > 0.9999


def test_auto_prefers_openvino():
    assert chosen_runtime("auto", "auto") == "openvino"
    assert chosen_runtime("auto", "int8") == "openvino"
    assert chosen_runtime("onnxruntime", "float32") == "onnxruntime"


def test_the_model_is_loaded_at_first_use_only(settings, data):
    encoder = load_embedder(settings(batch_tokens=333), data)._encoder
    assert isinstance(encoder, LocalEncoder)
    assert "_runtime" not in vars(encoder)
    encoder.word_pieces(["nurse"])
    assert "_runtime" not in vars(encoder)


def test_no_torch_and_no_transformers_run(data, local):
    local.embed(["warm"], "query")  # converts, if this is the first test to run
    code = (
        "import sys; from pathlib import Path; from taxomind_resources.embedding import load_embedder;"
        "from taxomind_resources.settings import EmbeddingSettings;"
        f"load_embedder(EmbeddingSettings(cache=False, runtime={local._encoder._runtime_name!r}), Path({str(data)!r}))"
        ".embed(['nurse'], 'query');"
        "absent = {'torch', 'transformers', 'sentence_transformers', 'onnx', 'nncf', 'huggingface_hub'};"
        "print(sorted(absent & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_openvino_tells_nobody_that_it_is_used(data, settings, tmp_path):
    """The library's import sends an event to a web service and writes into the home folder, unless told not to."""
    load_embedder(settings(runtime="openvino"), data).embed(["warm"], "query")
    code = (
        "import os, socket, sys\n"
        "asked = []\n"
        "socket.getaddrinfo = lambda *names, **more: asked.append(names)\n"
        "from pathlib import Path\n"
        "from taxomind_resources.embedding import load_embedder\n"
        "from taxomind_resources.settings import EmbeddingSettings\n"
        f"load_embedder(EmbeddingSettings(cache=False, runtime='openvino'), Path({str(data)!r})).embed(['nurse'], 'query')\n"
        "print(asked, os.listdir(Path.home()))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "TF_BUILD", "JENKINS_URL"}}
    environment["HOME"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[] []"


@pytest.mark.slow
def test_vectors_are_those_of_sentence_transformers(settings, data):
    texts = [*TITLES, LONG[:600]]
    reference = load_embedder(settings(provider="sentence-transformers", number_format="float32"), data).embed(texts, "query")
    exact = load_embedder(settings(number_format="float32"), data).embed(texts, "query")
    np.testing.assert_allclose(exact, reference, atol=1e-6)
    fast = load_embedder(settings(), data).embed(texts, "query")
    assert (fast * reference).sum(axis=1).min() >= 0.9999


@pytest.mark.slow
def test_static_int8_is_stable_and_in_a_class_of_its_own(settings, data):
    pytest.importorskip("nncf")
    subject = load_embedder(settings(number_format="int8"), data)
    exact = load_embedder(settings(number_format="float32"), data)
    assert subject.spec.encoder_class != exact.spec.encoder_class
    together = subject.embed([*TITLES, LONG], "query")
    assert (together * exact.embed([*TITLES, LONG], "query")).sum(axis=1).min() > 0.97
    alone = np.concatenate([subject.embed([text], "query") for text in [*TITLES, LONG]])
    assert (together * alone).sum(axis=1).min() >= 0.9999
