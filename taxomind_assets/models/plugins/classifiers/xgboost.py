"""Boosted trees (Chen and Guestrin, 2016, "XGBoost"), stopped early by validation rows, stored as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import Field

from taxomind_assets.models.contracts import Device, PluginInfo, PluginParameters, Requirement, Rows, Surroundings
from taxomind_assets.models.plugins.classifiers.devices import chosen_device
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE: Final = "xgboost.json"


class BoostedTrees:
    """xgboost with one tree per class and round."""

    info: ClassVar = PluginInfo(
        "xgboost",
        "classifier",
        "boosted trees",
        input="matrix",
        requires=(Requirement("xgboost", ("xgboost-cpu", "xgboost"), ">=3,<4"),),
        extra="xgboost",
        streaming=False,
        speed="medium",
        quality="good",
        memory="medium",
        onnx=True,
    )
    unit_rows: ClassVar = False

    class Parameters(PluginParameters):
        """What may be set."""

        max_depth: int = Field(6, ge=1, description="depth of a tree")
        learning_rate: float = Field(0.1, gt=0, le=1, description="how much a tree adds")
        n_estimators: int = Field(100, ge=1, description="rounds at most")
        early_stopping_rounds: int = Field(10, ge=1, description="rounds without a gain on validation rows that end training")
        min_child_weight: float = Field(1.0, ge=0, description="weight that a leaf needs")
        subsample: float = Field(1.0, gt=0, le=1, description="share of the rows that a round sees")
        colsample_bytree: float = Field(1.0, gt=0, le=1, description="share of the columns that a tree sees")
        reg_lambda: float = Field(1.0, ge=0, description="penalty on the numbers in the leaves")
        device: Device = Field("auto", description="auto, cpu or cuda")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, booster: Any = None) -> None:
        self.parameters = parameters
        self._surroundings = surroundings
        self._booster = booster

    def train(self, rows: Rows, validation: Rows | None, checkpoints: Path | None) -> None:
        """See `contracts.Classifier`."""
        import xgboost

        own = self.parameters.model_dump(exclude={"n_estimators", "early_stopping_rounds", "device"})
        options = {
            **own,
            "objective": "multi:softprob",
            "num_class": rows.count,
            "eval_metric": "mlogloss",
            "seed": self._surroundings.seed,
            "nthread": self._surroundings.threads,
            "device": chosen_device(self.parameters.device),
            "verbosity": 0,
        }
        watched = [] if validation is None else [(_matrix(xgboost, validation), "validation")]
        self._booster = xgboost.train(
            options,
            _matrix(xgboost, rows),
            num_boost_round=self.parameters.n_estimators,
            evals=watched,
            early_stopping_rounds=self.parameters.early_stopping_rounds if watched else None,
            verbose_eval=False,
        )

    def scores(self, inputs: Any) -> NDArray[np.float32]:
        """See `contracts.Classifier`; logits of the best round."""
        import xgboost
        from scipy import sparse

        best = self._booster.attr("best_iteration")
        rounds = (0, int(best) + 1) if best is not None else (0, 0)
        given = xgboost.DMatrix(sparse.csr_matrix(inputs))
        return np.asarray(self._booster.predict(given, output_margin=True, iteration_range=rounds), np.float32)

    def save(self, folder: Path) -> None:
        """See `contracts.Classifier`."""
        self._booster.save_model(str(folder / _FILE))

    def write_onnx(self, path: Path) -> None:
        """See `contracts.Classifier`."""
        from taxomind_assets.models.exports.trees import write_trees

        best = self._booster.attr("best_iteration")
        rounds = int(best) + 1 if best is not None else self._booster.num_boosted_rounds()
        classes = int(json.loads(self._booster.save_config())["learner"]["learner_model_param"]["num_class"])
        write_trees(self._booster, path, rounds=rounds, classes=classes)

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> BoostedTrees:
        """See `contracts.Classifier`."""
        import xgboost

        booster = xgboost.Booster({"nthread": surroundings.threads})
        try:
            booster.load_model(str(folder / _FILE))
        except xgboost.core.XGBoostError as error:
            raise Fault("model_damaged", f"{_FILE} cannot be read.", value=str(error)[:200]) from error
        return cls(parameters, surroundings, booster)


def _matrix(xgboost: Any, rows: Rows) -> Any:
    from scipy import sparse

    # A column that a text lacks is "missing" to the library, in training and in use alike.
    return xgboost.DMatrix(sparse.csr_matrix(rows.inputs), label=rows.classes, weight=rows.weights)
