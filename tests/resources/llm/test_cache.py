"""Answers on disk: no question is paid twice, whatever ends a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from taxomind_resources.faults import Fault
from taxomind_resources.llm.cache import AnswerCache
from tests.resources.llm.test_client import WORDS, Shout, a_prompt


@pytest.fixture
def asked(server, client_of):
    """How many questions reach the server for these prompts."""

    def count(*prompts, **changes) -> int:
        before = len(server.requests)
        client_of(cached=True, **changes).ask_many(list(prompts), Shout)
        return len(server.requests) - before

    return count


def test_an_answer_is_paid_once(asked, client_of):
    assert asked(a_prompt(), a_prompt("cook")) == 2
    assert asked(a_prompt("cook"), a_prompt("driver")) == 1
    again = client_of(cached=True).ask(a_prompt(), Shout)
    assert again.cached
    assert (again.value.word, again.input_tokens) == ("NURSE", 0)


def test_another_version_model_or_address_asks_anew(asked, server):
    assert asked(a_prompt()) == 1
    assert asked(a_prompt(version="2")) == 1
    assert asked(a_prompt(), model="other") == 1
    assert asked(a_prompt(), base_url=server.url.replace("127.0.0.1", "localhost")) == 1
    assert asked(a_prompt(), timeout_s=9, concurrency=1) == 0


def test_the_file_holds_no_question(server, client_of, tmp_path):
    client_of(cached=True).ask(a_prompt("confidential"), Shout)
    content = b"".join(file.read_bytes() for file in (tmp_path / "llm").iterdir())
    assert b"confidential" not in content
    assert b"CONFIDENTIAL" in content  # the answer


def test_a_damaged_entry_is_asked_again(server, client_of, tmp_path):
    import sqlite3

    client_of(cached=True).ask(a_prompt(), Shout)
    with sqlite3.connect(tmp_path / "llm" / "answers.sqlite") as connection:
        connection.execute("UPDATE answers SET answer = '{'")
    assert not client_of(cached=True).ask(a_prompt(), Shout).cached
    assert client_of(cached=True).ask(a_prompt(), Shout).cached


@pytest.mark.parametrize("damage", ["garbage", "folder"])
def test_a_cache_that_cannot_be_used_is_a_fault_before_anything_is_paid(server, client_of, tmp_path, damage):
    file = tmp_path / "llm" / "answers.sqlite"
    file.parent.mkdir()
    if damage == "garbage":
        file.write_bytes(b"no database at all" * 100)
    else:
        file.mkdir()
    with pytest.raises(Fault) as caught:
        client_of(cached=True).ask(a_prompt(), Shout)
    assert caught.value.code == "storage_failed"
    assert not server.requests


def test_two_caches_of_one_file_see_each_others_answers(tmp_path):
    one, other = AnswerCache(tmp_path / "a.sqlite"), AnswerCache(tmp_path / "a.sqlite")
    one.store(b"1", "{}", purpose="p", model="m", tokens=(1, 1))
    other.store(b"2", "[]", purpose="p", model="m", tokens=(1, 1))
    assert one.lookup([b"1", b"2", b"3"]) == other.lookup([b"1", b"2", b"3"]) == {b"1": "{}", b"2": "[]"}
    assert one.lookup([]) == {}


RUN = """
    import sys
    from pathlib import Path
    from pydantic import BaseModel
    from taxomind_resources.llm import LlmClient, Prompt
    from taxomind_resources.settings import LlmSettings

    class Shout(BaseModel):
        word: str
        length: int

    settings = LlmSettings(model="m", base_url=sys.argv[1], concurrency=2, requests_per_minute=60_000, timeout_s=20)
    client = LlmClient(settings, Path(sys.argv[2]))
    prompts = [Prompt("shout", "1", "Write the word in capitals.", {"word": f"word{i}"}, 10) for i in range(30)]
    answers = client.ask_many(prompts, Shout)
    assert [answer.value.word for answer in answers] == [f"WORD{i}" for i in range(30)], answers
"""


def run_in_a_process(server, file) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(RUN), server.url, str(file)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_ended(server, client_of, tmp_path):
    server.delay_s = 0.1
    process = run_in_a_process(server, tmp_path / "llm" / "answers.sqlite")
    while len(server.requests) < 10 and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.3)
    before = len(server.requests)
    assert before < len(WORDS)
    server.delay_s = 0
    client_of(cached=True).ask_many([a_prompt(word) for word in WORDS], Shout)
    # Only the two questions that were under way when the process died may be paid again.
    assert len(server.requests) - before <= len(WORDS) - before + 2


@pytest.mark.slow
def test_several_processes_share_one_file(server, tmp_path):
    file = tmp_path / "llm" / "answers.sqlite"
    processes = [run_in_a_process(server, file) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert not errors
    before = len(server.requests)
    run_in_a_process(server, file).communicate(timeout=60)
    assert len(server.requests) == before
