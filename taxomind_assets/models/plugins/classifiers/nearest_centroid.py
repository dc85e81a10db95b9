"""Nearest centroid (Rocchio): the mean of each class's rows, compared by cosine. Trained in one product."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from taxomind_assets.models.contracts import PluginInfo, PluginParameters, Rows, Surroundings
from taxomind_assets.models.plugins.classifiers.linear import Linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Cosines lie close together; the temperature starts from these multiples of them.
_SCALE: Final = 10.0


class NearestCentroid:
    """One vector of length one per class."""

    info: ClassVar = PluginInfo("nearest_centroid", "classifier", "cosine to the mean of each class", input="matrix", onnx=True)
    unit_rows: ClassVar = True

    class Parameters(PluginParameters):
        """There is nothing to set."""

    def __init__(self, parameters: Parameters, surroundings: Surroundings, linear: Linear | None = None) -> None:
        self.parameters = parameters
        self._linear = linear

    def train(self, rows: Rows, validation: Rows | None, checkpoints: Path | None) -> None:
        """See `contracts.Classifier`."""
        from scipy import sparse

        places = (rows.classes, np.arange(rows.classes.size))
        gather = sparse.csr_array((rows.weights, places), shape=(rows.count, rows.classes.size))
        sums = gather @ rows.inputs
        means = np.asarray(sums if isinstance(sums, np.ndarray) else sums.toarray(), np.float32)
        lengths = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
        self._linear = Linear.of(_SCALE * means / lengths, np.zeros(rows.count, np.float32))

    def scores(self, inputs: Any) -> NDArray[np.float32]:
        """See `contracts.Classifier`."""
        assert self._linear is not None, "not trained"
        return self._linear.scores(inputs)

    def save(self, folder: Path) -> None:
        """See `contracts.Classifier`."""
        assert self._linear is not None, "not trained"
        self._linear.save(folder)

    def write_onnx(self, path: Path) -> None:
        """See `contracts.Classifier`."""
        assert self._linear is not None, "not trained"
        self._linear.write_onnx(path)

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> NearestCentroid:
        """See `contracts.Classifier`."""
        return cls(parameters, surroundings, Linear.load(folder))
