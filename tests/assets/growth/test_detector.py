"""The detector: what is asked for often enough, for long enough, and is not there yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from taxomind_assets.growth.detector import Rules, detect
from taxomind_assets.growth.normalise import Words
from taxomind_assets.growth.observations import Observation
from taxomind_assets.growth.placing import proposed_code
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLACES = {"tech": None, "ai": "tech", "health": None, "sport": "health", "misc": None}
LABELS = {"tech": "Tech", "ai": "AI", "health": "Health", "sport": "Sport", "misc": "Misc"}
TREE = Taxonomy.build(
    "notes",
    [
        Node(code, parent, 1 if parent is None else 2, (NodeText("en", LABELS[code], aliases=("Gadgets",) * (code == "tech")),))
        for code, parent in PLACES.items()
    ],
)


def seen(label, count=8, days=11, code="misc", *, start=0, source="user", prefix="t", **more):
    """Observations of as many texts, evenly over so many days, the last one now."""
    span = timedelta(days=days)
    return [
        Observation(
            text_id=f"{prefix}{start + i}",
            title=f"title {start + i}",
            text=f"text {start + i}",
            primary_code=code,
            primary_label=LABELS.get(code, ""),
            proposed_label=label,
            source=source,
            observed_at=NOW - span + span * i / max(count - 1, 1),
            **more,
        )
        for i in range(count)
    ]


def keys(rows, **more):
    return [own.key for own in detect(rows, TREE, NOW, **more).candidates]


@pytest.mark.parametrize(
    ("count", "days", "found"),
    [(4, 10, False), (8, 1, False), (8, 11, True), (5, 3, True), (5, 2.96, False), (5, 14, True), (5, 0, False)],
)
def test_a_candidate_needs_texts_and_days(count, days, found):
    assert bool(keys(seen("Finance", count, days))) is found


def test_a_candidate_says_how_many_texts_over_what_time():
    (own,) = detect(seen("Finance"), TREE, NOW).candidates
    assert (own.label, own.key, own.count, own.day_span, own.window) == ("Finance", "finance", 8, 11, "short")
    assert own.titles == ["title 0", "title 1", "title 2"]
    assert (own.first_seen, own.last_seen) == (NOW - timedelta(days=11), NOW)
    assert own.share == 1


def test_a_label_that_equals_that_of_the_node_asks_for_nothing():
    assert keys(seen("Misc")) == []
    assert detect(seen("Misc"), TREE, NOW).divergent == 0


@pytest.mark.parametrize(
    "label", ["TECH", "gadgets", "AI", "ai", "Tech/AI", "tech > ai", "Sports", "Other", "none", "N/A", " ", "///"]
)
def test_what_exists_and_what_says_nothing_is_no_candidate(label):
    assert keys(seen(label)) == []


def test_wishes_for_existing_nodes_are_counted_as_hints():
    found = detect([*seen("AI", 3), *seen("gadgets", 2, prefix="u", code="health")], TREE, NOW)
    assert found.hints == {("misc", "ai"): 3, ("health", "tech"): 2}


def test_a_rejected_label_is_never_proposed_in_any_spelling():
    rows = [*seen("Finances", 4), *seen("FINANCE", 4, start=4)]
    assert keys(rows) == ["finance"]
    assert keys(rows, rejected={"finance"}) == []


def test_a_label_stays_rejected_when_a_taxonomy_gets_words_of_its_own():
    """TL-KEY-5: the key in the log is that of an earlier day."""
    rows = seen("Lexica")
    words = Words.with_more({"lexica": "lexicon"}, ())
    assert keys(rows, rejected={"lexica"}) == []
    assert keys(rows, rules=Rules(words=words)) == ["lexicon"]
    assert keys(rows, rules=Rules(words=words), rejected={"lexica"}) == []


def test_a_text_counts_once_however_often_it_is_observed():
    rows = seen("Finance", 10) + seen("Finance", 5)
    (own,) = detect(rows, TREE, NOW).candidates
    assert own.count == 10


def test_the_newest_opinion_of_a_text_decides_and_its_other_rows_only_extend_the_span():
    early = seen("Finance", 5, 10)
    late = [*seen("Money", 5, 1)]
    found = detect([*early, *late], TREE, NOW, Rules(min_days=0))
    assert [own.key for own in found.candidates] == ["money"]
    again = seen("Finance", 5, 0)
    (own,) = detect([*early, *again], TREE, NOW).candidates
    assert (own.count, own.day_span) == (5, 10)


def test_rows_of_a_retag_run_add_no_span():
    assert keys([*seen("Finance", 5, 1), *seen("Finance", 5, 10, rerun=True)]) == []


def test_three_spellings_are_one_candidate_shown_in_the_most_frequent_one():
    rows = [*seen("tax form", 2), *seen("Tax Forms", 2, start=2), *seen("Tax-Form", 2, start=4), *seen("Tax Forms", 1, start=6)]
    (own,) = detect(rows, TREE, NOW).candidates
    assert (own.count, own.label) == (7, "Tax Forms")


def test_candidates_are_ordered_by_texts_and_then_by_key():
    rows = [*seen("Zoo", 6, prefix="a"), *seen("Bees", 6, prefix="b"), *seen("Tax", 9, prefix="c")]
    assert keys(rows) == ["tax", "bee", "zoo"]


def test_the_boundary_of_the_window_counts_and_what_is_older_does_not():
    assert keys(seen("Finance", 5, 14), rules=Rules(long_window_days=0)) == ["finance"]
    old = [*seen("Finance", 4, 11), *seen("Finance", 1, 30, start=4)[:1]]
    assert keys(old, rules=Rules(long_window_days=0)) == []


def test_a_slow_topic_is_found_by_the_long_window():
    (own,) = detect(seen("Finance", 6, 60), TREE, NOW).candidates
    assert (own.window, own.count) == ("long", 6)
    assert keys(seen("Finance", 6, 60), rules=Rules(long_window_days=0)) == []


def test_rows_without_a_time_count_and_rows_of_the_future_do_not():
    timed = seen("Finance", 4, 10)
    (untimed,) = seen("Finance", 1, 0, start=9)
    untimed = Observation(**{name: getattr(untimed, name) for name in Observation.__slots__} | {"observed_at": None})
    assert keys([*timed, untimed]) == ["finance"]
    future = [*timed, *(row for row in seen("Finance", 1, -1, start=9))]
    found = detect(future, TREE, NOW)
    assert (found.candidates, found.late) == ((), 1)


@pytest.mark.parametrize(
    ("label", "code", "shown", "parent", "rule"),
    [
        ("Tech > Robots", "misc", "Robots", "tech", "written"),
        ("AI/Agent", "misc", "Agent", "ai", "written"),
        ("Tech/AI/Agent", "misc", "Agent", "ai", "written"),
        ("AI Agent", "ai", "AI Agent", "ai", "key"),
        ("AI Agent", "health", "AI Agent", "health", "texts"),
        ("Robots", "sport", "Robots", "health", "texts"),
        ("Robots", "tech", "Robots", "tech", "texts"),
        ("Robots", "misc", "Robots", None, "root"),
        ("Robots", None, "Robots", None, "root"),
    ],
)
def test_the_parent_follows_from_what_is_written_from_the_key_or_from_the_texts(label, code, shown, parent, rule):
    (own,) = detect(seen(label, code=code), TREE, NOW).candidates
    assert (own.label, own.parent.code, own.parent.rule, own.parent.exists) == (shown, parent, rule, True)


def test_texts_in_many_places_make_a_top_node():
    rows = [*seen("Robots", 4, code="ai"), *seen("Robots", 4, code="sport", start=4)]
    (own,) = detect(rows, TREE, NOW).candidates
    assert (own.parent.code, own.parent.rule) == (None, "root")


def test_a_missing_parent_is_a_candidate_of_its_own():
    found = {own.key: own for own in detect(seen("Finance > Tax > Forms"), TREE, NOW).candidates}
    assert set(found) == {"finance/tax/form", "finance/tax", "finance"}
    forms = found["finance/tax/form"]
    assert (forms.label, forms.parent.label, forms.parent.exists, forms.parent.rule) == ("Forms", "Tax", False, "missing")
    assert (found["finance"].label, found["finance"].parent.code) == ("Finance", None)
    below = {own.key: own for own in detect(seen("Tech > Tax > Forms"), TREE, NOW).candidates}
    assert (below["tech/tax"].label, below["tech/tax"].parent.code) == ("Tax", "tech")


def test_a_numbered_parent_gives_the_next_number_and_others_a_code_of_the_key():
    def tree(*codes):
        return Taxonomy.build("n", [Node(c, "1" if len(c) > 1 else None, len(c), (NodeText("", c),)) for c in codes])

    assert proposed_code("tax", "1", tree("1", "11", "13")) == "14"
    assert proposed_code("tax", "1", tree("1", "11", "13"), used={"14"}) == "15"
    assert proposed_code("tax", "1", tree("1", "11", "19")) == "g-tax"
    assert proposed_code("tax/form", None, TREE) == "g-tax-form"
    assert proposed_code("tax/form", None, TREE, used={"g-tax-form"}) == "g-tax-form-2"


def test_nothing_observed_is_nothing_found():
    found = detect([], TREE, NOW)
    assert (found.candidates, dict(found.hints), found.late) == ((), {}, 0)
