"""What the tables say."""

from __future__ import annotations

from tests.bench.tables import Table, ablation, accuracy, behind, draws, outside, promises, tables

PROMISE = {
    "answers": 90,
    "reached": 0.8,
    "reached_low": 0.7,
    "reached_high": 0.87,
    "answered": 0.9,
    "depth": 0.5,
    "information": 0.4,
}


def record(way: str, share: float, name: str = "isco08.en", **more: object) -> dict[str, object]:
    figures = {"accuracy": share, "accuracy_low": share - 0.03, "accuracy_high": share + 0.03, "texts": 100}
    return {"set": name, "regime": "zero-shot", "way": way, "labelled": 0, "fit_s": 0.0, "predict_us": 1.0} | figures | more


def test_the_best_of_a_row_is_bold_and_beside_its_target():
    (row,) = accuracy([record("taxomind", 0.7), record("label kNN", 0.4)], "zero-shot").rows
    assert list(row) == ["isco08.en", "0", "100", "**70.0 [67.0, 73.0]**", "70", "40.0"]


def test_a_set_with_all_languages_has_the_target_of_the_set():
    assert accuracy([record("taxomind", 0.2, "isco08.fr+")], "zero-shot").rows[0][4] == "35"


def test_means_are_over_sets_that_every_way_has():
    rows = [
        record("taxomind", 0.6),
        record("peer", 0.5),
        record("taxomind", 0.8, "naics-2012.en"),
        record("peer", 0.9, "naics-2012.en"),
    ]
    left_out = {"set": "x", "regime": "zero-shot", "way": "peer", "labelled": 0, "left_out": "too long"}
    table = accuracy([*rows, record("taxomind", 0.1, "x"), left_out], "zero-shot")
    assert list(table.rows[-1]) == ["mean of 2 sets", "", "", "**70.0**", "", "**70.0**"]
    assert table.rows[2][-1] == "-"


def test_a_promise_outside_the_interval_is_not_kept():
    broken, proven = promises([record("taxomind", 0.6, promise_90=PROMISE, promise_95=PROMISE | {"reached_high": 0.96})]).rows
    assert broken[2:5] == ["90", "80.0 [70.0, 87.0]", "NO"]
    assert proven[4] == "yes"


def test_draws_that_break_the_promise_are_counted_among_those_that_made_it():
    made = {"set": "a", "regime": "all", "promise": 90, "draws": 20}
    found = {"proven": 18, "broken": 2, "broken_surely": 0, "reached": 0.91, "answered": 0.8, "depth": 0.7, "information": 0.6}
    proven, unproven = draws([made | found, made | {"proven": 0}]).rows
    assert proven == ["all", "a", "90", "18 of 20", "91.0", "80.0", "0.70", "2 of 18", "0 of 18"]
    assert unproven == ["all", "a", "90", "0 of 20", "-", "-", "-", "-", "-"]


def test_strangers_have_their_target():
    found = {"set": "isco08.en", "outside": "out of scope", "texts": 10, "strangers": 20, "auroc": 0.9876}
    assert list(outside([found]).rows[0]) == ["isco08.en", "out of scope", "10", "20", "0.988", "0.99"]


def test_what_is_behind_a_target_or_a_peer_is_listed():
    own = record("taxomind", 0.6, ece=0.05, promise_90=PROMISE)
    rows = [list(row)[2:] for row in behind([own, record("peer", 0.65)]).rows]
    assert rows == [
        ["accuracy", "60.0", "70 (target)"],
        ["accuracy", "60.0", "65.0 (peer)"],
        ["ECE", "0.050", "0.03 (target)"],
        ["promise 90", "80.0 [70.0, 87.0]", "90 (promised)"],
    ]


def test_nothing_is_behind_when_all_is_reached():
    assert not behind([record("taxomind", 0.71, ece=0.01), record("peer", 0.5)]).rows


def test_a_feature_brings_what_is_lost_without_it():
    shares = {("a", ""): 0.6, ("a", "words"): 0.5, ("b", ""): 0.4, ("b", "words"): 0.42, ("c", ""): 0.3}
    found = [{"set": one, "regime": "k=5", "without": name, "accuracy": share} for (one, name), share in shares.items()]
    assert [list(row) for row in ablation(found).rows] == [["k=5", "`words`", "+2.7", "+10.0 a", "-2.0 b"]]


def test_empty_tables_are_not_shown():
    assert [table.title for table in tables([record("taxomind", 0.6)])] == [
        "Behind",
        "Accuracy, zero-shot",
        "Confidence",
        "Cost",
    ]


def test_markdown_has_a_row_for_each_row():
    assert Table("T", "How.", ["a", "b"], [["x", "1"]]).markdown() == "### T\n\nHow.\n\n| a | b |\n| --- | --: |\n| x | 1 |\n"
