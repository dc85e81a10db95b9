"""One question to a chat endpoint: tried again after passing failures, never for longer than the time-out."""

from __future__ import annotations

import asyncio
import email.utils
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taxomind_resources.faults import Fault
from taxomind_resources.llm.addresses import DEFAULT_ADDRESS, checked_address
from taxomind_resources.llm.parsing import readable
from taxomind_resources.llm.prompt import Prompt
from taxomind_resources.llm.spending import estimated_input, estimated_tokens
from taxomind_resources.settings import LlmSettings

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion
    from tenacity import RetryCallState

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_PASSING_STATUS: Final = frozenset({408, 409, 429})
#: Sent with status 429, although waiting does not help.
_NO_CREDIT: Final = "insufficient_quota"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote. `problem` says why it is no answer, if it is none."""

    text: str
    input_tokens: int
    output_tokens: int
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer must look: a JSON schema with its name; the schema once more as text, for prompts and keys."""

    name: str
    schema: Mapping[str, Any]
    text: str


class Pace:
    """Spreads calls of one event loop evenly: `turn` returns at most `per_minute` times a minute."""

    def __init__(self, per_minute: int) -> None:
        self._gap_s = 60.0 / per_minute
        self._next = 0.0

    async def turn(self) -> None:
        """Wait until the next call may start."""
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + self._gap_s
        await asyncio.sleep(start - now)


class ChatEndpoint:
    """Asks the endpoint of `settings`. Belongs to one event loop.

    Raises:
        Fault: `invalid_setting` for an address that may not be asked, or without a key where one is needed.
    """

    def __init__(self, settings: LlmSettings) -> None:
        self.address = checked_address(settings)
        self._settings = settings
        self._key = settings.api_key or os.environ.get("OPENAI_API_KEY") or ""
        if not self._key and self.address == DEFAULT_ADDRESS:
            raise Fault(
                "invalid_setting",
                "OpenAI wants a key.",
                value="llm.api_key = null",
                allowed="llm.api_key or OPENAI_API_KEY",
                next_step="Set the key, or llm.base_url to a server of your own.",
            )
        self._as_text = settings.structured_output == "text"
        self._pace = Pace(settings.requests_per_minute)
        self._made: AsyncOpenAI | None = None

    async def ask(self, prompt: Prompt, form: Form) -> Reply:
        """Put one question.

        Raises:
            Fault: `llm_failed`.
        """
        await self._pace.turn()
        limit = self._settings.timeout_s
        try:
            async with asyncio.timeout(limit):
                return await self._in_some_form(prompt, form)
        except TimeoutError as error:
            raise self._failed(f"There was no answer within {limit:g} seconds.") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            await self._made.close()
            self._made = None

    async def _in_some_form(self, prompt: Prompt, form: Form) -> Reply:
        """With the schema enforced where the endpoint can; what it refuses is asked once more with the schema as text."""
        import openai

        if self._as_text:
            return await self._persistently(prompt, form, as_text=True)
        try:
            return await self._persistently(prompt, form, as_text=False)
        except Fault as fault:
            refused = isinstance(fault.__cause__, openai.BadRequestError | openai.UnprocessableEntityError)
            if not refused or self._settings.structured_output == "json_schema":
                raise
        reply = await self._persistently(prompt, form, as_text=True)
        self._as_text = True
        return reply

    async def _persistently(self, prompt: Prompt, form: Form, *, as_text: bool) -> Reply:
        import openai
        import tenacity

        first = True

        async def once() -> ChatCompletion:
            nonlocal first
            if not first:
                await self._pace.turn()
            first = False
            return await self._request(prompt, form, as_text=as_text)

        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_is_passing),
            stop=tenacity.stop_after_attempt(1 + self._settings.max_retries)
            | tenacity.stop_before_delay(self._settings.timeout_s),
            wait=_pause,
            reraise=True,
        )
        try:
            completion: ChatCompletion = await tries(once)
            return _reply(completion, prompt, form)
        except openai.OpenAIError as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise self._failed("The answer is not what the protocol says.") from error

    def _request(self, prompt: Prompt, form: Form, *, as_text: bool) -> Awaitable[ChatCompletion]:
        messages: list[Any] = list(prompt.messages)
        options: dict[str, Any] = {}
        if as_text:
            wanted = f"Answer with one JSON object and nothing else. Its JSON schema:\n{form.text}"
            messages[0] = {**messages[0], "content": f"{messages[0]['content']}\n\n{wanted}"}
        else:
            schema = {"name": form.name, "schema": dict(form.schema), "strict": True}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        # OpenAI has renamed the limit; other servers know the former name.
        limit = "max_completion_tokens" if self.address == DEFAULT_ADDRESS else "max_tokens"
        options[limit] = self._settings.max_output_tokens
        create: Callable[..., Awaitable[ChatCompletion]] = self._client().chat.completions.create
        return create(model=self._settings.model, messages=messages, temperature=0, **options)

    def _client(self) -> AsyncOpenAI:
        if self._made is None:
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient

            # A redirect would carry the texts to an address that nobody has allowed.
            self._made = AsyncOpenAI(
                api_key=self._key or "none",  # servers on the own machine want no key, but the client does
                base_url=self.address,
                timeout=self._settings.timeout_s,
                max_retries=0,
                http_client=DefaultAsyncHttpxClient(follow_redirects=False),
            )
        return self._made

    def _failed(self, what: str) -> Fault:
        """A fault whose text holds neither the key, should the server repeat it, nor control characters."""
        shown = what.replace(self._key, "***") if self._key else what
        return Fault("llm_failed", readable(shown), value=f"{self.address}, {self._settings.model}")


def _reply(completion: ChatCompletion, prompt: Prompt, form: Form) -> Reply:
    choice = completion.choices[0]
    text = choice.message.content or ""
    problem = None
    if choice.message.refusal:
        problem = readable(f"The model refused: {choice.message.refusal}")
    elif choice.finish_reason == "content_filter":
        problem = "The endpoint filtered the answer."
    elif choice.finish_reason == "length":
        problem = "The answer reached llm.max_output_tokens before its end."
    usage = completion.usage
    if usage is None:
        return Reply(text, estimated_input(prompt, form.text), estimated_tokens(text), problem)
    return Reply(text, int(usage.prompt_tokens), int(usage.completion_tokens), problem)


def _is_passing(error: BaseException) -> bool:
    import openai

    if isinstance(error, openai.APIStatusError):
        return error.code != _NO_CREDIT and (error.status_code in _PASSING_STATUS or error.status_code >= 500)
    return isinstance(error, openai.APIConnectionError)


def _pause(state: RetryCallState) -> float:
    """Seconds until the next try: what the endpoint asks for (RFC 9110, Retry-After), else twice as long each time."""
    from tenacity import wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    headers = getattr(getattr(error, "response", None), "headers", {})
    asked = _retry_after(headers.get("retry-after", ""))
    if asked is not None:
        return asked
    return _FIRST_PAUSE_S + wait_random_exponential(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)(state)


def _retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
