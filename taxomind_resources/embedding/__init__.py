"""Texts to vectors: one interface over a converted local model, sentence-transformers and OpenAI-compatible endpoints.

Importing this package loads no model library; `load_embedder` loads what the settings ask for, once per process.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from taxomind_resources.embedding.spec import Embedder, EmbeddingSpec, Kind

if TYPE_CHECKING:
    from taxomind_resources.settings import EmbeddingSettings

__all__ = ["Embedder", "EmbeddingSpec", "Kind", "embedding_spec", "load_embedder"]


def load_embedder(settings: EmbeddingSettings, data: Path, *, recorded: EmbeddingSpec | None = None) -> Embedder:
    """The embedder of these settings, shared by all callers of the process. The model itself is loaded at first use.

    Args:
        settings: group `embedding`.
        data: data root; converted models and the vector cache live below it.
        recorded: description stored with an index, which the configured model must fit.

    Raises:
        Fault: `invalid_setting`, `model_unavailable`, `model_untrusted`, `missing_extra`, `provider_failed`, or
            `index_stale` when `recorded` does not fit.
    """
    from taxomind_resources.embedding.loading import shared_embedder

    return shared_embedder(settings, data, recorded)


def embedding_spec(settings: EmbeddingSettings, data: Path) -> EmbeddingSpec:
    """What identifies the vectors of these settings, without loading weights into a runtime.

    Raises:
        Fault: as `load_embedder`.
    """
    from taxomind_resources.embedding.loading import shared_embedder

    return shared_embedder(settings, data, None).spec
