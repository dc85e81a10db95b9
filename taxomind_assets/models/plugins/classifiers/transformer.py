"""A fine-tuned encoder: the embedded MiniLM, or another one from a folder, with a linear layer over its mean-pooled tokens.

Learning rate with a short warm-up and a linear decline, AdamW (Loshchilov and Hutter, 2019), early stopping by validation
rows. How far it is, is kept after each epoch (weights and optimiser as safetensors), so a training that was killed goes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from pydantic import Field

from taxomind_assets.models.arrays import load_json, save_json
from taxomind_assets.models.contracts import Device, PluginInfo, PluginParameters, Rows, Surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from taxomind_assets.models.plugins.classifiers.encoder import Encoder

EMBEDDED: Final = "embedded"
_LOSSES: Final = "losses.json"


class Transformer:
    """An encoder that takes texts."""

    info: ClassVar = PluginInfo(
        "transformer",
        "classifier",
        "fine-tuned encoder",
        input="text",
        streaming=False,
        speed="slow",
        quality="excellent",
        memory="high",
        pretrained=True,
        known_models=(EMBEDDED, "distilbert-base-uncased", "xlm-roberta-base"),
        onnx=True,
    )

    class Parameters(PluginParameters):
        """What may be set."""

        model_name: str = Field(EMBEDDED, description="embedded, a folder with a model, or a name on the hub")
        num_epochs: int = Field(3, ge=1, description="passes over the rows at most")
        batch_size: int = Field(16, ge=1, description="texts of a step")
        learning_rate: float = Field(1e-4, gt=0, description="largest step of the encoder; large models want 2e-5")
        head_learning_rate: float = Field(1e-3, gt=0, description="largest step of the new layer, which knows nothing at first")
        weight_decay: float = Field(0.01, ge=0, description="pull of all weights towards 0")
        warmup_share: float = Field(0.1, ge=0, le=0.5, description="share of the steps in which the rate rises")
        dropout: float = Field(0.1, ge=0, le=0.9, description="share of the pooled numbers that a step does not see")
        max_length: int = Field(128, ge=8, description="tokens of a text that are read")
        patience: int = Field(2, ge=1, description="epochs without a gain on validation rows that end training")
        device: Device = Field("auto", description="auto, cpu or cuda")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, encoder: Encoder | None = None) -> None:
        self.parameters = parameters
        self._surroundings = surroundings
        self._encoder = encoder
        #: Mean training and validation loss of each epoch (None = there were no validation rows).
        self.losses: list[tuple[float, float | None]] = []

    @property
    def encoder(self) -> Encoder:
        """The trained encoder, for export."""
        assert self._encoder is not None, "not trained"
        return self._encoder

    def train(self, rows: Rows, validation: Rows | None, checkpoints: Path | None) -> None:
        """See `contracts.Classifier`."""
        from taxomind_assets.models.plugins.classifiers.fine_tuning import fine_tuned

        self._encoder, self.losses = fine_tuned(self.parameters, self._surroundings, rows, validation, checkpoints=checkpoints)

    def scores(self, inputs: Sequence[str]) -> NDArray[np.float32]:
        """See `contracts.Classifier`; logits. Texts run in batches of like length, each padded to its longest."""
        return self.encoder.logits(list(inputs))

    def save(self, folder: Path) -> None:
        """See `contracts.Classifier`."""
        self.encoder.save(folder)
        rows = [{"epoch": epoch, "training": own, "validation": judged} for epoch, (own, judged) in enumerate(self.losses, 1)]
        save_json(folder / _LOSSES, rows)

    def write_onnx(self, path: Path) -> None:
        """See `contracts.Classifier`; the tokenizer lies beside the graph."""
        from taxomind_assets.models.exports.graphs import write_encoder

        write_encoder(self.encoder, path)
        path.with_name("tokenizer.json").write_text(self.encoder.tokenizer.to_str(), encoding="utf-8")
        path.with_name("tokens.json").write_text(json.dumps({"max_length": self.encoder.max_length}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> Transformer:
        """See `contracts.Classifier`."""
        from taxomind_assets.models.plugins.classifiers.encoder import Encoder

        found = cls(parameters, surroundings, Encoder.load(folder, parameters.device, surroundings.threads))
        if (folder / _LOSSES).is_file():  # versions of before have none
            found.losses = [(row["training"], row["validation"]) for row in load_json(folder / _LOSSES)]
        return found
