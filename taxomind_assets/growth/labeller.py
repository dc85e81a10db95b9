"""A language model says what texts that do not fit are about: the node that is nearest, and the label they should have had.

Two answers, always both. The first one must be a node of the taxonomy; the second one is free and equals the first one's label
where that fits. A model that names a node which does not exist is asked once more, and then not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from taxomind_assets.growth.observations import Observation
from taxomind_assets.views.texts import path_text
from taxomind_resources.faults import Fault
from taxomind_resources.llm import Answer, LlmClient, Prompt

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.tree import Taxonomy

_VERSION: Final = "1"
_EXPECTED_TOKENS: Final = 30
_TEXT_CHARACTERS: Final = 2000
#: Nodes that a question names; in a larger taxonomy those that the classifier thinks of.
_MOST_NODES: Final = 60
_LABEL_CHARACTERS: Final = 200
_INSTRUCTIONS: Final = """You place texts in a taxonomy that is still growing.
The document holds `text`, and `nodes` of the taxonomy, each with its `code` and its `path` from the top.
ROUTING INVARIANT: `primary_code` is the code of one of the listed nodes, the one where the text fits best, even if badly.
`ideal_label` is UNCONSTRAINED: the short label, 1 to 4 words in the language of the text, that an ideal taxonomy would have for
this text. It is how the taxonomy grows. If the node fits naturally, repeat its label; never bend the text to fit a node.
`again`, where there is one, says what was wrong with your last answer."""


class Labelled(BaseModel):
    """What the model answers."""

    model_config = ConfigDict(extra="forbid")

    primary_code: str = Field(description="code of a listed node")
    ideal_label: str = Field(description="label that an ideal taxonomy would have")


def label_texts(
    client: LlmClient, tree: Taxonomy, rows: Sequence[Observation], options: Sequence[Sequence[str]]
) -> list[Observation]:
    """Observations with the source `llm`; texts without a usable answer are left out.

    Args:
        client: the language model.
        tree: the taxonomy in force.
        rows: texts that do not fit.
        options: codes that each may lie at, best first; used where the taxonomy is too large to be listed.
    """
    prompts = [labelling_question(tree, row.text, own) for row, own in zip(rows, options, strict=True)]
    answers: list[Answer[Labelled] | Fault] = client.ask_many(prompts, Labelled)
    again = [place for place, answer in enumerate(answers) if _wrong_code(tree, answer)]
    if again:
        reminders = [_reminded(prompts[place], answers[place]) for place in again]
        for place, answer in zip(again, client.ask_many(reminders, Labelled), strict=True):
            answers[place] = answer
    found = []
    for row, answer in zip(rows, answers, strict=True):
        if isinstance(answer, Fault) or _wrong_code(tree, answer):
            continue
        code = answer.value.primary_code.strip()
        label = tree.nodes[tree.position[code]].label
        wanted = " ".join(answer.value.ideal_label.split())[:_LABEL_CHARACTERS] or label
        found.append(replace(row, primary_code=code, primary_label=label, proposed_label=wanted, source="llm"))
    return found


def labelling_question(tree: Taxonomy, text: str, options: Sequence[str]) -> Prompt:
    """The question about one text."""
    places = (
        range(len(tree)) if len(tree) <= _MOST_NODES else [tree.position[code] for code in options if code in tree.position]
    )
    nodes = [{"code": tree.codes[place], "path": path_text(tree, place, "")} for place in places]
    return Prompt("growth", _VERSION, _INSTRUCTIONS, {"text": text[:_TEXT_CHARACTERS], "nodes": nodes}, _EXPECTED_TOKENS)


def _wrong_code(tree: Taxonomy, answer: Answer[Labelled] | Fault) -> bool:
    return not isinstance(answer, Fault) and answer.value.primary_code.strip() not in tree.position


def _reminded(prompt: Prompt, answer: Answer[Labelled] | Fault) -> Prompt:
    code = answer.value.primary_code[:100] if not isinstance(answer, Fault) else ""
    data: dict[str, Any] = {**prompt.data, "again": f"{code!r} is none of the listed codes."}
    return replace(prompt, data=data)
