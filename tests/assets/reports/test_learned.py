"""What corrections have taught, measured on texts that do not help themselves."""

from __future__ import annotations

import numpy as np
import pytest

from taxomind_assets.learning.corrections import Correction
from taxomind_assets.reports.learned import agreement, learned, paired_difference, shown
from taxomind_assets.reports.learned_figures import learning_over_time, promise_over_time

TOLD = {
    "flurbo wrangler": "2512",
    "senior flurbo wrangler": "2512",
    "flurbo wrangler and tester": "2512",
    "zweep glorber": "5311",
    "night zweep glorber": "5311",
    "zweep glorber, part time": "5311",
}


def corrections(told=TOLD):
    return [Correction(f"c{i}", text, (code,), "anna", i, code=code) for i, (text, code) in enumerate(told.items())]


@pytest.fixture(scope="module")
def found(occupations, classifier_of):
    classifier = classifier_of(occupations).learn(list(TOLD), list(TOLD.values()))
    return learned(classifier, corrections())


def test_corrections_of_other_texts_put_texts_like_them_right(found):
    value = {(row["stage"], row["metric"]): row["value"] for row in found.metrics.to_pylist()}
    assert value["before", "leaf_accuracy"] <= 0.5
    assert value["after", "leaf_accuracy"] == 1
    change, low, high = found.gain
    assert low < change <= high
    assert change == pytest.approx(1 - value["before", "leaf_accuracy"])
    assert "6 corrected texts" in found.sentence()


def test_confusions_that_were_repaired_are_named(found):
    rows = found.confusions.to_pylist()
    assert {row["right_code"] for row in rows} <= {"2512", "5311"}
    assert sum(row["repaired"] for row in rows) >= 3
    assert all(row["broken"] == 0 and row["right_label"] for row in rows)
    assert shown(found.confusions)[0]["put right"] != "0"


def test_the_promise_is_that_of_the_stop_rule(found):
    promised = {row["promised"] for row in found.metrics.to_pylist() if row["metric"] == "kept_accuracy"}
    assert promised == {0.8}
    assert found.promise.texts == 6


def test_without_corrections_there_is_nothing_to_measure(occupations, classifier_of):
    assert learned(classifier_of(occupations), []) is None
    assert learned(classifier_of(occupations), corrections({"a text": "no code"})) is None


def test_figures_are_pictures(found):
    for draw in (learning_over_time, promise_over_time):
        assert draw(found.metrics).startswith(b"\x89PNG")
        assert draw(found.metrics.slice(0, 0)).startswith(b"\x89PNG")


def test_a_paired_difference_knows_only_texts_that_changed():
    before = np.array([True] * 50 + [False] * 50)
    after = before.copy()
    change, low, high = paired_difference(before, after)
    assert change == 0
    assert low < 0 < high
    after[50:80] = True
    change, low, high = paired_difference(before, after)
    assert change == pytest.approx(0.3)
    assert 0.2 < low < 0.3 < high < 0.4


def test_agreement_is_krippendorffs_alpha():
    def opinions(*rows):
        return [
            Correction(f"{i}{who}", f"text {i}", (code,), who, 0, code=code) for i, row in enumerate(rows) for who, code in row
        ]

    # Nominal example of Krippendorff (2011), "Computing Krippendorff's alpha-reliability", section C: alpha = 0.743.
    data = {
        "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        "C": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    }
    rows = [[(who, str(codes[unit])) for who, codes in data.items() if codes[unit] is not None] for unit in range(12)]
    assert agreement(opinions(*rows)) == pytest.approx(0.743, abs=0.001)
    assert agreement(opinions([("a", "x"), ("b", "x")], [("a", "y"), ("b", "y")])) == 1
    assert agreement(opinions([("a", "x")], [("b", "y")])) is None
