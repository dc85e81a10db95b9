"""The openai provider: any endpoint that speaks the OpenAI embeddings protocol."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from taxomind_resources.embedding.chunking import split_by_bytes
from taxomind_resources.embedding.spec import EmbeddingSpec, Kind
from taxomind_resources.embedding.vectors import mean_of_chunks, unit_rows
from taxomind_resources.faults import Fault
from taxomind_resources.settings import EmbeddingSettings

if TYPE_CHECKING:
    from openai import OpenAI

#: Limit of OpenAI's own models, in tokens.
_DEFAULT_MAX_TOKENS: Final = 8191
#: An endpoint's tokenizer is unknown. Tokens are estimated from UTF-8 bytes, on the safe side for most languages.
_BYTES_PER_TOKEN: Final = 3
_OPENAI: Final = "https://api.openai.com/v1"


class RateLimit:
    """Spreads calls evenly: `wait` returns at most `per_minute` times a minute. Thread-safe."""

    def __init__(self, per_minute: int) -> None:
        self._gap_s = 60.0 / per_minute
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Sleep until the next call may start."""
        with self._lock:
            start = max(time.monotonic(), self._next)
            self._next = start + self._gap_s
        time.sleep(max(0.0, start - time.monotonic()))


class EndpointEncoder:
    """Asks an endpoint, `embedding.request_texts` texts at a time. The client retries 408, 409, 429 (it honours Retry-After),
    5xx, time-outs and broken connections with growing pauses.

    Raises:
        Fault: `invalid_setting`, or `provider_failed` when the length of the vectors had to be asked for.
    """

    def __init__(self, settings: EmbeddingSettings) -> None:
        self._settings = settings
        self._rate = RateLimit(settings.requests_per_minute)
        self._client = _client(settings)
        address = settings.base_url or _OPENAI
        identity = "\n".join((address.rstrip("/"), settings.model, settings.revision or ""))
        self.spec = EmbeddingSpec(
            provider="openai",
            model=settings.model,
            revision=settings.revision,
            weights_digest=hashlib.sha256(identity.encode()).hexdigest(),
            query_prompt=settings.query_prompt or "",
            document_prompt=settings.document_prompt or "",
            pooling="mean",
            padding_side="right",
            max_tokens=settings.max_tokens or _DEFAULT_MAX_TOKENS,
            dimensions=settings.dimensions or self._request(["dimension"]).shape[1],
            number_format="auto",
            max_chars=settings.max_chars,
        )

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Unit vectors, float32 (n, d).

        Raises:
            Fault: `provider_failed`.
        """
        prompt = self.spec.prompt(kind)
        most_bytes = max(_BYTES_PER_TOKEN, self.spec.max_tokens * _BYTES_PER_TOKEN - len(prompt.encode()))
        chunks = [split_by_bytes(text, most_bytes) for text in texts]
        owner = np.repeat(np.arange(len(texts)), [len(own) for own in chunks])
        prompted = [prompt + chunk for own in chunks for chunk in own]
        size = self._settings.request_texts
        answers = [self._request(prompted[start : start + size]) for start in range(0, len(prompted), size)]
        if any(answer.shape[1] != answers[0].shape[1] for answer in answers) or answers[0].shape[1] < self.spec.dimensions:
            raise self._failed(
                "The endpoint changed the length of its vectors.",
                value=sorted({answer.shape[1] for answer in answers}),
                allowed=str(self.spec.dimensions),
            )
        if self._settings.dimensions is None and answers[0].shape[1] != self.spec.dimensions:
            raise self._failed(
                "The endpoint changed the length of its vectors.", value=answers[0].shape[1], allowed=str(self.spec.dimensions)
            )
        vectors = unit_rows(np.concatenate(answers)[:, : self.spec.dimensions])
        return mean_of_chunks(vectors, owner, len(texts))

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Estimated tokens per text, int32 (n,): a third of its UTF-8 bytes, rounded up."""
        return np.fromiter((-(-len(text.encode()) // _BYTES_PER_TOKEN) for text in texts), np.int32, len(texts))

    def _request(self, texts: list[str]) -> NDArray[np.float32]:
        """Vectors of one request in the order of `texts`, whatever the order of the answer."""
        import openai

        self._rate.wait()
        try:
            answer = self._client.embeddings.create(model=self._settings.model, input=texts, encoding_format="float")
            items = sorted(answer.data, key=lambda item: item.index)
            indexes = [item.index for item in items]
            rows = [item.embedding for item in items]
        except (openai.OpenAIError, TypeError, AttributeError, ValueError) as error:
            raise self._failed(f"{type(error).__name__}: {error}") from error
        if indexes != list(range(len(texts))):
            raise self._failed(
                "The answer does not hold one vector per text.", value=f"{len(rows)} vectors", allowed=f"{len(texts)}"
            )
        if len({len(row) for row in rows}) != 1 or not rows[0]:
            raise self._failed("The answer holds vectors of different lengths.", value=sorted({len(row) for row in rows}))
        vectors = np.array(rows, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise self._failed("The answer holds values that are not numbers.")
        return vectors

    def _failed(self, what: str, *, value: Any = None, allowed: str | None = None) -> Fault:
        return Fault(
            "provider_failed",
            f"{what} ({self._settings.base_url or _OPENAI}, {self._settings.model})",
            value=value,
            allowed=allowed,
        )


def _client(settings: EmbeddingSettings) -> OpenAI:
    from openai import OpenAI

    key = settings.api_key or os.environ.get("OPENAI_API_KEY")
    if not key and not settings.base_url:
        raise Fault(
            "invalid_setting",
            "OpenAI wants a key.",
            value="embedding.api_key = null",
            allowed="embedding.api_key or OPENAI_API_KEY",
        )
    # Servers on the own machine want no key, but the client does.
    return OpenAI(
        api_key=key or "none",
        base_url=settings.base_url or _OPENAI,
        timeout=settings.timeout_s,
        max_retries=settings.max_retries,
    )
