"""A taxonomy's own labelled texts put to use: the calibration that serves, and answers that no own label has helped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from taxomind_assets.classification.calibration import Calibration
from taxomind_assets.classification.fitting import FEWEST_TEXTS, fit_fusion
from taxomind_assets.classification.gate import fit_gate
from taxomind_assets.classification.label_calibration import (
    TEMPERATURE_SHARE,
    LabelledLogits,
    calibrate,
    score_labelled,
    text_share,
)
from taxomind_assets.classification.self_calibration import nowhere_energy
from taxomind_assets.classification.unseen_evidence import unseen
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier

#: Labelled texts that a calibration looks at; more would only cost time.
MOST_TEXTS: Final = 20_000
_SALT: Final = "calibration"
_FOLDS: Final = "report"


def label_calibration(classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> Calibration | None:
    """The calibration that labelled texts make of an index's own; None when there are too few.

    Texts that are evidence themselves are scored by the evidence of all others.

    Args:
        classifier: the classifier of the index.
        texts: b unique texts.
        codes: known codes of each.
    """
    if len(texts) < FEWEST_TEXTS:
        return None
    order = sorted(range(len(texts)), key=lambda i: text_share(texts[i], _SALT))[:MOST_TEXTS]
    chosen = [texts[i] for i in order]
    gold = [[classifier.tree.position[code] for code in codes[i]] for i in order]
    labelled = score_labelled(unseen(classifier).scorer, chosen, classifier.embedder.embed(chosen, "query"), gold)
    return _calibrated(classifier, chosen, labelled)


def _calibrated(classifier: Classifier, texts: Sequence[str], labelled: LabelledLogits) -> Calibration:
    index = classifier.index
    found = calibrate(
        index.tree,
        labelled,
        for_temperature=np.array([text_share(text, _SALT) < TEMPERATURE_SHARE for text in texts], np.bool_),
        prior=index.calibration,
        accuracy_target=classifier.settings.routing.accuracy_target,
        nowhere_energy=lambda found: nowhere_energy(
            index, found, lambda queries: classifier.embedder.embed(queries, "query"), classifier.student
        ),
    )
    # The gate promises nothing, so it may learn from the texts that prove the threshold.
    return replace(found, gate=fit_gate(index.tree, labelled, texts, found))


def unseen_answers(classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> pa.Table:
    """Answers to labelled texts, each by a calibration and by evidence that have not seen it.

    The texts are parted in two by a hash; each half is answered with a calibration that the other half made. When the
    classifier uses no label of its own, its answers are what they are. Corrections of a text are left out for it alone.

    Returns:
        As `Classifier.classify`, in the order of `texts`.
    """
    if classifier.scorer.fitted is None:
        classifier = unseen(classifier)
    if classifier.calibration == classifier.index.calibration and classifier.scorer.fitted is None:
        return classifier.classify(list(texts))
    second = np.array([text_share(text, _FOLDS) < 0.5 for text in texts], np.bool_)
    parts: list[pa.Table] = []
    rows: list[int] = []
    for fold in (second, ~second):
        own, other = np.flatnonzero(fold).tolist(), np.flatnonzero(~fold).tolist()
        judged = [texts[i] for i in own]
        parts.append(_fitted_without(classifier, judged, [texts[i] for i in other], [codes[i] for i in other]).classify(judged))
        rows += own
    place: NDArray[np.int64] = np.argsort(np.array(rows, np.int64))
    return pa.concat_tables(parts).take(pa.array(place))


def _fitted_without(
    classifier: Classifier, judged: Sequence[str], texts: Sequence[str], codes: Sequence[Sequence[str]]
) -> Classifier:
    """The classifier as it would be had nobody told of the judged texts."""
    if classifier.scorer.fitted is None:
        return classifier.with_calibration(label_calibration(classifier, texts, codes) or classifier.index.calibration)
    gone = {normalise(text) for text in judged}
    evidence = classifier.scorer.evidence
    if evidence:
        kept = [row for row, text in enumerate(evidence.rows.texts) if normalise(text) not in gone]
        told = [evidence.rows.texts[row] for row in kept], [evidence.rows.codes[row] for row in kept]
        classifier = classifier.with_evidence(Evidence.of(*told, evidence.rows.vectors[kept]))
    return fit_fusion(classifier.with_fitted(None), texts, codes)


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
