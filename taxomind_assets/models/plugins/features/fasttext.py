"""Vectors of words and of the characters in them, trained on the training texts (Bojanowski et al., 2017, "fastText").

The library is floret, fastText as the makers of spaCy keep it: its wheels need no compiler, it trains from a file and so in
flat memory, and its own file holds numbers alone. One thread, since several give other vectors in each run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import Field

from taxomind_assets.models.contracts import Batch, Batches, PluginInfo, PluginParameters, Requirement, Surroundings
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE: Final = "fasttext.bin"


class FastText:
    """A text is the mean of its words' vectors; a word that was never seen is made of its characters."""

    info: ClassVar = PluginInfo(
        "fasttext",
        "features",
        "word vectors trained on the texts",
        input="tokens",
        requires=(Requirement("floret", ("floret",), ">=0.10.5,<0.11"),),
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
        min_n: int = Field(3, ge=0, description="fewest characters of a run inside a word")
        max_n: int = Field(6, ge=0, description="most characters of such a run; 0 = words alone")
        epochs: int = Field(5, ge=1, description="passes over the texts")
        buckets: int = Field(200_000, ge=1000, description="vectors that the runs of characters share")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, model: Any = None) -> None:
        self.parameters = parameters
        self._surroundings = surroundings
        self._model = model

    def fit(self, batches: Batches, most_features: int | None) -> None:
        """See `contracts.Features`; the number of columns is `vector_size`, whatever is wanted."""
        import floret

        own = self.parameters
        with tempfile.TemporaryDirectory(dir=self._surroundings.scratch) as folder:
            path = Path(folder) / "tokens.txt"
            with path.open("w", encoding="utf-8") as file:
                for batch in batches():
                    file.writelines(f"{' '.join(map(_one_word, tokens))}\n" for tokens in batch.tokens)
            try:
                self._model = floret.train_unsupervised(
                    str(path),
                    model="skipgram" if own.sg else "cbow",
                    mode="fasttext",
                    dim=own.vector_size,
                    ws=own.window,
                    minCount=own.min_count,
                    minn=own.min_n,
                    maxn=own.max_n,
                    epoch=own.epochs,
                    bucket=own.buckets,
                    seed=self._surroundings.seed,
                    thread=1,
                    verbose=0,
                )
            except (ValueError, RuntimeError) as error:
                what = "No word vectors can be trained on these texts."
                raise Fault(
                    "invalid_input", what, value=str(error)[:200], allowed="more texts, or a lower min_count"
                ) from error

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
                    known[token] = self._model.get_word_vector(_one_word(token))
                rows[row] += known[token]
            if tokens:
                rows[row] /= len(tokens)
        return rows

    def save(self, folder: Path) -> None:
        """See `contracts.Features`."""
        self._model.save_model(str(folder / _FILE))

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> FastText:
        """See `contracts.Features`."""
        import floret

        try:
            return cls(parameters, surroundings, floret.load_model(str(folder / _FILE)))
        except (ValueError, RuntimeError) as error:
            raise Fault("model_damaged", "The word vectors cannot be read.", value=str(error)[:200]) from error


def _one_word(token: str) -> str:
    """A token without the white space that would part it in the file."""
    return "_".join(token.split()) or "_"
