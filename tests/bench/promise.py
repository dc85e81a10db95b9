"""Whether a promised accuracy holds over many draws of the texts that fit its threshold.

The classifier learns from the pool. Of the test texts one half, which it has never seen, finds the threshold; the other half is
answered with it. A promise with 90 % confidence may be broken by at most one draw of ten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.classification.label_calibration import CONFIDENCE, promised_threshold, score_labelled
from taxomind_assets.views.texts import clean
from tests.bench.measures import PROMISES, kept
from tests.bench.product import classifier_of, promising, with_settings
from tests.bench.splits import rank

if TYPE_CHECKING:
    from taxomind_assets.classification.calibration import Calibration
    from tests.bench.task import Task

REGIMES: Final = ("zero-shot", "all")
DRAWS: Final = 20
#: Share of the draws that may break the promise.
ALLOWED: Final = round(1 - CONFIDENCE, 6)


def draws(task: Task, regime: str, count: int = DRAWS) -> Iterator[dict[str, Any]]:
    """One record for each promise: what `count` draws reached, and how many of them broke it."""
    tests = task.tests(regime)
    texts = [clean(text.text) for text in tests]
    gold, vectors = task.gold(tests), task.vectors(texts)
    classifier = classifier_of(task, task.pool(regime))
    vectors = classifier.index.placed(vectors)
    labelled = score_labelled(classifier.scorer, texts, vectors, gold)
    for promise in PROMISES:
        found = []
        for draw in range(count):
            fits = np.array([rank(text, f"promise-{draw}") % 2 == 0 for text in texts], np.bool_)
            known, asked = np.flatnonzero(fits), np.flatnonzero(~fits)
            threshold = promised_threshold(task.tree, labelled.take(known), classifier.calibration, promise)
            if threshold is not None:
                proven = _proven(classifier.calibration, threshold, promise)
                tried = with_settings(classifier.with_calibration(proven), promising(task.settings, promise))
                nodes = tried.answers([texts[i] for i in asked], vectors[asked]).nodes
                found.append(kept(task.tree, [gold[i] for i in asked], nodes))
        yield {"set": task.name, "regime": regime, "promise": round(100 * promise), "draws": count} | _summary(found, promise)


def _proven(calibration: Calibration, threshold: float, promise: float) -> Calibration:
    return replace(calibration, threshold=threshold, accuracy_target=promise, proven=True)


def _summary(found: list[dict[str, Any]], promise: float) -> dict[str, Any]:
    """Means over the draws in which a threshold was found and something answered."""
    answered = [one for one in found if one["reached"] is not None]
    if not answered:
        return {"proven": 0}
    means = {name: float(np.mean([one[name] for one in answered])) for name in ("reached", "answered", "depth", "information")}
    return {
        "proven": len(answered),
        "broken": sum(one["reached"] < promise for one in answered),
        "broken_surely": sum(one["reached_high"] < promise for one in answered),
        **means,
    }
