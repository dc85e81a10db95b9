from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.faults import Fault

Classifiers = Callable[..., Classifier]
Indexes = Callable[[Taxonomy], NodeIndex]
TEXTS = ["Shop manager", "Education", "asdf qwer", "Richterin", "judge", "nurse for old people at home", "👩‍🏫", "\u200d"]


@pytest.fixture(scope="session")
def classifier(occupations: NodeIndex, classifier_of: Classifiers) -> Classifier:
    return classifier_of(occupations)


@pytest.mark.parametrize("text", TEXTS)
def test_every_level_is_explained_by_figures_that_add_up(classifier: Classifier, text: str) -> None:
    found = classifier.explain(text)
    json.dumps(found, allow_nan=False)
    tree = classifier.tree
    assert found["code"] == classifier.classify([text])["code"].to_pylist()[0]
    assert [level["chosen"]["code"] for level in found["levels"]][: len(found["path"])] == found["path"]
    assert found["levels"][-1]["chosen"]["code"] == found["top_codes"][0]
    parent = None
    for level in found["levels"]:
        chosen = tree.nodes[tree.position[level["chosen"]["code"]]]
        assert chosen.parent_code == parent
        assert level["level"] == chosen.level
        assert level["chosen"]["label"] == chosen.label
        parent = chosen.code
        nearest = level["nearest_text"]
        assert nearest in [
            {"view": t.view, "language": t.language, "text": t.text}
            for t in classifier.index.texts
            if t.code == chosen.code and t.view != "negative"
        ]
        if level["runner_up"] is None:
            assert (level["views"], level["deciding_view"], level["logit_difference"]) == ({}, None, None)
            continue
        rival = tree.nodes[tree.position[level["runner_up"]["code"]]]
        assert rival.parent_code == chosen.parent_code
        assert rival.code != chosen.code
        assert sum(level["views"].values()) == pytest.approx(level["logit_difference"], abs=1e-3)
        sign = 1 if level["logit_difference"] >= 0 else -1
        assert sign * level["views"][level["deciding_view"]] == max(sign * part for part in level["views"].values())


def test_confidences_are_those_of_the_answer(classifier: Classifier) -> None:
    found = classifier.explain("Shop manager")
    stated = [level["chosen"]["confidence"] for level in found["levels"]]
    assert stated == pytest.approx(found["level_confidences"], abs=1e-3)
    assert found["belongs"] >= stated[0]
    for level in found["levels"]:
        if level["runner_up"]:
            assert level["runner_up"]["confidence"] <= 1 - level["chosen"]["confidence"] + 1e-3


def test_the_settings_that_decide_also_explain(occupations: NodeIndex, classifier_of: Classifiers) -> None:
    for routing in ({"abstain": False}, {"stop_rule": "never"}):
        found = classifier_of(occupations, routing=routing).explain("asdf qwer")
        assert found["belongs"] == 1
        stated = [level["chosen"]["confidence"] for level in found["levels"]]
        assert stated[: len(found["level_confidences"])] == pytest.approx(found["level_confidences"], abs=1e-3)


def test_the_older_rules_are_explained_along_their_own_path(occupations: NodeIndex, classifier_of: Classifiers) -> None:
    found = classifier_of(occupations, routing={"stop_rule": "rules"}).explain("Child Care Workers")
    assert [level["chosen"]["code"] for level in found["levels"]] == found["path"] == ["5", "53", "531", "5311"]


def test_a_level_with_one_child_has_no_rival(index_of: Indexes, classifier_of: Classifiers) -> None:
    tree = Taxonomy.build(
        "chain", [Node("1", None, 1, (NodeText("en", "Cooks"),)), Node("11", "1", 2, (NodeText("en", "Pizza cooks"),))]
    )
    found = classifier_of(index_of(tree)).explain("pizza cook")
    assert [level["runner_up"] for level in found["levels"]] == [None, None]
    assert [level["nearest_text"]["text"] for level in found["levels"]] == ["Cooks", "Pizza cooks"]


def test_a_text_without_content_has_nothing_to_explain(classifier: Classifier) -> None:
    found = classifier.explain(" \t")
    assert (found["code"], found["error_code"], found["belongs"], found["levels"]) == (None, "empty_text", 0.0, [])


def test_negative_examples_appear_as_a_part(index_of: Indexes, classifier_of: Classifiers) -> None:
    nodes = [
        Node("1", None, 1, (NodeText("en", "Bank clerks", "", (), (), ("river bank guide",)),)),
        Node("2", None, 1, (NodeText("en", "Travel guides"),)),
    ]
    classifier = classifier_of(index_of(Taxonomy.build("banks", nodes)), scoring={"negative_weight": 2.0})
    found = classifier.explain("river bank guide")
    assert found["levels"][0]["chosen"]["code"] == "2"
    assert found["levels"][0]["views"]["negative_examples"] > 0


def test_what_is_no_text_is_refused(classifier: Classifier) -> None:
    with pytest.raises(Fault, match="int"):
        classifier.explain(5)  # type: ignore[arg-type]


def test_without_any_signal_there_is_still_an_explanation(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        spec = classifier.embedder.spec

        def embed(self, texts: list[str], kind: str) -> np.ndarray:
            return np.zeros((len(texts), classifier.index.vectors.shape[1]), np.float32)

    monkeypatch.setattr(classifier, "embedder", Silent())
    json.dumps(classifier.explain("日本"), allow_nan=False)
