"""A promoted model that is older than its taxonomy is named (TL-WRT-6)."""

from __future__ import annotations

import json

import pytest

from taxomind_app.doctor_use import listed, promoted_models
from taxomind_assets.taxonomy.records import taxonomy_to_table
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.model_store import MANIFEST, ModelStore
from taxomind_resources.outputs import Outputs


@pytest.fixture
def outputs(tmp_path):
    """A taxonomy `k` of version `now`."""
    found = Outputs(tmp_path)
    tree = Taxonomy.build("k", [Node("a", None, 1, (NodeText("en", "A"),))], version="now")
    found.write("taxonomy.nodes", "k", taxonomy_to_table(tree))
    return found


def promoted(data, taxonomy_version):
    store = ModelStore(data)
    with store.training("k", "svm") as run:
        (run.folder / MANIFEST).write_text(json.dumps({"taxonomy_version": taxonomy_version, "files": {}}))
    store.promote("k", run.number)


def test_without_a_model_there_is_nothing_to_say(outputs, tmp_path):
    assert promoted_models(tmp_path, outputs, ["k"]) == ("ok", "no model is in use", "")


def test_a_model_of_the_taxonomy_in_force_is_well(outputs, tmp_path):
    promoted(tmp_path, "now")
    assert promoted_models(tmp_path, outputs, ["k"])[0] == "ok"


def test_a_model_of_an_earlier_version_is_named_with_the_way_out(outputs, tmp_path):
    promoted(tmp_path, "before")
    status, detail, remedy = promoted_models(tmp_path, outputs, ["k"])
    assert (status, detail) == ("warn", "models older than their taxonomy: k (version 1)")
    assert "taxomind models train --taxonomy k" in remedy


def test_five_are_named_and_the_others_counted():
    assert listed(list("abc")) == "a; b; c"
    assert listed(list("abcdefg")) == "a; b; c; d; e and 2 more"
