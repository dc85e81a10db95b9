"""One-shot derivation: a taxonomy made of a person's own texts, for a start. Nothing is written here.

Texts are grouped by their vectors and the groups named by the words that set them apart. Many groups are joined under a second
level. A language model, where one may be asked, names, joins and orders the groups; what it answers is checked, and where it
fails the words stay. The result is an ordinary taxonomy with typical texts as examples.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from taxomind_assets.growth.clusters import NOISE, cluster_names, cluster_texts, keywords, typical_texts
from taxomind_assets.taxonomy.derivation_texts import TITLE_CHARACTERS, Sample
from taxomind_assets.views.texts import clean, normalise
from taxomind_resources.faults import Fault
from taxomind_resources.llm import LlmClient, Prompt

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXAMPLES: Final = 7
_TITLES: Final = 30
_KEYWORDS: Final = 6
#: Groups from which on a second level is made.
_MANY_GROUPS: Final = 12
#: Samples under which a derivation is little more than a guess.
_FEW_SAMPLES: Final = 10
#: Share of a group's texts that one folder must hold to name it.
_FOLDER_SHARE: Final = 0.8
#: Length that a common folder adds to unit vectors: it lifts a cosine of 0.5 to 0.63.
_FOLDER_WEIGHT: Final = 0.6
_LABEL_CHARACTERS: Final = 60
_DEFINITION_CHARACTERS: Final = 400
_CODE_CHARACTERS: Final = 40
_VERSION: Final = "1"
_EXPECTED_TOKENS: Final = 500
_INSTRUCTIONS: Final = """You propose the labels of a small taxonomy for a person's own texts.
The document holds groups of texts that were found by similarity, each with its `number`, its `texts` (how many it has), its
`keywords`, some `titles`, and the `folders` that the texts come from. Join groups that belong to the same domain, and name each
resulting label. Only domains that the content shows; few strong labels, 4 to 10 where the content allows; leaves are concrete;
respect an existing structure of folders. A label has 1 to 4 words, in the language of its texts. Every group number stands at
exactly one label. `parent` is empty, or the name of a wider domain that several labels share and that is itself no label.
`definition`: what belongs to the label, in one sentence. `rationale`: in one or two sentences why these labels.
`notes`: 0 to 3 remarks, for example that there were few texts. Plain text only."""


class DerivedLabel(BaseModel):
    """A label of the model's answer."""

    model_config = ConfigDict(extra="forbid")

    label: str = Field(description="1 to 4 words")
    definition: str = Field(description="what belongs to it, one sentence")
    parent: str = Field(description="wider domain, or empty")
    groups: list[int] = Field(description="numbers of its groups")


class DerivedLabels(BaseModel):
    """What the model answers."""

    model_config = ConfigDict(extra="forbid")

    labels: list[DerivedLabel]
    rationale: str
    notes: list[str]


