"""What is told of labelled texts before they are learned from."""

from __future__ import annotations

import pyarrow as pa

from taxomind_assets.models.data_checks import judge_texts, problems


def texts(*rows):
    """Rows as (split, code, number of texts)."""
    whole = [(f"one two three {i}", split, code) for split, code, count in rows for i in range(count)]
    return pa.table({name: [row[place] for row in whole] for place, name in enumerate(("text", "split", "code"))})


GOOD = (("train", "a", 20), ("train", "b", 10), ("validation", "a", 2), ("test", "b", 2))


def outcomes(*rows, refused=0):
    return {rule.name: rule.outcome for rule in judge_texts(texts(*rows), refused)}


def test_texts_that_can_teach_pass_every_rule():
    assert set(outcomes(*GOOD).values()) == {"ok"}
    assert problems(judge_texts(texts(*GOOD))) == []


def test_an_empty_split_and_a_single_code_are_told():
    found = outcomes(("train", "a", 20), ("test", "a", 2))
    assert (found["splits"], found["codes"]) == ("warning", "warning")
    assert any(
        "no text is for validation" in text for text in problems(judge_texts(texts(("train", "a", 1), ("test", "a", 1))))
    )


def test_uneven_codes_are_told_from_more_than_ten_to_one_on():
    assert outcomes(*GOOD, ("train", "c", 2))["balance"] == "ok"
    assert outcomes(*GOOD, ("train", "c", 1))["balance"] == "warning"


def test_codes_that_training_never_shows_are_listed():
    (problem,) = problems(judge_texts(texts(*GOOD, ("test", "x", 1), ("validation", "y", 1))))
    assert problem.endswith("no training text: x, y")


def test_texts_that_are_far_longer_than_usual_and_refused_rows_are_counted():
    table = texts(*GOOD)
    long = pa.table({"text": ["word " * 41], "split": ["train"], "code": ["a"]})
    found = problems(judge_texts(pa.concat_tables([table, long]), refused=3))
    assert any("1 have more than 10 times" in text for text in found)
    assert any(text.startswith("3 rows") for text in found)


def test_nothing_is_judged_without_an_error():
    assert outcomes()["splits"] == "warning"
