"""A language model decides ambiguous answers. It picks a number; numbers outside the list change nothing.

Texts of users and of nodes are quoted data (see `taxomind_resources.llm.prompt`). Whatever a hostile text makes the model say,
the answer is one of the listed alternatives, the answer itself, or no opinion.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from taxomind_assets.classification.open_answers import STOP, UNDECIDED, OpenAnswers
from taxomind_assets.taxonomy.tree import ROOT, Taxonomy
from taxomind_assets.views.texts import path_text, whole_text
from taxomind_resources.faults import Fault
from taxomind_resources.llm import Answer, LlmClient, Prompt, Spending, load_llm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_resources.settings import JudgeSettings, Settings

_LOG = logging.getLogger(__name__)
_VERSION: Final = "1"
_EXPECTED_TOKENS: Final = 10
_INSTRUCTIONS: Final = """You check how texts are placed in a taxonomy.
The document holds `text`, the text to be placed; `placed_at`, the path of the node where it was placed, or null if nowhere;
and `options`, other nodes, each with its `number`, its `path` from the top of the taxonomy and its `description`.
Choose the number of the one option where the text belongs. Choose 0 if it should stay where it is: the text does not say enough
to choose, or it belongs in none of the options. Texts may be in any language."""


class Verdict(BaseModel):
    """What the model answers."""

    model_config = ConfigDict(extra="forbid")

    choice: int = Field(description="number of the option, or 0")


class Judge:
    """Asks the model of `client` about ambiguous answers."""

    name = "judge"
    knows_nowhere = True

    def __init__(self, client: LlmClient, settings: JudgeSettings) -> None:
        self.client = client
        self._settings = settings

    @classmethod
    def of(cls, settings: Settings) -> Judge:
        """The judge of these settings; its client is shared by the process.

        Raises:
            Fault: `invalid_setting`.
        """
        own = settings.llm.model_copy(update={"timeout_s": settings.judge.timeout_s})
        return cls(load_llm(own, settings.data), settings.judge)

    def choose(self, questions: OpenAnswers) -> NDArray[np.int64]:
        """int64[r]: column of `options`, `STOP` or `UNDECIDED`; a question that fails is undecided."""
        try:
            verdicts = self.client.ask_many(self.prompts(questions), Verdict)
        except Fault as fault:
            _LOG.warning("The judge left %d answers as they are: %s", questions.rows.size, fault.what)
            return np.full(questions.rows.size, UNDECIDED, np.int64)
        chosen = np.full(len(verdicts), UNDECIDED, np.int64)
        failed: list[Fault] = []
        for row, verdict in enumerate(verdicts):
            if isinstance(verdict, Answer):
                chosen[row] = _column(questions.options[row], verdict.value.choice)
            else:
                failed.append(verdict)
        if failed:
            _LOG.warning("The judge left %d of %d answers as they are: %s", len(failed), len(verdicts), failed[-1].what)
        return chosen

    def estimate(self, questions: OpenAnswers) -> Spending:
        """What `choose` would cost.

        Raises:
            Fault: `storage_failed`.
        """
        return self.client.estimate(self.prompts(questions), Verdict)

    def prompts(self, questions: OpenAnswers) -> list[Prompt]:
        """One question for each of the r answers."""
        described = lru_cache(maxsize=4096)(lambda node: self._described(questions.tree, node))
        rows = zip(questions.texts, questions.current.tolist(), questions.options.tolist(), strict=True)
        return [
            Prompt(
                self.name,
                _VERSION,
                _INSTRUCTIONS,
                {
                    "text": text[: self._settings.max_text_characters],
                    "placed_at": None if current == ROOT else path_text(questions.tree, current, ""),
                    "options": [
                        {"number": number, **described(node)}
                        for number, node in enumerate((node for node in options if node != ROOT), 1)
                    ],
                },
                _EXPECTED_TOKENS,
            )
            for text, current, options in rows
        ]

    def _described(self, tree: Taxonomy, node: int) -> dict[str, Any]:
        description = whole_text(tree, node, "")[: self._settings.max_description_characters]
        return {"path": path_text(tree, node, ""), "description": description}


def _column(options: NDArray[np.int32], choice: int) -> int:
    """Column of the option with the number `choice`."""
    columns = np.flatnonzero(options != ROOT)
    if choice == 0:
        return STOP
    return int(columns[choice - 1]) if 1 <= choice <= columns.size else UNDECIDED
