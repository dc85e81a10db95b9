"""The promoted model joins the classifier: how much it counts is learned on what it said of rows before it was trained on them.

Two weights beside those of the router, by conditional logit (calibrated stacking; Wolpert, 1992), and a new calibration on the
same validation rows, so that stops keep their promise. Router, model and both together are compared there, each text by
weights that were fitted without it; what is best serves, so the join is never worse than the better of the two on these rows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from taxomind_assets.models.arrays import load_json, save_json
from taxomind_assets.models.held_out import MOST_ROWS, HeldOut
from taxomind_assets.models.voting import ModelVotes, Vote
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.models.pipeline import Pipeline
    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.model_store import ModelStore
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings

Choice = Literal["both", "model", "router"]
PART: Final = "join"
_FILE: Final = "join.json"
#: Rows under which weights would say more about them than about the model.
FEWEST_ROWS: Final = 50
_MOST_NUMBERS: Final = 40_000_000
#: Weight of the prior, half of it times the squared distance from no vote and a router as it is.
_PRIOR: Final = 1.0
#: Strength beside which the router only breaks ties.
_ALONE: Final = 20.0
_BLOCK: Final = 64
_FOLDS: Final = 2


@dataclass(frozen=True)
class Join:
    """What joining has come to.

    Attributes:
        number: version of the model.
        index_version: node index that it belongs to.
        choice: who decides: both, model or router (then the model does not vote).
        strength, familiarity: weights of the vote beside the router's own.
        calibration: as `Calibration.to_text`; '' when the model does not vote.
        rows: validation rows that it was learned on.
        accuracy: share of best leaves that are right there, by router, model and both.
    """

    number: int
    index_version: str
    choice: Choice
    strength: float
    familiarity: float
    calibration: str
    rows: int
    accuracy: dict[str, float]


@dataclass(frozen=True)
class _Scored:
    """b rows: logits of the router, votes of the model and the right ones, over all leaves: [b, leaves] each."""

    router: NDArray[np.float32]
    votes: NDArray[np.float32]
    known: NDArray[np.float32]
    right: NDArray[np.bool_]

    def take(self, rows: NDArray[np.bool_]) -> _Scored:
        return _Scored(self.router[rows], self.votes[rows], self.known, self.right[rows])

    def both(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits under weights of router, vote and being known."""
        return np.asarray(weights[0] * self.router + weights[1] * self.votes + weights[2] * self.known, np.float64)


def join(
    classifier: Classifier,
    pipeline: Pipeline,
    number: int,
    texts: Sequence[str],
    codes: Sequence[str],
    *,
    said: NDArray[np.float32] | None = None,
) -> Join:
    """Learn how much a model counts beside a classifier.

    Args:
        classifier: without a model.
        pipeline: the model.
        number: its version.
        texts: validation rows, which the classifier has not learned from.
        codes: the known code of each.
        said: what the model said of them before it had learned from them, float32 [rows, nodes of its taxonomy]; None = it
            has not learned from them and is asked now.
    """
    from taxomind_assets.classification.fitting import calibrated
    from taxomind_assets.classification.label_calibration import LabelledLogits, text_share
    from taxomind_assets.classification.labelled_sample import Sample

    tree, view = classifier.tree, ModelVotes(pipeline, number, classifier.tree, 1.0, 0.0)
    chosen = _chosen(classifier, texts, codes)
    nothing = Join(number, classifier.index.version, "router", 0.0, 0.0, "", len(chosen), {})
    if len(chosen) < FEWEST_ROWS:
        return nothing
    own = [texts[i] for i in chosen]
    nodes = np.array([tree.position[codes[i]] for i in chosen], np.int64)
    folds = np.array([int(_FOLDS * text_share(text, "join")) for text in own], np.int64)
    vectors = classifier.embedder.embed(own, "query")
    scorer = _silent(classifier)
    logits, trusted = _router(scorer, own, vectors)
    votes = view.votes(own) if said is None else view.votes_of(said[chosen])
    scored = _over_leaves(classifier, view, logits, votes, nodes)
    is_leaf = tree.is_leaf[nodes]
    choice, weights, accuracy = _decided(scored.take(is_leaf), folds[is_leaf])
    nothing = replace(nothing, accuracy=accuracy)
    if choice == "router":
        return nothing
    voting = replace(view, strength=round(float(weights[1]), 4), familiarity=round(float(weights[2]), 4))
    total = logits.copy()
    total[view.leaves] += voting.strength * scored.votes.T[_places(classifier, view)] + voting.familiarity
    sample = Sample(own, [[int(node)] for node in nodes], vectors, folds)
    joined = classifier.with_model(Vote(voting, classifier.calibration))
    calibration = calibrated(joined, sample, LabelledLogits(total, trusted, sample.gold))
    return replace(
        nothing, choice=choice, strength=voting.strength, familiarity=voting.familiarity, calibration=calibration.to_text()
    )


