"""`taxomind models`: from a labelled file to a promoted version that takes part in answers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from taxomind_resources.model_store import ModelStore
from taxomind_resources.outputs import Outputs
from tests.app.conftest import TAXOMIND
from tests.assets.models.test_transformer import tiny
from tests.copies import copied

__all__ = ["tiny"]

Call = Callable[..., Any]
#: Words that the taxonomy does not have, so that only labels tell where they belong.
WORDS = {
    "AB": ("zorblax", "wibbler"),
    "AF": ("quuxle", "frobnik"),
    "PT": ("gronthor", "plimsty"),
    "PF": ("vexiline", "tarnoop"),
}
_BEGINNINGS = ("a", "the old", "one small", "some very big", "our", "this", "that new", "every", "no", "his")
_ENDS = ("today", "in the house", "was here", "for sale", "by the lake")
_TRAIN = ("--preset", "fast", "--param", "min_df=2", "--param", "max_df=1.0", "--seed", "1")


@pytest.fixture(scope="module")
def trained(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with 400 labelled texts and one version; tests only read it."""
    data = copied(built, tmp_path_factory.mktemp("models") / "data")
    file = data.parent / "labels.csv"
    rows = [f"{b} {w} {e},{code}" for (code, words), b, e in product(WORDS.items(), _BEGINNINGS, _ENDS) for w in words]
    file.write_text("\n".join(["text,code", *rows]) + "\n", encoding="utf-8")
    command = [TAXOMIND, "--data", str(data), "models", "train", "--input", str(file), *_TRAIN, "--json"]
    shares = {**os.environ, "TAXOMIND_MODELS__VALIDATION_SHARE": "0.2"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=shares)
    assert done.returncode == 0, done.stderr
    assert "features tfidf" in done.stderr  # how far it is
    told = json.loads(done.stdout)
    assert (told["version"], told["promoted"], told["manifest"]["name"]) == (1, False, "icu+tfidf+svm")
    return data


