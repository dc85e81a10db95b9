"""Texts go only where the settings allow it."""

from __future__ import annotations

import pytest

from taxomind_resources.faults import Fault
from taxomind_resources.llm.addresses import checked_address
from taxomind_resources.settings import LlmSettings


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://API.openai.com:443/v1/",
        "http://localhost:11434/v1",
        "http://127.0.0.1:8000/v1",
        "http://127.8.9.1/v1",
        "http://[::1]:8000/v1",
    ],
)
def test_the_default_address_and_this_machine_are_allowed(url):
    address = checked_address(LlmSettings(base_url=url))
    assert not address.endswith("/")
    assert address == checked_address(LlmSettings(base_url=address))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com/v2",
        "https://api.openai.com.evil.example/v1",
        "https://api.openai.com@evil.example/v1",
        "https://evil.example\\@api.openai.com/v1",
        "http://localhost.evil.example/v1",
        "http://127.0.0.1.evil.example/v1",
        "http://169.254.169.254/latest",
        "http://0.0.0.0:8000/v1",
        "http://[::ffff:10.0.0.1]/v1",
        "file:///etc/passwd",
        "https://api.openai.com/v1?x=1",
        "https://api.openai.com:port/v1",
        "https:///v1",
        "",
        "https://api.openai.com/v1\n",
    ],
)
def test_nothing_else_is(url):
    with pytest.raises(Fault) as caught:
        checked_address(LlmSettings(base_url=url))
    assert caught.value.code == "invalid_setting"


def test_a_named_address_is_allowed():
    settings = LlmSettings(base_url="https://models.example:8443/v1/", allowed_urls=("https://Models.example:8443/v1",))
    assert checked_address(settings) == "https://models.example:8443/v1"


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(Fault) as caught:
        checked_address(LlmSettings(base_url="https://me:hunter2@localhost/v1"))
    assert "hunter2" not in caught.value.render()
