"""Small real models and data roots for the tests of the embedding resource."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from taxomind_resources.embedding.embedder import TextEmbedder
from taxomind_resources.embedding.spec import EmbeddingSpec, Kind
from taxomind_resources.settings import EmbeddingSettings

TINY_MODELS_VERSION = 1


def a_spec(**changes: object) -> EmbeddingSpec:
    values: dict[str, object] = {
        "provider": "local",
        "model": "m",
        "revision": None,
        "weights_digest": "w" * 64,
        "query_prompt": "",
        "document_prompt": "",
        "pooling": "mean",
        "padding_side": "right",
        "max_tokens": 64,
        "dimensions": 26,
        "number_format": "auto",
    }
    return EmbeddingSpec(**(values | changes))  # type: ignore[arg-type]


class LetterEncoder:
    """A real, small encoder: how often each letter occurs in prompt and text. It notes what it was asked."""

    def __init__(self, spec: EmbeddingSpec) -> None:
        self.spec = spec
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        self.asked += texts
        rows = [[1e-3 + (self.spec.prompt(kind) + text).lower().count(chr(97 + i)) for i in range(26)] for text in texts]
        counts = np.array(rows, dtype=np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        return np.array([len(text.split()) for text in texts], dtype=np.int32)


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., EmbeddingSpec]:
    return a_spec


@pytest.fixture(scope="session")
def make_letters() -> Callable[..., LetterEncoder]:
    return lambda **changes: LetterEncoder(a_spec(**changes))


@pytest.fixture
def letters() -> LetterEncoder:
    return LetterEncoder(a_spec())


@pytest.fixture
def letter_embedder(letters: LetterEncoder) -> TextEmbedder:
    return TextEmbedder(letters, None, frozenset())


@pytest.fixture(scope="session")
def model_store(request: pytest.FixtureRequest) -> Path:
    """A folder that outlives the run, so that models are converted once per machine, as in real use."""
    cache = request.config.cache
    return cache.mkdir("embedding-models") if cache is not None else Path(tempfile.mkdtemp())


@pytest.fixture(scope="session")
def data(model_store: Path) -> Path:
    """A data root whose converted models are kept between runs; tests that cache vectors use a root of their own."""
    return model_store / "data"


@pytest.fixture(scope="session")
def tiny_models(model_store: Path) -> Path:
    """Folder of random models of some thousand weights, one per architecture (see tiny_models.py)."""
    folder = model_store / f"tiny-{TINY_MODELS_VERSION}"
    if not folder.is_dir():
        unfinished = Path(tempfile.mkdtemp(dir=model_store))
        script = Path(__file__).with_name("tiny_models.py")
        subprocess.run([sys.executable, "-W", "ignore", str(script), str(unfinished)], check=True, capture_output=True)
        try:
            unfinished.rename(folder)
        except OSError:
            assert folder.is_dir()  # another test process was first
    return folder


@pytest.fixture
def settings() -> Callable[..., EmbeddingSettings]:
    def make(**changes: object) -> EmbeddingSettings:
        return EmbeddingSettings(**({"cache": False} | changes))  # type: ignore[arg-type]

    return make
