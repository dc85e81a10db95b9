"""A client and the server that it asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taxomind_resources.llm import LlmClient
from taxomind_resources.settings import LlmSettings
from tests.resources.llm.chat_server import ChatServer, serving


def shouting(data: dict[str, Any]) -> str:
    """The model of these tests: it writes the word of the question in capitals."""
    return json.dumps({"word": data["word"].upper(), "length": len(data["word"])})


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with serving(shouting) as subject:
        yield subject


@pytest.fixture
def client_of(server, tmp_path) -> Iterator[Callable[..., LlmClient]]:
    """`client_of(cached=True, setting=value, ...)`: a client of the server."""
    made = []

    def make(cached: bool = False, **changes: object) -> LlmClient:
        values = {"model": "m", "base_url": server.url, "api_key": "secret-key", "requests_per_minute": 60_000, "timeout_s": 5}
        settings = LlmSettings(**(values | changes))  # type: ignore[arg-type]
        made.append(LlmClient(settings, tmp_path / "llm" / "answers.sqlite" if cached else None))
        return made[-1]

    yield make
    for client in made:
        client.close()
