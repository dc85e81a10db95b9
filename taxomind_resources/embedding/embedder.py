"""The way from texts to vectors that all providers share: prepare, drop duplicates, look up, encode what is new, keep it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from taxomind_resources.embedding.cache import VectorCache, vector_keys
from taxomind_resources.embedding.spec import EmbeddingSpec, Kind
from taxomind_resources.embedding.vectors import rounded_unit_rows, unit_rows
from taxomind_resources.faults import Fault

#: Texts that are looked up, encoded and stored together; it bounds the memory of a long call.
BLOCK_TEXTS: Final = 8192
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Encoder(Protocol):
    """What a provider does: unit vectors of prepared, different texts that are not blank."""

    @property
    def spec(self) -> EmbeddingSpec:
        """What identifies the vectors."""

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Unit vectors, float32 (n, d)."""

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Tokens per text without special tokens, int32 (n,)."""


class TextEmbedder:
    """An `Embedder` over any provider, with or without the disk cache.

    With a cache, a vector passes through float16 whether it was just made or read, so that both are identical.

    Args:
        cached_kinds: kinds of text that are looked up and kept.
    """

    def __init__(self, encoder: Encoder, cache: VectorCache | None, cached_kinds: frozenset[Kind]) -> None:
        self._encoder = encoder
        self._cache = cache
        self._cached_kinds = cached_kinds

    @property
    def spec(self) -> EmbeddingSpec:
        """What identifies the vectors."""
        return self._encoder.spec

    def embed(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Unit vectors, float32 (n, d), in the order of `texts`; the row of an empty or blank text is zero.

        Raises:
            Fault: `invalid_input` when `texts` is not a sequence of strings; else what the provider raises.
        """
        unique, owner, first = _distinct(texts, self.spec.max_chars)
        vectors = np.zeros((len(owner), self.spec.dimensions), dtype=np.float32)
        for start in range(0, len(unique), BLOCK_TEXTS):
            block = slice(start, start + BLOCK_TEXTS)
            filled = [number for number, text in enumerate(unique[block]) if text]
            if filled:
                vectors[first[block][filled]] = self._vectors([unique[start + number] for number in filled], kind)
        repeats = np.flatnonzero(first[owner] != np.arange(len(owner)))
        vectors[repeats] = vectors[first[owner[repeats]]]
        return vectors

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Tokens per text without special tokens, int32 (n,); 0 for blank texts.

        Raises:
            Fault: `invalid_input`, or what the provider raises.
        """
        unique, owner, _ = _distinct(texts, self.spec.max_chars)
        counts = np.zeros(len(unique), dtype=np.int32)
        for start in range(0, len(unique), BLOCK_TEXTS):
            counts[start : start + BLOCK_TEXTS] = self._encoder.word_pieces(unique[start : start + BLOCK_TEXTS])
        return counts[owner]

    def _vectors(self, texts: list[str], kind: Kind) -> NDArray[np.float32]:
        if self._cache is None:
            return self._encoded(texts, kind)
        if kind not in self._cached_kinds:
            return rounded_unit_rows(self._encoded(texts, kind))
        keys = vector_keys(texts, self.spec.prompt(kind))
        known, halves = self._cache.lookup(keys)
        vectors = np.empty((len(texts), self.spec.dimensions), dtype=np.float32)
        vectors[known] = unit_rows(halves.astype(np.float32))
        new = np.setdiff1d(np.arange(len(texts)), known)
        if len(new):
            fresh = self._encoded([texts[number] for number in new], kind).astype(np.float16)
            self._cache.store([keys[number] for number in new], fresh)
            vectors[new] = unit_rows(fresh.astype(np.float32))
        return vectors

    def _encoded(self, texts: list[str], kind: Kind) -> NDArray[np.float32]:
        vectors = self._encoder.encode(texts, kind)
        if vectors.shape != (len(texts), self.spec.dimensions) or not np.isfinite(vectors).all():
            raise Fault(
                "model_unavailable",
                "The model returned vectors of another shape or with values that are not numbers.",
                value=vectors.shape,
                allowed=str((len(texts), self.spec.dimensions)),
            )
        return vectors


def prepared(text: str, max_chars: int | None) -> str:
    """A text as it is embedded: trimmed, NFC, cut to `max_chars`, without lone surrogates (which have no UTF-8 form)."""
    text = text.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text))
    return text if max_chars is None else text[:max_chars].rstrip()


def _distinct(texts: Sequence[str], max_chars: int | None) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Different prepared texts, which of them each text is, and the row where each stood first."""
    if isinstance(texts, str):
        raise Fault("invalid_input", "Texts are handed over as a list, not as one string.", value=texts)
    number: dict[str, int] = {}
    owner = np.empty(len(texts), dtype=np.int64)
    first: list[int] = []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise Fault("invalid_input", f"Text {row} is of type {type(text).__name__}.", value=text, allowed="strings")
        key = prepared(text, max_chars)
        owner[row] = number.setdefault(key, len(number))
        if len(number) > len(first):
            first.append(row)
    return list(number), owner, np.array(first, dtype=np.int64)
