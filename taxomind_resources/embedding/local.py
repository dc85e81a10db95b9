"""The local provider: a converted model, run without torch or transformers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taxomind_resources.embedding.conversion import Form, converted_model
from taxomind_resources.embedding.model_folder import ModelFolder
from taxomind_resources.embedding.runtimes import Runtime, RuntimeName, load_runtime
from taxomind_resources.embedding.spec import EmbeddingSpec, Kind
from taxomind_resources.embedding.tokens import Tokens
from taxomind_resources.embedding.vectors import mean_of_chunks, unit_rows


class LocalEncoder:
    """Runs a model folder's converted form. Tokenizer and runtime are loaded at first use.

    Args:
        folder: the model as it came.
        models: folder of the converted models.
        batch_tokens: padded tokens in one batch.
    """

    def __init__(self, spec: EmbeddingSpec, folder: ModelFolder, models: Path, runtime: RuntimeName, batch_tokens: int) -> None:
        self.spec = spec
        self._folder = folder
        self._models = models
        self._runtime_name = runtime
        self._batch_tokens = batch_tokens
        self._loading = threading.Lock()

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Unit vectors of texts that are not blank, float32 (n, d)."""
        tokens, owner = self._ready_tokens().chunks(texts, self.spec.prompt(kind))
        raw = self._ready_runtime().run(tokens, self._batch_tokens, self._folder.dimensions)
        return mean_of_chunks(unit_rows(raw[:, : self.spec.dimensions]), owner, len(texts))

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Tokens per text without special tokens, int32 (n,)."""
        return self._ready_tokens().counts(texts)

    def _ready_tokens(self) -> Tokens:
        with self._loading:
            return self._tokens

    def _ready_runtime(self) -> Runtime:
        with self._loading:
            return self._runtime

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self._folder.path, self.spec.max_tokens)

    @cached_property
    def _runtime(self) -> Runtime:
        form: Form = "int8" if self.spec.number_format == "int8" else "openvino" if self._runtime_name == "openvino" else "onnx"
        file = converted_model(self._folder, form, self._models)
        return load_runtime(file, self._runtime_name, self.spec.number_format, self._folder.pad_id)
