"""The question that enrichment asks about one node in one language: what the model sees, and the form of its answer."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from taxomind_assets.taxonomy.tree import ROOT, NodeText, Taxonomy
from taxomind_assets.views.texts import clean
from taxomind_resources.llm import Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from taxomind_resources.settings import EnrichmentSettings

PURPOSE: Final = "enrichment"
_VERSION: Final = "1"
_MOST_SIBLINGS: Final = 20
_MOST_EXAMPLES: Final = 10
_MOST_CHARACTERS: Final = 600
_TOKENS_PER_TEXT: Final = 12
_TOKENS_OF_DEFINITION: Final = 70
_BLOCK: Final = 1024
INSTRUCTIONS: Final = """You write short texts that make a node of a taxonomy easier to find and to tell from its neighbours.
The document holds the node's `path` of labels from the top, its `label`, `definition`, `examples` and `other_names`, the labels
of its `siblings`, and `similar` nodes, from which it must be told apart. Stay faithful to path and label; invent no facts.
Write everything in the language `language` (BCP 47; when it is empty, in the language of the label).
`definition`: what belongs to the node, in at most 50 words. No references to other nodes, codes or documents, no example lists.
Leave it empty if the given definition is already good.
`examples`: {examples} short texts of the kind that people would hand in and that belong to this node. Each differs from
those given and from each other. Fewer, or none, if you are not sure.
`positive_phrases`: {phrases} phrases of 1 to 4 words by which people would look for this node.
`negative_phrases`: {phrases} phrases of 1 to 4 words that look like this node and belong to a sibling or a similar node.
Phrases never hold the node's label or code. Plain text only: no markup, no links, no numbering."""
#: References that say nothing about a node: in brackets, or a sentence of their own that names a place in the document.
_BRACKETED: Final = re.compile(
    r"\s*[(\[](?:see|cf|compare|voir|siehe|vgl|véase|ver|vedi|zie|zob)\b\.?[^()\[\]]{0,200}[)\]]", re.IGNORECASE
)
_SENTENCE: Final = re.compile(
    r"(?:(?<=[.;!?])\s+|^)(?:see|cf|compare|voir|siehe|vgl|véase|vedi|zie)\b\.?\s+"
    r"(?:(?:also|aussi|auch|también|anche|ook)\b|(?:\w+\s+)?(?:class|group|code|division|section|chapter|heading|unit|"
    r"classe|groupe|klasse|gruppe|clase|grupo|gruppo|groep)\b|[\"'“«]?[A-Z]?\d)[^.;!?]{0,200}(?:[.;!?]|$)",
    re.IGNORECASE,
)


