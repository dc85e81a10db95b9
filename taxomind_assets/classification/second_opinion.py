"""Ambiguous answers, looked at again by a cross-encoder and by a language model. Both are off by default.

The cheaper one goes first; what it leaves ambiguous goes on to the other. Only the listed alternatives can become answers. A
changed answer says so in its stop reason; its path, confidences and alternatives are those of its new place.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from taxomind_assets.classification.answers import Answers
from taxomind_assets.classification.judge import Judge
from taxomind_assets.classification.open_answers import STOP, OpenAnswers, SecondOpinion, open_answers
from taxomind_assets.classification.routing import competitors, route
from taxomind_assets.taxonomy.tree import ROOT
from taxomind_resources.llm import Spending

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_resources.settings import Settings

_LOG = logging.getLogger(__name__)


def reconsider(
    classifier: Classifier, texts: Sequence[str], answers: Answers, vectors: NDArray[np.float32] | None = None
) -> Answers:
    """Answers of b texts after the second opinions that the settings ask for.

    Args:
        texts: b clean texts.
        answers: their answers.
        vectors: float32[b, d], their unit vectors, when they are known.

    Raises:
        Fault: `invalid_setting`, `model_unavailable`. A judge that fails later leaves answers as they are.
    """
    for opinion in _opinions(classifier.settings):
        questions = _questions(classifier, texts, answers, opinion)
        if questions.rows.size:
            answers = _decided(classifier, questions, answers, opinion, vectors)
    return answers


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the second opinions of some texts would take, before any is asked.

    Attributes:
        texts: texts that would be classified.
        reranked: ambiguous answers that the cross-encoder would look at, on this machine; None = there is no reranker.
        judged: what the language model would cost, at most; None = it is not enabled.
    """

    texts: int = 0
    reranked: int | None = None
    judged: Spending | None = None

    def __add__(self, other: Outlook) -> Outlook:
        reranked = [count for count in (self.reranked, other.reranked) if count is not None]
        judged = [spending for spending in (self.judged, other.judged) if spending is not None]
        return Outlook(
            self.texts + other.texts,
            sum(reranked) if reranked else None,
            sum(judged[1:], judged[0]) if judged else None,
        )

    def lines(self) -> list[str]:
        """One sentence for each second opinion that is switched on."""
        found = []
        if self.reranked is not None:
            found.append(f"The reranker would look at {self.reranked:,} of {self.texts:,} answers, on this machine.")
        if self.judged is not None:
            found.append(f"The judge would be asked, at most: {self.judged}.")
        return found


def is_on(settings: Settings) -> bool:
    """Whether the settings ask for any second opinion."""
    return settings.judge.enabled or settings.reranker.model is not None


def outlook(classifier: Classifier, texts: Sequence[str]) -> Outlook:
    """What the second opinions that the settings ask for would take for b clean texts.

    The texts are classified, no model is asked. What the reranker settles first would cost the judge nothing, so the figures
    of the judge are upper bounds. An empty outlook when no second opinion is switched on.

    Raises:
        Fault: `invalid_setting`, `storage_failed`.
    """
    settings = classifier.settings
    if not is_on(settings):
        return Outlook(len(texts))
    off = {"judge": {"enabled": False}, "reranker": {"model": None}}
    groups = {name: getattr(settings, name).model_copy(update=values) for name, values in off.items()}
    bare = copy.copy(classifier)
    bare.settings = settings.model_copy(update=groups)
    unique = list(dict.fromkeys(texts))
    answers = bare.answers(unique)
    max_depth = settings.routing.max_depth
    reranked = judged = None
    if settings.reranker.model is not None:
        reranked = open_answers(classifier.tree, unique, answers, max_depth=max_depth, nowhere=False).rows.size
    if settings.judge.enabled:
        judge = Judge.of(settings)
        judged = judge.estimate(_questions(classifier, unique, answers, judge))
    return Outlook(len(texts), reranked, judged)


def spent(settings: Settings) -> Spending:
    """What the judge of these settings has cost in this process.

    Raises:
        Fault: `invalid_setting`.
    """
    return Judge.of(settings).client.spent


def _opinions(settings: Settings) -> Iterator[SecondOpinion]:
    if settings.reranker.model:
        from taxomind_assets.classification.reranker import Reranker

        yield Reranker.of(settings)
    if settings.judge.enabled:
        yield Judge.of(settings)


def _questions(classifier: Classifier, texts: Sequence[str], answers: Answers, opinion: SecondOpinion) -> OpenAnswers:
    max_depth = classifier.settings.routing.max_depth
    return open_answers(classifier.tree, texts, answers, max_depth=max_depth, nowhere=opinion.knows_nowhere)


def _decided(
    classifier: Classifier,
    questions: OpenAnswers,
    answers: Answers,
    opinion: SecondOpinion,
    vectors: NDArray[np.float32] | None,
) -> Answers:
    """The answers with what `opinion` says about `questions`."""
    chosen = opinion.choose(questions)
    stays, moves = np.flatnonzero(chosen == STOP), np.flatnonzero(chosen >= 0)
    values: dict[str, Any] = {field.name: getattr(answers, field.name).copy() for field in fields(answers)}
    nodes = questions.options[moves, chosen[moves]]
    rows = questions.rows[moves]
    known = None if vectors is None else vectors[rows]
    count = answers.alternatives.shape[1]
    for name, column in _placed(classifier, [questions.texts[i] for i in moves.tolist()], nodes, known, count).items():
        values[name][rows] = column
    values["ambiguous"][rows] = ~classifier.tree.is_leaf[nodes]
    values["ambiguous"][questions.rows[stays]] = False
    marked = np.concatenate([rows, questions.rows[stays]])
    values["reasons"][marked] += f"|{opinion.name}"
    _LOG.info("%s: %d questions, %d answers moved, %d confirmed", opinion.name, chosen.size, moves.size, stays.size)
    return Answers(**values)


def _placed(
    classifier: Classifier, texts: list[str], nodes: NDArray[np.int32], vectors: NDArray[np.float32] | None, count: int
) -> dict[str, NDArray[Any]]:
    """Nodes, paths, confidences and `count` alternatives of texts whose answers are `nodes` int32[r], none of them `ROOT`."""
    tree = classifier.tree
    paths = tree.paths[nodes]
    confidences = np.zeros(paths.shape, np.float32)
    others = np.full((nodes.size, count), ROOT, np.int32)
    other_confidences = np.zeros(others.shape, np.float32)
    for start in range(0, len(texts), classifier.block_size):
        block = slice(start, start + classifier.block_size)
        mass = classifier.probabilities(texts[block], vectors=None if vectors is None else vectors[block])
        found = route(tree, mass, classifier.settings.routing.top_codes)
        confidences[block] = np.minimum.accumulate(mass.of(paths[block]), axis=1)
        others[block], other_confidences[block] = competitors(tree, mass, found, nodes[block], count)
    return {
        "nodes": nodes,
        "path": paths,
        "confidences": confidences,
        "alternatives": others,
        "alternative_confidences": other_confidences,
    }
