"""What questions cost: an estimate before, the endpoint's own figures after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from taxomind_resources.llm.addresses import DEFAULT_ADDRESS, checked_address, is_loopback
from taxomind_resources.llm.prompt import Prompt
from taxomind_resources.settings import LlmSettings

#: US dollars for a million input and output tokens at the default address, as published by its owner.
_KNOWN_PRICES: Final[Mapping[str, tuple[float, float]]] = {"gpt-4.1-mini": (0.40, 1.60)}
_PER: Final = 1_000_000
#: A model's tokenizer is unknown. Tokens are estimated from UTF-8 bytes, on the safe side for most languages.
_BYTES_PER_TOKEN: Final = 3
#: What the protocol adds around the messages of a question.
_FRAME_TOKENS: Final = 20


@dataclass(frozen=True, slots=True)
class Spending:
    """What some questions cost.

    Attributes:
        questions: all of them, with those that failed.
        cached: answered from disk, at no cost.
        failed: without a usable answer.
        input_tokens: tokens read by the model.
        output_tokens: tokens written by it.
        cost: US dollars; None = the price is not known.
    """

    questions: int = 0
    cached: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0

    def __add__(self, other: Spending) -> Spending:
        unknown = self.cost is None or other.cost is None
        return Spending(
            self.questions + other.questions,
            self.cached + other.cached,
            self.failed + other.failed,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if unknown else (self.cost or 0.0) + (other.cost or 0.0),
        )

    def __sub__(self, before: Spending) -> Spending:
        """What was spent since `before`."""
        unknown = self.cost is None or before.cost is None
        return Spending(
            self.questions - before.questions,
            self.cached - before.cached,
            self.failed - before.failed,
            self.input_tokens - before.input_tokens,
            self.output_tokens - before.output_tokens,
            None if unknown else max((self.cost or 0.0) - (before.cost or 0.0), 0.0),
        )

    def __str__(self) -> str:
        cost = "cost unknown" if self.cost is None else f"${self.cost:,.4f}"
        tokens = f"{self.input_tokens:,} tokens in, {self.output_tokens:,} out"
        failed = f", {self.failed:,} failed" * bool(self.failed)
        return f"{self.questions:,} questions ({self.cached:,} from the cache{failed}), {tokens}, {cost}"


def prices(settings: LlmSettings) -> tuple[float, float] | None:
    """US dollars for one input and one output token, None when not known.

    Raises:
        Fault: `invalid_setting` for an address that may not be asked.
    """
    address = checked_address(settings)
    known = (0.0, 0.0) if is_loopback(address) else None
    if address == DEFAULT_ADDRESS:
        known = _KNOWN_PRICES.get(settings.model)
    both = (settings.input_price, settings.output_price)
    if known is None and None in both:
        return None
    first, second = ((own if own is not None else other) for own, other in zip(both, known or (0.0, 0.0), strict=True))
    return first / _PER, second / _PER


def cost_of(tokens: tuple[int, int], price: tuple[float, float] | None) -> float | None:
    """US dollars of (input, output) tokens."""
    return None if price is None else tokens[0] * price[0] + tokens[1] * price[1]


def estimated_input(prompt: Prompt, schema: str) -> int:
    """Tokens that the model will read, an upper guess."""
    size = sum(len(message["content"].encode()) for message in prompt.messages) + len(schema.encode())
    return -(-size // _BYTES_PER_TOKEN) + _FRAME_TOKENS


def estimated_tokens(text: str) -> int:
    """Tokens of a text, an upper guess."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)
