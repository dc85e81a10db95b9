"""The comparison key of a proposed label: it decides which spellings are one label, and is never shown.

    comparison_key("AI Agents")     "ai/agent"
    comparison_key("Tech > AI")     "tech/ai"
    comparison_key("C++")           "c++"

Keys serve growth alone; imported nodes are neither merged nor refused by them. Labels of other languages than English keep
their words as they are, and accents part words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

#: Raised when a rule below changes: candidates are looked for anew then. No key is stored without its label.
KEY_VERSION: Final = "1"
#: Between the segments of a key.
SEGMENT: Final = "/"
#: Signs by which a person writes a place in a tree.
PATH_SIGNS: Final = re.compile(r"[/\\>›»|]+")
_APOSTROPHES: Final = dict.fromkeys(map(ord, "'’‘＇`"))
_SEPARATORS: Final = re.compile(r"[\s_\-\u2010-\u2015/\\>›»|]+")
_BOTH_ENDS: Final = ',;:!?"()[]{}'
_LETTERS: Final = re.compile("[a-z]+")
_SHORTEST: Final = 3
_IRREGULAR: Final[Mapping[str, str]] = {
    "children": "child",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "criteria": "criterion",
    "phenomena": "phenomenon",
    "wives": "wife",
    "lenses": "lens",
    "masses": "mass",
    "axes": "axis",
    "diagnoses": "diagnosis",
    "oses": "os",
    "llms": "llm",
    "apis": "api",
    "gpus": "gpu",
    "cpus": "cpu",
    "urls": "url",
    "pdfs": "pdf",
}
_KEPT: Final = frozenset(
    {"news", "sales", "statistics", "goods", "works", "means", "arms", "customs", "clothes", "savings", "headquarters"}
    | {"pandas", "kudos", "sous"}
)


@dataclass(frozen=True)
class Words:
    """Words with a singular of their own, and words that are no plurals; both for English.

    Attributes:
        irregular: plural -> singular.
        kept: words that stay as they are.
    """

    irregular: Mapping[str, str] = field(default_factory=lambda: _IRREGULAR)
    kept: Collection[str] = _KEPT

    @classmethod
    def with_more(cls, irregular: Mapping[str, str], kept: Collection[str]) -> Words:
        """The built-in lists and those of a taxonomy (settings `growth.singular_forms`, `growth.plain_words`)."""
        more = {plural.casefold(): singular.casefold() for plural, singular in irregular.items()}
        return cls({**_IRREGULAR, **more}, _KEPT | {word.casefold() for word in kept})


PLAIN_WORDS: Final = Words()


def comparison_key(label: object, language: str = "en", words: Words = PLAIN_WORDS) -> str:
    """The key of a label; '' when nothing of it is left. Applying it twice is applying it once.

    Args:
        label: any value; None counts as empty.
        language: BCP 47 tag of the label; '' counts as English.
        words: irregular and kept words.
    """
    text = _folded("" if label is None else str(label))
    english = (language or "en").lower().partition("-")[0] == "en"
    segments = filter(None, map(_stripped, _SEPARATORS.split(text)))
    return SEGMENT.join(_singular(segment, words) if english else segment for segment in segments)


def is_generic(key: str) -> bool:
    """Whether a key says no more than that something belongs elsewhere."""
    return key in _GENERIC


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    # Some signs fold to others that fold again, or bring apostrophes and spaces with them.
    again = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
    return again.strip() if again == text else _folded(again)


def _stripped(segment: str) -> str:
    before = ""
    while before != segment:
        before = segment
        segment = segment.strip(_BOTH_ENDS).rstrip(".")
    return "and" if segment == "&" else segment


def _singular(word: str, words: Words) -> str:
    """The singular of an English word, as far as a dictionary is sure of it."""
    seen = {word}
    while True:
        found = words.irregular.get(word) or _lemma_of_plural(word, words)
        if found in seen:
            return word
        seen.add(found)
        word = found


def _lemma_of_plural(word: str, words: Words) -> str:
    is_plain = len(word) <= _SHORTEST or not word.endswith("s") or word.endswith("ss") or word in words.kept
    if is_plain or not _LETTERS.fullmatch(word):
        return word
    lemma = _lemma(word)
    fits = _LETTERS.fullmatch(lemma) and 2 <= len(lemma) <= len(word) and lemma.startswith(word[: max(2, len(word) - 4)])
    return lemma if fits else word


@lru_cache(maxsize=65_536)
def _lemma(word: str) -> str:
    import simplemma

    return str(simplemma.lemmatize(word, lang="en")).casefold()


_GENERIC: Final = frozenset(
    comparison_key(word)
    for word in ("other", "others", "misc", "miscellaneous", "general", "unknown", "none", "various", "not applicable", "n/a")
)
