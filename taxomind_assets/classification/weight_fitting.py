"""Fusion weights from labelled texts: conditional logit (McFadden, 1974) with a prior around the weights that ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.fusion import FusionWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.queries import Query
    from taxomind_assets.classification.scoring import Scorer

#: Leaves that compete for a text; the others have no chance and would only cost time.
_RIVALS: Final = 48
#: Weight of the prior: half of it times the squared distance from the shipped weights, against one for each text's surprise.
_PRIOR: Final = 2.0
_STEPS: Final = 100
NOWHERE_ELSE: Final = FusionWeights({}, {})


@dataclass(frozen=True)
class Choices:
    """b texts with the features of the leaves that compete for them.

    Attributes:
        names: f features.
        features: float32[b, k, f].
        right: bool[b, k], the known leaves of each text.
        trusted: float32[b].
        counts: float32[b], how often each text counts.
    """

    names: tuple[str, ...]
    features: NDArray[np.float32]
    right: NDArray[np.bool_]
    trusted: NDArray[np.float32]
    counts: NDArray[np.float32]

    @classmethod
    def of(cls, scorer: Scorer, query: Query, gold: Sequence[Sequence[int]], counts: NDArray[np.float32]) -> Choices:
        """Choices among the best leaves under the scorer's weights and the known ones.

        Args:
            scorer: gives the features.
            query: b texts.
            gold: positions of known leaves of each.
            counts: float32[b].
        """
        blocks = {name: block.dense(len(scorer.tree)) for name, block in scorer.features(query).items()}
        leaves = np.flatnonzero(scorer.tree.is_leaf)
        logits = sum(values[leaves] * scorer.weight(name, query.trusted) for name, values in blocks.items())
        known = np.zeros((leaves.size, len(query)), np.bool_)
        for column, nodes in enumerate(gold):
            known[np.isin(leaves, list(nodes)), column] = True
        rivals = min(_RIVALS, leaves.size)
        order = np.where(known, np.inf, logits)
        chosen = np.argpartition(-order, rivals - 1, axis=0)[:rivals] if rivals < leaves.size else _all(order)
        features = np.stack([np.take_along_axis(values[leaves], chosen, axis=0).T for values in blocks.values()], axis=2)
        right = np.take_along_axis(known, chosen, axis=0).T
        return cls(tuple(blocks), features.astype(np.float32), np.ascontiguousarray(right), query.trusted, counts)

    @classmethod
    def concatenate(cls, parts: Sequence[Choices]) -> Choices:
        """Choices of several blocks. A feature that a block lacks is 0 there."""
        names = tuple(dict.fromkeys(name for part in parts for name in part.names))
        features = []
        for part in parts:
            place = {name: i for i, name in enumerate(part.names)}
            zero = np.zeros(part.features.shape[:2], np.float32)
            features.append(np.stack([part.features[:, :, place[n]] if n in place else zero for n in names], axis=2))
        return cls(
            names,
            np.concatenate(features),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.trusted for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )

    def take(self, rows: NDArray[np.bool_]) -> Choices:
        """Some of the texts, bool[b]."""
        return Choices(self.names, self.features[rows], self.right[rows], self.trusted[rows], self.counts[rows])

    def __len__(self) -> int:
        """Number of texts."""
        return int(self.trusted.size)


def _all(order: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.repeat(np.arange(order.shape[0])[:, None], order.shape[1], axis=1)


def fit_weights(
    choices: Choices,
    prior: FusionWeights,
    bounds: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    starts: FusionWeights = NOWHERE_ELSE,
) -> FusionWeights:
    """The most likely weights of all features, those of texts with and without the encoder trusted each by their own texts.

    With few texts they stay near the prior, so a few cannot do harm. The share that negative examples cost belongs to
    `best_text`, so its feature is taken together with it.

    Args:
        choices: texts and what competes for them.
        prior: weights that ship.
        bounds: lowest and highest weight of a feature; others are free.
        starts: where the prior of some features is instead, for texts of a kind that there are any of.
    """
    found: list[Mapping[str, float]] = []
    for mode in (False, True):
        rows, start = (choices.trusted >= 0.5) == mode, starts.over(prior).mode(mode)
        found.append(_fit(choices.take(rows), start, bounds) if rows.any() else prior.mode(mode))
    return FusionWeights(untrusted=found[0], trusted=found[1])


def _fit(choices: Choices, prior: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    from scipy.optimize import minimize

    place = {name: i for i, name in enumerate(choices.names)}
    features = choices.features
    if "negative_examples" in place:
        features = features.copy()
        features[:, :, place["best_text"]] += features[:, :, place["negative_examples"]]
    names = [name for name in choices.names if name != "negative_examples"]
    features = np.ascontiguousarray(features[:, :, [place[name] for name in names]])
    start = np.array([prior.get(name, 0.0) for name in names])
    right, counts = choices.right, choices.counts

    def surprise(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = features @ weights.astype(np.float32)
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        hits = chances * right
        total, hit = chances.sum(axis=1), np.maximum(hits.sum(axis=1), 1e-30)
        pull = (hits / hit[:, None] - chances / total[:, None]) * counts[:, None]
        away = weights - start
        drawn = (pull[:, None, :] @ features)[:, 0]  # text by text: a sum over all at once in float64 takes six times as long
        gradient = _PRIOR * away - drawn.sum(axis=0, dtype=np.float64)
        return float((counts * np.log(total / hit)).sum(dtype=np.float64) + _PRIOR / 2 * (away @ away)), gradient

    within = [bounds.get(name, (-np.inf, np.inf)) for name in names]
    best = minimize(surprise, start, jac=True, method="L-BFGS-B", bounds=within, options={"maxiter": _STEPS}).x
    return {name: round(float(weight), 4) for name, weight in zip(names, best, strict=True)}