def _chosen(classifier: Classifier, texts: Sequence[str], codes: Sequence[str]) -> list[int]:
    """Rows that are used, by a hash when there are too many."""
    from taxomind_assets.classification.label_calibration import text_share

    known = [i for i, code in enumerate(codes) if code in classifier.tree.position and texts[i]]
    most = min(MOST_ROWS, _MOST_NUMBERS // max(len(classifier.tree), 1))
    return sorted(known, key=lambda i: text_share(texts[i], "join rows"))[:most]


def _silent(classifier: Classifier) -> Any:
    """The scorer without what corrections say of their own texts."""
    from taxomind_assets.classification.unseen_evidence import UnseenEvidence

    scorer = classifier.scorer
    return scorer.with_evidence(UnseenEvidence(scorer.base, scorer.evidence.rows)) if scorer.evidence else scorer


def _router(scorer: Any, texts: Sequence[str], vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits float32 [n, b] and trust float32[b]."""
    parts, trusted = [], []
    for start in range(0, len(texts), _BLOCK):
        query = scorer.query(vectors[start : start + _BLOCK], list(texts[start : start + _BLOCK]))
        parts.append(scorer.logits(query).copy())
        trusted.append(query.trusted)
    return np.concatenate(parts, axis=1), np.concatenate(trusted)


def _over_leaves(
    classifier: Classifier,
    view: ModelVotes,
    logits: NDArray[np.float32],
    given: NDArray[np.float32],
    nodes: NDArray[np.int64],
) -> _Scored:
    leaves = np.flatnonzero(classifier.tree.is_leaf)
    places = _places(classifier, view)
    votes = np.zeros((nodes.size, leaves.size), np.float32)
    votes[:, places] = given.T
    known = np.zeros(leaves.size, np.float32)
    known[places] = 1
    return _Scored(np.ascontiguousarray(logits[leaves].T), votes, known, leaves[None, :] == nodes[:, None])


def _places(classifier: Classifier, view: ModelVotes) -> NDArray[np.int64]:
    """The model's leaves as places among all leaves."""
    return np.asarray(np.searchsorted(np.flatnonzero(classifier.tree.is_leaf), view.leaves), np.int64)


def _decided(scored: _Scored, folds: NDArray[np.int64]) -> tuple[Choice, NDArray[np.float64], dict[str, float]]:
    """Who decides, with which weights (router 1), and the accuracies."""
    weights = _fitted(scored)
    both = np.zeros(folds.size, np.bool_)
    for fold in range(_FOLDS):
        inside = folds == fold
        if inside.any() and not inside.all():
            both[inside] = _right(scored.take(inside).both(_fitted(scored.take(~inside))), scored.right[inside])
    alone = np.array([1.0, _ALONE, 0.0])
    hits = {
        "both": both,
        "model": _right(scored.both(alone), scored.right),
        "router": _right(scored.router.astype(np.float64), scored.right),
    }
    accuracy = {name: round(float(own.mean()), 4) for name, own in hits.items()}
    # Both together also know how sure they are, so they win a tie with the model; the router, which is there already, wins all.
    order: tuple[Choice, ...] = ("router", "both", "model")
    choice = max(order, key=lambda name: (accuracy[name], -order.index(name)))
    if choice == "model":
        return choice, alone, accuracy
    return choice, weights / max(weights[0], 1e-3), accuracy


def _right(logits: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(right[np.arange(len(right)), logits.argmax(axis=1)], np.bool_)


def _fitted(scored: _Scored) -> NDArray[np.float64]:
    """Weights of router, vote and being known, that make the right leaves most likely."""
    from scipy.optimize import minimize

    start = np.array([1.0, 0.0, 0.0])

    def surprise(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = scored.both(weights)
        logits -= logits.max(axis=1, keepdims=True)
        chances = np.exp(logits)
        chances /= chances.sum(axis=1, keepdims=True)
        pull = chances - scored.right
        away = weights - start
        slopes = [(pull * scored.router).sum(), (pull * scored.votes).sum(), (pull * scored.known).sum()]
        lost = -np.log(np.maximum((chances * scored.right).sum(axis=1), 1e-30)).sum()
        return float(lost + _PRIOR / 2 * (away @ away)), np.array(slopes) + _PRIOR * away

    found = minimize(surprise, start, jac=True, method="L-BFGS-B", bounds=[(0.05, None), (0, None), (None, None)])
    return np.asarray(found.x, np.float64)


def join_promoted(key: str, settings: Settings, outputs: Outputs, embedder: Callable[[], Embedder]) -> Join | None:
    """Join the promoted version to the classifier of now, and keep what came out beside it; None without one or an index.

    Raises:
        Fault: what loading the model or the classifier raises.
    """
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.model_store import ModelStore

    store = ModelStore(settings.data)
    number = store.promoted(key)
    if number is None or IndexStore(settings.data).current(key) is None:
        return None
    pipeline, _ = served(store, key, number, settings, embedder)
    classifier = Classifier.load(key, settings, model=False)
    folder = store.folder(key, number)
    texts, hashes, codes = _validation_rows(key, outputs, folder)
    held_out, said = HeldOut.load(folder), None
    if held_out is not None:
        held, said = held_out.said(pipeline.tree, hashes)
        texts, codes = [texts[i] for i in held], [codes[i] for i in held]
    found = join(classifier, pipeline, number, texts, codes, said=said)
    store.add_part(key, number, PART, lambda folder: save_json(folder / _FILE, found.__dict__))
    return found


def _validation_rows(key: str, outputs: Outputs, folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Texts, their hashes and codes by which a version was chosen, as files have them: evidence has learned corrections."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from taxomind_assets.models.labelled import CORRECTION
    from taxomind_assets.models.stored import LABELLED
    from taxomind_assets.models.training import SPLIT_FILE

    splits = pq.read_table(folder / SPLIT_FILE)
    chosen = splits.filter(pc.equal(splits["split"], "validation"))["text_hash"]
    rows = outputs.read(LABELLED, key, columns=["text", "text_hash", "code", "source_file"])
    kept = pc.and_(pc.is_in(rows["text_hash"], value_set=chosen), pc.not_equal(rows["source_file"], CORRECTION))
    rows = rows.filter(kept)
    return rows["text"].to_pylist(), rows["text_hash"].to_pylist(), rows["code"].to_pylist()


def stored_join(key: str, settings: Settings) -> Join | None:
    """What joining the promoted version has come to; None when it was not joined yet.

    Raises:
        Fault: `invalid_key` or `storage_failed`.
    """
    from taxomind_resources.model_store import ModelStore

    store = ModelStore(settings.data)
    number = store.promoted(key)
    path = None if number is None else store.folder(key, number) / PART / _FILE
    return Join(**load_json(path)) if path is not None and path.is_file() else None


def stored_vote(key: str, settings: Settings, index: NodeIndex) -> Vote | None:
    """The vote of the promoted version for a classifier of this index; None where none was learned for it.

    A model that cannot be used does not keep the classifier from answering: it is left out, and the log says why.
    """
    from taxomind_assets.classification.calibration import Calibration
    from taxomind_resources.embedding import load_embedder
    from taxomind_resources.model_store import ModelStore

    try:
        found = stored_join(key, settings)
        if found is None or found.choice == "router" or found.index_version != index.version:
            return None
        own = settings.for_taxonomy(key).embedding
        store = ModelStore(settings.data)
        pipeline, variant = served(store, key, found.number, settings, lambda: load_embedder(own, settings.data))
        calibration = Calibration.from_text(found.calibration)
    except (Fault, json.JSONDecodeError, KeyError, TypeError) as error:
        logging.getLogger(__name__).warning("%s: the promoted model does not vote: %s", key, error)
        return None
    view = ModelVotes(pipeline, found.number, index.tree, found.strength, found.familiarity, variant)
    return Vote(view, calibration)


def served(
    store: ModelStore, key: str, number: int, settings: Settings, embedder: Callable[[], Embedder]
) -> tuple[Pipeline, str]:
    """A version in the variant that `models.variant` names, and the name; as it was trained where that may not be served.

    Raises:
        Fault: as `load_model`.
    """
    from taxomind_assets.models.exports.report import SOURCE, approved_folder
    from taxomind_assets.models.training import load_model

    variant = settings.for_taxonomy(key).models.variant
    try:
        folder = approved_folder(store, key, number, variant)
    except Fault as fault:
        logging.getLogger(__name__).warning("%s: the model answers as it was trained: %s", key, fault)
        folder = None
    chosen = SOURCE if folder is None else folder.name
    pipeline, _ = load_model(store, key, number, embedder=embedder, variant=chosen)
    return pipeline, chosen
