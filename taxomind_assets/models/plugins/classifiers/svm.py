"""A linear support vector machine for each class against all others (Fan et al., 2008, "LIBLINEAR").

Classes are trained some at a time, so memory does not grow with their number; coefficients that are next to nothing are
dropped. Margins become probabilities by a temperature that is fitted on validation rows (`calibrated.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from taxomind_assets.models.contracts import PluginInfo, PluginParameters, Rows
from taxomind_assets.models.plugins.classifiers.linear import Linear, LinearClassifier, library_rows

if TYPE_CHECKING:
    pass

#: Coefficients held at once while training, as float64.
_HELD: Final = 20_000_000
_SMALLEST: Final = 0.01


class LinearMachine(LinearClassifier):
    """scikit-learn's LinearSVC, class by class."""

    info: ClassVar = PluginInfo(
        "svm", "classifier", "linear support vector machine", input="matrix", streaming=False, quality="good", onnx=True
    )
    #: Rows are brought to length one, in training and in use alike.
    unit_rows: ClassVar = True
    #: Of its margins, as long as no validation rows say better.
    temperature: ClassVar = 0.3

    class Parameters(PluginParameters):
        """What may be set."""

        C: float = Field(1.0, gt=0, description="how much an error in training costs")
        loss: Literal["squared_hinge", "hinge"] = Field("squared_hinge", description="what an error costs")
        tol: float = Field(0.1, gt=0, description="how exactly it is trained; 1e-5 takes many times as long and gains nothing")
        max_iter: int = Field(15, ge=1, description="passes over the rows at most")

    parameters: Parameters

    def train(self, rows: Rows, validation: Rows | None, checkpoints: Path | None) -> None:
        """See `contracts.Classifier`."""
        from scipy import sparse
        from sklearn.exceptions import ConvergenceWarning

        inputs = library_rows(rows.inputs)
        chunks = list(_chunks(rows.count, inputs.shape[1]))
        with warnings.catch_warnings(), ThreadPoolExecutor(self._surroundings.threads) as threads:
            warnings.simplefilter("ignore", ConvergenceWarning)
            parts = []
            for done, part in enumerate(threads.map(lambda chunk: self._fit(inputs, rows, chunk), chunks), 1):
                parts.append(part)
                self._surroundings.say(f"svm: {chunks[done - 1].stop:,} of {rows.count:,} classes")
        coefficients = sparse.hstack([part.coefficients for part in parts], format="csr")
        intercepts = np.concatenate([part.intercepts for part in parts])
        few = coefficients.nnz < 0.5 * coefficients.shape[0] * coefficients.shape[1]
        self._linear = Linear(sparse.csr_array(coefficients) if few else coefficients.toarray(), intercepts)

    def _fit(self, inputs: Any, rows: Rows, chunk: range) -> Linear:
        """The machines of some classes; all others are one class to them."""
        from scipy import sparse
        from sklearn.svm import LinearSVC

        own = self.parameters
        inside = (rows.classes >= chunk.start) & (rows.classes < chunk.stop)
        labels = np.where(inside, rows.classes, -1)
        machine = LinearSVC(
            C=own.C, loss=own.loss, tol=own.tol, max_iter=own.max_iter, random_state=self._surroundings.seed, dual=True
        )
        machine.fit(inputs, labels, sample_weight=rows.weights)
        coefficients, intercepts = machine.coef_, machine.intercept_
        if machine.classes_.size == 2:  # one machine for both
            coefficients, intercepts = np.concatenate((-coefficients, coefficients)), np.concatenate((-intercepts, intercepts))
        kept = np.flatnonzero(machine.classes_ >= 0)
        weights = coefficients[kept]
        weights[np.abs(weights) < _SMALLEST] = 0
        return Linear(sparse.csr_array(weights.T.astype(np.float32)), intercepts[kept].astype(np.float32))


def _chunks(classes: int, features: int) -> Iterator[range]:
    """Classes that are trained together."""
    size = max(1, min(classes, _HELD // max(features, 1)))
    # A single class beside the rest would be trained twice over.
    for start in range(0, classes, size):
        yield range(start, min(start + size, classes))
