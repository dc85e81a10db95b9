"""TX-84 .. TX-91 with known values, bounds, slices and the undefined cases."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from taxomind_assets.reports.definitions import MEASURES, OUTCOMES
from taxomind_assets.reports.judging import judge
from taxomind_assets.reports.metrics import calibration_bins, compare, coverage_curve, measure, report_id, value_of
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.faults import Fault
from taxomind_resources.tables import BY_NAME

Maker = Callable[..., pa.Table]
CODES = ["a", "aa", "aaa", "aab", "ab", "b", "ba"]


def _values(metrics: pa.Table, slice_name: str = "all") -> dict[Any, float | None]:
    rows = [row for row in metrics.to_pylist() if row["slice"] == slice_name]
    return {row["metric"] if row["level"] is None else (row["metric"], row["level"]): row["value"] for row in rows}


@pytest.fixture
def five(judged: Maker) -> pa.Table:
    """One text of each outcome."""
    return judged(["aaa", "aaa", "aa", "aaa", "aaa"], ["aaa", "aa", "aaa", "ba", None], confidence=[0.9, 0.8, 0.7, 0.6, 0.0])


def test_known_values(tree: Taxonomy, five: pa.Table) -> None:
    m = _values(measure(tree, five))
    assert all(m[name] == pytest.approx(0.2) for name in ("exact", "under", "over", "wrong_branch", "abstained"))
    assert m["safe"] == pytest.approx(0.4)
    assert m["kept_accuracy"] == pytest.approx(0.5)
    assert m["right_branch"] == pytest.approx(0.6)
    assert m["level_match"] == pytest.approx(1 / 5), "aa for aaa has another level, aaa for aa too"
    assert m["root_accuracy"] == pytest.approx(3 / 5)
    assert m["level_accuracy", 1] == pytest.approx(3 / 5)
    assert m["level_accuracy", 2] == pytest.approx(3 / 5)
    assert m["level_accuracy", 3] == pytest.approx(1 / 4)
    assert m["hP"] == pytest.approx(7 / 10)
    assert m["hR"] == pytest.approx(7 / 14)
    assert m["hF1"] == pytest.approx(2 * 0.7 * 0.5 / 1.2)
    assert m["hP_macro"] == pytest.approx((1 + 1 + 2 / 3 + 0 + 0) / 5)
    assert m["hR_macro"] == pytest.approx((1 + 2 / 3 + 1 + 0 + 0) / 5)
    assert m["hF1_macro"] == pytest.approx((1 + 0.8 + 0.8) / 5)
    assert m["hierarchical_distance"] == pytest.approx((0 + 1 + 1 + 10 + 10) / 5)
    assert m["hierarchical_accuracy"] == pytest.approx((1 + 0.5 + 0.5 + 1 / 11 + 1 / 11) / 5)
    assert m["depth"] == pytest.approx((1 + 2 / 3 + 1 + 2 / 3 + 0) / 5)
    assert m["depth_right"] == pytest.approx((1 + 2 / 3 + 1) / 5)
    assert m["information"] == pytest.approx((1 + 1 - math.log(2) / math.log(4)) / 5), "4 leaves, 2 of them under aa"
    assert m["macro_f1"] == pytest.approx((2 * 1 / (4 + 2) + 0) / 2)
    assert m["cover_90"] == pytest.approx(0.2)
    assert m["aurc"] == pytest.approx((0 + 1 / 2 + 2 / 3 + 3 / 4 + 4 / 5) / 5)
    assert m["ece"] == pytest.approx((0.1 + 0.8 + 0.7 + 0.6 + 0) / 5, abs=1e-6)
    assert m["safe_cover_90"] == pytest.approx(0.4), "the two safe answers are the surest"
    assert m["safe_ece"] == pytest.approx((0.1 + 0.2 + 0.7 + 0.6) / 4, abs=1e-6)


def test_ranked_candidates(tree: Taxonomy, judged: Maker) -> None:
    many = [f"x{i}" for i in range(30)]
    tops = [["aaa"], [*many[:4], "aaa"], [*many[:5], "aaa"], [*many[:15], "aaa"], ["aab"], []]
    m = _values(measure(tree, judged(["aaa"] * 6, ["aaa"] * 6, top_codes=tops)))
    # The last text has no candidates and counts with its answer.
    assert m["recall_5"] == pytest.approx(3 / 6)
    assert m["recall_10"] == pytest.approx(4 / 6)
    assert m["recall_20"] == pytest.approx(5 / 6)
    assert m["mrr_10"] == pytest.approx((1 + 1 / 5 + 1 / 6 + 0 + 0 + 1) / 6)
    assert m["leaf_accuracy"] == pytest.approx(1 / 6)


def test_without_candidates_or_answers_measures_are_undefined(tree: Taxonomy, judged: Maker) -> None:
    m = _values(measure(tree, judged(["aaa", "b"], [None, None])))
    undefined = {"recall_5", "recall_10", "recall_20", "mrr_10", "leaf_accuracy", "kept_accuracy", "leaf_ece", "safe_ece"}
    undefined |= {f"{kind}_{name}" for kind in ("leaf", "safe") for name in ("aurc", "cover_90", "cover_95")}
    assert {name for name, value in m.items() if value is None} == undefined
    assert m["abstained"] == 1.0
    assert m["hF1"] == m["hP"] == m["information"] == 0.0
    assert m["hierarchical_distance"] == 10.0


def test_macro_f1_agrees_with_scikit_learn_over_the_known_codes(tree: Taxonomy, judged: Maker) -> None:
    generator = np.random.default_rng(5)
    golds = generator.choice(["aaa", "aab", "ab"], 200).tolist()
    answers = generator.choice(CODES, 200).tolist()
    expected = f1_score(golds, answers, labels=sorted(set(golds)), average="macro", zero_division=0)
    assert value_of(measure(tree, judged(golds, answers)), "macro_f1")["value"] == pytest.approx(expected)


def test_no_texts_give_undefined_measures_not_nan(tree: Taxonomy, judged: Maker) -> None:
    metrics = measure(tree, judged([], []))
    assert metrics.schema.equals(BY_NAME["reports.metrics"].arrow)
    assert {row["metric"] for row in metrics.to_pylist()} == set(MEASURES) - {"level_accuracy"}
    assert metrics["value"].null_count == len(metrics)
    assert set(metrics["n"].to_pylist()) == {0}


def test_one_text_has_values_but_no_bootstrap_interval(tree: Taxonomy, judged: Maker) -> None:
    metrics = measure(tree, judged(["aaa"], ["aa"]))
    assert value_of(metrics, "hF1")["value"] == pytest.approx(0.8)
    assert value_of(metrics, "hF1")["interval_low"] is None
    assert value_of(metrics, "safe")["interval_low"] > 0


def test_slices_hold_their_own_texts(tree: Taxonomy, targets: Maker, results: Maker) -> None:
    columns = {"language": ["en", "en", "fr", ""], "dataset": ["x", "y", "y", "y"], "text": ["poodle", "p", "q", "r"]}
    errors = judge(tree, targets(["aaa", "aab", "ab", "b"], **columns), results(["aaa", "aaa", "ab", "a"]))
    metrics = measure(tree, errors)
    slices = dict.fromkeys(metrics["slice"].to_pylist())
    assert list(slices) == [
        "all", "dataset=x", "dataset=y", "language=en", "language=fr", "language=und",
        "level=1", "level=2", "level=3", "verbatim=false", "verbatim=true",
    ]  # fmt: skip
    exact = {name: value_of(metrics, "exact", slice_name=name) for name in slices}
    assert {name: (row["value"], row["n"]) for name, row in exact.items()} == {
        "all": (0.5, 4), "dataset=x": (1.0, 1), "dataset=y": (1 / 3, 3), "language=en": (0.5, 2), "language=fr": (1.0, 1),
        "language=und": (0.0, 1), "level=1": (0.0, 1), "level=2": (1.0, 1), "level=3": (0.5, 2),
        "verbatim=false": (1 / 3, 3), "verbatim=true": (1.0, 1),
    }  # fmt: skip
    assert dict.fromkeys(measure(tree, errors, slices=False)["slice"].to_pylist()) == {"all": None}


def test_a_slice_that_holds_all_texts_has_the_same_figures(tree: Taxonomy, five: pa.Table) -> None:
    metrics = measure(tree, five)
    assert _values(metrics, "language=en") == _values(metrics)


def test_levels_are_the_nodes_own_levels() -> None:
    shape = [("1", None, 1), ("12", "1", 3), ("13", "1", 3), ("2", None, 1), ("21", "2", 2), ("211", "21", 3)]
    tree = Taxonomy.build("gaps", [Node(code, parent, level, (NodeText("", code),)) for code, parent, level in shape])
    targets = pa.table({"text_id": ["s", "t"], "text": ["x", "y"], "codes": [["12"], ["211"]]})
    m = _values(measure(tree, judge(tree, targets, pa.table({"text_id": ["s", "t"], "code": ["13", "21"]}))))
    assert (m["level_accuracy", 1], m["level_accuracy", 2], m["level_accuracy", 3]) == (1.0, 1.0, 0.0)


def test_reports_are_reproducible_and_named_after_what_was_measured(tree: Taxonomy, judged: Maker, five: pa.Table) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert measure(tree, five, measured_at=now).equals(measure(tree, five, measured_at=now))
    shuffled = five.take(pa.array([4, 2, 0, 1, 3]))
    assert report_id(shuffled) == report_id(five)
    assert report_id(judged(["aaa"], ["aaa"])) != report_id(judged(["aaa"], ["aab"]))
    assert set(calibration_bins(five)["report_id"].to_pylist()) == {report_id(five)}


outcomes = st.lists(
    st.tuples(st.sampled_from(CODES), st.sampled_from([*CODES, None]), st.floats(0, 1, width=32)), min_size=1, max_size=25
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outcomes)
def test_bounds_and_identities(tree: Taxonomy, judged: Maker, rows: list[tuple[str, str | None, float]]) -> None:
    golds, codes, confidence = map(list, zip(*rows, strict=True))
    tops = [[code] if code else [] for code in codes]
    errors = judged(golds, codes, confidence=confidence, leaf_confidence=confidence, top_codes=tops)
    metrics = measure(tree, errors, resamples=40)
    for row in metrics.to_pylist():
        numbers = [row[name] for name in ("value", "interval_low", "interval_high") if row[name] is not None]
        assert (
            all(math.isfinite(number) and 0 <= number <= 10 + 1e-9 for number in numbers)
            or row["metric"] == "hierarchical_distance"
        )
        if row["interval_low"] is not None:
            assert row["interval_low"] <= row["value"] + 1e-12
            assert row["value"] <= row["interval_high"] + 1e-12
    m = _values(metrics, "all")
    assert sum(m["exact" if name == "right" else name] for name in OUTCOMES) == pytest.approx(1)
    assert m["safe"] == pytest.approx(m["exact"] + m["under"])
    assert m["right_branch"] == pytest.approx(1 - m["wrong_branch"] - m["abstained"])
    assert m["root_accuracy"] == pytest.approx(m["level_accuracy", 1])
    assert min(m["hP"], m["hR"]) - 1e-12 <= m["hF1"] <= max(m["hP"], m["hR"]) + 1e-12
    assert m["depth_right"] <= m["depth"] + 1e-12
    assert m["exact"] <= m["hierarchical_accuracy"] + 1e-12
    assert m["recall_5"] is None or m["recall_5"] <= m["recall_10"] <= m["recall_20"]
    assert m["cover_95"] <= m["cover_90"]


def test_perfect_answers_are_perfect(tree: Taxonomy, judged: Maker) -> None:
    m = _values(
        measure(tree, judged(CODES, CODES, confidence=[1.0] * 7, top_codes=[[c] for c in CODES], leaf_confidence=[1.0] * 7))
    )
    best = {name: 0.0 if entry.better == "lower" else 1.0 for name, entry in MEASURES.items() if entry.better}
    best.pop("level_accuracy")
    best.pop("information")  # an internal node says less than a leaf, even when it is right
    assert {name: m[name] for name in best} == pytest.approx(best)


def test_calibration_bins_hold_the_answers_they_speak_of(five: pa.Table) -> None:
    bins = calibration_bins(five)
    assert bins.schema.equals(BY_NAME["reports.calibration"].arrow)
    answers = [row for row in bins.to_pylist() if row["kind"] == "answer"]
    assert len(answers) == 15
    assert sum(row["n"] for row in answers) == 4, "the abstained text has no answer"
    top = next(row for row in answers if row["low"] <= 0.9 < row["high"])
    assert (top["n"], top["accuracy"]) == (1, 1.0)
    assert top["confidence"] == pytest.approx(0.9, abs=1e-6)
    assert all(row["confidence"] is None and row["accuracy"] is None for row in answers if not row["n"])
    assert sum(row["n"] for row in bins.to_pylist() if row["kind"] == "leaf") == 0


def test_coverage_curves_per_kind(five: pa.Table) -> None:
    curve = coverage_curve(five)
    assert curve.schema.equals(BY_NAME["reports.coverage"].arrow)
    answers = [row for row in curve.to_pylist() if row["kind"] == "answer"]
    assert [row["coverage"] for row in answers] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert [row["accuracy"] for row in answers] == pytest.approx([1, 1, 2 / 3, 1 / 2])
    assert [row["threshold"] for row in answers] == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert {row["kind"] for row in curve.to_pylist()} == {"answer", "exact"}, "no candidates, no leaf curve"
    assert len(coverage_curve(five.slice(0, 0))) == 0


def test_compare_pairs_the_texts(tree: Taxonomy, judged: Maker) -> None:
    golds = ["aaa", "aab"] * 100
    better = judged(golds, [gold if i % 10 else None for i, gold in enumerate(golds)])
    worse = judged(golds, [gold if i % 2 else None for i, gold in enumerate(golds)])
    table = compare(tree, {"first": worse, "second": better, "same": worse})
    rows = {(row["metric"], row["level"], row["strategy"]): row for row in table.to_pylist()}
    second, same = rows["exact", None, "second"], rows["exact", None, "same"]
    assert second["difference"] == pytest.approx(0.4)
    assert 0.3 < second["difference_low"] < 0.4 < second["difference_high"] < 0.5
    assert (same["difference"], same["difference_low"], same["difference_high"]) == (0.0, 0.0, 0.0), "the same texts are drawn"
    assert second["best"]
    assert not same["best"]
    assert rows["hF1", None, "first"]["difference"] is None
    assert rows["hF1", None, "second"]["difference_low"] > 0
    assert rows["abstained", None, "second"]["best"] is None, "more or fewer abstentions are neither better nor worse"
    assert rows["exact", None, "second"]["value"] == value_of(measure(tree, better), "exact")["value"]


def test_compare_refuses_other_texts(tree: Taxonomy, judged: Maker) -> None:
    with pytest.raises(Fault, match="same texts"):
        compare(tree, {"p": judged(["aaa", "ab"], ["aaa", "ab"]), "q": judged(["aaa"], ["aaa"])})
    with pytest.raises(Fault, match="nothing to compare"):
        compare(tree, {})


def test_measure_refuses_another_taxonomy(tree: Taxonomy, five: pa.Table) -> None:
    other = Taxonomy.build("other", [Node("q", None, 1, (NodeText("", "q"),))])
    with pytest.raises(Fault) as caught:
        measure(other, five)
    assert caught.value.code == "invalid_input"
