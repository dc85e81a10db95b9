"""The fusion fitted to a taxonomy by texts whose place people have told: voters, weights, temperatures, and the threshold.

No number is ever fitted and judged on the same text. Each text is scored as if nobody had told of it: its own corrections are
left out, the voters that score it were trained without its fold (a quarter of the texts, by a hash), and so were the weights.
On these logits temperatures and threshold are fitted, which therefore hold for new texts of the same kind. What serves in the
end is trained on everything.

Few texts must not do harm: weights have a prior around the shipped ones, and these stay until 50 texts have nodes with other
corrections; where all are of a few leaves nothing but calibration is fitted. Leaves that nobody has told anything of count as
much as they are due (`untold_leaves`). Voters weigh little until weights are fitted, which is enough to gain by single
corrections what neighbours and prototypes miss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.calibration import Calibration, masses, noise_texts
from taxomind_assets.classification.gate import fit_gate
from taxomind_assets.classification.label_calibration import (
    TEMPERATURE_SHARE,
    LabelledLogits,
    calibrate,
    score_labelled,
    text_share,
)
from taxomind_assets.classification.labelled_sample import FEWEST_TEXTS, FOLDS, SALT, Sample, folds_of
from taxomind_assets.classification.linear_machines import few_passes
from taxomind_assets.classification.training_rows import TrainingRows
from taxomind_assets.classification.unseen_evidence import UnseenEvidence
from taxomind_assets.classification.untold_leaves import hidden_rows, says_enough, text_weights, untold_share
from taxomind_assets.classification.voters import FITTING_STARTS, Voters
from taxomind_assets.classification.weight_fitting import Choices, fit_weights
from taxomind_assets.classification.word_voter import training_cost
from taxomind_resources.embedding.runtimes import available_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.classification.evidence_rows import EvidenceRows
    from taxomind_assets.classification.fusion import FusionWeights
    from taxomind_assets.classification.scoring import Scorer

_MOST_VOTER_ROWS: Final = 40_000
#: Numbers that the voter on words may look at in one pass: with enough corrections, and with few, which gain less by it.
_MOST_COST: Final = 5_000_000_000
_MOST_COST_OF_FEW: Final = 500_000_000
_BLOCK: Final = 64
_NOISE_SHARE: Final = 0.95
#: Share of the known texts that may be taken for texts that belong nowhere.
_OWN_SHARE: Final = 0.02
_FEWEST_OF_A_MODE: Final = 20


@dataclass(frozen=True)
class Fitted:
    """What texts with known places have made of a classifier.

    Attributes:
        calibration: the numbers that make probabilities.
        weights: fusion weights; None = the shipped ones.
        voters: trained voters; None = no corrections, few for a large taxonomy, or of few leaves.
        texts: number of texts that it was fitted on.
    """

    calibration: Calibration
    weights: FusionWeights | None
    voters: Voters | None
    texts: int


@dataclass(frozen=True)
class _Crossed:
    """A sample scored as if nobody had told of it.

    Attributes:
        plain: the classifier without anything fitted.
        sample: the texts.
        labelled: their scores, each by what was fitted without its fold.
        weights: those fitted without each fold, and last on everything; None = the shipped ones.
        voters: those that were asked for; empty = see `Fitted.voters`.
    """

    plain: Classifier
    sample: Sample
    labelled: LabelledLogits
    weights: list[FusionWeights] | None
    voters: list[Voters]


def fit_fusion(classifier: Classifier, texts: Sequence[str] = (), codes: Sequence[Sequence[str]] = ()) -> Classifier:
    """The classifier fitted to its evidence and to further labelled texts; as it is when these are too few.

    Args:
        classifier: a classifier with evidence.
        texts: b labelled texts, which calibrate but are no evidence.
        codes: known codes of each.
    """
    found = fit(classifier, texts, codes)
    return classifier.with_fitted(found) if found else classifier


def fit(classifier: Classifier, texts: Sequence[str] = (), codes: Sequence[Sequence[str]] = ()) -> Fitted | None:
    """What `fit_fusion` puts to use; None when there are too few texts. The same on any number of cores."""
    with _one_thread():
        found = _crossed(classifier, texts, codes, lambda rows: [np.ones(len(rows), np.bool_)])
        if found is None:
            return None
        weights, voters = found.weights[-1] if found.weights else None, found.voters[0] if found.voters else None
        fitted = Fitted(found.plain.index.calibration, weights, voters, len(found.sample))
        return replace(fitted, calibration=calibrated(found.plain.with_fitted(fitted), found.sample, found.labelled))


def fit_without_folds(
    classifier: Classifier, texts: Sequence[str] = (), codes: Sequence[Sequence[str]] = ()
) -> list[Classifier] | None:
    """For each fold (`folds_of`) the classifier as it would be had nobody told of the texts in it; None = too few texts.

    What `fit` fits, fitted without the fold; corrections are silent about their own text. It is up to twice as much work.
    """
    classifiers = []
    with _one_thread():
        found = _crossed(classifier, texts, codes, _without_each_fold)
        if found is None:
            return None
        for fold in range(FOLDS):
            scorer = _held_out(found.plain.scorer, None, found.voters[fold] if found.voters else None)
            one = found.plain.with_scorer(scorer.with_weights(found.weights[fold] if found.weights else None))
            others = np.flatnonzero(found.sample.folds != fold)
            calibration = calibrated(one, found.sample.take(others), found.labelled.take(others))
            classifiers.append(one.with_calibration(calibration))
    return classifiers


def _one_thread() -> AbstractContextManager[object]:
    """A sum that is split over threads depends on their number and on other work: what is fitted must not."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits


