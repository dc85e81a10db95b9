"""The one way to ask a language model: typed answers, cached, bounded, paced and counted."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic

from pydantic import BaseModel

from taxomind_resources.faults import Fault
from taxomind_resources.llm.background import BackgroundLoop
from taxomind_resources.llm.cache import AnswerCache
from taxomind_resources.llm.endpoint import ChatEndpoint, Form, Reply
from taxomind_resources.llm.parsing import T, parsed
from taxomind_resources.llm.prompt import Prompt
from taxomind_resources.llm.spending import Spending, cost_of, estimated_input, prices
from taxomind_resources.settings import LlmSettings

#: After so many failures in a row the other questions of a call are not asked: each would wait in vain.
_FAILURES_IN_A_ROW: Final = 20


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A checked answer. Tokens are 0 for one from the cache."""

    value: T
    cached: bool
    input_tokens: int = 0
    output_tokens: int = 0


class LlmClient:
    """Asks the language model of the settings. Safe to share between threads.

    Args:
        settings: group `llm`.
        cache_file: SQLite file for answers; None = none are kept.

    Raises:
        Fault: `invalid_setting`.
    """

    def __init__(self, settings: LlmSettings, cache_file: Path | None) -> None:
        self._settings = settings
        self._endpoint = ChatEndpoint(settings)
        self._price = prices(settings)
        self._cache = AnswerCache(cache_file) if cache_file is not None else None
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._loop = BackgroundLoop()
        self._lock = threading.Lock()
        self._spent = Spending(cost=None if self._price is None else 0.0)

    @property
    def spent(self) -> Spending:
        """What all questions of this client have cost, by the endpoint's own figures."""
        with self._lock:
            return self._spent

    def ask(self, prompt: Prompt, schema: type[T]) -> Answer[T]:
        """The answer to one question.

        Raises:
            Fault: `llm_failed`, `llm_answer_invalid`, `storage_failed`.
        """
        answer = self.ask_many([prompt], schema)[0]
        if isinstance(answer, Fault):
            raise answer
        return answer

    def ask_many(self, prompts: Sequence[Prompt], schema: type[T]) -> list[Answer[T] | Fault]:
        """Answers to b questions, in their order; a question that fails has its fault in its place.

        The same question is asked once. Each answer is kept as soon as it is there. When the endpoint fails many times in a
        row, the rest is not asked and gets the last fault.

        Args:
            schema: what an answer holds; answers are validated by it.

        Raises:
            Fault: `storage_failed` when answers cannot be kept; what has been paid by then is kept.
        """
        form = _form(schema)
        keys = [self._key(prompt, form) for prompt in prompts]
        known = self._known(keys, schema)
        open_ = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
        if open_ and self._cache is not None:
            self._cache.check()
        made = self._loop.run(self._ask_all(open_, form, schema)) if open_ else {}
        self._count(Spending(len(prompts), cached=len(prompts) - len(open_)))
        return [known[key] if key in known else made[key] for key in keys]

    def estimate(self, prompts: Sequence[Prompt], schema: type[BaseModel]) -> Spending:
        """What `ask_many` would cost; nothing is asked. Token counts are upper guesses, a third of the UTF-8 bytes.

        Raises:
            Fault: `storage_failed`.
        """
        form = _form(schema)
        keys = [self._key(prompt, form) for prompt in prompts]
        known = self._known(keys, schema)
        open_ = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
        tokens_in = sum(estimated_input(prompt, form.text) for prompt in open_.values())
        tokens_out = sum(prompt.expected_tokens for prompt in open_.values())
        cost = cost_of((tokens_in, tokens_out), self._price)
        return Spending(len(prompts), len(prompts) - len(open_), 0, tokens_in, tokens_out, cost)

    def cost_of(self, answer: Answer[Any]) -> float | None:
        """US dollars that an answer has cost, 0 for one from the cache; None when the price is not known."""
        return cost_of((answer.input_tokens, answer.output_tokens), self._price)

    def close(self) -> None:
        """Close connections and the cache; a later use opens them again."""
        self._loop.run(self._endpoint.close())
        self._loop.close()
        self._slots = asyncio.Semaphore(self._settings.concurrency)
        if self._cache is not None:
            self._cache.close()

    def _key(self, prompt: Prompt, form: Form) -> bytes:
        return prompt.key(self._endpoint.address, self._settings.model, form.name, form.text)

    def _known(self, keys: Sequence[bytes], schema: type[T]) -> dict[bytes, Answer[T]]:
        found = {} if self._cache is None else self._cache.lookup(list(dict.fromkeys(keys)))
        known = {}
        for key, text in found.items():
            try:
                known[key] = Answer(parsed(text, schema), cached=True)
            except Fault:  # a damaged entry; the question is asked again
                continue
        return known

    async def _ask_all(self, prompts: dict[bytes, Prompt], form: Form, schema: type[T]) -> dict[bytes, Answer[T] | Fault]:
        made: dict[bytes, Answer[T] | Fault] = {}
        waiting = iter(prompts.items())
        health = _Health()
        workers = min(self._settings.concurrency, len(prompts))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work(waiting, made, health, form, schema))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return made

    async def _work(
        self,
        waiting: Iterator[tuple[bytes, Prompt]],
        made: dict[bytes, Answer[T] | Fault],
        health: _Health,
        form: Form,
        schema: type[T],
    ) -> None:
        for key, prompt in waiting:
            if health.given_up is not None:
                made[key] = health.given_up
                self._count(Spending(failed=1))
                continue
            async with self._slots:
                made[key] = await self._ask_one(key, prompt, form, schema)
            health.note(made[key])

    async def _ask_one(self, key: bytes, prompt: Prompt, form: Form, schema: type[T]) -> Answer[T] | Fault:
        try:
            reply = await self._endpoint.ask(prompt, form)
        except Fault as fault:
            self._count(Spending(failed=1))
            return fault
        tokens = (reply.input_tokens, reply.output_tokens)
        paid = Spending(0, 0, 0, *tokens, cost_of(tokens, self._price))
        try:
            value = _value(reply, schema)
        except Fault as fault:
            self._count(paid + Spending(failed=1))
            return fault
        self._count(paid)
        if self._cache is not None:
            self._cache.store(key, value.model_dump_json(), purpose=prompt.purpose, model=self._settings.model, tokens=tokens)
        return Answer(value, False, *tokens)

    def _count(self, more: Spending) -> None:
        with self._lock:
            self._spent += more


