"""Multinomial logistic regression: probabilities straight from training; the usual choice on sentence vectors."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from taxomind_assets.models.contracts import PluginInfo, PluginParameters, Rows, Surroundings
from taxomind_assets.models.plugins.classifiers.linear import Linear, library_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


class LogisticRegression:
    """scikit-learn's LogisticRegression."""

    info: ClassVar = PluginInfo(
        "logreg", "classifier", "logistic regression", input="matrix", streaming=False, quality="good", onnx=True
    )
    unit_rows: ClassVar = True

    class Parameters(PluginParameters):
        """What may be set."""

        C: float = Field(30.0, gt=0, description="how little large coefficients cost; rows have length one, so it is large")
        max_iter: int = Field(200, ge=1, description="steps at most")
        tol: float = Field(1e-5, gt=0, description="how exactly it is trained")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, linear: Linear | None = None) -> None:
        self.parameters = parameters
        self._linear = linear

    def train(self, rows: Rows, validation: Rows | None, checkpoints: Path | None) -> None:
        """See `contracts.Classifier`."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression as Machine

        own = self.parameters
        inputs = library_rows(rows.inputs)
        machine = Machine(C=own.C, max_iter=own.max_iter, tol=own.tol)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            machine.fit(inputs, rows.classes, sample_weight=rows.weights)
        coefficients, intercepts = machine.coef_, machine.intercept_
        if rows.count == 2:  # one row of coefficients says both
            half = np.concatenate((-coefficients, coefficients)) / 2
            coefficients, intercepts = half, np.concatenate((-intercepts, intercepts)) / 2
        self._linear = Linear.of(coefficients, intercepts)

    def scores(self, inputs: Any) -> NDArray[np.float32]:
        """See `contracts.Classifier`; logits."""
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
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> LogisticRegression:
        """See `contracts.Classifier`."""
        return cls(parameters, surroundings, Linear.load(folder))
