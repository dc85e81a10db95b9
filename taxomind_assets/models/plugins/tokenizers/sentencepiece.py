"""Pieces of words, learned from the training texts themselves (Kudo and Richardson, 2018, "SentencePiece")."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from taxomind_assets.models.contracts import Batches, PluginInfo, PluginParameters, Requirement, Surroundings
from taxomind_resources.faults import Fault

_FILE: Final = "sentencepiece.model"


class SentencePieceTokenizer:
    """Pieces of words; trained on the training texts unless a model is given. Its model is part of a version."""

    info: ClassVar = PluginInfo(
        "sentencepiece",
        "tokenizer",
        "pieces of words, learned from the training texts",
        requires=(Requirement("sentencepiece", ("sentencepiece",), ">=0.2,<1"),),
        extra="sentencepiece",
        speed="medium",
        quality="good",
        memory="medium",
    )

    class Parameters(PluginParameters):
        """What may be set."""

        model_path: str | None = Field(None, description="a trained model; null = train one on the training texts")
        vocab_size: int = Field(8000, ge=16, description="pieces at most; fewer where the texts have fewer")
        model_type: Literal["unigram", "bpe", "char", "word"] = Field("unigram", description="how pieces are chosen")
        character_coverage: float = Field(0.9995, gt=0.9, le=1, description="share of the characters that pieces are made of")
        lowercase: bool = Field(False, description="write texts in small letters first")
        training_texts: int = Field(200_000, ge=100, description="texts that it is trained on at most, drawn from all")

    def __init__(self, parameters: Parameters, surroundings: Surroundings, model: bytes | None = None) -> None:
        self.parameters = parameters
        self._threads = surroundings.threads
        self._model = model
        self._processor: Any = None

    def fit(self, batches: Batches) -> None:
        """Read or train the model."""
        path = self.parameters.model_path
        if path is None:
            self._model = self._trained(batches)
            return
        try:
            self._model = Path(path).read_bytes()
        except OSError as error:
            raise Fault("unreadable_file", f"The sentencepiece model cannot be read: {error}.", value=path) from error

    def _trained(self, batches: Batches) -> bytes:
        import sentencepiece

        own, written = self.parameters, io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=(self._read(text) for batch in batches() for text in batch.texts),
                model_writer=written,
                vocab_size=own.vocab_size,
                model_type=own.model_type,
                character_coverage=own.character_coverage,
                input_sentence_size=own.training_texts,
                shuffle_input_sentence=False,  # the order of a drawing would differ from run to run
                hard_vocab_limit=False,
                num_threads=1,  # sums of several threads differ from run to run
                minloglevel=2,
                pad_id=0,
                unk_id=1,
                bos_id=2,
                eos_id=3,
            )
        except (RuntimeError, OSError) as error:
            what = "No pieces can be learned from these texts."
            allowed = "a vocab_size that fits the texts: smaller for few texts, larger where they have many letters"
            raise Fault("invalid_input", what, value=str(error)[-200:], allowed=allowed) from error
        return written.getvalue()

    def _read(self, text: str) -> str:
        return text.lower() if self.parameters.lowercase else text

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """See `contracts.Tokenizer`.

        Raises:
            Fault: `invalid_input` before it is fitted.
        """
        found: list[list[str]] = self._loaded().encode([self._read(text) for text in texts], out_type=str)
        return found

    def _loaded(self) -> Any:
        if self._model is None:
            raise Fault(
                "invalid_input", "The tokenizer 'sentencepiece' is not trained yet.", allowed="fit it, or name a model_path"
            )
        if self._processor is None:
            import sentencepiece

            processor = sentencepiece.SentencePieceProcessor()
            try:
                processor.LoadFromSerializedProto(self._model)
            except RuntimeError as error:
                raise Fault("model_damaged", "The sentencepiece model cannot be read.", value=str(error)[:200]) from error
            self._processor = processor
        return self._processor

    def save(self, folder: Path) -> None:
        """See `contracts.Tokenizer`."""
        self._loaded()
        (folder / _FILE).write_bytes(self._model or b"")

    @classmethod
    def load(cls, folder: Path, parameters: Parameters, surroundings: Surroundings) -> SentencePieceTokenizer:
        """See `contracts.Tokenizer`."""
        try:
            return cls(parameters, surroundings, (folder / _FILE).read_bytes())
        except OSError as error:
            raise Fault("model_damaged", f"The sentencepiece model cannot be read: {error}.", value=str(folder)) from error
