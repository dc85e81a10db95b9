"""One error object for every door: what was wrong, the value, what is allowed, the next step."""

from __future__ import annotations

import json

import pytest

from taxomind_resources.faults import FAULTS, Fault


def test_a_fault_says_what_was_wrong_and_what_to_do():
    fault = Fault("invalid_key", "A key names folders.", value="a/b", allowed="no '/'", details=[{"what": "first problem"}])
    text = fault.render()
    for part in ("invalid_key", "A key names folders.", "'a/b'", "no '/'", "first problem", "Choose another key."):
        assert part in text


def test_a_fault_is_a_problem_document():
    problem = Fault("unknown_taxonomy", "There is no taxonomy 'x'.", value="x").problem()
    assert problem["status"] == 404
    assert problem["type"] == "urn:taxomind:fault:unknown_taxonomy"
    assert json.loads(json.dumps(problem)) == problem


def test_of_long_values_beginning_and_end_are_shown():
    shown = Fault("invalid_input", "Too long.", value="a" + "x" * 10_000 + "z").value or ""
    assert len(shown) <= 200
    assert (shown[:3], shown[-3:]) == ("'ax", "xz'")


def test_an_unknown_code_is_a_programming_error():
    with pytest.raises(KeyError):
        Fault("no_such_code", "?")


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_every_code_is_complete(code):
    kind = FAULTS[code]
    assert kind.title
    assert kind.next_step
    assert 400 <= kind.http_status < 600
    assert kind.exit_code in (1, 2)
