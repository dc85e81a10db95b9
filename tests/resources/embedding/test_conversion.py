"""Conversion: any common encoder, compared with the original, published whole or not at all."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest

from taxomind_resources.embedding import conversion, load_embedder
from taxomind_resources.embedding.conversion import converted_model
from taxomind_resources.embedding.model_folder import read_model_folder
from taxomind_resources.faults import Fault

TEXTS = ["nurse", "senior software engineer of the farm", "doctor teacher cook driver " * 30, "zzz ???", "welder"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "runtime"),
    [
        ("bert", "openvino"),
        ("xlm-roberta", "onnxruntime"),
        ("mpnet", "openvino"),
        ("modernbert", "openvino"),
        ("qwen3", "onnxruntime"),
    ],
)
def test_every_architecture_gives_the_vectors_of_sentence_transformers(settings, data, tiny_models, architecture, runtime):
    values = {"model": str(tiny_models / architecture), "number_format": "float32"}
    reference = load_embedder(settings(provider="sentence-transformers", **values), data)
    local = load_embedder(settings(runtime=runtime, **values), data)
    assert local.spec.vector_class == reference.spec.vector_class
    for kind in ("query", "document"):
        vectors = local.embed(TEXTS, kind)
        np.testing.assert_allclose(vectors, reference.embed(TEXTS, kind), atol=1e-5)
        assert (vectors @ vectors.T)[np.triu_indices(len(TEXTS), 1)].max() < 0.99  # different texts, different vectors
    np.testing.assert_array_equal(local.word_pieces(TEXTS), reference.word_pieces(TEXTS))


@pytest.mark.slow
def test_two_processes_that_convert_at_once_share_one_result(tiny_models, tmp_path):
    code = (
        "import sys; from pathlib import Path; from taxomind_resources.embedding.conversion import converted_model;"
        "from taxomind_resources.embedding.model_folder import read_model_folder;"
        "print(converted_model(read_model_folder(Path(sys.argv[1])), 'onnx', Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(tiny_models / "bert"), str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(paths) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_a_model_that_cannot_be_converted_is_a_fault_and_leaves_nothing(tiny_models, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_models / "bert", folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(Fault) as caught:
        converted_model(read_model_folder(folder), "onnx", tmp_path / "models")
    assert caught.value.code == "model_unavailable"
    assert "sentence-transformers" in caught.value.allowed
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.slow
def test_a_tokenizer_that_the_original_reads_otherwise_is_refused(tiny_models, tmp_path):
    """The original adds lower-casing that tokenizer.json does not have; silently other vectors would be the result."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_models / "xlm-roberta", folder)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 48, "do_lower_case": true}')
    with pytest.raises(Fault, match="differ from the original") as caught:
        converted_model(read_model_folder(folder), "onnx", tmp_path / "models")
    assert caught.value.code == "model_unavailable"


def test_an_existing_conversion_is_used_and_an_unfinished_one_replaced(tiny_models, tmp_path, monkeypatch):
    made: list[str] = []

    def write(folder, form, target):
        (target / "model.onnx").write_text("converted")
        made.append(form)

    monkeypatch.setattr(conversion, "_convert_elsewhere", write)
    folder = read_model_folder(tiny_models / "bert")
    file = converted_model(folder, "onnx", tmp_path)
    assert converted_model(folder, "onnx", tmp_path) == file
    assert made == ["onnx"]
    file.rename(file.with_name("lost"))
    assert converted_model(folder, "onnx", tmp_path).read_text() == "converted"
    assert made == ["onnx", "onnx"]


def test_int8_without_nncf_names_the_extra(tiny_models, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Fault, match=r"taxomind\[int8\]") as caught:
        converted_model(read_model_folder(tiny_models / "bert"), "int8", tmp_path)
    assert caught.value.code == "missing_extra"


def test_the_digest_of_a_single_weight_file_is_its_sha256(tiny_models):
    import hashlib

    folder = tiny_models / "bert"
    assert read_model_folder(folder).weights_digest == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_position_tables_with_an_offset_hold_fewer_tokens(tiny_models):
    assert read_model_folder(tiny_models / "bert").position_limit == 66
    assert read_model_folder(tiny_models / "xlm-roberta").position_limit == 64
