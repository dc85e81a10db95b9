"""What a plug-in must offer. Nothing is inherited: a class that has these members is one, whoever wrote it.

A plug-in is a class with two class attributes, `info` (what it is) and `Parameters` (what may be set), and an `__init__` that
takes its checked parameters and a `Surroundings`. A fitted plug-in saves itself into a folder of its own; `load` returns one
that gives equal output. Files are JSON, NumPy without objects, safetensors, or a format of the library that holds numbers
alone: nothing that runs code when it is read.

    class Letters:
        '''Tokens are single letters.'''

        info = PluginInfo("letters", "tokenizer", "single letters")

        class Parameters(PluginParameters):
            lower_case: bool = True

        def __init__(self, parameters, surroundings): self.parameters = parameters
        def fit(self, batches): return None
        def tokenize(self, texts): return [list(text) for text in texts]
        def save(self, folder): return None
        @classmethod
        def load(cls, folder, parameters, surroundings): return cls(parameters, surroundings)

It is found under the entry point group `taxomind.plugins`, or given to `Registry.add`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray
    from scipy import sparse

    from taxomind_resources.embedding import Embedder

    #: Rows of numbers, float32 [b, f].
    Matrix: TypeAlias = NDArray[np.float32] | sparse.csr_array

Kind = Literal["tokenizer", "features", "classifier"]
KINDS: Final[tuple[Kind, ...]] = ("tokenizer", "features", "classifier")
Input = Literal["text", "tokens", "matrix"]
Device = Literal["auto", "cpu", "cuda"]


class PluginParameters(BaseModel):
    """What may be set of a plug-in: each field has a default and a description; others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, protected_namespaces=())


@dataclass(frozen=True)
class Requirement:
    """A library that a plug-in needs.

    Attributes:
        module: what is imported.
        distributions: packages that bring it, the usual one first.
        versions: versions that work, as PEP 440 writes them.
    """

    module: str
    distributions: tuple[str, ...]
    versions: str = ""


@dataclass(frozen=True)
class PluginInfo:
    """What a plug-in is, known without importing what it needs.

    Attributes:
        name: unique among the plug-ins of its kind.
        kind: tokenizer, features or classifier.
        summary: one line.
        input: what it takes; a classifier of `text` needs neither tokenizer nor features, features of `text` no tokenizer.
        requires: libraries beyond those of taxomind itself.
        extra: extra of taxomind that installs them, '' = none.
        streaming: it is fitted block by block, so memory does not grow with the texts.
        speed, quality, memory: what to expect.
        pretrained: it needs a model that somebody trained before.
        known_models: such models.
        uses_locale: its parameter `locale` changes what it does.
        onnx: its step can be exported: a classifier that has `write_onnx(path)`, which writes a graph as
            `exports.graphs` describes them.
    """

    name: str
    kind: Kind
    summary: str
    input: Input = "text"
    requires: tuple[Requirement, ...] = ()
    extra: str = ""
    streaming: bool = True
    speed: Literal["fast", "medium", "slow"] = "fast"
    quality: Literal["basic", "good", "excellent"] = "basic"
    memory: Literal["low", "medium", "high"] = "low"
    pretrained: bool = False
    known_models: tuple[str, ...] = ()
    uses_locale: bool = False
    onnx: bool = False


def _nothing(_: str) -> None:
    return None


@dataclass(frozen=True)
class Surroundings:
    """What a plug-in may use of the process around it.

    Attributes:
        embedder: gives the embedding model of the taxonomy, loaded at the first call.
        seed: seed of everything that is drawn.
        threads: threads that it may use.
        scratch: a folder for files that are needed while it is fitted; None = a temporary one.
        say: takes a sentence on how far the work is.
        epoch: takes the number of an epoch that is done and the share of the validation rows that are right, and may end
            the training by an error; None = nobody asks.
    """

    embedder: Callable[[], Embedder]
    seed: int = 42
    threads: int = 1
    scratch: Path | None = None
    say: Callable[[str], None] = field(default=_nothing, compare=False)
    epoch: Callable[[int, float], None] | None = field(default=None, compare=False)


class Batch:
    """Some texts, and their tokens when they are asked for.

    Args:
        texts: b texts, as `views.texts.clean` makes them.
        tokenize: gives their tokens; None = there is no tokenizer.
    """

    def __init__(self, texts: Sequence[str], tokenize: Callable[[Sequence[str]], list[list[str]]] | None = None) -> None:
        self.texts = texts
        self._tokenize = tokenize

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    @cached_property
    def tokens(self) -> list[list[str]]:
        """Tokens of each text."""
        if self._tokenize is None:
            raise TypeError("features of tokens need a tokenizer")  # the specification is checked before
        return self._tokenize(self.texts)


#: Gives all texts anew, batch by batch, each time that it is called.
Batches = Callable[[], Iterable[Batch]]


@dataclass(frozen=True)
class Rows:
    """n rows to train a classifier on.

    Attributes:
        inputs: float32 [n, f] (dense or sparse) for a classifier of `matrix`, else n texts.
        classes: int64[n], from 0.
        weights: float32[n], how much each row counts; 1 on average.
        count: number of classes c.
    """

    inputs: Any
    classes: NDArray[np.int64]
    weights: NDArray[np.float32]
    count: int


class Tokenizer(Protocol):
    """Texts to tokens."""

    info: ClassVar[PluginInfo]
    Parameters: ClassVar[type[PluginParameters]]

    def fit(self, batches: Batches) -> None:
        """Learn from the training texts, if it learns at all."""

    def tokenize(self, texts: Sequence[str]) -> list[list[str]]:
        """Tokens of each text; none for a text without any."""

    def save(self, folder: Path) -> None:
        """Write all that `load` needs beside the parameters into an empty folder."""

    @classmethod
    def load(cls, folder: Path, parameters: Any, surroundings: Surroundings) -> Self:
        """A fitted tokenizer."""


class Features(Protocol):
    """Texts or tokens to rows of numbers."""

    info: ClassVar[PluginInfo]
    Parameters: ClassVar[type[PluginParameters]]

    def fit(self, batches: Batches, most_features: int | None) -> None:
        """Learn from the training texts; `most_features` = columns that are wanted at most."""

    def transform(self, batch: Batch) -> Matrix:
        """float32 [b, num_features]."""

    @property
    def num_features(self) -> int:
        """Number of columns."""

    def save(self, folder: Path) -> None:
        """As `Tokenizer.save`."""

    @classmethod
    def load(cls, folder: Path, parameters: Any, surroundings: Surroundings) -> Self:
        """Fitted features."""


class Classifier(Protocol):
    """Rows to scores."""

    info: ClassVar[PluginInfo]
    Parameters: ClassVar[type[PluginParameters]]

    def train(self, rows: Rows, validation: Rows | None, checkpoints: Path | None) -> None:
        """Train.

        Args:
            rows: rows of at least two classes.
            validation: rows to stop early by; None = there are none.
            checkpoints: folder where a long training keeps how far it is, and goes on from; None = it keeps nothing.
        """

    def scores(self, inputs: Any) -> NDArray[np.float32]:
        """float32 [b, c]: one number per class; softmax of a multiple of them gives probabilities."""

    def save(self, folder: Path) -> None:
        """As `Tokenizer.save`."""

    @classmethod
    def load(cls, folder: Path, parameters: Any, surroundings: Surroundings) -> Self:
        """A trained classifier."""
