"""What a judge would cost is said before texts are answered, and what it has cost after."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.resources.llm.chat_server import ChatServer, serving

Call = Callable[..., Any]
UNSURE = ["--accuracy-target", "0.999"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A language model on this machine that the judge asks; each token costs a dollar."""
    with serving(lambda document: '{"choice": 0}') as running:
        for name, value in {
            "TAXOMIND_JUDGE__ENABLED": "true",
            "TAXOMIND_LLM__MODEL": "m",
            "TAXOMIND_LLM__BASE_URL": running.url,
            "TAXOMIND_LLM__CACHE": "false",
            "TAXOMIND_LLM__INPUT_PRICE": "1000000",
            "TAXOMIND_LLM__OUTPUT_PRICE": "1000000",
        }.items():
            monkeypatch.setenv(name, value)
        yield running


def test_a_dry_run_says_the_costs_and_asks_nothing(call: Call, built: Path, server: ChatServer) -> None:
    called = call("--data", built, "classify", *UNSURE, "--dry-run", "--json", "a thing", "a thing in water")
    assert called.code == 0
    told = json.loads(called.out)
    assert (told["texts"], told["reranked"]) == (2, None)
    assert told["judged"]["questions"] == 2
    assert told["judged"]["cost"] == told["judged"]["input_tokens"] + told["judged"]["output_tokens"] > 100
    shown = call("--data", built, "classify", *UNSURE, "--dry-run", "a thing", "a thing in water")
    assert shown.out.startswith("The judge would be asked, at most: 2 questions")
    assert not server.requests


def test_the_costs_are_said_before_and_after(call: Call, built: Path, server: ChatServer, tmp_path: Path) -> None:
    texts, output = tmp_path / "texts.csv", tmp_path / "answers.csv"
    texts.write_text("text\na thing\na thing in water\n")
    called = call("--data", built, "classify", *UNSURE, "--input", texts, "--output", output)
    assert called.code == 0
    lines = called.err.splitlines()
    assert lines[0].startswith("The judge would be asked, at most: 2 questions (0 from the cache), ")
    assert lines[-1].startswith("The judge was asked: 2 questions (0 from the cache), ")
    assert len(server.requests) == 2


def test_standard_input_is_answered_as_it_comes(call: Call, built: Path, server: ChatServer) -> None:
    called = call("--data", built, "classify", *UNSURE, stdin=b"a thing\n")
    assert called.code == 0
    assert [line.split(":")[0] for line in called.err.splitlines()] == ["The judge was asked"]


def test_without_second_opinions_nothing_is_said(call: Call, built: Path) -> None:
    assert call("--data", built, "classify", "a thing").err == ""
    called = call("--data", built, "classify", "--dry-run", "a thing", "an owl")
    assert called.out == (
        "No judge and no reranker is switched on (judge.enabled, reranker.model): 2 texts would cost nothing.\n"
    )
