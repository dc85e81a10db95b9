"""Words by the rules of Unicode and the dictionaries of ICU (UAX #29; Japanese, Chinese, Thai and others by dictionary).

The library is icu4py, whose wheels bring ICU with them; PyICU has none and needs the system's headers. Without it words are
runs of letters and digits. The two give different tokens, so which one was used is part of a model.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal

from pydantic import Field

from taxomind_assets.models.contracts import Batches, PluginInfo, PluginParameters, Surroundings
from taxomind_resources.faults import Fault

_MODULE: Final = "icu4py"
_WORDS: Final = re.compile(r"\w+(?:['’]\w+)*")
#: In place of characters that no tokenizer can take (halves of pairs).
_UNSTORABLE: Final = re.compile("[\ud800-\udfff]")


class IcuTokenizer:
    """Lower-cased words; what holds no letter and no digit is dropped, words of one or two letters stay."""

    info: ClassVar = PluginInfo(
        "icu",
        "tokenizer",
        "word breaks of ICU for a locale; runs of letters without it",
        uses_locale=True,
        extra="icu",
        quality="good",
    )

    class Parameters(PluginParameters):
        """What may be set."""

        locale: str = Field("en", pattern=r"[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8})*", description="whose rules: en, de, ja, ...")
        backend: Literal["auto", "icu", "regex"] = Field(
            "auto", description="icu: the library; regex: runs of letters and digits; auto: icu where it is installed"
        )
        lowercase: bool = Field(True, description="write words in small letters")

    def __init__(self, parameters: Parameters, surroundings: Surroundings) -> None:
        installed = importlib.util.find_spec(_MODULE) is not None
        if parameters.backend == "icu" and not installed:
            raise Fault(
                "missing_extra",
                "The tokenizer 'icu' needs the library icu4py; the model was made with it, or it was asked for.",
                value="backend=icu",
                allowed="backend=regex for a new model",
                next_step="pip install 'taxomind[icu]'",
            )
        resolved = ("icu" if installed else "regex") if parameters.backend == "auto" else parameters.backend
        #: As resolved here: a model keeps the way that it was trained with.
        self.parameters = parameters.model_copy(update={"backend": resolved})

    def fit(self, batches: Batches) -> None:
        """There is nothing to learn."""

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """See `contracts.Tokenizer`."""
        cut = self._cut_by_icu if self.parameters.backend == "icu" else _WORDS.findall
        lower = self.parameters.lowercase
        return [_kept(cut(_UNSTORABLE.sub(" ", text.lower() if lower else text))) for text in texts]

    def _cut_by_icu(self, text: str) -> list[str]:
        from icu4py.breakers import WordBreaker

        return list(WordBreaker(text, self.parameters.locale)) if text else []

    def save(self, folder: Path) -> None:
        """The parameters say all."""

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> IcuTokenizer:
        """See `contracts.Tokenizer`."""
        return cls(parameters, surroundings)


def _kept(words: Sequence[str]) -> list[str]:
    return [word for word in words if word.isalnum() or any(character.isalnum() for character in word)]