def _without_each_fold(rows: EvidenceRows) -> list[NDArray[np.bool_]]:
    folds = folds_of(rows.texts)
    return [folds != fold for fold in range(FOLDS)]


def _crossed(
    classifier: Classifier,
    texts: Sequence[str],
    codes: Sequence[Sequence[str]],
    asked: Callable[[EvidenceRows], list[NDArray[np.bool_]]],
) -> _Crossed | None:
    """`asked`: which corrections, bool[e], the voters are trained on that are wanted as well."""
    plain = classifier.with_fitted(None)
    sample = Sample.of(plain, texts, codes)
    if len(sample) < FEWEST_TEXTS:
        return None
    evidence = plain.scorer.evidence
    rows = evidence.rows if evidence and len(evidence.rows) else None
    scorers, counts = [_held_out(plain.scorer, None, None)] * FOLDS, None
    voters: list[Voters] = []
    if rows is None:
        counts = np.ones(len(sample), np.float32)
    elif says_enough(plain.tree, [*sample.gold, rows.nodes.tolist()]):
        scorers, voters, counts = _taught(plain, sample, rows, asked(rows))
    weights = _weights(scorers, sample, counts) if counts is not None else None
    if weights:
        scorers = [scorer.with_weights(own) for scorer, own in zip(scorers, weights, strict=False)]
    return _Crossed(plain, sample, _scored(scorers, sample), weights, voters)


def _taught(
    plain: Classifier, sample: Sample, rows: EvidenceRows, asked: Sequence[NDArray[np.bool_]]
) -> tuple[list[Scorer], list[Voters], NDArray[np.float32] | None]:
    """What scores each fold without it, the voters that were asked for, and how much each text counts for weights.

    The last is None when the texts cannot fit weights; then nothing is hidden from any fold, and voters keep theirs.
    """
    share = untold_share(plain.tree, [*sample.gold, rows.nodes.tolist()])
    hidden = hidden_rows(rows, share)
    counts = text_weights(sample, rows, hidden, share)
    if counts is None:
        hidden = hidden_rows(rows, 0.0)
    seen = [others & ~gone for others, gone in zip(_without_each_fold(rows), hidden, strict=True)]
    trained = _voters(plain, rows, [*asked, *seen], few=counts is None)
    held_out: Sequence[Voters | None] = trained[-FOLDS:] or [None] * FOLDS
    scorers = [_held_out(plain.scorer, gone, own) for gone, own in zip(hidden, held_out, strict=True)]
    return scorers, trained[:-FOLDS], counts


def _voters(classifier: Classifier, rows: EvidenceRows, seen: Sequence[NDArray[np.bool_]], *, few: bool) -> list[Voters]:
    """Voters trained on some of the corrections, bool[e], and all texts of the taxonomy; the same on the same ones.

    Args:
        classifier: without anything fitted.
        rows: the corrections.
        seen: which of them each voter sees.
        few: there are too few to fit weights. Then there are no voters where they would take long.
    """
    shares = np.array([text_share(text, SALT) for text in rows.texts])
    taken = shares <= np.partition(shares, min(_MOST_VOTER_ROWS, shares.size) - 1)[min(_MOST_VOTER_ROWS, shares.size) - 1]
    cost = training_cost(TrainingRows.of(classifier.index, rows, taken))
    if few and cost > _MOST_COST_OF_FEW:
        return []
    words = cost <= _MOST_COST

    def train(kept: NDArray[np.bool_]) -> Voters:
        return Voters.fit(TrainingRows.of(classifier.index, rows, kept & taken), classifier.tree, words=words)

    different = {kept.tobytes(): kept for kept in sorted(seen, key=np.count_nonzero, reverse=True)}  # the longest first
    with few_passes(), ThreadPoolExecutor(available_cores()) as threads:
        found = dict(zip(different, threads.map(train, different.values()), strict=True))
    return [found[kept.tobytes()] for kept in seen]


