"""Models of the Hugging Face hub: found in the local cache, or downloaded once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from taxomind_resources.embedding.presets import Preset
from taxomind_resources.faults import Fault
from taxomind_resources.settings import EmbeddingSettings

#: The same weights in forms that nothing here reads.
_OTHER_FORMATS: Final = ("onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.gguf", "*.tflite", "coreml/*")
#: Left out at first; fetched only for a model that has no safetensors.
_PICKLED: Final = ("pytorch_model*.bin",)
#: Where these are set, the hub library's own cache is used instead of the data root.
_CACHE_VARIABLES: Final = ("HF_HUB_CACHE", "HF_HOME")


def hub_folder(name: str, settings: EmbeddingSettings, data: Path, preset: Preset | None) -> tuple[Path, str]:
    """Folder and commit of a hub model. A cached copy is used as it is; the hub is asked only for what is absent.

    Args:
        name: `organisation/model`.
        data: downloads go to `<data>/models/hub`, unless `HF_HOME` or `HF_HUB_CACHE` is set.

    Raises:
        Fault: `model_unavailable`.
    """
    cache = None if any(os.environ.get(variable) for variable in _CACHE_VARIABLES) else data / "models" / "hub"
    wanted = {"repo_id": name, "revision": settings.revision, "cache_dir": cache}
    folder = _cached(wanted)
    if folder is None and not settings.local_files_only:
        folder = _downloaded(wanted, preset)
    if folder is None:
        raise Fault(
            "model_unavailable",
            f"{name} is not among the downloaded models, and the hub may not be asked.",
            value=f"embedding.revision = {settings.revision}",
            allowed=f"a copy in {cache or 'the cache of the hub library'}, or a local folder as embedding.model",
            next_step="Set embedding.local_files_only = false once, with a connection.",
        )
    return folder, folder.name


def _cached(wanted: dict[str, Any]) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(**wanted, local_files_only=True, ignore_patterns=[*_OTHER_FORMATS, *_PICKLED]))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise Fault(
            "model_unavailable", str(error), value=wanted["repo_id"], allowed="a folder, or organisation/model"
        ) from error
    return folder if _has_weights(folder) else None


def _downloaded(wanted: dict[str, Any], preset: Preset | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(**wanted, ignore_patterns=[*_OTHER_FORMATS, *_PICKLED]))
        if not _has_weights(folder):
            folder = Path(snapshot_download(**wanted, ignore_patterns=list(_OTHER_FORMATS)))
    except Exception as error:  # the hub library raises its own, httpx's and the operating system's errors
        gated = preset is not None and preset.gated
        hint = "Accept its terms on its hub page and set HF_TOKEN." if gated else "Check the name, the connection and HF_TOKEN."
        licence = f" Its licence: {preset.licence}." if preset else ""
        raise Fault(
            "model_unavailable",
            f"The hub did not deliver the model: {type(error).__name__}: {str(error).strip().splitlines()[0]}",
            value=wanted["repo_id"],
            allowed="a model downloaded once while online, a local folder as embedding.model, or the packaged all-MiniLM-L6-v2",
            next_step=hint + licence,
        ) from error
    return folder


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))
