"""Questions and answers over real HTTP, with and without faults."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from pydantic import BaseModel

from taxomind_resources.faults import Fault
from taxomind_resources.llm import Answer, LlmClient, Prompt, Spending, load_llm
from taxomind_resources.settings import LlmSettings


class Shout(BaseModel):
    word: str
    length: int


def a_prompt(word: str = "nurse", version: str = "1") -> Prompt:
    return Prompt("shout", version, "Write the word in capitals.", {"word": word}, expected_tokens=10)


WORDS = [f"word{number}" for number in range(30)]


def code_of(outcome: object) -> str:
    return outcome.code if isinstance(outcome, Fault) else "answered"


def test_an_answer_is_typed_and_counted(server, client_of):
    client = client_of()
    answer = client.ask(a_prompt(), Shout)
    assert answer == Answer(Shout(word="NURSE", length=5), False, 100, 10)
    assert client.spent == Spending(1, 0, 0, 100, 10, 0.0)


def test_the_request_speaks_the_protocol(server, client_of):
    client_of().ask(a_prompt(), Shout)
    body = server.requests[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 1024)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    schema = body["response_format"]["json_schema"]
    assert schema["strict"]
    assert schema["schema"]["additionalProperties"] is False
    assert schema["schema"]["required"] == ["word", "length"]
    assert server.keys == ["Bearer secret-key"]


def test_answers_come_in_the_order_of_the_questions_each_asked_once(server, client_of):
    words = [*WORDS, *WORDS[:10]]
    answers = client_of().ask_many([a_prompt(word) for word in words], Shout)
    assert [answer.value.word for answer in answers] == [word.upper() for word in words]
    assert len(server.requests) == len(WORDS)


def test_no_questions_cost_nothing(server, client_of):
    assert client_of().ask_many([], Shout) == []
    assert not server.requests


def test_many_questions_are_under_way_but_not_too_many(server, client_of):
    server.delay_s = 0.1
    client = client_of(concurrency=4)
    halves = [[a_prompt(word) for word in WORDS[:10]], [a_prompt(word) for word in WORDS[10:20]]]
    threads = [threading.Thread(target=client.ask_many, args=(half, Shout)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.requests) == 20
    assert server.most_at_once == 4


def test_the_pace_is_kept(server, client_of):
    started = time.monotonic()
    client_of(requests_per_minute=600).ask_many([a_prompt(word) for word in WORDS[:4]], Shout)
    assert max(server.times) - started >= 0.3


def test_a_busy_server_is_given_the_time_that_it_asks_for(server, client_of):
    server.faults = ["429"]
    assert client_of().ask(a_prompt(), Shout).value.word == "NURSE"
    assert server.times[1] - server.times[0] >= 0.99


def test_a_pause_that_is_longer_than_the_time_out_is_not_begun(server, client_of):
    server.faults = ["429 after 30"]
    started = time.monotonic()
    with pytest.raises(Fault) as caught:
        client_of().ask(a_prompt(), Shout)
    assert caught.value.code == "llm_failed"
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("faults", [["500", "503"], ["drops"], ["429 after Wed, 21 Oct 2015 07:28:00 GMT"]])
def test_passing_failures_are_tried_again(server, client_of, faults):
    server.faults = list(faults)
    assert client_of().ask(a_prompt(), Shout).value.word == "NURSE"
    assert len(server.requests) == len(faults) + 1


def test_pauses_grow(server, client_of):
    server.always = "500"
    with pytest.raises(Fault) as caught:
        client_of(max_retries=2).ask(a_prompt(), Shout)
    assert caught.value.code == "llm_failed"
    assert len(server.times) == 3
    assert all(later - earlier >= 0.5 for earlier, later in zip(server.times, server.times[1:], strict=False))


@pytest.mark.parametrize("fault", ["401", "404", "429 no credit", "redirect", "html", "no choices"])
def test_lasting_failures_are_not_tried_again(server, client_of, fault):
    server.always = fault
    with pytest.raises(Fault) as caught:
        client_of().ask(a_prompt(), Shout)
    assert caught.value.code == "llm_failed"
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["slow", "dribbles"])
def test_no_question_takes_longer_than_its_time_out(server, client_of, fault):
    server.always = fault
    started = time.monotonic()
    with pytest.raises(Fault) as caught:
        client_of(timeout_s=0.4).ask(a_prompt(), Shout)
    assert caught.value.code == "llm_failed"
    assert "0.4 seconds" in caught.value.what
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("fault", ["malformed", "wrong schema", "refusal", "cut"])
def test_an_unusable_answer_is_a_fault_that_was_paid(server, client_of, fault):
    server.always = fault
    client = client_of(cached=True)
    with pytest.raises(Fault) as caught:
        client.ask(a_prompt(), Shout)
    assert caught.value.code == "llm_answer_invalid"
    assert caught.value.what.isprintable()
    assert client.spent == Spending(1, 0, 1, 100, 10, 0.0)
    server.always = ""
    assert not client.ask(a_prompt(), Shout).cached


def test_one_failure_leaves_the_other_answers_alone(server, client_of):
    server.faults = ["ok", "401", "ok"]
    outcomes = client_of(concurrency=1).ask_many([a_prompt(word) for word in WORDS[:3]], Shout)
    assert [code_of(outcome) for outcome in outcomes] == ["answered", "llm_failed", "answered"]


def test_a_dead_endpoint_is_given_up(server, client_of):
    server.always = "401"
    client = client_of()
    outcomes = client.ask_many([a_prompt(f"w{i}") for i in range(200)], Shout)
    assert {code_of(outcome) for outcome in outcomes} == {"llm_failed"}
    assert len(server.requests) < 30
    assert client.spent.failed == 200
    server.always = ""
    assert client.ask(a_prompt(), Shout).value.length == 5


def test_no_server_is_a_fault(client_of):
    with pytest.raises(Fault) as caught:
        client_of(base_url="http://127.0.0.1:9/v1", max_retries=0).ask(a_prompt(), Shout)
    assert caught.value.code == "llm_failed"


def test_a_server_without_schemas_is_asked_in_words(server, client_of):
    server.always = "no schema"
    client = client_of()
    assert client.ask(a_prompt(), Shout).value.word == "NURSE"
    assert client.ask(a_prompt("cook"), Shout).value.word == "COOK"
    assert ["response_format" in body for body in server.requests] == [True, False, False]
    assert '"length"' in server.requests[-1]["messages"][0]["content"]


def test_a_server_that_must_enforce_the_schema_is_not_asked_in_words(server, client_of):
    server.always = "no schema"
    with pytest.raises(Fault):
        client_of(structured_output="json_schema").ask(a_prompt(), Shout)
    assert len(server.requests) == 1


def test_an_answer_in_a_fenced_block_counts(server, client_of):
    server.always = "fenced"
    assert client_of(structured_output="text").ask(a_prompt(), Shout).value.word == "NURSE"
    assert "response_format" not in server.requests[0]


def test_without_figures_tokens_are_estimated(server, client_of):
    server.always = "no usage"
    answer = client_of().ask(a_prompt(), Shout)
    assert answer.input_tokens > 50
    assert answer.output_tokens > 5


def test_the_estimate_comes_before_and_is_not_too_low(server, client_of):
    client = client_of(cached=True, input_price=2.0, output_price=10.0)
    prompts = [a_prompt(word) for word in [*WORDS, WORDS[0]]]
    estimate = client.estimate(prompts, Shout)
    assert not server.requests
    assert (estimate.questions, estimate.cached) == (31, 1)
    client.ask_many(prompts, Shout)
    spent = client.spent
    assert spent.cost == pytest.approx(30 * (100 * 2 + 10 * 10) / 1e6)
    assert spent.cost <= estimate.cost <= 3 * spent.cost
    assert client.estimate(prompts, Shout) == Spending(31, 31, 0, 0, 0, 0.0)


@pytest.mark.parametrize(
    ("changes", "cost"),
    [
        ({}, 0.0004),
        ({"model": "other"}, None),
        ({"model": "other", "input_price": 1.0, "output_price": 0.0}, 0.001),
        ({"model": "other", "input_price": 1.0}, None),
        ({"base_url": "http://localhost:11434/v1", "model": "llama3.1:8b"}, 0.0),
    ],
)
def test_prices_are_known_set_or_unknown(changes, cost):
    from taxomind_resources.llm.spending import cost_of, prices

    assert cost_of((1000, 0), prices(LlmSettings(**changes))) == (None if cost is None else pytest.approx(cost))


def test_unknown_prices_make_the_cost_unknown(tmp_path):
    client = LlmClient(LlmSettings(model="other", api_key="k"), None)
    assert client.estimate([a_prompt()], Shout).cost is None
    assert "cost unknown" in str(client.spent)


def test_the_key_is_shown_nowhere(server, client_of, caplog):
    caplog.set_level(logging.DEBUG)
    server.always = "401"
    client = client_of()
    with pytest.raises(Fault) as caught:
        client.ask(a_prompt(), Shout)
    shown = "".join([caught.value.render(), str(caught.value.problem()), repr(client), repr(client._settings), caplog.text])
    assert "secret-key" not in shown
    assert "\x1b" not in caught.value.render()


def test_the_key_comes_from_the_environment(server, client_of, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-outside")
    client_of(api_key=None).ask(a_prompt(), Shout)
    assert server.keys == ["Bearer from-outside"]


def test_openai_itself_wants_a_key(monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(Fault) as caught:
        load_llm(LlmSettings(), tmp_path)
    assert caught.value.code == "invalid_setting"


def test_one_process_has_one_client_of_the_same_settings(server, tmp_path):
    settings = LlmSettings(base_url=server.url, model="m")
    assert load_llm(settings, tmp_path) is load_llm(settings.model_copy(), tmp_path)
    load_llm(settings, tmp_path).ask(a_prompt(), Shout)
    assert list((tmp_path / "cache" / "llm").glob("answers.sqlite"))


def test_a_closed_client_opens_again(server, client_of):
    client = client_of(cached=True, concurrency=1)
    client.ask_many([a_prompt(word) for word in WORDS[:3]], Shout)
    client.close()
    assert not client.ask_many([a_prompt(word) for word in WORDS[3:6]], Shout)[2].cached


async def _ask_inside(client: LlmClient) -> str:
    return client.ask(a_prompt(), Shout).value.word


def test_a_caller_may_run_in_a_loop_of_its_own(server, client_of):
    import asyncio

    assert asyncio.run(_ask_inside(client_of())) == "NURSE"
