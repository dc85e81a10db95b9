"""The whole report over the real model: served answers, real probabilities at the forks, the promise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.reports.judging import judge
from taxomind_assets.reports.report import Report, make_report, with_siblings
from taxomind_assets.reports.targets import KnownText, collect
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.tables import BY_NAME

#: Some of the codes are wrong on purpose, so that there are answers in a wrong branch.
TEXTS = {
    "lawyer": "2611",
    "judge": "2612",
    "cashiers and ticket clerks": "5230",
    "economists": "2631",
    "bakes bread": "5120",
    "Sociologists, Anthropologists and Related Professionals": "2632",
    "software developers": "5246",
    "primary school teachers": "1412",
}


@pytest.fixture(scope="module")
def classifier(occupations: NodeIndex, classifier_of: Callable[..., Classifier]) -> Classifier:
    return classifier_of(occupations, routing={"accuracy_target": 0.6})


@pytest.fixture(scope="module")
def targets(classifier: Classifier) -> pa.Table:
    rows = enumerate(TEXTS.items())
    return collect(classifier.tree, (KnownText("jobs", str(i), text, "en", code) for i, (text, code) in rows))


@pytest.fixture(scope="module")
def report(classifier: Classifier, targets: pa.Table) -> Report:
    return make_report(classifier, targets, ["best_leaf"])


def test_the_answers_are_those_that_are_served(classifier: Classifier, report: Report) -> None:
    answers = classifier.classify(report.errors["text"].to_pylist())
    assert report.errors["code"].to_pylist() == answers["code"].to_pylist()
    assert report.errors["confidence"].to_pylist() == pytest.approx(answers["confidence"].to_pylist(), abs=1e-5)


def test_wrong_branches_show_their_siblings_with_real_probabilities(classifier: Classifier, report: Report) -> None:
    wrong = report.errors.filter(pc.equal(report.errors["outcome"], "wrong_branch"))
    assert wrong.num_rows >= 2
    probabilities = classifier.probabilities(wrong["text"].to_pylist()).matrix()
    tree = classifier.tree
    for row, own in zip(wrong.to_pylist(), probabilities, strict=True):
        parent = row["divergence_parent"]
        children = tree.children_of(ROOT if parent is None else tree.position[parent])
        best = children[np.argsort(-own[children], kind="stable")[:3]]
        assert [item["code"] for item in row["siblings"]] == [tree.codes[node] for node in best]
        assert [item["confidence"] for item in row["siblings"]] == pytest.approx(own[best].tolist(), abs=1e-5)
    right = report.errors.filter(pc.not_equal(report.errors["outcome"], "wrong_branch"))
    assert pc.sum(pc.list_value_length(right["siblings"])).as_py() == 0


def test_siblings_are_filled_block_by_block_alike(
    classifier: Classifier, targets: pa.Table, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = classifier.classify(targets["text"].to_pylist()).append_column("text_id", targets["text_id"])
    monkeypatch.setattr(Classifier, "block_size", 1)
    monkeypatch.setattr("taxomind_assets.reports.report.BLOCK_ROWS", 3)
    filled = with_siblings(classifier, judge(classifier.tree, targets, answers))
    assert filled["text_id"].equals(report.errors["text_id"])
    codes = [[[item["code"] for item in row] for row in rows["siblings"].to_pylist()] for rows in (filled, report.errors)]
    assert codes[0] == codes[1]


def test_probabilities_are_those_of_the_answers(classifier: Classifier, report: Report) -> None:
    answered = report.errors.filter(pc.is_valid(report.errors["code"]))
    own = classifier.probabilities(answered["text"].to_pylist()).matrix()
    nodes = [classifier.tree.position[code] for code in answered["code"].to_pylist()]
    assert own.shape == (len(nodes), len(classifier.tree))
    assert own[np.arange(len(nodes)), nodes].tolist() == pytest.approx(answered["confidence"].to_pylist(), abs=1e-4)


def test_the_tables_of_a_report_have_their_schemas_and_one_id(report: Report) -> None:
    tables = report.tables()
    assert list(tables)[-1] == "reports.metrics", "it says that the report is complete"
    for name, table in tables.items():
        assert table.schema.equals(BY_NAME[name].arrow), name
        if "report_id" in table.column_names:
            assert set(table["report_id"].to_pylist()) == {report.report_id}
    assert set(tables["reports.metrics"]["strategy"].to_pylist()) == {"served", "best_leaf"}
    assert set(report.metrics["strategy"].to_pylist()) == {"served"}, "figures and headlines see the served answers alone"


def test_the_promise_is_read_from_the_measures(report: Report) -> None:
    promise = report.promise
    outcomes = report.errors["outcome"].to_pylist()
    answered = [outcome for outcome in outcomes if outcome != "abstained"]
    assert (promise.promised, promise.proven, promise.texts, promise.answered) == (0.6, False, len(TEXTS), len(answered))
    assert promise.reached == pytest.approx(sum(outcome in ("right", "under") for outcome in answered) / len(answered))
    unseen = [outcome for outcome, seen in zip(outcomes, report.errors["verbatim"].to_pylist(), strict=True) if not seen]
    assert 0 < len(unseen) == len(outcomes) - promise.verbatim < len(outcomes)
    assert promise.reached_unseen == sum(outcome in ("right", "under") for outcome in unseen) / len(unseen)
    assert promise.verdict in ("cannot be told", "not kept")
    lengths = [len(path) for path in report.errors["path"].to_pylist() if path]
    assert promise.depth == pytest.approx(sum(lengths) / len(lengths))


def test_other_stop_rules_promise_nothing(
    classifier_of: Callable[..., Classifier], occupations: NodeIndex, targets: pa.Table
) -> None:
    made = make_report(classifier_of(occupations, routing={"stop_rule": "never"}), targets)
    assert made.promise.promised is None
    assert made.promise.share_answered == 1.0
    assert made.comparison.num_rows == 0
