"""Figures against scikit-learn and by hand; versions compared; the promotion gate."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from taxomind_assets.models.comparison import Comparison, compare, compare_answers, gate, mcnemar
from taxomind_assets.models.evaluation import MEASURES, data_digest, evaluate, on_tree
from taxomind_assets.models.pipeline import Predictions
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.faults import Fault


def predictions(tree, seed=0, n=200, sure=2.0):
    random = np.random.default_rng(seed)
    leaves = np.flatnonzero(tree.is_leaf)
    targets = random.choice(leaves, n)
    scores = random.normal(size=(n, leaves.size)) + sure * (leaves[None, :] == targets[:, None])
    own = np.zeros((n, len(tree)), np.float32)
    own[:, leaves] = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Predictions(tree, own), targets.astype(np.int64)


def test_shares_and_means_are_those_of_scikit_learn(tree):
    found, targets = predictions(tree)
    judged = evaluate(tree, found, targets, resamples=0)
    answers = found.own.argmax(axis=1)
    assert judged.value("accuracy") == pytest.approx(metrics.accuracy_score(targets, answers))
    for kind in ("macro", "weighted"):
        theirs = metrics.precision_recall_fscore_support(targets, answers, average=kind, zero_division=0)
        own = [judged.value(f"{kind}_{name}") for name in ("precision", "recall", "f1")]
        assert own == pytest.approx(list(theirs[:3]))
    assert judged.value("micro_f1") == pytest.approx(metrics.f1_score(targets, answers, average="micro"))
    leaves = np.flatnonzero(tree.is_leaf)
    assert judged.value("log_loss") == pytest.approx(metrics.log_loss(targets, found.own[:, leaves], labels=leaves), rel=1e-4)
    truth = (leaves[None, :] == targets[:, None]).astype(float)
    assert judged.value("brier") == pytest.approx(np.square(found.own[:, leaves] - truth).sum(axis=1).mean(), rel=1e-5)
    for places in (3, 5):
        theirs = metrics.top_k_accuracy_score(targets, found.own[:, leaves], k=places, labels=leaves)
        assert judged.value(f"top_{places}") == pytest.approx(theirs)


def test_codes_and_confusions_are_those_of_scikit_learn(tree):
    found, targets = predictions(tree, sure=1.0)
    judged = evaluate(tree, found, targets, resamples=0)
    answers = found.own.argmax(axis=1)
    report = metrics.classification_report(targets, answers, output_dict=True, zero_division=0)
    for row in judged.classes:
        theirs = report[str(tree.position[row["code"]])]
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx(
            (theirs["precision"], theirs["recall"], theirs["f1-score"])
        )
        assert row["support"] == theirs["support"]
    matrix = metrics.confusion_matrix(targets, answers, labels=range(len(tree)))
    for row in judged.confusions:
        assert matrix[tree.position[row["right_code"]], tree.position[row["wrong_code"]]] == row["texts"]
    assert sum(row["texts"] for row in judged.confusions) == int((answers != targets).sum())


def test_calibration_is_that_of_the_bins(tree):
    found, targets = predictions(tree, n=500)
    judged = evaluate(tree, found, targets, resamples=0)
    n = sum(size for size, _, _ in judged.bins)
    expected = sum(size * abs(confidence - share) for size, confidence, share in judged.bins) / n
    assert judged.value("ece") == pytest.approx(expected, abs=1e-6)


def test_hierarchical_figures_count_shared_ancestors(tree):
    own = np.zeros((2, len(tree)), np.float32)
    own[0, tree.position["hot"]] = 1  # known: cold; food and soup are shared
    own[1, tree.position["cat"]] = 1  # known: cat
    targets = np.array([tree.position["cold"], tree.position["cat"]], np.int64)
    judged = evaluate(tree, Predictions(tree, own), targets, resamples=0)
    assert judged.value("hP") == pytest.approx(4 / 5)
    assert judged.value("hR") == pytest.approx(4 / 5)
    assert judged.value("root_accuracy") == 1
    assert judged.value("accuracy") == 0.5


def test_every_figure_is_explained(tree):
    found, targets = predictions(tree)
    assert set(evaluate(tree, found, targets, resamples=20).measures) == set(MEASURES)


def test_intervals_hold_their_figure(tree):
    found, targets = predictions(tree)
    for measure in evaluate(tree, found, targets, resamples=50).measures.values():
        if measure.low is not None and measure.value is not None:
            assert measure.low <= measure.value <= measure.high


def test_texts_without_an_answer_are_wrong(tree):
    found, targets = predictions(tree, n=4, sure=20)
    found.own[1] = 0
    judged = evaluate(tree, found, targets, resamples=0)
    assert judged.value("accuracy") == 0.75
    assert judged.answers[1] == -1


def test_a_model_of_an_older_edition_is_judged_by_code(tree):
    found, targets = predictions(tree)
    codes = [tree.codes[node] for node in targets.tolist()]
    newer = Taxonomy.build("things", [*tree.nodes[3:], *tree.nodes[:3]])
    moved = np.array([newer.position[code] for code in codes], np.int64)
    assert evaluate(newer, found, moved, resamples=0).value("accuracy") == evaluate(tree, found, targets, resamples=0).value(
        "accuracy"
    )
    smaller = Taxonomy.build("things", [node for node in tree.nodes if node.code != "cat"])
    own = on_tree(smaller, found)
    assert own.sum(axis=1).max() <= 1.0001
    assert own.shape == (200, len(smaller))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz")), max_size=8), st.randoms())
def test_the_digest_of_rows_does_not_depend_on_their_order(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert data_digest(pairs) == data_digest(shuffled)


def test_mcnemar_is_exact():
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(10, 1) == pytest.approx(2 * 12 / 2**11)


def test_versions_are_compared_on_the_same_texts_only():
    def answers(codes, hashes="abc", targets="xyz"):
        return pa.table({"text_hash": list(hashes), "target_code": list(targets), "code": codes})

    found = compare_answers(answers(["x", "y", "z"]), answers(["x", None, "q"]))
    assert (found.n, found.only_a, found.only_b, found.accuracy_b) == (3, 2, 0, pytest.approx(1 / 3))
    for other in (answers(["x", "y", "z"], hashes="abd"), answers(["x", "y", "z"], targets="xyq")):
        with pytest.raises(Fault, match="different rows"):
            compare_answers(answers(["x", "y", "z"]), other)


def test_a_clear_difference_needs_enough_texts():
    right = np.ones(40, np.bool_)
    some = right.copy()
    some[:3] = False
    assert compare(right, some).verdict == "no clear difference"
    some[:12] = False
    assert compare(right, some).verdict == "better"
    assert compare(some, right).verdict == "worse"


def test_the_gate_refuses_what_is_no_better_than_one_code_and_what_is_worse():
    good = {"accuracy": 0.8, "majority": 0.3, "macro_f1": 0.75}
    assert gate(good, None, None).passed
    assert not gate(good | {"accuracy": 0.3}, None, None).passed
    worse = Comparison(100, 0.6, 0.8, 2, 22, 0.001)
    assert "clearly worse" in gate(good, good, worse).reasons[0]
    equal = Comparison(100, 0.8, 0.8, 5, 5, 1.0)
    assert gate(good, good, equal).passed
    lower = Comparison(100, 0.79, 0.8, 5, 6, 1.0)
    assert "macro F1" in gate(good | {"macro_f1": 0.7}, good, lower).reasons[0]
