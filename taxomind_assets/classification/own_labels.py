"""Answers that no label of the same text has helped, and what labels have shown, in words."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from taxomind_assets.classification.fitting import fit_without_folds
from taxomind_assets.classification.labelled_sample import folds_of
from taxomind_assets.classification.unseen_evidence import unseen

if TYPE_CHECKING:
    from taxomind_assets.classification.calibration import Calibration
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_resources.settings import Settings


@dataclass(frozen=True)
class Unseen:
    """A classifier that answers each text as if nobody had told of it. Make it with `Unseen.of`: fitting costs most.

    Attributes:
        classifiers: one for each fold of the texts, fitted without it; or the only one, when no label has fitted anything.
    """

    classifiers: tuple[Classifier, ...]

    @classmethod
    def of(cls, classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> Unseen:
        """Fit as `fitting.fit` does, without each fold in turn. A classifier that uses no label of its own stays as it is.

        Args:
            classifier: the one that serves.
            texts: labelled texts; of a model that votes, none that it was trained on.
            codes: known codes of each.
        """
        if classifier.calibration == classifier.index.calibration and classifier.scorer.fitted is None:
            return cls((unseen(classifier),))
        others = fit_without_folds(classifier, texts, codes) or (unseen(classifier.with_fitted(None)),)
        return cls(tuple(other.with_model(classifier.model) for other in others))

    def under(self, settings: Settings) -> Unseen:
        """The same under other settings of stops and second opinions; what is fitted stays as it is."""
        others = tuple(copy.copy(classifier) for classifier in self.classifiers)
        for other in others:
            other.settings = settings
        return Unseen(others)

    def classify(self, texts: Sequence[str]) -> pa.Table:
        """As `Classifier.classify`, in the order of `texts`; those of a fold by what was fitted without it."""
        if len(self.classifiers) == 1:
            return self.classifiers[0].classify(list(texts))
        folds = folds_of(texts)
        order = np.argsort(folds, kind="stable")
        parts = [
            classifier.classify([texts[i] for i in np.flatnonzero(folds == fold).tolist()])
            for fold, classifier in enumerate(self.classifiers)
        ]
        return pa.concat_tables(parts).take(pa.array(np.argsort(order)))


def unseen_answers(classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> pa.Table:
    """Answers to labelled texts, each by what was fitted without its fold and by the corrections of other texts alone.

    Returns:
        As `Classifier.classify`, in the order of `texts`.
    """
    return Unseen.of(classifier, texts, codes).classify(texts)


def described(calibration: Calibration, texts: int) -> str:
    """What labels have shown, in two sentences."""
    few = "They show too few stops for a gate: with the stop rule `gate` the rule `mass` decides."
    return f"{_shown(calibration, texts)} {few if calibration.gate is None else 'They have fitted the stop rule `gate`.'}"


def _shown(calibration: Calibration, texts: int) -> str:
    if calibration.threshold is None:
        return f"{texts:,} labelled texts fitted the temperatures; no threshold is shown to keep the target."
    return (
        f"{texts:,} labelled texts: answers from a probability of {calibration.threshold:.3f} on are right (or above the right "
        f"node) for at least {calibration.accuracy_target:.0%} of the answered texts, with 90 % confidence."
    )
