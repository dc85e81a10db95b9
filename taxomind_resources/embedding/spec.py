"""What identifies an embedding model's vectors, and the interface that all providers share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: What a text is: a query to be placed, or the text of a node. Models may want another prompt for each.
Kind = Literal["query", "document"]
NumberFormat = Literal["auto", "float32", "bfloat16", "int8"]

#: Raised when the rules that turn a text into tokens (trimming, NFC, splitting of long texts) change.
TEXT_RULES: Final = 1
#: Number formats whose vectors agree to a cosine of 0.9999 and better share one class (measured).
_NUMBER_CLASS: Final = {"auto": "exact", "float32": "exact", "bfloat16": "exact", "int8": "static-int8-1"}


@dataclass(frozen=True)
class EmbeddingSpec:
    """Everything that changes a vector. Stored with each index; two equal `vector_class` values mean comparable vectors.

    Attributes:
        weights_digest: SHA-256 of the weights; for an endpoint, of its address, model name and revision.
        max_tokens: tokens of one chunk, special tokens and prompt included.
        dimensions: length of a vector as returned (after any cut).
        tokenizer_digest: SHA-256 of the tokenizer's files.
        max_chars: characters that are kept of a text before anything else; None = all.
    """

    provider: str
    model: str
    revision: str | None
    weights_digest: str
    query_prompt: str
    document_prompt: str
    pooling: Literal["mean", "cls", "last"]
    padding_side: Literal["left", "right"]
    max_tokens: int
    dimensions: int
    number_format: NumberFormat
    tokenizer_digest: str = ""
    max_chars: int | None = None

    @property
    def encoder_class(self) -> str:
        """32 hex digits over all that changes the vector of a given prompt + text. The cache is kept per encoder class."""
        return _digest(self._encoder_facts())

    @property
    def vector_class(self) -> str:
        """32 hex digits over all that changes a vector, both prompts included. An index is stale when this differs."""
        own = {"query_prompt": self.query_prompt, "document_prompt": self.document_prompt, "max_chars": self.max_chars}
        return _digest(self._encoder_facts() | own)

    def prompt(self, kind: Kind) -> str:
        """The text put before texts of this kind."""
        return self.query_prompt if kind == "query" else self.document_prompt

    def differing(self, other: EmbeddingSpec) -> dict[str, tuple[Any, Any]]:
        """What makes the vectors of `self` and `other` incomparable: name -> (own, other's); empty when they fit."""
        if self.vector_class == other.vector_class:
            return {}
        mine, theirs = self._compared(), other._compared()
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}

    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> EmbeddingSpec:
        """The inverse of `to_json`. Keys of a later version are ignored.

        Raises:
            Fault: `storage_failed` when the text is not such a record.
        """
        try:
            values = json.loads(text)
            known = {field.name for field in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise Fault(
                "storage_failed", "The stored description of an embedding model cannot be read.", value=text, allowed=str(error)
            ) from error

    def _encoder_facts(self) -> dict[str, Any]:
        return {
            "rules": TEXT_RULES,
            "weights": self.weights_digest,
            "tokenizer": self.tokenizer_digest,
            "pooling": self.pooling,
            "padding_side": self.padding_side,
            "max_tokens": self.max_tokens,
            "dimensions": self.dimensions,
            "numbers": _NUMBER_CLASS[self.number_format],
        }

    def _compared(self) -> dict[str, Any]:
        shown = {"model": self.model, "query_prompt": self.query_prompt, "document_prompt": self.document_prompt}
        return shown | {"max_chars": self.max_chars} | self._encoder_facts()


class Embedder(Protocol):
    """Texts to unit vectors. Thread-safe; the same text gives the same vector alone and in any batch."""

    @property
    def spec(self) -> EmbeddingSpec:
        """What identifies the vectors."""

    def embed(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Unit vectors, float32 (n, d); the row of an empty or blank text is zero.

        Raises:
            Fault: `model_unavailable`, `model_untrusted`, `missing_extra` or `provider_failed`.
        """

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Tokens per text, int32 (n,), without special tokens and without any cut. No inference."""


def _digest(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