class _Health:
    """Failures in a row of one call. `given_up` is the last of too many."""

    def __init__(self) -> None:
        self.given_up: Fault | None = None
        self._failures = 0

    def note(self, outcome: object) -> None:
        self._failures = self._failures + 1 if isinstance(outcome, Fault) else 0
        if isinstance(outcome, Fault) and self._failures >= _FAILURES_IN_A_ROW:
            self.given_up = outcome


def _value(reply: Reply, schema: type[T]) -> T:
    if reply.problem is not None:
        raise Fault("llm_answer_invalid", reply.problem, value=reply.text or None)
    return parsed(reply.text, schema)


def _form(schema: type[BaseModel]) -> Form:
    from openai import pydantic_function_tool

    strict = pydantic_function_tool(schema)["function"]["parameters"]
    return Form(schema.__name__, strict, json.dumps(strict, sort_keys=True))


_SHARED: dict[tuple[LlmSettings, Path, int], LlmClient] = {}
_LOCK = threading.Lock()


def load_llm(settings: LlmSettings, data: Path) -> LlmClient:
    """The process's one client of these settings; its answers are kept below `data`.

    Raises:
        Fault: `invalid_setting`.
    """
    key = (settings, data.absolute(), os.getpid())  # threads and files do not survive a fork
    with _LOCK:
        if key not in _SHARED:
            file = data.absolute() / "cache" / "llm" / "answers.sqlite" if settings.cache else None
            _SHARED[key] = LlmClient(settings, file)
        return _SHARED[key]
