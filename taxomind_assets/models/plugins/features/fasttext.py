"""Vectors of words and of the characters in them, trained on the training texts (Bojanowski et al., 2017, "fastText").

The library is gensim: it has wheels for every Python that taxomind runs on, which fastText's own package has not. It trains
from a file and so in flat memory, here with one thread, since several give other vectors in each run. Only its numbers are
kept, in half precision, never its own files, which run code when they are read.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import Field

from taxomind_assets.models.arrays import load_arrays, load_json, save_arrays, save_json
from taxomind_assets.models.contracts import Batch, Batches, PluginInfo, PluginParameters, Requirement, Surroundings
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WORDS: Final = "words.json"
_NUMBERS: Final = "vectors.npz"


class FastText:
    """A text is the mean of its words' vectors; a word that was never seen is made of its characters."""

    info: ClassVar = PluginInfo(
        "fasttext",
        "features",
        "word vectors trained on the texts",
        input="tokens",
        requires=(Requirement("gensim", ("gensim",), ">=4.4,<5"),),
        extra="fasttext",
        speed="medium",
        quality="good",
        memory="medium",
    )

    class Parameters(PluginParameters):
        """What may be set."""

        vector_size: int = Field(100, ge=2, description="numbers of a vector")
        window: int = Field(5, ge=1, description="words on either side that are predicted")
        min_count: int = Field(3, ge=1, description="times that a word must occur")
        sg: bool = Field(True, description="true: skip-gram; false: continuous bag of words")
        min_n: int = Field(3, ge=1, description="fewest characters of a run inside a word")
        max_n: int = Field(6, ge=1, description="most characters of such a run")
        epochs: int = Field(5, ge=1, description="passes over the texts")
        buckets: int = Field(100_000, ge=1000, description="vectors that the runs of characters share")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, vectors: Any = None) -> None:
        self.parameters = parameters
        self._surroundings = surroundings
        self._vectors = vectors

    def fit(self, batches: Batches, most_features: int | None) -> None:
        """See `contracts.Features`; the number of columns is `vector_size`, whatever is wanted.

        Raises:
            Fault: `invalid_input` when no word is frequent enough.
        """
        from gensim.models import FastText as Trainer

        own = self.parameters
        with tempfile.TemporaryDirectory(dir=self._surroundings.scratch) as folder:
            path = Path(folder) / "tokens.txt"
            with path.open("w", encoding="utf-8") as file:
                for batch in batches():
                    file.writelines(f"{' '.join(map(_one_word, tokens))}\n" for tokens in batch.tokens)
            try:
                trained = Trainer(
                    corpus_file=str(path),
                    vector_size=own.vector_size,
                    window=own.window,
                    min_count=own.min_count,
                    sg=int(own.sg),
                    min_n=own.min_n,
                    max_n=own.max_n,
                    epochs=own.epochs,
                    bucket=own.buckets,
                    seed=self._surroundings.seed,
                    workers=1,
                )
            except (RuntimeError, ValueError) as error:
                what = "No word vectors can be trained on these texts."
                raise Fault(
                    "invalid_input", what, value=str(error)[:200], allowed="more texts, or a lower min_count"
                ) from error
        found = trained.wv
        # In the precision in which they are kept, so that a model answers alike before and after.
        words, vectors, runs = found.index_to_key, found.vectors.astype(np.float16), found.vectors_ngrams.astype(np.float16)
        self._vectors = _keyed(own, words, vectors, runs)

    @property
    def num_features(self) -> int:
        """See `contracts.Features`."""
        return self.parameters.vector_size

    def transform(self, batch: Batch) -> NDArray[np.float32]:
        """See `contracts.Features`; a text without tokens is zeros."""
        known: dict[str, NDArray[np.float32]] = {}
        rows = np.zeros((len(batch), self.num_features), np.float32)
        for row, tokens in enumerate(batch.tokens):
            for token in tokens:
                if token not in known:
                    known[token] = self._vectors.get_vector(_one_word(token))
                rows[row] += known[token]
            if tokens:
                rows[row] /= len(tokens)
        return rows

    def save(self, folder: Path) -> None:
        """See `contracts.Features`."""
        save_json(folder / _WORDS, self._vectors.index_to_key)
        halves = {"words": self._vectors.vectors, "runs": self._vectors.vectors_ngrams}
        save_arrays(folder / _NUMBERS, {name: values.astype(np.float16) for name, values in halves.items()})

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> FastText:
        """See `contracts.Features`."""
        arrays = load_arrays(folder / _NUMBERS)
        return cls(parameters, surroundings, _keyed(parameters, load_json(folder / _WORDS), arrays["words"], arrays["runs"]))


def _keyed(parameters: FastText.Parameters, words: list[str], vectors: NDArray[Any], runs: NDArray[Any]) -> Any:
    """gensim's look-up of words over these numbers."""
    from gensim.models.fasttext import FastTextKeyedVectors

    found = FastTextKeyedVectors(parameters.vector_size, parameters.min_n, parameters.max_n, parameters.buckets)
    found.index_to_key = list(words)
    found.key_to_index = {word: place for place, word in enumerate(words)}
    found.vectors = vectors.astype(np.float32)
    found.vectors_ngrams = runs.astype(np.float32)
    return found


def _one_word(token: str) -> str:
    """A token without the white space that would part it in the file."""
    return "_".join(token.split()) or "_"
