"""What a model wrote about a node, judged text by text. Whatever it was made to say, only plain texts of the node pass.

A text is refused when it is in another language, holds links or markup, speaks about the task, repeats what is known, copies a
neighbour, or stands at another node already. A hostile taxonomy text can thus at most spoil what is written for its own node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from taxomind_assets.inputs import has_unstorable
from taxomind_assets.taxonomy.enrichment_languages import is_in_language
from taxomind_assets.taxonomy.enrichment_prompt import Enriched, Subject, instructions
from taxomind_assets.taxonomy.tree import NodeText, Taxonomy
from taxomind_assets.views.texts import clean, normalise
from taxomind_resources.settings import EnrichmentSettings

Kind = Literal["definition", "example", "positive", "negative"]
#: Why a text is refused.
REFUSALS: Final[Mapping[str, str]] = {
    "wrong_language": "it is in another language than it should be",
    "link": "it holds an address",
    "markup": "it holds markup or control characters",
    "about_the_task": "it repeats the instructions or speaks about itself",
    "too_long": "it is over the limit of characters or words",
    "names_the_node": "a phrase holds the label or the code of the node",
    "known_already": "the node has this text already",
    "copied": "it stands word for word in a text of a similar node",
    "belongs_elsewhere": "another node has this text",
    "too_many": "more texts than were asked for",
}
_MOST_CHARACTERS: Final[Mapping[Kind, int]] = {"definition": 600, "example": 200, "positive": 60, "negative": 60}
_MOST_WORDS: Final[Mapping[Kind, int]] = {"definition": 90, "example": 30, "positive": 4, "negative": 4}
_BULLET: Final = re.compile(r"^\s*(?:[-*•‣–—·]+|\(?\d{1,3}[.)]|[a-zA-Z][.)])\s+")
_QUOTES: Final = "\"“”„«»‘’'`"
_LINK: Final = re.compile(r"(?:\w+://|\bwww\.|[\w.+-]+@[\w-]+\.\w|\b[\w-]+\.(?:com|org|info|ru|cn|biz|xyz)\b)", re.IGNORECASE)
_MARKUP: Final = re.compile(r"</?[a-zA-Z][^>]*>|<\||\|>|[{}`]|\*\*|__|\[[^\]]*\]\(|^#{1,6}\s|\\[nrtu]|&[a-z]+;|&#\d+;")
_TASK: Final = re.compile(
    r"\bas an? (?:ai|assistant|language model)\b|\blanguage model\b|\bsystem prompt\b|\blorem ipsum\b|\bplaceholder\b|"
    r"\b(?:ignore|disregard|forget) (?:(?:all|the|any|everything) )?(?:previous|above|prior|other|instructions?|rules?)\b|"
    r"\bjson (?:object|schema|document)\b|\bthe (?:node|taxonomy)\b|\b(?:positive|negative)[_ ]phrases?\b|"
    r"\bi (?:cannot|can't|am unable to|am not able to)\b",
    re.IGNORECASE,
)
#: Words in a row that a text may share with the instructions.
_SHARED_WORDS: Final = 4
#: Words from which on a text of a neighbour counts as copied.
_COPIED_WORDS: Final = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """One text of an answer. `reason` is a key of `REFUSALS`, None = accepted."""

    kind: Kind
    text: str
    reason: str | None


@dataclass
class Taken:
    """Which node has which text: those of the file, and those accepted so far. What two nodes share tells neither apart."""

    owners: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Taxonomy) -> Taken:
        """All labels, other names and examples of a taxonomy."""
        taken = cls()
        for node in tree.nodes:
            taken.add(node.code, (part for text in node.texts for part in (text.label, *text.aliases, *text.examples)))
        return taken

    def add(self, code: str, texts: Iterable[str]) -> None:
        """Note texts of a node."""
        for text in texts:
            self.owners.setdefault(normalise(text), set()).add(code)

    def elsewhere(self, code: str, identity: str) -> bool:
        """Whether another node has this text."""
        return bool(self.owners.get(identity, set()) - {code})


def judged(answer: Enriched, about: Subject, settings: EnrichmentSettings, taken: Taken) -> list[Verdict]:
    """Every text of an answer with what speaks against it; accepted ones are noted in `taken`. Empty texts are left out.

    Args:
        answer: what the model wrote.
        about: what it was asked about.
        settings: how many texts were wanted, and the instructions.
        taken: texts of all nodes.
    """
    written = list(_texts(answer))
    foreign = not _right_language(" ".join(text for _, text in written), about)
    seen = {normalise(text) for text in _own_texts(about.text)}
    counts: dict[Kind, int] = {}
    verdicts = []
    for kind, text in written:
        reason = "wrong_language" if foreign else _objection(kind, text, about, settings)
        identity = normalise(text)
        if reason is None:
            reason = _repetition(kind, identity, about, seen, taken)
        if reason is None and counts.get(kind, 0) >= _wanted(kind, settings):
            reason = "too_many"
        if reason is None:
            seen.add(identity)
            counts[kind] = counts.get(kind, 0) + 1
            if kind in {"example", "positive"}:
                taken.add(about.code, [text])
        verdicts.append(Verdict(kind, text, reason))
    return verdicts


def _texts(answer: Enriched) -> Iterator[tuple[Kind, str]]:
    lists: tuple[tuple[Kind, list[str]], ...] = (
        ("definition", [answer.definition]),
        ("example", answer.examples),
        ("positive", answer.positive_phrases),
        ("negative", answer.negative_phrases),
    )
    for kind, texts in lists:
        for text in texts:
            tidy = _tidy(text)
            if tidy:
                yield kind, tidy


def _tidy(text: str) -> str:
    """Without bullets, numbers and the quotation marks around the whole."""
    tidy = clean(_BULLET.sub("", text))
    if len(tidy) > 1 and tidy[0] in _QUOTES and tidy[-1] in _QUOTES:
        tidy = tidy[1:-1].strip()
    return tidy


def _objection(kind: Kind, text: str, about: Subject, settings: EnrichmentSettings) -> str | None:
    """What speaks against a text by itself."""
    own = " ".join(_own_texts(about.text))
    if len(text) > _MOST_CHARACTERS[kind] or len(text.split()) > _MOST_WORDS[kind]:
        return "too_long"
    if _LINK.search(text):
        return "link"
    if _MARKUP.search(text) or has_unstorable(text):
        return "markup"
    if _speaks_of_task(text, own, instructions(settings)):
        return "about_the_task"
    if kind in {"positive", "negative"} and _names(text, about):
        return "names_the_node"
    if not _right_language(text, about):
        return "wrong_language"
    return "copied" if _is_copied(text, own, about) else None


def _repetition(kind: Kind, identity: str, about: Subject, seen: set[str], taken: Taken) -> str | None:
    if identity in seen or not identity:
        return "known_already"
    if kind in {"example", "positive"} and taken.elsewhere(about.code, identity):
        return "belongs_elsewhere"
    return None


def _wanted(kind: Kind, settings: EnrichmentSettings) -> int:
    return {"definition": 1, "example": settings.examples}.get(kind, settings.phrases)


def _own_texts(text: NodeText) -> Iterator[str]:
    yield from (text.label, text.definition, *text.examples, *text.aliases, *text.negative_examples)


def _right_language(text: str, about: Subject) -> bool:
    own = about.text
    same = not about.language or own.language == about.language
    source = " ".join(_own_texts(own)) if same else ""
    others = {similar.language for similar in about.similar}
    return is_in_language(text, about.language, source=source, others=others - {about.language, ""})


def _speaks_of_task(text: str, own: str, given: str) -> bool:
    found = _TASK.search(text)
    if found and not re.search(rf"\b{re.escape(found.group())}\b", own, re.IGNORECASE):
        return True
    return bool((_runs(text, _SHARED_WORDS + 1) & _runs(given, _SHARED_WORDS + 1)) - _runs(own, _SHARED_WORDS + 1))


def _names(text: str, about: Subject) -> bool:
    words = f" {normalise(text)} "
    names = [normalise(about.text.label), normalise(about.code)]
    # A code of one sign ("a", "1") is no name: such words stand in many phrases.
    return any(f" {name} " in words for name in names if len(name) > 1)


def _is_copied(text: str, own: str, about: Subject) -> bool:
    """Whether a text of some length stands in a similar node's, and not in the node's own."""
    identity = normalise(text)
    if len(identity.split()) < _COPIED_WORDS or identity in normalise(own):
        return False
    return any(identity in normalise(" ".join(_own_texts(similar))) for similar in about.similar)


def _runs(text: str, length: int) -> set[tuple[str, ...]]:
    """All runs of `length` words, without case and punctuation."""
    words = re.findall(r"\w+", normalise(text))
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}
