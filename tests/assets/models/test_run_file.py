"""A training as one YAML file: every key acts, and what is no key is said with the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxomind_assets.models.registry import registry
from taxomind_assets.models.run_file import known_keys, read_run
from taxomind_assets.models.specification import chosen_spec
from taxomind_resources.faults import Fault

PARAMETERS = {
    "runtime.device": ("cpu", "device"),
    "model.model_name": ("some/model", "model_name"),
    "model.max_length": (64, "max_length"),
    "model.dropout": (0.3, "dropout"),
    "training.num_train_epochs": (5, "num_epochs"),
    "training.per_device_train_batch_size": (8, "batch_size"),
    "training.learning_rate": (3e-5, "learning_rate"),
    "training.weight_decay": (0.02, "weight_decay"),
    "training.warmup_ratio": (0.25, "warmup_share"),
    "training.early_stopping_patience": (4, "patience"),
}
OTHERS = {
    "runtime.run_mode",
    "runtime.seed",
    "data.taxonomy_key",
    "data.dataset_name",
    "data.max_train_samples",
    "onnx.export",
}


@pytest.fixture
def read(tmp_path):
    def run(content):
        path = tmp_path / "run.yaml"
        path.write_text(content, encoding="utf-8")
        return read_run(path)

    return run


def spec_of(run):
    config = dict(run.config)
    config.pop("max_texts", None)
    return chosen_spec(registry(), config.pop("preset"), **config)


def one(name, value):
    section, _, key = name.partition(".")
    return f"{section}:\n  {key}: {value}\n"


def test_every_key_is_one_of_those_whose_effect_is_tested():
    assert set(known_keys()) == set(PARAMETERS) | OTHERS


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_key_sets_its_parameter_of_the_encoder(name, read):
    value, parameter = PARAMETERS[name]
    changed, plain = (spec_of(read(content)).classifier.parameters for content in (one(name, value), ""))
    assert {key for key in changed if changed[key] != plain[key]} == {parameter}
    assert changed[parameter] == value


def test_the_other_keys_act_too(read, tmp_path):
    plain = read("")
    assert (plain.taxonomy, plain.labelled, plain.export) == (None, None, False)
    assert plain.config["max_texts"] == 2000
    assert spec_of(plain).name == "transformer"
    assert spec_of(plain).classifier.parameters["num_epochs"] == 1
    for mode in ("full", "kaggle"):
        full = read(one("runtime.run_mode", mode))
        assert ("max_texts" in full.config, spec_of(full).classifier.parameters["num_epochs"], full.export) == (False, 3, True)
    assert spec_of(read(one("runtime.seed", 7))).seed == 7
    assert read(one("data.taxonomy_key", "news")).taxonomy == "news"
    assert read(one("data.dataset_name", "labelled.csv")).labelled == tmp_path / "labelled.csv"
    assert read(one("data.max_train_samples", 12)).config["max_texts"] == 12
    assert read(one("onnx.export", "true")).export is True


def test_a_folder_beside_the_file_is_the_model(read, tmp_path):
    (tmp_path / "encoder").mkdir()
    assert spec_of(read(one("model.model_name", "encoder"))).classifier.parameters["model_name"] == str(tmp_path / "encoder")


@pytest.mark.parametrize(
    ("content", "code", "phrase"),
    [
        (one("training.learning_rat", 1), "unknown_setting", "'training.learning_rate'"),
        (one("data.validation_fraction", 0.1), "unknown_setting", "models.validation_share"),
        (one("model.num_labels", 4), "unknown_setting", "the taxonomy"),
        (one("model.max_length", 2), "invalid_setting", "model.max_length"),
        (one("runtime.run_mode", "cloud"), "invalid_setting", "run_mode"),
        ("- a\n- list\n", "invalid_setting", "The file"),
        ("model: embedded\n", "invalid_setting", "model"),
        ("a: [", "unreadable_file", "run.yaml"),
    ],
)
def test_what_a_file_may_not_say_is_refused(read, content, code, phrase):
    with pytest.raises(Fault) as raised:
        read(content)
    assert raised.value.code == code
    assert phrase in raised.value.render()


def test_the_file_of_the_documentation_is_one(read):
    page = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")
    run = read(page.split("```yaml\n")[1].split("```")[0])
    assert (run.taxonomy, run.export, run.config["max_texts"]) == ("news", True, 2000)
    assert spec_of(run).classifier.parameters["batch_size"] == 16


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Fault) as raised:
        read_run(tmp_path / "none.yaml")
    assert raised.value.code == "unreadable_file"
    assert "none.yaml" in raised.value.render()


def test_empty_sections_are_defaults(read):
    assert read("model:\ntraining:\n") == read("")
