"""A linear classifier's numbers: coefficients of each class over the columns, sparse where most are nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from taxomind_assets.models.arrays import load_arrays, save_arrays, sparse_arrays, sparse_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.models.contracts import Matrix, PluginParameters, Surroundings

_FILE: Final = "linear.npz"
#: Share of the coefficients above which they are stored as they are.
_DENSE: Final = 0.5
#: Columns above which a graph is given those that occur: rows so wide are mostly zeros.
_WIDE: Final = 4096


@dataclass(frozen=True)
class Linear:
    """Scores are `inputs @ coefficients + intercepts`.

    Attributes:
        coefficients: float32 [f, c], dense or sparse.
        intercepts: float32[c].
    """

    coefficients: Any
    intercepts: NDArray[np.float32]

    @classmethod
    def of(cls, coefficients: NDArray[np.floating[Any]], intercepts: NDArray[np.floating[Any]]) -> Linear:
        """From float [c, f], kept sparse when that is smaller."""
        from scipy import sparse

        weights = np.ascontiguousarray(coefficients.T, np.float32)
        is_sparse = np.count_nonzero(weights) < _DENSE * weights.size
        return cls(sparse.csr_array(weights) if is_sparse else weights, intercepts.astype(np.float32))

    def scores(self, inputs: Matrix) -> NDArray[np.float32]:
        """float32 [b, c]."""
        product = inputs @ self.coefficients
        dense = product if isinstance(product, np.ndarray) else product.toarray()
        return np.asarray(dense, np.float32) + self.intercepts

    def save(self, folder: Path) -> None:
        """Write all into a folder."""
        weights = self.coefficients
        arrays = {"coefficients": weights} if isinstance(weights, np.ndarray) else sparse_arrays("coefficients", weights)
        save_arrays(folder / _FILE, {**arrays, "intercepts": self.intercepts})

    def write_onnx(self, path: Path) -> None:
        """Write `scores` as an ONNX graph.

        Raises:
            Fault: `export_impossible`.
        """
        from taxomind_assets.models.exports.graphs import write_linear

        write_linear(self, path, sparse=self.coefficients.shape[0] > _WIDE)

    @classmethod
    def load(cls, folder: Path) -> Linear:
        """The inverse of `save`.

        Raises:
            Fault: `model_damaged`.
        """
        arrays = load_arrays(folder / _FILE)
        dense = arrays.get("coefficients")
        return cls(sparse_matrix("coefficients", arrays) if dense is None else dense, arrays["intercepts"])


def library_rows(inputs: Any) -> Any:
    """Rows as scikit-learn's linear machines want them: sparse with places of 32 bits, or float64."""
    from scipy import sparse

    if isinstance(inputs, np.ndarray):
        return np.asarray(inputs, np.float64)
    places = inputs.indices.astype(np.int32), inputs.indptr.astype(np.int32)
    return sparse.csr_matrix((inputs.data, *places), shape=inputs.shape)


class LinearClassifier:
    """What classifiers share that are a `Linear` once they are trained. `train` sets `_linear`."""

    #: They need no validation rows to know when to stop, so in the end they learn from those as well.
    learns_from_validation: ClassVar = True

    def __init__(self, parameters: PluginParameters, surroundings: Surroundings, linear: Linear | None = None) -> None:
        self.parameters = parameters
        self._surroundings = surroundings
        self._linear = linear

    @property
    def linear(self) -> Linear:
        """What was trained."""
        assert self._linear is not None, "not trained"
        return self._linear

    def scores(self, inputs: Any) -> NDArray[np.float32]:
        """See `contracts.Classifier`: logits, margins or cosines."""
        return self.linear.scores(inputs)

    def save(self, folder: Path) -> None:
        """See `contracts.Classifier`."""
        self.linear.save(folder)

    def write_onnx(self, path: Path) -> None:
        """See `contracts.Classifier`."""
        self.linear.write_onnx(path)

    @classmethod
    def load(cls, folder: Path, parameters: PluginParameters, surroundings: Surroundings) -> Self:
        """See `contracts.Classifier`."""
        return cls(parameters, surroundings, Linear.load(folder))
