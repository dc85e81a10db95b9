"""Whether a text is in the language it should be in: by its script, and by a dictionary of the language (`simplemma`)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

#: Languages that a text is most often written in by mistake.
_RIVALS: Final = ("en", "fr", "de", "es")
#: Words under which nothing can be told.
_FEWEST_WORDS: Final = 4
#: How much more of a text another language must know.
_LEAD: Final = 0.34
#: Share of known words under which a text is in none of the languages looked at, if the source is well known.
_UNKNOWN: Final = 0.25
#: Japanese is written in these and in Han characters at once.
_KANA: Final = frozenset({"HIRAGANA", "KATAKANA"})
#: Tags of languages that the dictionary has under another name.
_SAME_DICTIONARY: Final = {"no": "nb", "hr": "hbs", "sr": "hbs", "bs": "hbs", "sh": "hbs", "fil": "tl"}


def is_in_language(text: str, language: str, *, source: str, others: Iterable[str] = ()) -> bool:
    """Whether `text` may be in `language`. Where nothing can be told the answer is yes.

    Args:
        text: the text.
        language: BCP 47 tag it should be in; '' = the language of `source`.
        source: a text in that language, or '' when there is none.
        others: further languages that it may be in by mistake.
    """
    if source and not _same_script(text, source):
        return False
    wanted = _dictionary(language)
    if wanted is None or len(text.split()) < _FEWEST_WORDS:
        return True
    own = _known_share(text, wanted)
    if own >= 1 - _LEAD:  # no other language can lead, and none of their dictionaries must be loaded
        return True
    rivals = {name for tag in (*_RIVALS, *others) if (name := _dictionary(tag)) is not None} - {wanted}
    best = max((_known_share(text, rival) for rival in rivals), default=0.0)
    if best - own > _LEAD:
        return False
    return own >= _UNKNOWN or not source or _known_share(source, wanted) < 2 * _UNKNOWN


def _dictionary(language: str) -> str | None:
    from simplemma.strategies.dictionaries.dictionary_factory import SUPPORTED_LANGUAGES

    name = language.lower().partition("-")[0]
    name = _SAME_DICTIONARY.get(name, name)
    return name if name in SUPPORTED_LANGUAGES else None


@lru_cache(maxsize=4096)
def _known_share(text: str, language: str) -> float:
    """Share of the words of a text that a language knows (0..1)."""
    from simplemma import in_target_language

    return float(in_target_language(text, lang=language))


def _same_script(text: str, source: str) -> bool:
    """Whether the most frequent script of `text` occurs in `source`; yes when one of them has no letters."""
    found, known = _scripts(text), _scripts(source)
    return not found or not known or found.most_common(1)[0][0] in known


@lru_cache(maxsize=4096)
def _scripts(text: str) -> Counter[str]:
    """Scripts of the letters, by the first word of their Unicode names."""
    names = (unicodedata.name(letter, "?").split()[0].partition("-")[0] for letter in text if letter.isalpha())
    return Counter("CJK" if name in _KANA else name for name in names)
