"""Observations: one for each answer and correction; lines of files; what does not fit."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from taxomind_assets.growth.observations import (
    is_catch_all,
    observations_from,
    observations_of_corrections,
    observations_of_results,
    observations_table,
    proposal_line,
    read_lines,
    text_identity,
    title_of,
)
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_resources.tables import BY_NAME

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TREE = Taxonomy.build(
    "notes",
    [
        Node("tech", None, 1, (NodeText("en", "Tech"),)),
        Node("ai", "tech", 2, (NodeText("en", "AI"),)),
        Node("misc", None, 1, (NodeText("en", "Misc"),)),
    ],
)


def results(*rows):
    """Rows of `classification.results`; what is not given is that of a sure answer."""
    schema = BY_NAME["classification.results"].arrow
    sure = {"code": "ai", "label": "AI", "confidence": 0.9, "leaf_confidence": 0.9, "stop_reason": "leaf_node_reached"}
    empty = {field.name: [] if pa.types.is_list(field.type) else None for field in schema}
    whole = [
        {**empty, **sure, "row": i, "text_id": f"id{i}", "text": f"text {i}", "language": "en", "classified_at": NOW, **row}
        for i, row in enumerate(rows, 1)
    ]
    return pa.table([pa.array([row[field.name] for row in whole], field.type) for field in schema], names=schema.names)


def observed(*rows, **more):
    return list(observations_from(observations_of_results(results(*rows), 0.35, store_titles=True, **more)))


def test_there_is_one_observation_for_each_answer_and_none_for_texts_that_could_not_be_answered():
    found = observed({}, {}, {"error_code": "empty_text", "text": ""})
    assert [row.text_id for row in found] == ["id1", "id2"]
    assert {(row.primary_code, row.proposed_label, row.misfit, row.source, row.text) for row in found} == {
        ("ai", "AI", "", "", "text 1"),
        ("ai", "AI", "", "", "text 2"),
    }
    assert found[0].observed_at == NOW


@pytest.mark.parametrize(
    ("row", "misfit"),
    [
        ({"code": None, "label": None, "confidence": 0.0, "stop_reason": "belongs_nowhere"}, "abstained"),
        ({"confidence": 0.2}, "low_confidence"),
        ({"code": "misc", "label": "Misc"}, "catch_all"),
        ({"code": "tech", "label": "Tech", "stop_reason": "below_threshold", "leaf_confidence": 0.2}, "above_leaves"),
        ({"code": "tech", "label": "Tech", "stop_reason": "below_threshold", "leaf_confidence": 0.5}, ""),
        ({"stop_reason": "exact_evidence", "leaf_confidence": 0.1}, ""),
        ({}, ""),
    ],
)
def test_texts_are_kept_with_what_does_not_fit(row, misfit):
    (found,) = observed(row)
    assert found.misfit == misfit
    assert found.text == "text 1"
    assert found.proposed_label == ("" if misfit else found.primary_label)


def test_row_numbers_are_no_ids():
    one, two = observed({"text_id": "1"}, {"text_id": "b"})
    assert (one.text_id, two.text_id) == (text_identity("text 1"), "b")


def test_an_id_made_of_a_text_knows_neither_case_nor_spaces_nor_title():
    assert text_identity("Ａ  Text\n") == text_identity("a text")
    assert text_identity("a text") != text_identity("another text")
    assert len(text_identity("")) == 16
    assert title_of("\n\n  First line \nsecond") == "First line"
    assert len(title_of("x" * 500)) == 120


def test_titles_are_left_out_when_they_are_not_to_be_kept():
    table = observations_of_results(results({"code": None, "label": None}), 0.35, store_titles=False)
    (row,) = observations_from(table)
    assert (row.title, row.text, row.misfit) == ("", "", "abstained")


def corrections(*rows):
    schema = BY_NAME["learning.corrections"].arrow
    shared = {
        "text_id": "",
        "language": "",
        "given_codes": [],
        "action": "correct",
        "source": "",
        "annotator": "",
        "reason": "",
        "proposed_label": "",
    }
    whole = [
        {
            "correction_id": str(i),
            "source_file": "f",
            "rows": 1,
            "text": f"text {i}",
            "code": None,
            "corrected_at": NOW,
            **shared,
            **row,
        }
        for i, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(whole, schema=schema)


def test_corrections_speak_for_their_node_or_ask_for_a_label():
    table = corrections(
        {"status": "applied", "code": "ai"},
        {"status": "applied", "code": "tech"},
        {"status": "applied", "code": "misc"},
        {"status": "unknown_code", "given_codes": ["tech", "Robots"]},
        {"status": "unknown_code", "given_codes": ["9999"]},
        {"status": "unknown_code", "given_codes": ["old"], "reason": "a revision made x, y of old; it waits"},
        {"status": "withdrawn", "code": "ai"},
        {"status": "unknown_code", "given_codes": ["g-robots"], "source": "growth"},
    )
    found = list(observations_from(observations_of_corrections(table, TREE, store_titles=True)))
    assert [(row.primary_code, row.proposed_label, row.misfit) for row in found] == [
        ("ai", "AI", ""),
        ("tech", "Tech", "above_leaves"),
        ("misc", "Misc", "catch_all"),
        (None, "Robots", ""),
    ]
    assert {row.source for row in found} == {"user"}
    assert [row.is_divergent for row in found] == [False, False, False, True]


def test_lines_that_are_no_observations_are_skipped_and_counted():
    lines = [
        "",
        "   ",
        "no json",
        "[1, 2]",
        '"text"',
        json.dumps({"ts": "2026-03-01T00:00:00Z", "proposed_label": "Tax"}),
        json.dumps({"ts": "yesterday", "text_id": "a", "proposed_label": "Tax"}),
        json.dumps(
            {"ts": "2026-03-01T00:00:00Z", "text_id": "a", "title": "T", "primary_x": "Misc", "proposed_x_ideal": "Tax"}
        ),
        json.dumps({"text_id": "b", "proposedLabel": "Tax", "source": "llm"}),
        json.dumps({"text": "c text", "primary_code": "misc", "primary_label": "Misc", "confidence": 0.5, "source": "who?"}),
    ]
    found = read_lines(lines)
    assert (len(found.rows), found.skipped, found.untimed) == (3, 5, 2)
    first, second, third = found.rows
    assert (first.observed_at, first.proposed_label, first.primary_label) == (NOW, "Tax", "Misc")
    assert (second.source, second.observed_at) == ("llm", None)
    assert (third.text_id, third.proposed_label, third.source, third.is_divergent) == (
        text_identity("c text"),
        "Misc",
        "user",
        False,
    )


def test_a_hundred_lines_keep_their_order_and_their_letters():
    lines = [
        proposal_line(f"Überweisung {i} 税", "Steuern", text_id="", primary_code=None, primary_label="", source="user")
        for i in range(100)
    ]
    found = read_lines(lines)
    assert [row.text for row in found.rows] == [f"Überweisung {i} 税" for i in range(100)]
    assert "税" in lines[0]
    assert lines[0].endswith("\n")
    assert json.loads(lines[0])["ts"].endswith("Z")


def test_observations_survive_their_table():
    found = observed({}, {"code": None, "label": None, "confidence": 0.0})
    assert list(observations_from(observations_table(found))) == found


def test_catch_alls_are_known_by_their_labels():
    assert all(map(is_catch_all, ("Misc", "other", "Others", "Miscellaneous", "General", "Miscellaneous goods")))
    assert not any(map(is_catch_all, ("Tech", "General practitioners", "Other clerks", "")))


def test_a_label_that_an_annotator_proposes_beside_the_code_is_the_ideal_label():
    """TL-SIG-4: `proposedLabel` of a correction is a wish; its code stays the primary node."""
    table = corrections(
        {"status": "applied", "code": "ai", "proposed_label": "Robots"},
        {"status": "unknown_code", "given_codes": ["9999"], "proposed_label": "Drones"},
    )
    found = list(observations_from(observations_of_corrections(table, TREE, store_titles=True)))
    assert [(row.primary_code, row.primary_label, row.proposed_label, row.source, row.is_divergent) for row in found] == [
        ("ai", "AI", "Robots", "user", True),
        (None, "", "Drones", "user", True),
    ]


def test_evidence_far_from_its_node_does_not_fit():
    table = corrections(
        {"status": "applied", "code": "ai", "correction_id": "far"},
        {"status": "applied", "code": "ai", "correction_id": "near"},
    )
    found = observations_of_corrections(table, TREE, store_titles=True, outliers={"far"})
    assert [row.misfit for row in observations_from(found)] == ["outlier", ""]
