"""Ambiguous answers as questions for a second opinion: which of the listed alternatives, if any?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from taxomind_assets.classification.stopping import EMPTY, NOWHERE
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.answers import Answers

#: The answer is right as it is.
STOP: Final = -1
#: No opinion: the answer stays as it is, ambiguous.
UNDECIDED: Final = -2


@dataclass(frozen=True)
class OpenAnswers:
    """Questions about r of b answers.

    Attributes:
        tree: the taxonomy.
        rows: int64[r], their places among the b answers.
        texts: r texts.
        current: int32[r], where they stopped, `ROOT` = no answer.
        options: int32[r, a], nodes to choose from, padded with `ROOT`; at least one in each row.
    """

    tree: Taxonomy
    rows: NDArray[np.int64]
    texts: list[str]
    current: NDArray[np.int32]
    options: NDArray[np.int32]


class SecondOpinion(Protocol):
    """Who may decide an ambiguous answer.

    Attributes:
        name: mark in the stop reason.
        knows_nowhere: whether it can say that a text belongs in none of the options.
    """

    name: str
    knows_nowhere: bool

    def choose(self, questions: OpenAnswers) -> NDArray[np.int64]:
        """int64[r]: column of `options`, `STOP` or `UNDECIDED`."""


def open_answers(
    tree: Taxonomy, texts: Sequence[str], answers: Answers, *, max_depth: int | None, nowhere: bool
) -> OpenAnswers:
    """The ambiguous answers that have alternatives.

    Args:
        max_depth: deepest level of an option; None = no limit.
        nowhere: whether texts that seem to belong nowhere are asked about too.
    """
    options = answers.alternatives
    if max_depth is not None:
        options = np.where(tree.levels[np.maximum(options, 0)] <= max_depth, options, ROOT)
    options = np.where(options == answers.nodes[:, None], ROOT, options)
    asked = answers.ambiguous & (answers.reasons != EMPTY) & (options != ROOT).any(axis=1)
    if not nowhere:
        asked &= answers.reasons != NOWHERE
    rows = np.flatnonzero(asked)
    return OpenAnswers(tree, rows, [texts[row] for row in rows.tolist()], answers.nodes[rows], options[rows])
