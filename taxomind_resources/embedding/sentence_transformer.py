"""The sentence-transformers provider: any model that the library loads, on CPU or GPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taxomind_resources.embedding.spec import EmbeddingSpec, Kind
from taxomind_resources.embedding.tokens import Tokens
from taxomind_resources.embedding.vectors import mean_of_chunks, token_batches, unit_rows
from taxomind_resources.faults import Fault
from taxomind_resources.settings import EmbeddingSettings

#: A GPU wants larger batches than a core's cache does.
_GPU_BATCH_FACTOR: Final = 16


class SentenceTransformerEncoder:
    """Runs a folder (or a hub snapshot) by sentence-transformers. The library and the weights are loaded at first use.

    Raises:
        Fault: `invalid_setting` for a number format that the library lacks.
    """

    def __init__(self, spec: EmbeddingSpec, path: Path, settings: EmbeddingSettings) -> None:
        if spec.number_format == "int8":
            raise Fault(
                "invalid_setting",
                "The sentence-transformers provider has no static INT8.",
                value="embedding.number_format = int8",
                allowed="'auto', 'float32' or 'bfloat16'; 'int8' with embedding.provider = 'local'",
            )
        self.spec = spec
        self._path = path
        self._settings = settings
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Unit vectors of texts that are not blank, float32 (n, d)."""
        with self._lock:  # the library's models are not thread-safe
            prompt = self.spec.prompt(kind)
            pieces, owner = self._tokens.pieces(texts, prompt)
            encode = self._model.encode_query if kind == "query" else self._model.encode_document
            lengths = self._tokens.counts(pieces).astype(np.int64)
            raw = np.empty((len(pieces), self.spec.dimensions), dtype=np.float32)
            for rows in token_batches(lengths + len(prompt), self._batch_tokens):
                batch = [pieces[row] for row in rows]
                out = encode(batch, prompt=prompt, batch_size=len(batch), show_progress_bar=False, convert_to_numpy=True)
                raw[rows] = np.asarray(out, dtype=np.float32)[:, : self.spec.dimensions]
        return mean_of_chunks(unit_rows(raw), owner, len(texts))

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Tokens per text without special tokens, int32 (n,)."""
        with self._lock:
            return self._tokens.counts(texts)

    @property
    def _batch_tokens(self) -> int:
        return self._settings.batch_tokens * (1 if self._model.device.type == "cpu" else _GPU_BATCH_FACTOR)

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self._path, self.spec.max_tokens)

    @cached_property
    def _model(self) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer

        device = None if self._settings.device == "auto" else self._settings.device
        if device == "cuda" and not torch.cuda.is_available():
            raise Fault(
                "invalid_setting", "torch sees no CUDA device.", value="embedding.device = cuda", allowed="'auto' or 'cpu'"
            )
        try:
            model = SentenceTransformer(
                str(self._path),
                device=device,
                revision=self._settings.revision,
                trust_remote_code=self._settings.trust_remote_code,
                local_files_only=True,
                model_kwargs={"dtype": self._dtype(device)},
            )
        except Exception as error:  # model code of any kind runs here
            raise Fault(
                "model_unavailable",
                f"sentence-transformers cannot load the model: {type(error).__name__}: {error}",
                value=self.spec.model,
            ) from error
        model.max_seq_length = self.spec.max_tokens
        return model

    def _dtype(self, device: str | None) -> Any:
        import torch

        if self.spec.number_format != "auto":
            return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.spec.number_format]
        fast = device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
