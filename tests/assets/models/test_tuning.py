"""Tuning: trials by validation rows alone, drawn alike when a study is killed and taken up again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from taxomind_assets.models.contracts import Surroundings
from taxomind_assets.models.fitting import Fitter
from taxomind_assets.models.registry import registry
from taxomind_assets.models.specification import ModelSpec
from taxomind_assets.models.stored import write_trials
from taxomind_assets.models.training import examples_of
from taxomind_assets.models.tuning import study as study_module
from taxomind_assets.models.tuning.figure import optimisation_history
from taxomind_assets.models.tuning.space import combinations
from taxomind_assets.models.tuning.study import Plan, Tuner, open_study, tuned
from taxomind_resources.faults import Fault
from taxomind_resources.outputs import Outputs

NAMES = ("icu+tfidf+svm", "icu+bow+logreg")


def tuner(folder, tree, labelled, trials=4, names=NAMES, **others):
    train = examples_of(tree, labelled, "train", own_texts=True)
    validation = examples_of(tree, labelled, "validation")
    around = Surroundings(lambda: pytest.fail("no vectors are needed"), threads=1)
    plan = Plan(trials, names=tuple(names), **others)
    return Tuner(folder, plan, tree, train, validation, plugins=registry(), surroundings=around)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tree, labelled):
    """A study of eight trials."""
    folder = tmp_path_factory.mktemp("study")
    return tuner(folder, tree, labelled, 8).run(), folder


def test_the_defaults_of_each_combination_are_tried_first(whole):
    found, _ = whole
    assert [row.name for row in found.rows[:2]] == list(NAMES)
    assert found.rows[0].parameters["svm.C"] == 1.0
    assert found.rows[0].spec["hierarchy"] == "flat"
    assert len({row.parameters.get("svm.C", row.parameters.get("logreg.C")) for row in found.rows}) == 8


def test_the_best_trial_is_a_specification_that_can_be_trained(whole, tree, labelled, surroundings):
    found, _ = whole
    assert found.value == max(row.value for row in found.rows if row.state == "complete")
    assert isinstance(found.best, ModelSpec)
    train, validation = (examples_of(tree, labelled, split, own_texts=split == "train") for split in ("train", "validation"))
    pipeline = Fitter(found.best.checked(registry()), tree, registry(), surroundings).fit(train, validation)
    right = pipeline.predict(validation.texts).best == validation.nodes
    assert right.mean() == pytest.approx(found.value)


def test_a_study_goes_on_and_draws_what_it_would_have_drawn(whole, tmp_path, tree, labelled):
    wanted, _ = whole
    tuner(tmp_path, tree, labelled, 3).run()
    resumed = tuner(tmp_path, tree, labelled, 8).run()
    assert [(row.parameters, row.value) for row in resumed.rows] == [(row.parameters, row.value) for row in wanted.rows]
    assert tuner(tmp_path, tree, labelled, 8).run().rows == resumed.rows


def test_a_study_that_was_killed_makes_its_trial_again(whole, tmp_path, tree, labelled, monkeypatch):
    wanted, _ = whole
    own = tuner(tmp_path, tree, labelled, 8)
    judged, seen = own._judged, []

    def killed(*given):
        seen.append(given)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return judged(*given)

    monkeypatch.setattr(own, "_judged", killed)
    with pytest.raises(KeyboardInterrupt):
        own.run()
    rows = tuner(tmp_path, tree, labelled, 8).run().rows
    assert [row.state for row in rows].count("fail") == 1
    assert "process ended" in next(row.reason for row in rows if row.state == "fail")
    done = [row for row in rows if row.state != "fail"]
    assert len(done) == 8
    assert [row.parameters for row in done[:4]] == [row.parameters for row in wanted.rows[:4]]


def test_a_study_of_other_rows_is_not_gone_on_with(whole, tree, labelled, tmp_path):
    tuner(tmp_path, tree, labelled, 1).run()
    with pytest.raises(Fault) as raised:
        tuner(tmp_path, tree, labelled.slice(40), 1).run()
    assert raised.value.code == "study_differs"
    assert len(tuner(tmp_path, tree, labelled.slice(40), 1).run(fresh=True).rows) == 1


def test_test_rows_are_not_read(tree, labelled, tmp_path):
    import pyarrow as pa

    rows = labelled.to_pylist()
    for row in rows:
        if row["split"] == "test":
            row.update(text="other words", code="bread")
    changed = pa.Table.from_pylist(rows, schema=labelled.schema)
    first, second = (tuner(tmp_path / name, tree, own, 2).run() for name, own in (("a", labelled), ("b", changed)))
    assert [row.value for row in first.rows] == [row.value for row in second.rows]


def test_trials_that_fail_are_kept_and_three_in_a_row_end_the_study(tree, labelled, tmp_path, monkeypatch):
    def fail(*_: object) -> float:
        raise Fault("too_few_labels", "nothing works")

    own = tuner(tmp_path, tree, labelled, 8)
    monkeypatch.setattr(own, "_judged", fail)
    with pytest.raises(Fault, match="nothing works"):
        own.run()
    rows = tuned(open_study(tmp_path)).rows
    assert [row.state for row in rows] == ["fail"] * 3
    assert "nothing works" in rows[0].reason


def test_a_trial_that_is_worse_than_half_of_the_others_ends_early(tree, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "_FEWEST_ROWS", 1)
    own, values = tuner(tmp_path, tree, labelled, 7), []

    def judged(spec, train, epoch=None):
        values.append(len(train))
        return 0.1 if len(values) > 12 else 0.9

    monkeypatch.setattr(own, "_judged", judged)
    found = own.run()
    assert [row.state for row in found.rows].count("pruned") == 1
    assert values[0] < values[1]  # a part of the rows first


def test_without_optuna_tuning_is_a_sentence_with_the_command(tree, labelled, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Fault) as raised:
        tuner(tmp_path, tree, labelled, 1)
    assert (raised.value.code, raised.value.next_step) == ("missing_extra", "pip install 'taxomind[tune]'")


def test_a_study_is_a_table_and_a_figure(whole, tmp_path):
    found, folder = whole
    rows = write_trials(Outputs(tmp_path), "things", found)
    assert rows.num_rows == 8
    assert [row["trial"] for row in rows.to_pylist() if row["best"]] == [found.best_trial]
    assert optimisation_history(found).startswith(b"\x89PNG")
    assert tuned(open_study(folder)).best == found.best
    assert open_study(tmp_path / "none") is None


@pytest.mark.parametrize("name", ["svm", "icu+svm", "icu+tfidf+nothing", "sbert+transformer"])
def test_what_is_no_combination_is_refused(name):
    with pytest.raises(Fault) as raised:
        combinations([name], registry())
    assert raised.value.code == "invalid_input"


@pytest.mark.slow
def test_a_killed_process_leaves_a_study_that_goes_on(tree, labelled, tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from taxomind_assets.models.tuning.study import open_study\n"
        "study = open_study(Path(sys.argv[1]))\n"
        "trial = study.ask()\ntrial.suggest_float('svm.C', 0.05, 20.0, log=True)\n"
        "print('running', flush=True)\nimport time\ntime.sleep(60)\n"
    )
    tuner(tmp_path, tree, labelled, 1).run()
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"running"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    rows = tuner(tmp_path, tree, labelled, 2).run().rows
    assert sorted(row.state for row in rows) == ["complete", "complete", "fail"]