@pytest.fixture
def own_models(trained: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return copied(trained, tmp_path / "own")


def figures(told: dict[str, Any], split: str) -> dict[str, float]:
    return {row["metric"]: row["value"] for row in told["measures"] if row["split"] == split}


def test_a_version_is_listed_and_shown_with_its_figures(call, trained):
    listed = json.loads(call("--data", trained, "models", "list", "--json").out)["versions"]
    assert [(row["version"], row["state"], row["promoted"]) for row in listed] == [(1, "ready", False)]
    assert "icu+tfidf+svm" in call("--data", trained, "models", "list").out
    told = json.loads(call("--data", trained, "models", "show", "--json").out)
    for split in ("validation", "test"):
        assert figures(told, split)["accuracy"] > 0.9
        assert figures(told, split)["hF1"] > 0.9
    assert "macro_f1" in call("--data", trained, "models", "show").out


def test_validation_figures_are_of_the_model_that_had_not_learned_from_validation_texts(call, trained):
    told = json.loads(call("--data", trained, "models", "show", "--json").out)
    assert told["manifest"]["learned_from_validation"]
    judged = told["manifest"]["validation"]
    for metric in ("accuracy", "log_loss", "brier"):
        assert figures(told, "validation")[metric] == pytest.approx(judged[metric], rel=0.02, abs=1e-4)


def test_the_tables_can_be_queried(trained):
    outputs = Outputs(trained)
    texts = outputs.read("models.labelled_texts", "living")
    assert texts.num_rows == 404
    splits = texts["split"].to_pylist()
    assert 30 <= splits.count("test") <= 50
    assert 60 <= splits.count("validation") <= 90
    answers = outputs.read("models.answers", "living")
    assert set(answers["split"].to_pylist()) == {"validation", "test"}
    assert answers.num_rows == splits.count("test") + splits.count("validation")
    assert outputs.read("models.class_scores", "living").num_rows >= 8
    assert outputs.read("models.rejected_rows", "living").num_rows == 0


def test_the_test_rows_are_read_once(call, own_models):
    outputs = Outputs(own_models)
    before = outputs.read("models.evaluations", "living")["evaluated_at"].to_pylist()
    assert call("--data", own_models, "models", "evaluate").code == 0
    assert outputs.read("models.evaluations", "living")["evaluated_at"].to_pylist() == before
    assert call("--data", own_models, "models", "evaluate", "--again").code == 0
    assert outputs.read("models.evaluations", "living")["evaluated_at"].to_pylist() != before


def test_a_promoted_version_takes_part_in_answers_and_can_be_taken_back(call, own_models):
    text = "a very new gronthor"
    before = json.loads(call("--data", own_models, "classify", text, "--json").out)
    called = call("--data", own_models, "models", "promote", "1", "--json")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    assert told["joined"]["choice"] in {"both", "model"}
    assert told["joined"]["accuracy"]["both"] > told["joined"]["accuracy"]["router"]
    after = json.loads(call("--data", own_models, "classify", text, "--json").out)
    assert after["top_codes"][0] == "PT"
    assert after["calibration_version"] != before["calibration_version"]
    explained = call("--data", own_models, "classify", text, "--explain").out
    assert "model_v1" in explained
    back = json.loads(call("--data", own_models, "models", "rollback", "--json").out)
    assert back["promoted"] is None
    again = json.loads(call("--data", own_models, "classify", text, "--json").out)
    assert again["calibration_version"] == before["calibration_version"]


def test_a_version_that_is_older_than_the_taxonomy_is_named(call, own_models, monkeypatch):
    ModelStore(own_models).promote("living", 1)
    assert "older than the taxonomy" not in call("--data", own_models, "models", "list").out
    monkeypatch.setattr("taxomind_assets.taxonomy.versions.current_version", lambda outputs, key: "f" * 12)
    assert "version 1 is older than the taxonomy" in call("--data", own_models, "models", "list").out


def test_with_the_setting_off_a_promoted_version_does_not_vote(call, own_models, monkeypatch):
    before = json.loads(call("--data", own_models, "classify", "a zorblax", "--json").out)
    call("--data", own_models, "models", "promote", "1")
    monkeypatch.setenv("TAXOMIND_MODELS__VOTE", "false")
    after = json.loads(call("--data", own_models, "classify", "a zorblax", "--json").out)
    assert after["calibration_version"] == before["calibration_version"]


def test_the_report_leaves_out_what_the_model_was_trained_on(call, own_models):
    call("--data", own_models, "models", "promote", "1")
    assert call("--data", own_models, "report", "--rebuild", "--json").code == 0
    errors = Outputs(own_models).read("reports.errors", "living")
    texts = Outputs(own_models).read("models.labelled_texts", "living").to_pylist()
    test = {row["text"] for row in texts if row["split"] == "test"}
    assert set(errors["text"].to_pylist()) == test
    right = [
        best == target for best, target in zip(errors["leaf_code"].to_pylist(), errors["target_code"].to_pylist(), strict=True)
    ]
    assert sum(right) / len(right) > 0.9


def test_a_version_is_asked_alone(call, trained, tmp_path):
    told = json.loads(call("--data", trained, "models", "predict", "a frobnik", "", "one tarnoop", "--json").out)
    assert [row["code"] for row in told["answers"]] == ["AF", None, "PF"]
    file = tmp_path / "texts.csv"
    file.write_text("text_id,text\nx,a wibbler\ny,a plimsty\n", encoding="utf-8")
    out = tmp_path / "answers.tsv"
    assert call("--data", trained, "models", "predict", "--input", file, "--output", out).code == 0
    rows = [line.split("\t") for line in out.read_text().splitlines()]
    assert rows[0] == ["text_id", "code", "confidence", "version"]
    assert [row[:2] for row in rows[1:]] == [["x", "AB"], ["y", "PT"]]
    assert len(rows[1][2].partition(".")[2]) == 6


def test_what_no_model_can_be_made_of_is_refused_before_anything_is_done(call, trained):
    called = call("--data", trained, "models", "train", "--classifier", "forest")
    assert called.code == 2
    assert "svm" in called.err
    assert call("--data", trained, "models", "train", "--param", "no_such=1").code == 2
    assert len(ModelStore(trained).versions("living")) == 1


def test_a_fine_tuning_is_written_down_and_done_by_one_file(call, own_models, tiny, tmp_path):
    file = tmp_path / "run.yaml"
    wanted = f"data: {{taxonomy_key: living, max_train_samples: 24}}\nmodel: {{model_name: {tiny}, max_length: 8}}\n"
    file.write_text(f"{wanted}onnx: {{export: true}}\n", encoding="utf-8")
    called = call("--data", own_models, "models", "train", "--config", file, "--json")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    assert (told["version"], told["manifest"]["name"]) == (2, "transformer")
    assert told["manifest"]["data"]["train"] == 24
    assert "no text is for" not in called.err
    assert Outputs(own_models).read("models.exports", "living").num_rows == 4
    both = call("--data", own_models, "models", "train", "--config", file, "--seed", "3")
    assert both.code == 2
    assert "--seed" in both.err
    assert call("--data", own_models, "models", "train", "--config", file, "--taxonomy", "other").code == 2


def test_a_version_that_is_not_there_is_a_sentence(call, trained):
    for arguments in (("show", "--version", "7"), ("promote", "7"), ("predict", "text", "--version", "7")):
        called = call("--data", trained, "models", *arguments)
        assert called.code == 2
        assert "[no_model]" in called.err
    assert "No model" in call("--data", trained, "models", "rollback").err


def test_a_version_without_test_rows_cannot_be_promoted(call, own):
    called = call("--data", own, "models", "train", "--preset", "fast", "--param", "min_df=1", "--param", "classifier.C=1")
    listed = json.loads(call("--data", own, "models", "list", "--json").out)["versions"]
    # Four texts of four codes can be learned from; the gate is what keeps such a version from being used.
    assert called.code == 0, called.err
    assert [row["state"] for row in listed] == ["ready"]
    refused = call("--data", own, "models", "promote", "1")
    assert refused.code == 2
    assert "not judged on test rows" in refused.err


def test_plugins_are_listed_and_described(call, trained):
    assert "xgboost" in call("--data", trained, "models", "plugins").out
    told = json.loads(call("--data", trained, "models", "plugins", "svm", "--json").out)
    assert told["plugins"][0]["parameters"]["C"]["default"] == 1.0
    assert "how much an error" in call("--data", trained, "models", "plugins", "svm").out
    assert call("--data", trained, "models", "plugins", "forest").code == 2


def test_removing_a_taxonomy_removes_its_models(call, own_models):
    assert call("--data", own_models, "taxonomy", "remove", "living", "--yes").code == 0
    assert ModelStore(own_models).versions("living") == []


def test_an_exported_version_answers_as_the_version_and_what_was_not_exported_is_refused(call, own_models):
    refused = call("--data", own_models, "models", "predict", "--variant", "onnx-int8", "a zorblax", "--json")
    assert refused.code != 0
    assert "models export" in refused.err
    told = json.loads(call("--data", own_models, "models", "export", "--json").out)
    assert "onnx" in told["accepted"]
    assert next(row["variant"] for row in told["variants"]) == "source"
    assert Outputs(own_models).read("models.exports", "living").num_rows == 4
    asked = ("--data", own_models, "models", "predict", "a zorblax today", "--json")
    source, exported = (json.loads(call(*asked, *more).out)["answers"][0] for more in ((), ("--variant", "onnx")))
    assert (exported["code"], exported["confidence"]) == (source["code"], pytest.approx(source["confidence"], abs=1e-4))
    assert "accepted" in call("--data", own_models, "models", "export").out


def test_the_best_of_some_trials_becomes_a_version(call, own_models):
    command = ("--data", own_models, "models", "tune", "--trials", "2", "--combination", "icu+tfidf+svm", "--seed", "1")
    called = call(*command, "--json")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    assert told["version"] == 2
    assert [row["state"] for row in told["trials"]] == ["complete", "complete"]
    manifest = ModelStore(own_models).manifest("living", 2)
    assert manifest["spec"]["classifier"]["parameters"]["C"] == told["best"]["classifier"]["parameters"]["C"]
    trials = Outputs(own_models).read("models.trials", "living").to_pylist()
    assert [row["trial"] for row in trials if row["best"]] == [told["best_trial"]]
    again = call(*command, "--tune-only")
    assert "2 trials" in again.out
    assert ModelStore(own_models).ready("living") == [2, 1]
    other = call(*command, "--metric", "hF1")
    assert other.code != 0
    assert "--fresh" in other.err
