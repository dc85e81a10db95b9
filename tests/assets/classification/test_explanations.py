"""Explanations of a batch are rows of a table, one per level."""

from __future__ import annotations

import json

import pytest
from dagster import RunConfig

from taxomind_assets.classification import explanations
from taxomind_assets.classification.assets import ClassificationConfig
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.explanations import explanation_rows

TEXTS = "text_id,text\nt1,a barking puppy\nt2,purring kitten\nt3,thorny flower\nt4,acorn tree\n"
EXPLAINED = "SELECT DISTINCT text_id FROM classification.explanations ORDER BY text_id"


@pytest.fixture
def built(animals):
    assert animals.run("build_taxonomy", "animals").success
    animals.put("animals", "texts", TEXTS)
    return animals


def asked(**config):
    return RunConfig(ops={"classification_results": ClassificationConfig(explain=True, **config)})


def test_every_level_is_a_row_with_its_figures(occupations, classifier_of):
    found = classifier_of(occupations).explain("Shop manager")
    rows = explanation_rows("b", "t", found)
    assert [row["chosen_code"] for row in rows] == [level["chosen"]["code"] for level in found["levels"]]
    for row, level in zip(rows, found["levels"], strict=True):
        assert (row["batch_id"], row["text_id"], row["level"]) == ("b", "t", level["level"])
        assert json.loads(row["views"]) == level["views"]
        assert row["deciding_view"] == level["deciding_view"]
        assert row["nearest_text"] == level["nearest_text"]["text"]
        assert row["chosen_confidence"] == level["chosen"]["confidence"]
        if level["runner_up"]:
            assert row["runner_up_code"] == level["runner_up"]["code"]
            assert row["runner_up_confidence"] == level["runner_up"]["confidence"]


def test_a_level_without_siblings_has_no_runner_up():
    step = {
        "level": 1,
        "chosen": {"code": "1", "label": "Cooks", "confidence": 1.0},
        "runner_up": None,
        "deciding_view": None,
        "views": {},
        "logit_difference": None,
        "nearest_text": {"view": "label", "language": "en", "text": "Cooks"},
        "nearest_correction": {"code": "1", "text": "chef", "similarity": 0.7},
    }
    row = explanation_rows("b", "t", {"levels": [step]})[0]
    assert (row["runner_up_code"], row["runner_up_confidence"], row["deciding_view"], row["views"]) == (None, None, None, "{}")


def test_a_text_without_content_has_no_rows(occupations, classifier_of):
    assert explanation_rows("b", "t", classifier_of(occupations).explain("")) == []


def test_only_the_first_texts_of_a_batch_are_explained(built, metadata, monkeypatch):
    monkeypatch.setattr(explanations, "MOST_TEXTS", 2)
    shown = metadata(built.run("inference", "animals", config=asked()), "classification_results")
    assert [row["text_id"] for row in built.sql(EXPLAINED)] == ["t1", "t2"]
    assert shown["texts explained in this run"] == 2
    assert shown["explanations"].startswith("2 of 4 texts")


def test_the_first_texts_are_taken_across_shards(built, monkeypatch):
    monkeypatch.setenv("TAXOMIND_LIMITS__SHARD_ROWS", "1")
    monkeypatch.setattr(explanations, "MOST_TEXTS", 3)
    built.run("inference", "animals", config=asked())
    assert len(built.outputs.parts("classification.results", "animals")) == 4
    assert [row["text_id"] for row in built.sql(EXPLAINED)] == ["t1", "t2", "t3"]


def test_answers_that_are_there_are_explained_once(built, metadata, monkeypatch):
    built.run("inference", "animals")
    assert built.sql(EXPLAINED) == []
    texts = []
    explain = Classifier.explain
    monkeypatch.setattr(Classifier, "explain", lambda self, text: texts.append(text) or explain(self, text))
    for count in (4, 0):
        shown = metadata(built.run("inference", "animals", config=asked()), "classification_results")
        assert shown["texts explained in this run"] == count
    assert len(texts) == len(built.sql(EXPLAINED)) == 4


def test_explanations_of_former_answers_are_dropped(built):
    built.run("inference", "animals", config=asked())
    text = (built.data / "inbox/animals/taxonomy.csv").read_text()
    built.put("animals", "taxonomy", text.replace("Rose,", "Rosebush,"))
    built.run("build_taxonomy", "animals")
    built.run("inference", "animals")
    assert len(built.sql(EXPLAINED)) == 4  # the former answers are still there, and these explain them
    stale = RunConfig(ops={"classification_results": ClassificationConfig(reclassify="stale")})
    built.run("inference", "animals", config=stale)
    assert built.sql(EXPLAINED) == []
