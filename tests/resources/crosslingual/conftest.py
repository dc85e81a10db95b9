"""A tiny encoder and a tiny bilingual vocabulary: sentences of two words whose translations are known word by word."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from taxomind_resources.crosslingual.pairs import AlignedPair
from taxomind_resources.embedding.spec import EmbeddingSpec, Kind

DIMENSIONS = 48
ADJECTIVES = {"red": "rouge", "green": "verte", "small": "petite", "heavy": "lourde", "modern": "moderne", "clean": "propre"}
NOUNS = {
    "house": "maison",
    "chair": "chaise",
    "machine": "usineuse",
    "garden": "jardin",
    "kitchen": "cuisine",
    "teacher": "enseignant",
    "driver": "chauffeur",
    "baker": "boulanger",
    "bridge": "passerelle",
    "river": "riviere",
}


class BagOfWords:
    """A real, if simple, encoder: the sum of a fixed random vector for each lower-case word, as a unit row."""

    spec = EmbeddingSpec(
        provider="local",
        model="bag-of-words",
        revision=None,
        weights_digest="b" * 64,
        query_prompt="",
        document_prompt="",
        pooling="mean",
        padding_side="right",
        max_tokens=64,
        dimensions=DIMENSIONS,
        number_format="float32",
    )

    def embed(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        """Unit rows; zero rows for blank texts."""
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
                vectors[row] += np.random.default_rng(seed).standard_normal(DIMENSIONS).astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)

    def word_pieces(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """One piece per word."""
        return np.array([len(text.split()) for text in texts], np.int32)


@pytest.fixture(scope="session")
def encoder() -> BagOfWords:
    """The encoder that students are taught from."""
    return BagOfWords()


@pytest.fixture(scope="session")
def bilingual() -> list[AlignedPair]:
    """60 French phrases with their English form, and the English forms themselves."""
    phrases = [
        (f"{noun_fr} {adjective_fr}", f"{adjective} {noun}")
        for (adjective, adjective_fr), (noun, noun_fr) in product(ADJECTIVES.items(), NOUNS.items())
    ]
    french = [AlignedPair("fr", text, english, "phrases") for text, english in phrases]
    return french + [AlignedPair("en", english, english, "phrases") for _, english in phrases]
