"""From what a model wrote to a checked value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from taxomind_resources.faults import Fault
from taxomind_resources.llm.parsing import parsed


class Verdict(BaseModel):
    choice: int


@pytest.mark.parametrize(
    "text",
    [
        '{"choice": 2}',
        '  {"choice": 2}\n',
        '```json\n{"choice": 2}\n```',
        'Sure.\n```\n{"choice": 2}\n```\nBye.',
        'The answer is {"choice": 2}, I think.',
        '<think>{"choice": 1} or {"choice": 3}?</think>\n{"choice": 2}',
        'I see {braces} and then {"choice": 2}',
        '{"choice": 2} {"choice": 2}',
        '{"choice": "2"}',
    ],
)
def test_one_object_is_found(text):
    assert parsed(text, Verdict).choice == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "[2]",
        '{"choice": }',
        '{"choice": 2',
        '{"choice": "two"}',
        '{"choice": NaN}',
        "{}",
        '{"choice": 1} {"choice": 2}',
        '```json\n{"choice": 1}\n```\n```json\n{"choice": 2}\n```',
        "{" * 5000,
        '{"choice":' * 20_000,
        "x" * 300_000,
    ],
)
@pytest.mark.timeout(60)  # a parser that tries again at every brace would take hours
def test_anything_else_is_a_fault_at_once(text):
    with pytest.raises(Fault) as caught:
        parsed(text, Verdict)
    assert caught.value.code == "llm_answer_invalid"


def outcome(text: str) -> object:
    try:
        return parsed(text, Verdict).choice
    except Fault as fault:
        return fault.code if fault.what.isprintable() else "a message with control characters"


@given(st.text() | st.text(alphabet='{}[]":,\\ 12abc`\n'))
def test_no_text_breaks_the_parser(text):
    found = outcome(text)
    assert isinstance(found, int) or found == "llm_answer_invalid"
