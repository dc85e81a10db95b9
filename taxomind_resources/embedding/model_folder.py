"""What a model folder in sentence-transformers layout says about itself, read without any model library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from taxomind_resources.faults import Fault

Pooling = Literal["mean", "cls", "last"]

_POOLING_NAMES: Final[dict[str, Pooling]] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
#: Names under which models keep the prompt of a document; the first that is not empty counts.
_DOCUMENT_PROMPTS: Final = ("document", "passage", "corpus")
_WEIGHT_ENDINGS: Final = (".safetensors", ".bin")
_TOKENIZER_FILES: Final = (
    "tokenizer",
    "vocab",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "sentencepiece",
    "spiece",
)
_LAYOUT_FILES: Final = ("config.json", "modules.json", "sentence_bert_config.json")
#: Architectures whose position table begins after the padding index, so that it holds fewer tokens than it has rows.
_OFFSET_POSITIONS: Final = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})


@dataclass(frozen=True)
class ModelFolder:
    """A model's own statements.

    Attributes:
        weights_digest: SHA-256 of the one weight file; of all weight files' names and digests when there are several.
        tokenizer_digest: SHA-256 over the tokenizer's files.
        layout_digest: SHA-256 over the configuration files that shape the network.
        max_tokens: the model's own limit; `position_limit` is what its position table allows.
    """

    path: Path
    weights_digest: str
    tokenizer_digest: str
    layout_digest: str
    architecture: str
    pooling: Pooling
    padding_side: Literal["left", "right"]
    max_tokens: int
    position_limit: int
    dimensions: int
    pad_id: int
    query_prompt: str
    document_prompt: str


def read_model_folder(path: Path) -> ModelFolder:
    """Read a folder; digests of unchanged files are computed once per process.

    Raises:
        Fault: `model_unavailable` when files are missing or say something that no provider here can follow.
    """
    config = _json(path / "config.json", required=True)
    modules = [str(module.get("path", "")) for module in _json_list(path / "modules.json")]
    pooling_config = next((_json(path / name / "config.json") for name in modules if "pooling" in name.lower()), {})
    prompts = _json(path / "config_sentence_transformers.json").get("prompts") or {}
    tokenizer_config = _json(path / "tokenizer_config.json")
    position_limit = _position_limit(config)
    own_limit = _json(path / "sentence_bert_config.json").get("max_seq_length") or tokenizer_config.get("model_max_length")
    return ModelFolder(
        path=path,
        weights_digest=_weights_digest(path),
        tokenizer_digest=_digest_of(path, _files(path, lambda file: file.name.startswith(_TOKENIZER_FILES))),
        layout_digest=_digest_of(path, _files(path, lambda file: file.name in _LAYOUT_FILES)),
        architecture=str(config.get("model_type", "")),
        pooling=_pooling(path, pooling_config),
        padding_side="left" if tokenizer_config.get("padding_side") == "left" else "right",
        max_tokens=min(int(own_limit or position_limit), position_limit),
        position_limit=position_limit,
        dimensions=_dimensions(path, config, modules),
        pad_id=int(config.get("pad_token_id") or 0),
        query_prompt=str(prompts.get("query") or ""),
        document_prompt=str(next((prompts[name] for name in _DOCUMENT_PROMPTS if prompts.get(name)), "")),
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; computed once per process while size and time of change stay the same.

    Raises:
        Fault: `model_unavailable`.
    """
    try:
        stat = path.stat()
        return _file_digest(str(path), stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise Fault("model_unavailable", f"A model file cannot be read: {error.strerror}.", value=str(path)) from error


@lru_cache(maxsize=256)
def _file_digest(path: str, size: int, changed_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weights_digest(path: Path) -> str:
    files = _files(path, lambda file: file.suffix in _WEIGHT_ENDINGS and file.name != "training_args.bin")
    safe = [file for file in files if file.suffix == ".safetensors"]
    folders = {file.parent for file in safe}
    kept = [file for file in files if file.suffix == ".safetensors" or file.parent not in folders]
    if not kept:
        raise Fault("model_unavailable", "The model folder holds no weights.", value=str(path), allowed="model.safetensors")
    return file_digest(kept[0]) if len(kept) == 1 else _digest_of(path, kept)


def _files(path: Path, wanted: Any) -> list[Path]:
    """Files of the folder and of its modules' folders (`1_Pooling`, `2_Dense`), not of other exports (`onnx`)."""
    inner = [folder for folder in path.iterdir() if folder.is_dir() and folder.name[:1].isdigit()]
    return sorted(file for folder in (path, *inner) for file in folder.iterdir() if file.is_file() and wanted(file))


def _digest_of(root: Path, files: Iterable[Path]) -> str:
    lines = [f"{file.relative_to(root).as_posix()} {file_digest(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _pooling(path: Path, config: dict[str, Any]) -> Pooling:
    mode = config.get("pooling_mode")
    if mode is None:  # the older layout: one switch per way
        on = [name.removeprefix("pooling_mode_") for name, value in config.items() if value is True and "pooling_mode_" in name]
        mode = "+".join(name.removesuffix("_tokens").removesuffix("_token") for name in on) or "mean"
    if mode not in _POOLING_NAMES:
        raise Fault(
            "model_unavailable", f"Pooling {mode!r} is not supported.", value=str(path), allowed=", ".join(_POOLING_NAMES)
        )
    return _POOLING_NAMES[mode]


def _position_limit(config: dict[str, Any]) -> int:
    rows = int(config.get("max_position_embeddings") or 512)
    offset = int(config.get("pad_token_id") or 0) + 1 if config.get("model_type") in _OFFSET_POSITIONS else 0
    return rows - offset


def _dimensions(path: Path, config: dict[str, Any], modules: list[str]) -> int:
    dense = [_json(path / name / "config.json") for name in modules if "dense" in name.lower()]
    width = dense[-1].get("out_features") if dense else config.get("hidden_size") or config.get("dim")
    if not width:
        raise Fault("model_unavailable", "The model's configuration does not say how long its vectors are.", value=str(path))
    return int(width)


def _json(path: Path, *, required: bool = False) -> dict[str, Any]:
    if not path.is_file() and not required:
        return {}
    loaded = _load(path)
    if not isinstance(loaded, dict):
        raise Fault("model_unavailable", f"{path.name} of the model is not a JSON object.", value=str(path))
    return loaded


def _json_list(path: Path) -> list[dict[str, Any]]:
    return list(_load(path)) if path.is_file() else []


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Fault(
            "model_unavailable",
            f"{path.name} of the model cannot be read.",
            value=str(path),
            allowed="a folder in sentence-transformers layout (config.json, tokenizer.json, model.safetensors)",
        ) from error