class Enriched(BaseModel):
    """What the model answers."""

    model_config = ConfigDict(extra="forbid")

    definition: str = Field(description="what belongs to the node, or empty")
    examples: list[str] = Field(description="texts that belong to the node")
    positive_phrases: list[str] = Field(description="phrases of 1 to 4 words that mean this node")
    negative_phrases: list[str] = Field(description="phrases of 1 to 4 words that only seem to mean it")

    @field_validator("examples", "positive_phrases", "negative_phrases", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        """Models that are not held to the schema write lists as lines."""
        return value.splitlines() if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Subject:
    """A node in one language, with what the model is told about its surroundings.

    Attributes:
        code: the node.
        language: language to write in, '' = that of the label.
        text: the node's own texts: in `language` if it has some, else in its primary language.
        path: labels from the top node to the node.
        siblings: labels of its siblings.
        similar: texts of similar nodes of the same level.
    """

    code: str
    language: str
    text: NodeText
    path: tuple[str, ...]
    siblings: tuple[str, ...] = ()
    similar: tuple[NodeText, ...] = ()

    @property
    def content(self) -> str:
        """16 hex digits: hash of the node's own texts and path; what is written for them holds as long as they stay."""
        own = self.text
        values = [self.language, self.path, own.language, own.label, own.definition, own.examples, own.aliases]
        return hashlib.sha256(json.dumps([*values, own.negative_examples]).encode()).hexdigest()[:16]


def subject(tree: Taxonomy, place: int, language: str, similar: Sequence[int] = ()) -> Subject:
    """The node at `place` in one language.

    Args:
        tree: the taxonomy.
        place: position of the node.
        language: language to write in.
        similar: positions of similar nodes.
    """
    text = in_language(tree, place, language)
    path = tuple(clean(in_language(tree, i, text.language).label) for i in tree.paths[place].tolist() if i != ROOT)
    family = tree.children_of(int(tree.parents[place]))
    shown = [i for i in family[_spread(family.size, _MOST_SIBLINGS)].tolist() if i != place]
    return Subject(
        tree.codes[place],
        language,
        text,
        path,
        tuple(clean(in_language(tree, i, text.language).label) for i in shown),
        tuple(in_language(tree, i, text.language) for i in similar),
    )


def in_language(tree: Taxonomy, place: int, language: str) -> NodeText:
    """The texts of a node in `language`, else in its primary language."""
    texts = tree.nodes[place].texts
    return next((text for text in texts if text.language == language), texts[0])


def question(about: Subject, settings: EnrichmentSettings) -> Prompt:
    """The question about one node."""
    own = about.text
    data = {
        "language": about.language,
        "path": [_cut(label) for label in about.path],
        "label": _cut(own.label),
        "definition": _cut(own.definition),
        "examples": [_cut(example) for example in own.examples[:_MOST_EXAMPLES]],
        "other_names": [_cut(alias) for alias in own.aliases[:_MOST_EXAMPLES]],
        "siblings": [_cut(label) for label in about.siblings],
        "similar": [_described(text) for text in about.similar],
    }
    expected = _TOKENS_OF_DEFINITION + _TOKENS_PER_TEXT * (settings.examples + 2 * settings.phrases)
    return Prompt(PURPOSE, prompt_version(settings), instructions(settings), data, expected)


def instructions(settings: EnrichmentSettings) -> str:
    """The words of ours that the model is given."""
    return INSTRUCTIONS.format(examples=settings.examples, phrases=settings.phrases)


def prompt_version(settings: EnrichmentSettings) -> str:
    """Version of the instructions with the numbers asked for, for example `1-4-2`."""
    return f"{_VERSION}-{settings.examples}-{settings.phrases}"


def without_references(text: str) -> str:
    """A text without references to other places of the taxonomy ("See also group 12")."""
    return clean(_SENTENCE.sub(" ", _BRACKETED.sub("", clean(text))))


def nearest_labels(vectors: NDArray[np.float32], levels: NDArray[np.int32], most: int) -> list[list[int]]:
    """For each of n nodes the positions of at most `most` nodes of the same level with the nearest labels, nearest first.

    Args:
        vectors: float32[n, d], unit vectors of the labels.
        levels: int32[n].
        most: nodes wanted.
    """
    found: list[list[int]] = [[] for _ in range(len(vectors))]
    for level in np.unique(levels).tolist() if most else []:
        places = np.flatnonzero(levels == level)
        wanted = min(most, places.size - 1)
        for start in range(0, places.size if wanted > 0 else 0, _BLOCK):
            block = places[start : start + _BLOCK]
            nearness = vectors[block] @ vectors[places].T
            nearness[np.arange(block.size), start + np.arange(block.size)] = -np.inf
            best = np.argpartition(-nearness, wanted - 1, axis=1)[:, :wanted]
            order = np.argsort(-np.take_along_axis(nearness, best, axis=1), axis=1, kind="stable")
            for row, near in zip(block.tolist(), places[np.take_along_axis(best, order, axis=1)].tolist(), strict=True):
                found[row] = near
    return found


def _described(text: NodeText) -> dict[str, Any]:
    examples = [_cut(example) for example in text.examples[:3]]
    return {"label": _cut(text.label), "definition": _cut(text.definition), "examples": examples}


def _cut(text: str) -> str:
    return without_references(text)[:_MOST_CHARACTERS]


def _spread(size: int, wanted: int) -> list[int]:
    """At most `wanted` places spread evenly over 0..size-1."""
    return sorted({int(place) for place in np.linspace(0, size - 1, min(size, wanted))})
