"""Multinomial logistic regression: probabilities straight from training; the usual choice on sentence vectors."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from taxomind_assets.models.contracts import PluginInfo, PluginParameters, Rows
from taxomind_assets.models.plugins.classifiers.linear import Linear, LinearClassifier, library_rows

if TYPE_CHECKING:
    pass


class LogisticRegression(LinearClassifier):
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

    parameters: Parameters

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
