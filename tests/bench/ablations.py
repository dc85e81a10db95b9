"""What each part of the fusion brings: one feature after the other gets the weight 0, everything else stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from taxomind_assets.classification.fusion import FusionWeights
from taxomind_assets.views.texts import clean
from tests.bench.measures import is_known
from tests.bench.product import classifier_of, with_scorer

if TYPE_CHECKING:
    from taxomind_assets.classification.scoring import Scorer
    from tests.bench.task import Task

REGIMES: Final = ("zero-shot", "k=5")
#: Name of the record with all features.
NOTHING: Final = ""


def without(scorer: Scorer, feature: str) -> Scorer:
    """The same scorer with a weight of 0 for one feature."""
    weights = scorer.weights
    return scorer.with_weights(FusionWeights({**weights.untrusted, feature: 0.0}, {**weights.trusted, feature: 0.0}))


def features_of(scorer: Scorer) -> list[str]:
    """Features with a weight."""
    names = {**scorer.weights.trusted, **scorer.weights.untrusted}
    return [name for name in names if scorer.weights.trusted.get(name) or scorer.weights.untrusted.get(name)]


def ablated(task: Task, regime: str) -> Iterator[dict[str, Any]]:
    """One record with all features, and one without each."""
    tests = task.tests(regime)
    texts = [clean(text.text) for text in tests]
    gold, vectors = task.gold(tests), task.vectors(texts)
    whole = classifier_of(task, task.pool(regime))
    for feature in [NOTHING, *features_of(whole.scorer)]:
        classifier = with_scorer(whole, without(whole.scorer, feature)) if feature else whole
        right = is_known(gold, classifier.answers(texts, classifier.index.placed(vectors)).leaves[:, 0])
        yield {"set": task.name, "regime": regime, "without": feature, "texts": len(tests), "accuracy": float(right.mean())}
