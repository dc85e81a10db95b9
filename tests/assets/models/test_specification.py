"""What a model is made of: presets, parameters, and combinations that cannot be."""

from __future__ import annotations

import pytest

from taxomind_assets.models.registry import registry
from taxomind_assets.models.specification import PRESETS, ModelSpec, chosen_spec
from taxomind_resources.faults import Fault


def chosen(preset="fast", **others):
    return chosen_spec(registry(), preset, **others)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_made(preset):
    spec = chosen(preset)
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_presets_are_what_they_are_called():
    assert {preset: chosen(preset).name for preset in PRESETS} == {
        "fast": "icu+tfidf+svm",
        "balanced": "sbert+logreg",
        "combined": "icu+tfidf+sbert+svm",
        "best": "transformer",
    }


def test_a_classifier_of_texts_takes_no_tokenizer_and_no_features():
    assert chosen("fast", classifier="transformer").name == "transformer"
    with pytest.raises(Fault) as raised:
        chosen("fast", classifier="transformer", tokenizer="icu")
    assert "transformer) alone" in (raised.value.allowed or "")


def test_a_tokenizer_without_features_of_tokens_is_refused():
    with pytest.raises(Fault, match="no effect"):
        chosen("balanced", tokenizer="icu")


def test_parts_that_a_change_asks_for_come_with_it():
    assert chosen("best", classifier="svm").name == "icu+tfidf+svm"
    assert chosen("balanced", features="bow").name == "icu+bow+logreg"
    assert chosen("fast", features="sbert").name == "sbert+svm"


def test_features_stand_side_by_side_with_weights():
    spec = chosen(features="tfidf+sbert*0.5+fasttext")
    assert [(part.name, part.weight) for part in spec.features] == [("tfidf", 1.0), ("sbert", 0.5), ("fasttext", 1.0)]
    with pytest.raises(Fault, match="weight is a number"):
        chosen(features="tfidf*much")


@pytest.mark.parametrize("name", ["C", "classifier.C", "classifier_C", "svm.C"])
def test_a_parameter_may_be_named_in_several_ways(name):
    assert chosen(parameters=[f"{name}=0.25"]).classifier.parameters["C"] == 0.25


def test_parameters_reach_their_plugin():
    spec = chosen(parameters=["locale=de", "features.ngram_range=1,3", "feature_min_df=2", "tokenizer.lowercase=false"])
    assert spec.tokenizer is not None
    assert spec.tokenizer.parameters["locale"] == "de"
    assert spec.tokenizer.parameters["lowercase"] is False
    assert spec.features[0].parameters["ngram_range"] == [1, 3]
    assert spec.features[0].parameters["min_df"] == 2


@pytest.mark.parametrize("text", ["C", "=1", "no_such=1", "features.no_such=1", "C=much"])
def test_a_parameter_that_cannot_be_is_refused(text):
    with pytest.raises(Fault) as raised:
        chosen(parameters=[text])
    assert raised.value.code == "invalid_input"


def test_a_parameter_of_two_plugins_must_be_named_fully():
    with pytest.raises(Fault, match="Several"):
        chosen(features="bow+tfidf", parameters=["min_df=1"])
    assert chosen(features="bow+tfidf", parameters=["bow.min_df=1"]).features[0].parameters["min_df"] == 1


def test_a_unit_may_have_another_classifier():
    spec = chosen(hierarchy="per_parent", parameters=["node:food.classifier=logreg", "node:food.C=2", "level:2.C=3"])
    assert spec.classifier_of("node:food").name == "logreg"
    assert spec.classifier_of("node:food").parameters["C"] == 2
    assert spec.classifier_of("level:2").parameters["C"] == 3
    assert spec.classifier_of("flat").parameters["C"] == 1


@pytest.mark.parametrize("field", ["hierarchy", "class_weight"])
def test_an_unknown_way_is_refused(field):
    with pytest.raises(Fault, match="unknown way"):
        chosen(**{field: "sideways"})


def test_an_unknown_preset_is_refused():
    with pytest.raises(Fault, match="preset"):
        chosen("perfect")


def test_versions_tell_specifications_apart():
    assert chosen().version == chosen().version
    assert chosen().version != chosen(parameters=["C=2"]).version
