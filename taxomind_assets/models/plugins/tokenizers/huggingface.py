"""Word pieces of an encoder, by the library `tokenizers`: those of the embedded model need no download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from taxomind_assets.models.contracts import Batches, PluginInfo, PluginParameters, Surroundings
from taxomind_resources.faults import Fault

_FILE: Final = "tokenizer.json"
_EMBEDDED: Final = "embedded"


class HuggingFaceTokenizer:
    """Word pieces; the file that makes them is part of a version."""

    info: ClassVar = PluginInfo(
        "huggingface",
        "tokenizer",
        "word pieces of an encoder",
        quality="good",
        memory="medium",
        pretrained=True,
        known_models=("embedded", "bert-base-uncased", "roberta-base", "distilbert-base-uncased", "xlm-roberta-base"),
    )

    class Parameters(PluginParameters):
        """What may be set."""

        model_name: str = Field(_EMBEDDED, description="embedded, a folder or file with a tokenizer.json, or a name on the hub")
        lowercase: bool | None = Field(None, description="write texts in small letters first; null = as the tokenizer does")
        add_special_tokens: bool = Field(False, description="keep the marks of the encoder ([CLS], [SEP])")
        max_length: int | None = Field(None, ge=1, description="tokens kept of a text; null = all")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, content: str | None = None) -> None:
        self.parameters = parameters
        self._content = content
        self._tokenizer: Any = None

    def fit(self, batches: Batches) -> None:
        """Nothing is learned; what is not there is told of before anything else is done."""
        self._loaded()

    def _loaded(self) -> Any:
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            if self._content is None:
                self._content = _content(self.parameters.model_name)
            try:
                tokenizer = Tokenizer.from_str(self._content)
            except Exception as error:
                raise Fault("model_damaged", "The tokenizer.json cannot be read.", value=str(error)[:200]) from error
            tokenizer.no_padding()
            tokenizer.no_truncation()
            if self.parameters.max_length is not None:
                tokenizer.enable_truncation(self.parameters.max_length)
            self._tokenizer = tokenizer
        return self._tokenizer

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """See `contracts.Tokenizer`."""
        given = [text.lower() for text in texts] if self.parameters.lowercase else list(texts)
        found = self._loaded().encode_batch(given, add_special_tokens=self.parameters.add_special_tokens)
        return [encoding.tokens for encoding in found]

    def save(self, folder: Path) -> None:
        """See `contracts.Tokenizer`."""
        self._loaded()
        (folder / _FILE).write_text(self._content or "", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> HuggingFaceTokenizer:
        """See `contracts.Tokenizer`."""
        try:
            return cls(parameters, surroundings, (folder / _FILE).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Fault("model_damaged", f"The tokenizer.json cannot be read: {error}.", value=str(folder)) from error


def _content(name: str) -> str:
    """The tokenizer.json that a name stands for."""
    if name == _EMBEDDED:
        from taxomind_resources.embedding.loading import packaged_model

        return (packaged_model() / _FILE).read_text(encoding="utf-8")
    path = Path(name).expanduser()
    if path.exists():
        file = path / _FILE if path.is_dir() else path
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Fault("unreadable_file", f"The tokenizer cannot be read: {error}.", value=str(file)) from error
    from tokenizers import Tokenizer

    try:
        return str(Tokenizer.from_pretrained(name).to_str())
    except Exception as error:
        raise Fault(
            "model_unavailable",
            f"The tokenizer {name!r} is not in a folder of that name and cannot be downloaded.",
            value=str(error)[:200],
            allowed="embedded, a folder, a tokenizer.json, or a name on the hub",
        ) from error
