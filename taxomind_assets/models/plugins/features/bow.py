"""Bag of words: how often each n-gram of tokens stands in a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from taxomind_assets.models.contracts import Batch, Batches, PluginInfo, Surroundings
from taxomind_assets.models.plugins.features.counted import Counted, CountParameters

if TYPE_CHECKING:
    from scipy import sparse


class BagOfWords:
    """Plain counts."""

    info: ClassVar = PluginInfo("bow", "features", "counts of words", input="tokens", quality="basic")

    class Parameters(CountParameters):
        """What may be set."""

        ngram_range: tuple[int, int] = Field((1, 1), description="fewest and most tokens of an n-gram, for example 1,2")
        characters: bool = Field(False, description="count runs of 3 to 5 characters inside words as well")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, counted: Counted | None = None) -> None:
        self.parameters = parameters
        self._counted = counted

    def fit(self, batches: Batches, most_features: int | None) -> None:
        """See `contracts.Features`."""
        self._counted = Counted.fit(batches, self.parameters, most_features)

    @property
    def counted(self) -> Counted:
        """What was fitted."""
        assert self._counted is not None, "not fitted"
        return self._counted

    @property
    def num_features(self) -> int:
        """See `contracts.Features`."""
        return self.counted.width

    def transform(self, batch: Batch) -> sparse.csr_array:
        """See `contracts.Features`."""
        from scipy import sparse

        return sparse.csr_array(sparse.hstack(self.counted.rows(batch), format="csr"))

    def save(self, folder: Path) -> None:
        """See `contracts.Features`."""
        self.counted.save(folder)

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> BagOfWords:
        """See `contracts.Features`."""
        return cls(parameters, surroundings, Counted.load(folder))
