"""Bag of words: how often each n-gram of tokens stands in a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from taxomind_assets.models.contracts import Batch, PluginInfo
from taxomind_assets.models.plugins.features.counted import CountFeatures, CountParameters

if TYPE_CHECKING:
    from scipy import sparse


class BagOfWords(CountFeatures):
    """Plain counts."""

    info: ClassVar = PluginInfo("bow", "features", "counts of words", input="tokens", quality="basic")

    class Parameters(CountParameters):
        """What may be set."""

        ngram_range: tuple[int, int] = Field((1, 1), description="fewest and most tokens of an n-gram, for example 1,2")
        characters: bool = Field(False, description="count runs of 3 to 5 characters inside words as well")

    parameters: Parameters

    def transform(self, batch: Batch) -> sparse.csr_array:
        """See `contracts.Features`."""
        from scipy import sparse

        return sparse.csr_array(sparse.hstack(self.counted.rows(batch), format="csr"))
