"""taxomind itself, as a user runs it: `build_index`, then `Classifier`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.fitting import fit_fusion
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.views.texts import clean
from tests.bench.measures import PROMISES, Answered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.scoring import Scorer
    from taxomind_resources.settings import Settings
    from tests.bench.material import Text
    from tests.bench.task import Task

_BLOCK = 200


def classifier_of(task: Task, pool: Sequence[Text], promise: float = PROMISES[0]) -> Classifier:
    """The classifier that has learned from `pool` and is to keep a promise; a text with several codes is evidence for each."""
    classifier = Classifier(task.index, task.embedder, promising(task.settings, promise))
    if not pool:
        return classifier
    rows = [(clean(text.text), code) for text in pool for code in text.codes]
    texts, codes = [text for text, _ in rows], [code for _, code in rows]
    return fit_fusion(classifier.with_evidence(Evidence.of(texts, codes, task.index.placed(task.vectors(texts)))))


def product(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Answered:
    """Answers of the product to the test texts, and where it stops under each promise."""
    texts = [clean(text.text) for text in tests]
    vectors = task.index.placed(task.vectors(texts))
    task.vectors([clean(text.text) for text in pool])  # embedded once; only learning is timed
    start = time.process_time()
    classifier = classifier_of(task, pool)
    fit_s = time.process_time() - start if pool else 0.0
    classifier.classify(texts[:_BLOCK], vectors=vectors[:_BLOCK])  # what is made on first use is no part of the speed
    start = time.process_time()
    answers = classifier.answers(texts, vectors)
    predict_us = 1e6 * (time.process_time() - start) / max(len(texts), 1)
    stops = {PROMISES[0]: answers.nodes}
    # One fit finds the thresholds of all promises.
    others = {promise: with_settings(classifier, promising(task.settings, promise)) for promise in PROMISES[1:]}
    stops |= {promise: other.answers(texts, vectors).nodes for promise, other in others.items()}
    return Answered(
        answers.leaves[:, 0],
        answers.leaf_confidence.astype(np.float64),
        stops,
        ranked=answers.leaves,
        fit_s=fit_s,
        predict_us=predict_us,
        notes={"proven": classifier.calibration.proven},
    )


def promising(settings: Settings, promise: float) -> Settings:
    """The same settings with another accuracy target."""
    return settings.model_copy(update={"routing": settings.routing.model_copy(update={"accuracy_target": promise})})


def with_settings(classifier: Classifier, settings: Settings) -> Classifier:
    """The same classifier under other settings."""
    return Classifier(classifier.index, classifier.embedder, settings, classifier.calibration, scorer=classifier.scorer)


def with_scorer(classifier: Classifier, scorer: Scorer) -> Classifier:
    """The same classifier with other weights."""
    return Classifier(classifier.index, classifier.embedder, classifier.settings, classifier.calibration, scorer=scorer)


def belonging(classifier: Classifier, texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """How surely each text belongs in the taxonomy at all, float64[b], larger is surer.

    The probability of belonging, and among texts where float32 cannot tell it from 0 or 1 the energy that it was made from.
    """
    belongs, energy = [], []
    vectors = classifier.index.placed(vectors)
    for start in range(0, len(texts), _BLOCK):
        found = classifier.probabilities(texts[start : start + _BLOCK], vectors=vectors[start : start + _BLOCK])
        belongs.append(found.belongs)
        energy.append(found.energy)
    order = np.lexsort((np.concatenate(energy), np.concatenate(belongs)))
    place = np.empty(order.size, np.float64)
    place[order] = np.arange(order.size)
    return place
