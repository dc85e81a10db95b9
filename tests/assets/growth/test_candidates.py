"""What a person is shown of a candidate: its code, what is near it, and what means nearly the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from taxomind_assets.growth.candidates import candidates_table, described
from taxomind_assets.growth.detector import detect
from taxomind_assets.growth.observations import Observation
from taxomind_assets.growth.trial import Probe

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS = {
    "Income tax": [
        "file the income tax return",
        "income tax is due",
        "pay the income tax",
        "income tax refund",
        "income tax form",
    ],
    "Income taxation": [
        "the income tax return",
        "income tax due in May",
        "pay income tax",
        "income tax refunds",
        "income tax forms",
    ],
    "Vegetable garden": ["sow the carrots", "water the tomatoes", "plant the beans", "weed the onion bed", "harvest the peas"],
}


@pytest.fixture(scope="module")
def classifier(notes, classifier_of):
    return classifier_of(notes)


@pytest.fixture(scope="module")
def detected(classifier):
    rows = [
        Observation(
            text_id=text,
            title=text,
            text=text,
            primary_code="misc",
            primary_label="Misc",
            proposed_label=label,
            source="user",
            observed_at=NOW - timedelta(days=day),
        )
        for label, texts in TEXTS.items()
        for day, text in enumerate(texts)
    ]
    return detect(rows, classifier.tree, NOW).candidates


def shown(classifier, detected, **more):
    given = {"hidden": {}, "used": (), "trials": 0, "probe": Probe()} | more
    found = described(classifier, detected, given.pop("hidden"), given.pop("used"), **given)
    return {row["label"]: row for row in candidates_table(found).to_pylist()}


def test_candidates_of_nearly_the_same_meaning_are_named_and_never_merged(classifier, detected):
    rows = shown(classifier, detected)
    assert set(rows) == set(TEXTS)
    assert rows["Income tax"]["similar"] == ["Income taxation"]
    assert rows["Income taxation"]["similar"] == ["Income tax"]
    assert rows["Vegetable garden"]["similar"] == []


def test_the_nearest_nodes_are_shown_the_best_first(classifier, detected):
    for row in shown(classifier, detected).values():
        near = [item["similarity"] for item in row["nearest"]]
        assert len(near) == 3
        assert near == sorted(near, reverse=True)
        assert {item["code"] for item in row["nearest"]} <= set(classifier.tree.codes)


def test_two_candidates_never_get_one_code_nor_one_that_was_used(classifier, detected):
    rows = shown(classifier, detected, used={"g-vegetable-garden"})
    assert rows["Vegetable garden"]["code"] == "g-vegetable-garden-2"
    assert len({row["code"] for row in rows.values()}) == len(rows)


def test_hidden_candidates_are_not_tried_out_and_others_as_far_as_trials_go(classifier, detected):
    later = NOW + timedelta(days=3)
    rows = shown(classifier, detected, hidden={detected[0].key: later}, trials=1)
    assert rows[detected[0].label]["status"] == "skipped"
    assert rows[detected[0].label]["hidden_until"] == later
    assert [bool(rows[own.label]["trial"]) for own in detected] == [False, True, False]


def test_nothing_is_nothing(classifier):
    assert described(classifier, (), {}, (), trials=3, probe=Probe()) == []
