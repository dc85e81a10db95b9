"""An encoder with a linear layer on top, and its files: config.json, tokenizer.json and weights as safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.models.batching import batches_of_like_length
from taxomind_assets.models.contracts import Device
from taxomind_assets.models.plugins.classifiers.devices import chosen_device
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS: Final = "model.safetensors"
_CONFIG: Final = "config.json"
_TOKENIZER: Final = "tokenizer.json"
_HEAD: Final = "head.json"


class Encoder:
    """Tokenizer, encoder and linear layer.

    Args:
        body: a model of `transformers` whose first output is one vector per token.
        head: `torch.nn.Linear` from those vectors to c logits.
        tokenizer: `tokenizers.Tokenizer`, truncating at `max_length`, without padding.
        max_length: tokens of a text that are read.
        device: where it computes.
    """

    def __init__(self, body: Any, head: Any, tokenizer: Any, max_length: int, device: str) -> None:
        self.body, self.head, self.tokenizer = body.to(device), head.to(device), tokenizer
        self.max_length = max_length
        self.device = device

    @classmethod
    def begin(cls, name: str, classes: int, *, dropout: float, max_length: int, device: Device) -> Encoder:
        """A pretrained encoder with a new linear layer; torch's own random state makes it.

        Raises:
            Fault: `model_unavailable`, `model_untrusted` or `invalid_input` (device).
        """
        import torch
        from transformers import AutoModel

        folder = model_folder(name)
        body = AutoModel.from_pretrained(folder, use_safetensors=True, local_files_only=True, trust_remote_code=False)
        limit = int(getattr(body.config, "max_position_embeddings", max_length) or max_length)
        width = int(body.config.hidden_size)
        head = torch.nn.Sequential(torch.nn.Dropout(dropout), torch.nn.Linear(width, classes))
        length = min(max_length, limit)
        content = (folder / _TOKENIZER).read_text(encoding="utf-8")
        return cls(body, head, _tokenizer(content, length), length, chosen_device(device))

    def parameters(self) -> list[Any]:
        """All weights."""
        return [*self.body.parameters(), *self.head.parameters()]

    def state(self) -> dict[str, Any]:
        """All weights by name, on the CPU."""
        return {
            f"{part}.{name}": weights.detach().to("cpu").contiguous()
            for part, module in (("body", self.body), ("head", self.head))
            for name, weights in module.state_dict().items()
        }

    def set_state(self, weights: dict[str, Any]) -> None:
        """The inverse of `state`."""
        for part, module in (("body", self.body), ("head", self.head)):
            own = {name.removeprefix(f"{part}."): values for name, values in weights.items() if name.startswith(f"{part}.")}
            module.load_state_dict(own)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts."""
        return [found.ids for found in self.tokenizer.encode_batch(list(texts))]

    def forward(self, ids: Sequence[Sequence[int]]) -> Any:
        """Logits, torch float32 [b, c], of texts given as token ids; padded to the longest of them."""
        import torch

        longest = max(map(len, ids))
        tokens = torch.zeros((len(ids), longest), dtype=torch.long)
        mask = torch.zeros((len(ids), longest), dtype=torch.long)
        for row, own in enumerate(ids):
            tokens[row, : len(own)] = torch.tensor(own)
            mask[row, : len(own)] = 1
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        vectors = self.body(input_ids=tokens, attention_mask=mask).last_hidden_state
        kept = mask.unsqueeze(-1).to(vectors.dtype)
        return self.head((vectors * kept).sum(1) / kept.sum(1))

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 [b, c], in the order of the texts."""
        import torch

        ids = self.encode(texts)
        found = np.zeros((len(ids), self.head[-1].out_features), np.float32)
        self.body.eval()
        self.head.eval()
        with torch.inference_mode():
            for rows in batches_of_like_length(ids):
                found[rows] = self.forward([ids[row] for row in rows]).float().cpu().numpy()
        return found

    def save(self, folder: Path) -> None:
        """Write all into a folder."""
        from safetensors.torch import save_file

        save_file(self.state(), folder / WEIGHTS)
        (folder / _CONFIG).write_text(self.body.config.to_json_string(), encoding="utf-8")
        (folder / _TOKENIZER).write_text(self.tokenizer.to_str(), encoding="utf-8")
        head = {"classes": self.head[-1].out_features, "max_length": self.max_length, "dropout": self.head[0].p}
        (folder / _HEAD).write_text(json.dumps(head), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, device: Device, threads: int) -> Encoder:
        """The inverse of `save`.

        Raises:
            Fault: `model_damaged`, or `invalid_input` (device).
        """
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoModel

        try:
            head = json.loads((folder / _HEAD).read_text(encoding="utf-8"))
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            body = AutoModel.from_config(config, trust_remote_code=False)
            layers = torch.nn.Sequential(
                torch.nn.Dropout(head["dropout"]), torch.nn.Linear(config.hidden_size, head["classes"])
            )
            tokenizer = _tokenizer((folder / _TOKENIZER).read_text(encoding="utf-8"), head["max_length"])
            found = cls(body, layers, tokenizer, head["max_length"], chosen_device(device))
            found.set_state(load_file(folder / WEIGHTS))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            what = "The fine-tuned encoder cannot be read."
            raise Fault("model_damaged", what, value=f"{folder}: {str(error)[:150]}") from error
        return found


def model_folder(name: str) -> Path:
    """The folder of a pretrained model: the embedded one, a folder, or one of the hub.

    Raises:
        Fault: `model_unavailable` or `model_untrusted`.
    """
    if name == "embedded":
        from taxomind_resources.embedding.loading import packaged_model

        return packaged_model()
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    from huggingface_hub import snapshot_download

    try:
        wanted = ["*.json", "*.safetensors", "*.txt", "*.model"]
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=bool(os.environ.get("HF_HUB_OFFLINE"))))
    except Exception as error:
        what = f"The model {name!r} is no folder here and cannot be downloaded."
        allowed = "embedded, a folder, or a name on the hub"
        raise Fault("model_unavailable", what, value=str(error)[:150], allowed=allowed) from error


def _tokenizer(content: str, max_length: int) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(content)
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
