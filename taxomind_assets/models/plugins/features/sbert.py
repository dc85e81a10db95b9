"""Sentence vectors of the taxonomy's own embedding model, with its cache: a text that was embedded before costs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from taxomind_assets.models.contracts import Batch, Batches, PluginInfo, PluginParameters, Surroundings
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_resources.embedding import Embedder

_FILE: Final = "embedding.json"


class SentenceVectors:
    """Unit vectors; which model makes them is a setting of the taxonomy (`embedding.model`), and part of a version."""

    info: ClassVar = PluginInfo(
        "sbert",
        "features",
        "sentence vectors of the embedding model",
        input="text",
        speed="medium",
        quality="excellent",
        memory="medium",
        pretrained=True,
        known_models=("all-MiniLM-L6-v2", "multilingual-e5-small", "bge-m3", "paraphrase-multilingual-mpnet-base-v2"),
    )

    class Parameters(PluginParameters):
        """Nothing may be set here: the settings `embedding` of the taxonomy say which model it is and how it runs."""

    def __init__(self, parameters: Parameters, surroundings: Surroundings) -> None:
        self.parameters = parameters
        self._surroundings = surroundings

    @property
    def _embedder(self) -> Embedder:
        return self._surroundings.embedder()

    def fit(self, batches: Batches, most_features: int | None) -> None:
        """There is nothing to learn."""

    @property
    def num_features(self) -> int:
        """See `contracts.Features`."""
        return int(self._embedder.spec.dimensions)

    def transform(self, batch: Batch) -> NDArray[np.float32]:
        """See `contracts.Features`."""
        return self._embedder.embed(list(batch.texts), "query")

    def save(self, folder: Path) -> None:
        """What identifies the vectors."""
        (folder / _FILE).write_text(self._embedder.spec.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> SentenceVectors:
        """See `contracts.Features`.

        Raises:
            Fault: `index_stale` when the settings name another embedding model than the one it was trained with.
        """
        from taxomind_resources.embedding import EmbeddingSpec

        try:
            recorded = EmbeddingSpec.from_json((folder / _FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, json.JSONDecodeError) as error:
            raise Fault("model_damaged", f"{_FILE} cannot be read: {error}.", value=str(folder)) from error
        found = surroundings.embedder().spec
        if found.vector_class != recorded.vector_class:
            raise Fault(
                "index_stale",
                "The model was trained on vectors of another embedding model.",
                value=found.model,
                allowed=recorded.model,
                next_step="Set embedding.model as it was, or train the model anew: `taxomind models train`.",
            )
        return cls(parameters, surroundings)
