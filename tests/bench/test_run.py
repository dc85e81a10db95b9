"""The whole benchmark on made-up sets, with the real model."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from tests.bench.__main__ import main
from tests.bench.ablations import without
from tests.bench.material import BenchSet
from tests.bench.peers import PEERS, NotFeasibleError, Rows
from tests.bench.product import classifier_of, product
from tests.bench.run import OWN, WAYS, Options, merged, run, run_set
from tests.bench.task import Task


@pytest.fixture(scope="module")
def task(bench_data, embedder, default_settings, tmp_path_factory):
    return Task(BenchSet(bench_data / "pets", "en"), embedder, default_settings, tmp_path_factory.mktemp("work"), 60)


@pytest.fixture(scope="module")
def options(bench_data, default_settings):
    return Options(bench_data, default_settings.data, ("zero-shot", "k=3"), 30, tuple(WAYS))


@pytest.fixture(scope="module")
def records(bench_data, options):
    return run_set(BenchSet(bench_data / "pets", "en"), options)


def test_every_way_is_measured_in_every_regime_on_the_same_texts(records):
    pairs = [(record["regime"], record["way"]) for record in records if "way" in record]
    assert pairs == [(regime, way) for regime in ("zero-shot", "k=3") for way in (OWN, *PEERS)]
    assert {record["texts"] for record in records if "texts" in record} == {30}
    assert {record["labelled"] for record in records} == {0, 12}


def test_answers_are_far_better_than_chance(records):
    own = [record for record in records if record.get("way") == OWN]
    assert all(record["accuracy"] > 0.6 for record in own)
    assert all(record["promise_90"]["answered"] <= 1 for record in own)


def test_another_run_gives_the_same_figures(bench_data, options, records):
    costs = {"fit_s", "predict_us"}
    again = run_set(BenchSet(bench_data / "pets", "en"), options)
    assert [{k: v for k, v in r.items() if k not in costs} for r in again] == [
        {k: v for k, v in r.items() if k not in costs} for r in records
    ]


def test_test_texts_are_neither_learned_from_nor_verbatim(task):
    for regime in ("k=1", "all", "full"):
        tests = task.tests(regime)
        assert not any(text.verbatim for text in tests)
        assert {text.text for text in tests}.isdisjoint(text.text for text in task.pool(regime))


def test_peers_learn_from_node_texts_and_labelled_texts(task):
    rows = Rows.of(task, task.leaf_texts, task.pool("k=1"))
    leaves = set(np.flatnonzero(task.tree.is_leaf).tolist())
    assert set(rows.leaves.tolist()) == leaves
    assert {"dogs", "barking pets", "poodle", "maine coon"} < set(rows.texts)
    assert {text.text.lower() for text in task.pool("k=1")} < set(rows.texts)
    assert "living beings that move" not in rows.texts


@pytest.mark.parametrize("way", [way for way in PEERS if way != "HiClass LCPPN" or find_spec("hiclass")])
def test_peers_know_what_they_have_learned(task, way):
    pool = task.pool("all")
    answered = PEERS[way](task, pool, pool)
    right = np.mean([node in known for known, node in zip(task.gold(pool), answered.leaves, strict=True)])
    assert right > 0.95
    assert answered.leaves.dtype == np.int32


@pytest.mark.parametrize("way", [way for way in PEERS if way != "HiClass LCPPN" or find_spec("hiclass")])
def test_flat_label_sets_of_two_are_coded_too(bench_data, embedder, default_settings, tmp_path, way):
    flat = Task(BenchSet(bench_data / "flat", "en"), embedder, default_settings, tmp_path)
    tests = flat.tests("all")
    answered = PEERS[way](flat, flat.pool("all"), tests)
    assert np.mean([node in known for known, node in zip(flat.gold(tests), answered.leaves, strict=True)]) > 0.8


def test_hiclass_that_is_not_installed_is_left_out_with_a_reason(task, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotFeasibleError, match=r"taxomind\[bench\]"):
        PEERS["HiClass LCPPN"](task, [], task.tests("zero-shot"))


def test_a_way_that_would_take_too_long_is_left_out_with_a_reason(task, monkeypatch):
    monkeypatch.setattr("tests.bench.peers._FLAT_LIMIT", 3)
    with pytest.raises(NotFeasibleError, match="4 classes take too long"):
        PEERS["LinearSVC flat"](task, [], task.tests("zero-shot"))


def test_texts_that_belong_nowhere_are_measured_where_they_are_known(bench_data, options, monkeypatch):
    monkeypatch.setattr("tests.bench.run.OUTSIDE", (("pets.en", "out of scope", None), ("pets.en", "others", "absent.en")))
    (found,) = [record for record in run_set(BenchSet(bench_data / "pets", "en"), options) if "outside" in record]
    assert found["strangers"] == 20
    assert found["auroc"] > 0.9


def test_each_feature_is_switched_off_in_turn(bench_data, options):
    choice = replace(options, regimes=("zero-shot",), ways=(OWN,), ablations=True)
    whole, *parts = [record for record in run_set(BenchSet(bench_data / "pets", "en"), choice) if "without" in record]
    assert whole["without"] == ""
    assert {"best_text", "whole", "whole_words"} < {record["without"] for record in parts}
    assert all(0 <= record["accuracy"] <= 1 for record in [whole, *parts])


def test_a_feature_that_is_switched_off_adds_nothing_and_the_others_stay(task):
    scorer = classifier_of(task, []).scorer
    texts = [text.text for text in task.tests("zero-shot")][:5]
    query = scorer.query(task.vectors(texts), texts)
    parts, rest = scorer.contributions(query), without(scorer, "whole")
    assert np.allclose(scorer.logits(query) - rest.logits(query), parts["whole"], atol=1e-3)
    assert {name: weight for name, weight in rest.weights.trusted.items() if name != "whole"} == {
        name: weight for name, weight in scorer.weights.trusted.items() if name != "whole"
    }


def test_promises_are_tried_over_draws(bench_data, options, monkeypatch):
    monkeypatch.setattr("tests.bench.promise.PROMISES", (0.6, 0.999))
    choice = replace(options, regimes=("all",), texts=1_000, ways=(), draws=3)
    sixty, too_much = run_set(BenchSet(bench_data / "pets", "en"), choice)
    assert (sixty["promise"], sixty["draws"], sixty["proven"]) == (60, 3, 3)
    assert 0 <= sixty["broken_surely"] <= sixty["broken"] <= 3
    assert sixty["reached"] > 0.6
    assert too_much["proven"] == 0


@pytest.mark.slow
def test_several_processes_give_the_records_of_one(bench_data, default_settings):
    sets = [BenchSet(bench_data / "pets", "en"), BenchSet(bench_data / "flat", "en")]
    options = Options(bench_data, default_settings.data, ("zero-shot",), 20, (OWN,))
    costs = {"fit_s", "predict_us"}
    one, two = (
        [{k: v for k, v in record.items() if k not in costs} for _, found in run(sets, options, jobs) for record in found]
        for jobs in (1, 2)
    )
    assert one == two
    assert [record["set"] for record in one] == ["pets.en", "flat.en"]


def test_the_command_prints_tables_and_writes_records(bench_data, default_settings, tmp_path, capsys):
    file = tmp_path / "records.json"
    arguments = [str(bench_data), "--sets", "pets.en", "--regimes", "zero-shot", "--texts", "20"]
    assert main([*arguments, "--work", str(default_settings.data), "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "Accuracy, zero-shot" in printed
    assert re.search(r"pets\.en +│ +0 │ +20 │ +\d+\.\d \[\d+\.\d, \d+\.\d\]", printed)
    first, run = json.loads(file.read_text())
    assert first["way"] == OWN
    assert (run["encoder"], run["texts_at_most"]) == ("all-MiniLM-L6-v2", 20)


def test_earlier_records_are_shown_with_the_new_ones(bench_data, default_settings, tmp_path, capsys):
    file = tmp_path / "peers.json"
    arguments = [
        str(bench_data),
        "--sets",
        "pets.en",
        "--regimes",
        "zero-shot",
        "--texts",
        "20",
        "--work",
        str(default_settings.data),
    ]
    assert main([*arguments, "--ways", "label kNN", "--json", str(file)]) == 0
    assert "taxomind" not in [record.get("way") for record in json.loads(file.read_text())]
    assert main([*arguments, "--known", str(file)]) == 0
    assert re.search(r"labelled.*tests.*taxomind.*target.*label kNN", capsys.readouterr().out.rpartition("Accuracy")[2])


def test_known_records_are_shown_without_measuring(bench_data, tmp_path, capsys):
    file = tmp_path / "known.json"
    file.write_text(json.dumps([{"set": "far", "outside": "strangers", "texts": 1, "strangers": 2, "auroc": 0.5}]))
    assert main([str(bench_data), "--ways", "--known", str(file)]) == 0
    printed = capsys.readouterr()
    assert re.search(r"far +│ +strangers", printed.out)
    assert not printed.err


def test_the_later_of_two_records_counts():
    old, new = ({"set": "a", "regime": "k=1", "way": OWN, "accuracy": value} for value in (0.1, 0.2))
    other = {"set": "a", "outside": "strangers", "auroc": 0.5}
    assert merged([old, other], [new]) == [new, other]


@pytest.mark.parametrize("arguments", [[], ["/no/such/folder"]])
def test_without_data_nothing_is_measured_and_nothing_fails(arguments, capsys):
    assert main(arguments) == 0
    assert "nothing was measured" in capsys.readouterr().out


def test_an_unknown_set_is_named_with_the_known_ones(bench_data):
    with pytest.raises(SystemExit, match=r"No set is called cats; there are flat\.en"):
        main([str(bench_data), "--sets", "cats"])


def test_the_product_learns_from_the_pool(task):
    swapped = {"11": "21", "12": "22", "21": "11", "22": "12"}
    pool, tests = (
        [replace(text, codes=(swapped[text.codes[0]],)) for text in part] for part in (task.pool("all"), task.tests("all"))
    )
    learned, told = product(task, pool, tests), product(task, [], tests)
    right = [np.mean([n in known for known, n in zip(task.gold(tests), way.leaves, strict=True)]) for way in (learned, told)]
    assert right[0] > 0.5 > right[1]
    assert learned.fit_s > 0 == told.fit_s
