"""The fusion fitted to a taxonomy by texts whose place people have told: voters, weights, temperatures, and the threshold.

No number is ever fitted and judged on the same text. Each text is scored as if nobody had told of it: its own corrections are
left out, the voters that score it were trained without its fold (a quarter of the texts, by a hash), and so were the weights.
On these logits temperatures and threshold are fitted, which therefore hold for new texts of the same kind. What serves in the
end is trained on everything.

Few texts must not do harm: weights have a prior around the shipped ones, and these stay where nodes have few corrections each,
because leaving one of them out would teach that corrections are worth little, and where many leaves have none, because the
texts at hand would then teach that nobody ever means those leaves (with corrections for every other leaf, texts of the others
lost up to 34 points, measured).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.calibration import Calibration, masses, noise_texts
from taxomind_assets.classification.evidence_rows import EvidenceRows
from taxomind_assets.classification.gate import fit_gate
from taxomind_assets.classification.label_calibration import (
    TEMPERATURE_SHARE,
    LabelledLogits,
    calibrate,
    score_labelled,
    text_share,
)
from taxomind_assets.classification.training_rows import TrainingRows
from taxomind_assets.classification.unseen_evidence import UnseenEvidence
from taxomind_assets.classification.voters import Voters
from taxomind_assets.classification.weight_fitting import Choices, fit_weights
from taxomind_assets.classification.word_voter import training_cost
from taxomind_assets.views.texts import normalise
from taxomind_resources.embedding.runtimes import available_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.classification.fusion import FusionWeights
    from taxomind_assets.classification.scoring import Scorer

#: Texts under which fitting would say more about them than about the taxonomy.
FEWEST_TEXTS: Final = 50
#: Texts that are scored, and numbers of their logits; more would only cost time.
_MOST_TEXTS: Final = 10_000
_MOST_LOGITS: Final = 40_000_000
#: Corrections for each corrected node, on average, from which weights are fitted and voters trained.
_ROWS_PER_NODE: Final = 2.3
#: Share of the leaves that known texts belong to, from which the same is done.
_COVERED: Final = 0.75
_MOST_VOTER_ROWS: Final = 40_000
#: Numbers that the voter on words may look at in one pass.
_MOST_COST: Final = 5_000_000_000
_FOLDS: Final = 4
_BLOCK: Final = 64
_SALT: Final = "calibration"
_FOLD_SALT: Final = "fold"
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
        voters: trained voters; None = too few corrections.
        texts: number of texts that it was fitted on.
    """

    calibration: Calibration
    weights: FusionWeights | None
    voters: Voters | None
    texts: int


@dataclass(frozen=True)
class Sample:
    """b texts with known nodes, and the fold of each.

    Attributes:
        texts: clean texts, no two the same but for case and spaces.
        gold: positions of the known nodes of each.
        vectors: float32[b, d].
        folds: int64[b] in 0..3.
    """

    texts: list[str]
    gold: list[list[int]]
    vectors: NDArray[np.float32]
    folds: NDArray[np.int64]

    def take(self, places: NDArray[np.int64]) -> Sample:
        """Some of the texts."""
        chosen = places.tolist()
        texts, gold = [self.texts[i] for i in chosen], [self.gold[i] for i in chosen]
        return Sample(texts, gold, self.vectors[places], self.folds[places])


@dataclass(frozen=True)
class _Crossed:
    """A sample scored as if nobody had told of it.

    Attributes:
        plain: the classifier without anything fitted.
        sample: the texts.
        scorers: what scores the texts of each fold; fitted without them.
        labelled: the scores.
        voters: trained on everything; None = too few corrections, or not asked for.
        weights: fitted on everything; None = the shipped ones.
    """

    plain: Classifier
    sample: Sample
    scorers: list[Scorer]
    labelled: LabelledLogits
    voters: Voters | None
    weights: FusionWeights | None


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
        found = _crossed(classifier, texts, codes, serving=True)
        if found is None:
            return None
        fitted = Fitted(found.plain.index.calibration, found.weights, found.voters, len(found.sample.texts))
        return replace(fitted, calibration=calibrated(found.plain.with_fitted(fitted), found.sample, found.labelled))


