"""What makes vectors comparable."""

from __future__ import annotations

import json

import pytest

from taxomind_resources.embedding import EmbeddingSpec
from taxomind_resources.faults import Fault


def test_json_brings_back_an_equal_description(make_spec):
    spec = make_spec(query_prompt="Anfrage: ä", revision="abc")
    assert EmbeddingSpec.from_json(spec.to_json()) == spec


def test_keys_of_a_later_version_are_ignored(make_spec):
    text = json.dumps(json.loads(make_spec().to_json()) | {"colour": "blue"})
    assert EmbeddingSpec.from_json(text) == make_spec()


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"model": 1'])
def test_a_damaged_description_is_a_storage_fault(text):
    with pytest.raises(Fault) as caught:
        EmbeddingSpec.from_json(text)
    assert caught.value.code == "storage_failed"


CHANGING = {
    "weights_digest": "x",
    "tokenizer_digest": "x",
    "pooling": "cls",
    "padding_side": "left",
    "max_tokens": 32,
    "dimensions": 16,
    "number_format": "int8",
}


@pytest.mark.parametrize(("name", "value"), CHANGING.items())
def test_what_changes_a_vector_changes_both_classes(make_spec, name, value):
    assert make_spec(**{name: value}).encoder_class != make_spec().encoder_class
    assert make_spec(**{name: value}).vector_class != make_spec().vector_class


@pytest.mark.parametrize(("name", "value"), [("query_prompt", "q: "), ("document_prompt", "p: "), ("max_chars", 100)])
def test_prompts_and_cuts_change_the_vector_class_but_share_a_cache(make_spec, name, value):
    assert make_spec(**{name: value}).encoder_class == make_spec().encoder_class
    assert make_spec(**{name: value}).vector_class != make_spec().vector_class


@pytest.mark.parametrize(
    ("name", "value"), [("number_format", "bfloat16"), ("provider", "sentence-transformers"), ("model", "alias")]
)
def test_what_leaves_vectors_comparable_leaves_the_class(make_spec, name, value):
    assert make_spec(**{name: value}).vector_class == make_spec().vector_class
    assert make_spec(**{name: value}).differing(make_spec()) == {}


def test_differences_name_what_does_not_fit(make_spec):
    assert make_spec(dimensions=16, query_prompt="q: ").differing(make_spec()) == {
        "query_prompt": ("q: ", ""),
        "dimensions": (16, 26),
    }
