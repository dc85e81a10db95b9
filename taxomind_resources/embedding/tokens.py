"""Texts to token numbers for the local model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taxomind_resources.embedding.chunking import split_evenly
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Tokens:
    """A model folder's tokenizer with its built-in padding and truncation taken off (some pad every text to 128).

    Args:
        folder: holds `tokenizer.json`.
        max_tokens: limit of one chunk, special tokens included.

    Raises:
        Fault: `model_unavailable`.
    """

    def __init__(self, folder: Path, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises bare Exception
            raise Fault("model_unavailable", f"tokenizer.json cannot be read: {error}.", value=str(folder)) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = max_tokens
        self._special = self._tokenizer.num_special_tokens_to_add(False)

    def counts(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Tokens per text without special tokens, int32 (n,)."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return np.fromiter((len(encoding) for encoding in encodings), np.int32, len(encodings))

    def chunks(self, texts: Sequence[str], prompt: str) -> tuple[list[list[int]], NDArray[np.int64]]:
        """Token numbers of all chunks (prompt and special tokens included) and the text each chunk belongs to, ascending.

        A text within the limit is one chunk. A longer one is split between words; each part gets the prompt.
        """
        numbers = self._numbers(texts, prompt)
        long = {row for row, ids in enumerate(numbers) if len(ids) > self.max_tokens}
        if not long:
            return numbers, np.arange(len(numbers))
        parts = [
            self._numbers(self._split(text, prompt), prompt) if row in long else [numbers[row]]
            for row, text in enumerate(texts)
        ]
        owner = np.repeat(np.arange(len(texts)), [len(own) for own in parts])
        return [self._cut(ids) for own in parts for ids in own], owner

    def pieces(self, texts: Sequence[str], prompt: str) -> tuple[list[str], NDArray[np.int64]]:
        """As `chunks`, but the parts as text and without the prompt."""
        room = self.max_tokens - self._special - self._prompt_tokens(prompt)
        # A token holds one character at least, so that most texts need not be counted.
        parts = [self._split(text, prompt) if len(text) > room else [text] for text in texts]
        return [piece for own in parts for piece in own], np.repeat(np.arange(len(texts)), [len(own) for own in parts])

    def _numbers(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        prompted = [prompt + text for text in texts] if prompt else list(texts)
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(prompted)]

    def _split(self, text: str, prompt: str) -> list[str]:
        limit = max(1, self.max_tokens - self._special - self._prompt_tokens(prompt))
        whole: Any = self._tokenizer.encode(text, add_special_tokens=False)
        return split_evenly(text, whole.offsets, whole.word_ids, limit)

    def _prompt_tokens(self, prompt: str) -> int:
        return len(self._tokenizer.encode(prompt, add_special_tokens=False)) if prompt else 0

    def _cut(self, ids: list[int]) -> list[int]:
        """A part of one endless word may come out some tokens longer than it was inside its word."""
        return ids if len(ids) <= self.max_tokens else [*ids[: self.max_tokens - 1], ids[-1]]
