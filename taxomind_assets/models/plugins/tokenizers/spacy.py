"""Tokens of spaCy: its own rules for a language (`blank:en`, which needs no download), or an installed pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from taxomind_assets.models.contracts import Batches, PluginInfo, PluginParameters, Requirement, Surroundings
from taxomind_resources.faults import Fault

_BLANK: Final = "blank:"
#: Parts of a pipeline that change no token.
_SUPERFLUOUS: Final = ("parser", "ner", "tagger", "lemmatizer", "attribute_ruler", "tok2vec", "senter", "morphologizer")


class SpacyTokenizer:
    """Tokens of spaCy, without those that say nothing."""

    info: ClassVar = PluginInfo(
        "spacy",
        "tokenizer",
        "rules of spaCy for a language",
        requires=(Requirement("spacy", ("spacy",), ">=3.8,<4"),),
        extra="spacy",
        speed="medium",
        quality="good",
        memory="medium",
        known_models=(
            "blank:en",
            "blank:de",
            "blank:xx",
            "en_core_web_sm",
            "en_core_web_md",
            "en_core_web_lg",
            "xx_ent_wiki_sm",
        ),
    )

    class Parameters(PluginParameters):
        """What may be set."""

        model_name: str = Field("blank:en", description="`blank:` and a language, or the name of an installed pipeline")
        disable: tuple[str, ...] = Field(_SUPERFLUOUS, description="parts of an installed pipeline that are switched off")
        lowercase: bool = Field(True, description="write tokens in small letters")
        remove_punct: bool = Field(True, description="drop punctuation")
        remove_stop: bool = Field(False, description="drop the stop words of the language")
        remove_spaces: bool = Field(True, description="drop white space")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, version: str = "") -> None:
        self.parameters = parameters
        self._version = version

    def fit(self, batches: Batches) -> None:
        """There is nothing to learn; a model that is not installed is told of before anything else is done."""
        assert self._language is not None

    @cached_property
    def _language(self) -> Any:
        import spacy

        name = self.parameters.model_name
        try:
            if name.startswith(_BLANK):
                return spacy.blank(name.removeprefix(_BLANK))
            found = spacy.load(name, exclude=list(self.parameters.disable))
        except (OSError, ImportError, ValueError) as error:
            what = f"spaCy has no language or pipeline {name!r}."
            download = (
                f"python -m spacy download {name}" if not name.startswith(_BLANK) else "Choose a language that spaCy knows."
            )
            raise Fault("missing_extra", what, value=str(error)[:200], allowed="blank:en, ...", next_step=download) from error
        version = str(found.meta.get("version", ""))
        if self._version and version != self._version:
            what = f"The model was trained with {name} {self._version}; {version} is installed."
            raise Fault("model_unavailable", what, next_step=f"python -m spacy download {name}-{self._version} --direct")
        return found

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """See `contracts.Tokenizer`; texts go through spaCy in batches."""
        own = self.parameters
        language = self._language
        read = language.tokenizer.pipe if not language.pipe_names else language.pipe
        return [
            [
                token.lower_ if own.lowercase else token.text
                for token in document
                if not (
                    (own.remove_punct and token.is_punct)
                    or (own.remove_spaces and token.is_space)
                    or (own.remove_stop and token.is_stop)
                )
            ]
            for document in read(texts)
        ]

    def save(self, folder: Path) -> None:
        """The version of an installed pipeline."""
        from taxomind_assets.models.arrays import save_json

        save_json(folder / "spacy.json", {"version": self._language.meta.get("version", "") if not self._is_blank else ""})

    @property
    def _is_blank(self) -> bool:
        return self.parameters.model_name.startswith(_BLANK)

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> SpacyTokenizer:
        """See `contracts.Tokenizer`."""
        from taxomind_assets.models.arrays import load_json

        return cls(parameters, surroundings, load_json(folder / "spacy.json")["version"])
