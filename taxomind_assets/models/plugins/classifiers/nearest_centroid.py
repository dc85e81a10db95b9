"""Nearest centroid (Rocchio): the mean of each class's rows, compared by cosine. Trained in one product."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from taxomind_assets.models.contracts import PluginInfo, PluginParameters, Rows
from taxomind_assets.models.plugins.classifiers.linear import Linear, LinearClassifier

if TYPE_CHECKING:
    pass

#: Cosines lie close together; the temperature starts from these multiples of them.
_SCALE: Final = 10.0


class NearestCentroid(LinearClassifier):
    """One vector of length one per class."""

    info: ClassVar = PluginInfo("nearest_centroid", "classifier", "cosine to the mean of each class", input="matrix", onnx=True)
    unit_rows: ClassVar = True

    class Parameters(PluginParameters):
        """There is nothing to set."""

    def train(self, rows: Rows, validation: Rows | None, checkpoints: Path | None) -> None:
        """See `contracts.Classifier`."""
        from scipy import sparse

        places = (rows.classes, np.arange(rows.classes.size))
        gather = sparse.csr_array((rows.weights, places), shape=(rows.count, rows.classes.size))
        sums = gather @ rows.inputs
        means = np.asarray(sums if isinstance(sums, np.ndarray) else sums.toarray(), np.float32)
        lengths = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        self._linear = Linear.of(_SCALE * means / lengths, np.zeros(rows.count, np.float32))
