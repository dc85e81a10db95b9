"""tf-idf: counts, dampened, less for what stands everywhere, brought to one length (Salton and Buckley, 1988).

The weighting has a SMART code of three letters: term frequency (n = as it is, l = 1 + log, b = there or not), idf (n = none,
t = log), length (n = as it is, c = one). LexiClass has `ntc`; `ltc` is measured to be better on short texts and is the default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from pydantic import Field, model_validator

from taxomind_assets.models.contracts import Batch, PluginInfo
from taxomind_assets.models.plugins.features.counted import CountFeatures, CountParameters

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray
    from scipy import sparse

_TINY: Final = 1e-9


class TfIdf(CountFeatures):
    """Weighted counts; words and characters of a text have the same length, together one."""

    info: ClassVar = PluginInfo("tfidf", "features", "counts weighted by how rare they are", input="tokens", quality="good")

    class Parameters(CountParameters):
        """What may be set."""

        smartirs: str = Field("ltc", pattern="^[nlb][nt][nc]$", description="SMART code: n, l, b; then n, t; then n, c")
        normalize: bool | None = Field(None, description="bring rows to length one; null = as the SMART code says")

        @model_validator(mode="after")
        def _agrees(self) -> Self:
            if self.normalize is not None and self.normalize != self.smartirs.endswith("c"):
                raise ValueError(f"normalize={self.normalize} contradicts the last letter of smartirs={self.smartirs!r}")
            return self

    parameters: Parameters

    def transform(self, batch: Batch) -> sparse.csr_array:
        """See `contracts.Features`."""
        from scipy import sparse

        words, characters = self.counted.rows(batch)
        idf = self._idf()
        parts = [self._weighed(words, idf[: words.shape[1]]), self._weighed(characters, idf[words.shape[1] :])]
        if self.parameters.smartirs.endswith("c"):
            filled = np.sqrt(sum((np.diff(part.indptr) > 0).astype(np.float32) for part in parts))
            for part in parts:
                part.data /= np.repeat(np.maximum(filled, 1), np.diff(part.indptr))
        return sparse.csr_array(sparse.hstack(parts, format="csr"))

    def _idf(self) -> NDArray[np.float32]:
        """Smoothed idf, float32[width]."""
        if self.parameters.smartirs[1] == "n":
            return np.ones(self.counted.width, np.float32)
        found = np.log((1 + self.counted.words.texts) / (1 + self.counted.frequency)) + 1
        return found.astype(np.float32)

    def _weighed(self, counts: sparse.csr_array, idf: NDArray[np.float32]) -> sparse.csr_array:
        code = self.parameters.smartirs
        values = counts.data
        if code[0] == "l":
            values = 1 + np.log(values)
        elif code[0] == "b":
            values = np.ones_like(values)
        values = (values * idf[counts.indices]).astype(np.float32)
        if code[2] == "c":
            owners = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
            lengths = np.sqrt(np.bincount(owners, np.square(values), minlength=counts.shape[0]))
            values = values / np.maximum(lengths[owners], _TINY).astype(np.float32)
        weighed = counts.copy()
        weighed.data = values.astype(np.float32)
        return weighed