def _held_out(scorer: Scorer, hidden: NDArray[np.bool_] | None, voters: Voters | None) -> Scorer:
    """A scorer that knows nothing of a text that people told of it, nor of corrections that are hidden, bool[e]."""
    evidence = scorer.evidence
    rows = evidence.rows if evidence else None
    if rows and hidden is not None and hidden.any():
        rows = rows.without(hidden, scorer.tree.position)
    silent = [UnseenEvidence(scorer.base, rows)] if rows else []
    return scorer.with_views([*silent, *([voters] if voters else [])])


def _blocks(sample: Sample, fold: int, wanted: Callable[[int], bool] = lambda text: True) -> list[NDArray[np.int64]]:
    """Places of the texts of a fold, in blocks."""
    places = np.array([i for i in np.flatnonzero(sample.folds == fold).tolist() if wanted(i)], np.int64)
    return [places[start : start + _BLOCK] for start in range(0, places.size, _BLOCK)]


def _weights(scorers: Sequence[Scorer], sample: Sample, counts: NDArray[np.float32]) -> list[FusionWeights] | None:
    """Weights fitted without each fold, and last on all folds, each text as often as float32[b] says; None = too few leaves."""
    leaf = scorers[0].tree.is_leaf
    leaves = [[node for node in nodes if leaf[node]] for nodes in sample.gold]
    parts: list[Choices] = []
    folds: list[int] = []
    for fold, scorer in enumerate(scorers):
        for places in _blocks(sample, fold, lambda text: bool(leaves[text])):
            query = scorer.query(sample.vectors[places], [sample.texts[i] for i in places.tolist()])
            parts.append(Choices.of(scorer, query, [leaves[i] for i in places.tolist()], counts[places]))
            folds += [fold] * places.size
    if len(folds) < FEWEST_TEXTS:
        return None
    choices, fold_of = Choices.concatenate(parts), np.array(folds)
    prior, bounds = scorers[0].weights, scorers[0].bounds
    apart = [fit_weights(choices.take(fold_of != fold), prior, bounds, FITTING_STARTS) for fold in range(FOLDS)]
    return [*apart, fit_weights(choices, prior, bounds, FITTING_STARTS)]


def _scored(scorers: Sequence[Scorer], sample: Sample) -> LabelledLogits:
    logits = np.empty((len(scorers[0].tree), len(sample.texts)), np.float32)
    trusted = np.empty(len(sample.texts), np.float32)
    for fold, scorer in enumerate(scorers):
        places = np.flatnonzero(sample.folds == fold)
        if places.size:
            own = sample.take(places)
            found = score_labelled(scorer, own.texts, own.vectors, own.gold)
            logits[:, places], trusted[places] = found.logits, found.trusted
    return LabelledLogits(logits, trusted, sample.gold)


def calibrated(classifier: Classifier, sample: Sample, labelled: LabelledLogits) -> Calibration:
    """Temperatures, threshold and gate of a classifier, by texts that were scored without having been learned from."""
    tree = classifier.tree
    found = calibrate(
        tree,
        labelled,
        for_temperature=np.array([text_share(text, SALT) < TEMPERATURE_SHARE for text in sample.texts], np.bool_),
        prior=classifier.index.calibration,
        accuracy_target=classifier.settings.routing.accuracy_target,
        nowhere_energy=lambda numbers: _nowhere_energy(classifier, labelled, numbers),
    )
    # The gate promises nothing, so it may learn from the texts that prove the threshold.
    return replace(found, gate=fit_gate(tree, labelled, sample.texts, found))


def _nowhere_energy(classifier: Classifier, labelled: LabelledLogits, numbers: Calibration) -> tuple[float, float] | None:
    """Energies under which a text belongs nowhere: those of noise, unless that caught more than a few of the known texts."""
    before = classifier.index.calibration.nowhere_energy
    if before is None:
        return None
    noise = list(noise_texts())
    vectors = classifier.embedder.embed(noise, "query")
    found = []
    for mode in (0, 1):
        own = np.flatnonzero((labelled.trusted >= 0.5) == bool(mode))
        if own.size < _FEWEST_OF_A_MODE:
            found.append(before[mode])
            continue
        trusted = np.full(len(noise), mode, np.float32)
        outside = classifier.scorer.logits(classifier.scorer.query(vectors, noise, trusted))
        lowest = np.quantile(_energies(classifier, labelled.logits[:, own], labelled.trusted[own], numbers), _OWN_SHARE)
        highest = np.quantile(_energies(classifier, outside, trusted, numbers), _NOISE_SHARE)
        found.append(round(float(min(lowest, highest)), 4))
    return found[0], found[1]


def _energies(
    classifier: Classifier, logits: NDArray[np.float32], trusted: NDArray[np.float32], numbers: Calibration
) -> NDArray[np.float32]:
    blocks = [slice(start, start + _BLOCK) for start in range(0, trusted.size, _BLOCK)]
    return np.concatenate(
        [masses(classifier.tree, logits[:, block].copy(), numbers, trusted[block], abstain=False).energy for block in blocks]
    )
