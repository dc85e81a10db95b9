"""TX-92 to TX-94: strategies side by side on the same texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from taxomind_assets.classification import fitting
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.labelled_sample import Sample
from taxomind_assets.classification.strategies import STRATEGIES
from taxomind_assets.reports.assets import ReportConfig
from taxomind_assets.reports.comparison import (
    COMPARED_TEXTS,
    DEFAULT,
    SERVED,
    SUMMARIES,
    as_metrics,
    chosen_rows,
    compared,
    compared_size,
    shown,
    stored_comparison,
    strategy_names,
)
from taxomind_assets.reports.metrics import COMPARISON, measure
from taxomind_assets.reports.report import make_report
from taxomind_assets.reports.summary import side_by_side
from taxomind_assets.reports.targets import KnownText, collect
from taxomind_assets.views.index import NodeIndex
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.answers import Answers
    from taxomind_assets.classification.calibration import Calibration
    from taxomind_assets.classification.label_calibration import LabelledLogits
from taxomind_resources.tables import BY_NAME

TEXTS = {
    "shop manager": "1420",
    "runs a small grocery shop": "5221",
    "sells clothes in a shop": "5223",
    "teaches mathematics at a secondary school": "2330",
    "kindergarten teacher": "2342",
    "looks after children": "5311",
    "writes software for phones": "2514",
    "programmer": "2514",
    "judge at the court": "2612",
    "lawyer": "2611",
    "member of parliament": "1111",
    "prepares food in a canteen": "5120",
    "cashier": "5230",
    "economist in a bank": "2631",
}


@pytest.fixture(scope="module")
def classifier(occupations: NodeIndex, classifier_of: Callable[..., Classifier]) -> Classifier:
    return classifier_of(occupations)


@pytest.fixture(scope="module")
def targets(classifier: Classifier) -> pa.Table:
    rows = enumerate(TEXTS.items())
    return collect(classifier.tree, (KnownText("jobs", str(i), text, "en", code) for i, (text, code) in rows))


@pytest.fixture(scope="module")
def served(classifier: Classifier, targets: pa.Table) -> pa.Table:
    return make_report(classifier, targets).errors


@pytest.fixture(scope="module")
def everything(classifier: Classifier, targets: pa.Table, served: pa.Table) -> pa.Table:
    return compared(classifier, targets, served, ["all"])


def _values(comparison: pa.Table, metric: str) -> dict[str, float]:
    rows = comparison.filter(pc.equal(comparison["metric"], metric))
    return dict(zip(rows["strategy"].to_pylist(), rows["value"].to_pylist(), strict=True))


def test_names_are_resolved_with_the_served_answers_first() -> None:
    assert strategy_names([]) == ()
    assert strategy_names(["flat"]) == (SERVED, "flat")
    assert strategy_names(["flat", SERVED, "flat"]) == (SERVED, "flat")
    assert strategy_names(["all"]) == tuple(SUMMARIES)
    assert set(STRATEGIES) | {"rules", "guarantee", "gate", "routed", "validated", "best_leaf", "nearest_label"} < set(
        SUMMARIES
    )


def test_an_unknown_name_proposes_the_nearest() -> None:
    with pytest.raises(Fault, match="did you mean 'consensus'"):
        strategy_names(["concensus"])


def test_the_asset_compares_the_default_strategies() -> None:
    config = ReportConfig()
    assert (tuple(config.strategies), config.compared_texts) == (DEFAULT, COMPARED_TEXTS)


def test_every_strategy_answers_the_same_texts(everything: pa.Table) -> None:
    exact = _values(everything, "exact")
    assert list(exact) == list(SUMMARIES)
    assert compared_size(everything) == len(TEXTS)
    rows = everything.filter(pc.equal(everything["metric"], "exact")).to_pylist()
    assert {row["n"] for row in rows} == {len(TEXTS)}
    assert rows[0]["difference"] is None
    assert all(row["difference"] == pytest.approx(row["value"] - rows[0]["value"]) for row in rows[1:])


def test_strategies_really_differ(everything: pa.Table) -> None:
    exact, abstained = _values(everything, "exact"), _values(everything, "abstained")
    assert len(set(exact.values())) >= 4
    assert abstained["best_leaf"] == abstained["nearest_label"] == abstained["flat"] == 0
    assert exact["best_leaf"] == _values(everything, "leaf_accuracy")["served"], (
        "the best leaf is the one that serving ranks first"
    )
    assert exact["best_leaf"] >= exact[SERVED]


def test_the_rules_are_those_that_the_stop_rule_serves(
    everything: pa.Table, classifier_of: Callable[..., Classifier], occupations: NodeIndex, targets: pa.Table
) -> None:
    served_by_rules = make_report(classifier_of(occupations, routing={"stop_rule": "rules"}), targets).metrics
    assert (
        _values(everything, "exact")["rules"]
        == _values(served_by_rules.filter(pc.equal(served_by_rules["slice"], "all")), "exact")[SERVED]
    )


def test_fewer_texts_are_chosen_by_their_hash_whatever_their_order(
    served: pa.Table, classifier: Classifier, targets: pa.Table
) -> None:
    chosen = chosen_rows(served, 5)
    assert len(chosen) == 5
    assert chosen.tolist() == sorted(chosen.tolist())
    backwards = np.arange(len(served))[::-1]
    again = chosen_rows(served.take(pa.array(backwards)), 5)
    assert set(backwards[again].tolist()) == set(chosen.tolist())
    assert chosen_rows(served, 100).tolist() == list(range(len(served)))
    few = compared(classifier, targets, served, ["flat"], most=5)
    expected = measure(classifier.tree, served.take(pa.array(chosen)), slices=False, resamples=0)
    assert compared_size(few) == 5
    assert _values(few, "exact")[SERVED] == _values(expected, "exact")[SERVED]


def test_no_names_are_no_comparison(classifier: Classifier, targets: pa.Table, served: pa.Table) -> None:
    assert compared(classifier, targets, served, []).equals(COMPARISON.empty_table())


def test_a_comparison_comes_back_from_the_stored_metrics(
    classifier: Classifier, targets: pa.Table, everything: pa.Table
) -> None:
    report = make_report(classifier, targets, ["all"])
    stored = report.tables()["reports.metrics"]
    assert stored.schema.equals(BY_NAME["reports.metrics"].arrow)
    assert set(stored["report_id"].to_pylist()) == {report.report_id}
    assert stored_comparison(stored).equals(everything)
    assert stored_comparison(report.metrics).num_rows == 0
    assert as_metrics(COMPARISON.empty_table(), "x", report.metrics["measured_at"][0].as_py()).num_rows == 0


def test_people_see_one_column_per_strategy_and_how_many_it_answered(everything: pa.Table) -> None:
    silent = pc.and_(pc.equal(everything["metric"], "kept_accuracy"), pc.equal(everything["strategy"], "best_leaf"))
    answered = pc.if_else(silent, pa.scalar(11, everything["n"].type), everything["n"])
    rows = side_by_side(shown(everything.set_column(everything.schema.get_field_index("n"), "n", answered)))
    assert {"exact", "kept_accuracy", "wrong_branch", "information", "level_accuracy 4"} <= {row["measure"] for row in rows}
    assert all(list(row) == ["measure", "n", *SUMMARIES] for row in rows)
    kept = next(row for row in rows if row["measure"] == "kept_accuracy")
    assert kept["best_leaf"].endswith(" of 11")
    assert " of " not in kept["flat"]


def test_the_guarantee_is_what_mass_serves(everything: pa.Table) -> None:
    for metric in ("exact", "abstained", "safe"):
        assert _values(everything, metric)["guarantee"] == _values(everything, metric)[SERVED]


def test_a_gate_is_compared_on_texts_that_it_has_not_learned_from(
    classifier_of: Callable[..., Classifier], notes: NodeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[set[str]] = []
    answered: list[tuple[str, set[str]]] = []
    calibrated, answers = fitting.calibrated, Classifier.answers

    def fits(one: Classifier, sample: Sample, labelled: LabelledLogits) -> Calibration:
        fitted.append(set(sample.texts))
        return calibrated(one, sample, labelled)

    def answers_of(self: Classifier, texts: list[str], vectors: NDArray[np.float32] | None = None) -> Answers:
        answered.append((self.settings.routing.stop_rule, set(texts)))
        return answers(self, texts, vectors)

    classifier = classifier_of(notes, routing={"stop_rule": "never"})
    labelled = classifier.with_calibration(replace(classifier.calibration, threshold=0.5))
    texts = [f"note number {number} about the garden" for number in range(60)]
    targets = collect(notes.tree, (KnownText("notes", str(i), text, "en", "tech") for i, text in enumerate(texts)))
    served = make_report(classifier, targets).errors
    monkeypatch.setattr(fitting, "calibrated", fits)
    monkeypatch.setattr(Classifier, "answers", answers_of)
    compared(labelled, targets, served, ["gate", "guarantee"])
    assert len(fitted) == 4
    assert [rule for rule, _ in answered] == ["gate"] * 4 + ["mass"] * 4
    assert all(given and not given & seen for (_, given), seen in zip(answered, fitted * 2, strict=True))