@dataclass(frozen=True)
class _Branch:
    """A leaf to be: its name, what is said about it, its wider domain ('' = none) and its groups."""

    label: str
    definition: str
    parent: str
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Derived:
    """A proposal.

    Attributes:
        nodes: nodes as `read_taxonomy_document` takes them.
        named_by: `keywords`, or the name of the model.
        texts: texts that it was made of.
        grouped: of these, those that belong to one of its labels.
        rationale: why these labels.
        notes: what a person should know.
    """

    nodes: list[dict[str, Any]]
    named_by: str
    texts: int
    grouped: int
    rationale: str
    notes: tuple[str, ...] = field(default=())

    def document(self, display_name: str) -> bytes:
        """The taxonomy file (JSON), with time, rationale and notes of its making beside the nodes."""
        made = {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "named_by": self.named_by,
            "texts": self.texts,
            "grouped": self.grouped,
            "rationale": self.rationale,
            "notes": list(self.notes),
        }
        whole = {"displayName": display_name, "derivation": made, "nodes": self.nodes}
        return (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode()


def derive(
    samples: Sequence[Sample],
    vectors: NDArray[np.float32],
    *,
    language: str = "",
    client: LlmClient | None = None,
    model: str = "",
) -> Derived | None:
    """A taxonomy of the samples; None when they fall into no groups.

    Args:
        samples: n texts with titles and folders.
        vectors: float32[n, d], their unit vectors.
        language: BCP 47 tag of the labels, '' = not stated.
        client: language model that names the groups; None = the words do.
        model: its name.
    """
    groups = cluster_texts(_with_folders(vectors, [sample.folder for sample in samples]))
    if not len(samples) or not (groups != NOISE).any():
        return None
    texts = [sample.text for sample in samples]
    words = keywords(texts, groups, most=_KEYWORDS)
    notes = [f"Only {len(samples)} texts: this is little more than a guess."] if len(samples) < _FEW_SAMPLES else []
    branches, rationale, named_by = None, "Groups of similar texts, named by the words that set them apart.", "keywords"
    if client is not None:
        try:
            answer = client.ask(naming_question(samples, vectors, groups, words), DerivedLabels).value
            branches = _checked(answer, groups, words)
            rationale, named_by = clean(answer.rationale)[:_DEFINITION_CHARACTERS], model
            notes += [clean(note)[:_DEFINITION_CHARACTERS] for note in answer.notes[:3] if clean(note)]
        except Fault as fault:
            notes.append(f"The language model could not name the groups: {fault.what} They are named by keywords.")
    if branches is None:
        branches = _by_keywords(samples, vectors, groups, words)
    nodes = _nodes(branches, [sample.title for sample in samples], typical_texts(vectors, groups, _EXAMPLES), language)
    return Derived(nodes, named_by, len(samples), int((groups != NOISE).sum()), rationale, tuple(notes))


def naming_question(
    samples: Sequence[Sample], vectors: NDArray[np.float32], groups: NDArray[np.int64], words: Mapping[int, Sequence[str]]
) -> Prompt:
    """The question to the language model; at most 30 titles, spread over the groups, leave this machine."""
    each = max(1, _TITLES // len(words))
    typical = typical_texts(vectors, groups, each)
    shown = []
    for number, own in words.items():
        folders = sorted({samples[place].folder for place in np.flatnonzero(groups == number).tolist()} - {""})
        titles = [samples[place].title for place in typical[number]] if number < _TITLES else []
        size = int((groups == number).sum())
        shown.append({"number": number, "texts": size, "keywords": list(own), "titles": titles, "folders": folders[:5]})
    return Prompt("derivation", _VERSION, _INSTRUCTIONS, {"texts": len(samples), "groups": shown}, _EXPECTED_TOKENS)


def _with_folders(vectors: NDArray[np.float32], folders: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors that also lie nearer to each other when their texts come from the same folder: its order is respected."""
    names = sorted(set(folders) - {""})
    if len(names) < 2:
        return vectors
    own = np.array([[folder == name for name in names] for folder in folders], np.float32)
    together = np.concatenate([vectors, _FOLDER_WEIGHT * own], axis=1)
    together /= np.maximum(np.linalg.norm(together, axis=1, keepdims=True), 1e-9)
    return together


def _checked(answer: DerivedLabels, groups: NDArray[np.int64], words: Mapping[int, Sequence[str]]) -> list[_Branch]:
    """The model's labels as branches. Groups that it forgot keep the name that their words give.

    Raises:
        Fault: `llm_answer_invalid` when a label is none, or stands for groups that another one has.
    """
    known = {int(number) for number in np.unique(groups[groups != NOISE])}
    open_ = set(known)
    branches = []
    names: set[str] = set()
    for label in answer.labels:
        name, parent = _plain(label.label), _plain(label.parent)
        own = [number for number in dict.fromkeys(label.groups) if number in open_]
        if not name or normalise(name) in names:
            raise Fault("llm_answer_invalid", "Two labels are alike, or one has no name.", value=label.label)
        if own:
            names.add(normalise(name))
            open_ -= set(own)
            branches.append(_Branch(name, _plain(label.definition, _DEFINITION_CHARACTERS), parent, tuple(own)))
    if not branches:
        raise Fault("llm_answer_invalid", "No label stands for any of the groups.", value=answer.labels[:3])
    rest = cluster_names({number: words[number] for number in sorted(open_)})
    branches += [_Branch(name, "", "", (number,)) for number, name in rest.items() if normalise(name) not in names]
    return branches


def _plain(text: str, most: int = _LABEL_CHARACTERS) -> str:
    """A text of the model without markup and links, cut."""
    return clean(re.sub(r"<[^>]*>|[*_`#{}\[\]|]|\w+://\S+", " ", text))[:most].strip(
        " .,;:-" if most == _LABEL_CHARACTERS else " "
    )


def _by_keywords(
    samples: Sequence[Sample], vectors: NDArray[np.float32], groups: NDArray[np.int64], words: Mapping[int, Sequence[str]]
) -> list[_Branch]:
    names = cluster_names(words)
    for number in names:
        folder = _folder_of([samples[place].folder for place in np.flatnonzero(groups == number).tolist()])
        if folder and normalise(folder) not in {normalise(name) for name in names.values()}:
            names[number] = folder
    parents = _parents(samples, vectors, groups) if len(names) > _MANY_GROUPS else {}
    return [
        _Branch(name, f"Texts about {', '.join(words[number])}.", parents.get(number, ""), (number,))
        for number, name in names.items()
    ]


def _folder_of(folders: Sequence[str]) -> str:
    """The folder that most of these texts come from, '' when there is none."""
    best = max(sorted(set(folders)), key=list(folders).count)
    return best if list(folders).count(best) >= _FOLDER_SHARE * len(folders) else ""


def _parents(samples: Sequence[Sample], vectors: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[int, str]:
    """Wider domains of groups: their middles joined by Ward's method, which makes domains of like width.

    As many domains as set the groups apart best (silhouette), about the square root of their number.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from sklearn.metrics import silhouette_score

    numbers = sorted({int(number) for number in groups if number != NOISE})
    middles = np.stack([vectors[groups == number].mean(axis=0) for number in numbers])
    middles /= np.maximum(np.linalg.norm(middles, axis=1, keepdims=True), 1e-9)
    joined = linkage(middles.astype(np.float64), "ward")
    root = math.sqrt(len(numbers))
    cuts = [fcluster(joined, count, "maxclust") for count in range(max(2, round(root / 2)), round(2 * root) + 1)]
    wide = max(cuts, key=lambda cut: silhouette_score(middles, cut) if 1 < len(set(cut.tolist())) < len(cut) else -1.0)
    domain = {number: int(wide[place]) for place, number in enumerate(numbers)}
    of_text = np.array([domain.get(int(group), NOISE) for group in groups], np.int64)
    names = cluster_names(keywords([sample.text for sample in samples], of_text, most=_KEYWORDS))
    return {number: names[wider] for number, wider in domain.items()}


def _nodes(
    branches: Sequence[_Branch], titles: Sequence[str], typical: Mapping[int, Sequence[int]], language: str
) -> list[dict[str, Any]]:
    codes: set[str] = set()
    labels = {normalise(branch.label) for branch in branches}
    # A domain over a single label, or of a label's own name, tells nothing apart.
    shared = [branch.parent for branch in branches]
    domains = {
        parent: _code(parent, codes)
        for parent in dict.fromkeys(shared)
        if shared.count(parent) > 1 and normalise(parent) not in labels | {""}
    }
    nodes: list[dict[str, Any]] = [{"code": code, "label": parent, "language": language} for parent, code in domains.items()]
    for branch in branches:
        each = -(-_EXAMPLES // len(branch.groups))
        examples = [titles[place][:TITLE_CHARACTERS] for group in branch.groups for place in typical[group][:each]]
        node = {
            "code": _code(branch.label, codes),
            "parentCode": domains.get(branch.parent),
            "label": branch.label,
            "definition": branch.definition,
            "examples": list(dict.fromkeys(example for example in examples if example))[:_EXAMPLES],
            "language": language,
        }
        nodes.append({name: value for name, value in node.items() if value})
    return nodes


def _code(label: str, taken: set[str]) -> str:
    """A short code made of a label, different from all others."""
    plain = unicodedata.normalize("NFKD", normalise(label))
    stem = (
        re.sub(r"[^\w]+", "-", "".join(c for c in plain if not unicodedata.combining(c))).strip("-_")[:_CODE_CHARACTERS]
        or "node"
    )
    number, code = 1, stem
    while code in taken:
        number += 1
        code = f"{stem}-{number}"
    taken.add(code)
    return code