def fit_without_folds(
    classifier: Classifier, texts: Sequence[str] = (), codes: Sequence[Sequence[str]] = ()
) -> list[Classifier] | None:
    """For each fold (`folds_of`) the classifier as it would be had nobody told of the texts in it; None = too few texts.

    What `fit` fits, fitted without the fold; corrections are silent about their own text. All of it is as much work as `fit`.
    """
    classifiers = []
    with _one_thread():
        found = _crossed(classifier, texts, codes, serving=False)
        if found is None:
            return None
        for fold, scorer in enumerate(found.scorers):
            one, others = found.plain.with_scorer(scorer), np.flatnonzero(found.sample.folds != fold)
            calibration = calibrated(one, found.sample.take(others), found.labelled.take(others))
            classifiers.append(one.with_calibration(calibration))
    return classifiers


def _one_thread() -> AbstractContextManager[object]:
    """A sum that is split over threads depends on their number and on other work: what is fitted must not."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limits


def folds_of(texts: Sequence[str]) -> NDArray[np.int64]:
    """The fold of each text, int64[b] in 0..3, by a hash: texts that are the same but for case and spaces share one."""
    return np.array([int(_FOLDS * text_share(text, _FOLD_SALT)) for text in texts], np.int64)


def _crossed(classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]], *, serving: bool) -> _Crossed | None:
    """`serving`: what is fitted on everything is wanted as well."""
    plain = classifier.with_fitted(None)
    sample = _sample(plain, texts, codes)
    if len(sample.texts) < FEWEST_TEXTS:
        return None
    evidence = plain.scorer.evidence
    rows = evidence.rows if evidence else None
    wanted = rows is None or _is_enough(plain, rows, sample)
    trained = _voters(plain, rows, everything=serving) if rows is not None and wanted else None
    scorers = [_held_out(plain.scorer, trained[fold] if trained else None) for fold in range(_FOLDS)]
    weights = _weights(scorers, sample) if wanted else None
    if weights:
        scorers = [scorer.with_weights(own) for scorer, own in zip(scorers, weights, strict=False)]
    elif trained:
        trained, scorers = None, [_held_out(plain.scorer, None)] * _FOLDS
    voters = trained[_FOLDS] if trained and serving else None
    return _Crossed(plain, sample, scorers, _scored(scorers, sample), voters, weights[_FOLDS] if weights else None)


def _sample(classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> Sample:
    """Corrected and labelled texts that are not the taxonomy's own, each once with all of its nodes; by a hash if too many."""
    position, evidence = classifier.tree.position, classifier.scorer.evidence
    gold: dict[str, set[int]] = {}
    shown: dict[str, str] = {}
    row_of: dict[str, int] = {}
    if evidence:
        for row, (text, node) in enumerate(zip(evidence.rows.texts, evidence.rows.nodes.tolist(), strict=True)):
            key = normalise(text)
            gold.setdefault(key, set()).add(node)
            shown.setdefault(key, text)
            row_of.setdefault(key, row)
    for text, known in zip(texts, codes, strict=True):
        key = normalise(text)
        gold.setdefault(key, set()).update(position[code] for code in known)
        shown.setdefault(key, text)
    most = min(_MOST_TEXTS, _MOST_LOGITS // len(classifier.tree))
    keys = sorted(_not_in_the_taxonomy(classifier, gold), key=lambda key: text_share(key, _SALT))[:most]
    others = [key for key in keys if key not in row_of]
    vectors = np.empty((len(keys), classifier.index.vectors.shape[1]), np.float32)
    place = {key: i for i, key in enumerate(keys)}
    if others:
        embedded = classifier.embedder.embed([shown[key] for key in others], "query")
        vectors[[place[key] for key in others]] = embedded
    told = [key for key in keys if key in row_of]
    if told and evidence:
        vectors[[place[key] for key in told]] = evidence.rows.vectors[[row_of[key] for key in told]]
    return Sample([shown[key] for key in keys], [sorted(gold[key]) for key in keys], vectors, folds_of(keys))


def _not_in_the_taxonomy(classifier: Classifier, keys: Collection[str]) -> Collection[str]:
    """Texts that do not stand word for word in the taxonomy, unless these are too few.

    Those that do are found again, which says nothing of texts that do not: with them, thresholds promised too much (where a
    fifth of the labelled texts were examples of the taxonomy, 90 % was promised and 86 % of other texts were right).
    """
    own = {normalise(text.text) for text in classifier.index.texts if text.view != "negative"}
    found = [key for key in keys if key not in own]
    return found if len(found) >= FEWEST_TEXTS else keys


def _is_enough(classifier: Classifier, rows: EvidenceRows, sample: Sample) -> bool:
    """Whether weights and voters can be fitted without harm to nodes with few corrections or none."""
    leaf = classifier.tree.is_leaf
    known = {node for nodes in (*sample.gold, rows.nodes.tolist()) for node in nodes if leaf[node]}
    several = len(rows) >= max(FEWEST_TEXTS, _ROWS_PER_NODE * np.unique(rows.nodes).size)
    return several and len(known) >= _COVERED * int(leaf.sum())


def _voters(classifier: Classifier, rows: EvidenceRows, *, everything: bool) -> list[Voters]:
    """Voters trained without each fold, and last, if wanted, those trained on everything."""
    from sklearn.exceptions import ConvergenceWarning

    shares = np.array([text_share(text, _SALT) for text in rows.texts])
    taken = shares <= np.partition(shares, min(_MOST_VOTER_ROWS, shares.size) - 1)[min(_MOST_VOTER_ROWS, shares.size) - 1]
    folds = folds_of(rows.texts)
    every = TrainingRows.of(classifier.index, rows, taken)
    words = training_cost(every) <= _MOST_COST

    def train(fold: int) -> Voters:
        kept = every if fold == _FOLDS else TrainingRows.of(classifier.index, rows, taken & (folds != fold))
        return Voters.fit(kept, words=words)

    with warnings.catch_warnings(), ThreadPoolExecutor(available_cores()) as threads:
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few passes are enough
        order = [*([_FOLDS] if everything else []), *range(_FOLDS)]  # the longest first
        found = dict(zip(order, threads.map(train, order), strict=True))
    return [found[fold] for fold in sorted(found)]


def _held_out(scorer: Scorer, voters: Voters | None) -> Scorer:
    """A scorer that knows nothing of a text that people told of it."""
    evidence = scorer.evidence
    silent = [UnseenEvidence(scorer.base, evidence.rows)] if evidence else []
    return scorer.with_views([*silent, *([voters] if voters else [])])


def _blocks(sample: Sample, fold: int, wanted: Callable[[int], bool] = lambda text: True) -> list[NDArray[np.int64]]:
    """Places of the texts of a fold, in blocks."""
    places = np.array([i for i in np.flatnonzero(sample.folds == fold).tolist() if wanted(i)], np.int64)
    return [places[start : start + _BLOCK] for start in range(0, places.size, _BLOCK)]


def _weights(scorers: Sequence[Scorer], sample: Sample) -> list[FusionWeights] | None:
    """Weights fitted without each fold, and last on all folds; None when no known node is a leaf."""
    leaf = scorers[0].tree.is_leaf
    leaves = [[node for node in nodes if leaf[node]] for nodes in sample.gold]
    parts: list[Choices] = []
    folds: list[int] = []
    for fold, scorer in enumerate(scorers):
        for places in _blocks(sample, fold, lambda text: bool(leaves[text])):
            query = scorer.query(sample.vectors[places], [sample.texts[i] for i in places.tolist()])
            parts.append(Choices.of(scorer, query, [leaves[i] for i in places.tolist()]))
            folds += [fold] * places.size
    if len(folds) < FEWEST_TEXTS:
        return None
    choices, fold_of = Choices.concatenate(parts), np.array(folds)
    prior, bounds = scorers[0].weights, scorers[0].bounds
    apart = [fit_weights(choices.take(fold_of != fold), prior, bounds) for fold in range(_FOLDS)]
    return [*apart, fit_weights(choices, prior, bounds)]


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
        for_temperature=np.array([text_share(text, _SALT) < TEMPERATURE_SHARE for text in sample.texts], np.bool_),
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
