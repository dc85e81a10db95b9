"""From training rows to a pipeline: tokenizer and features first, then a classifier for each unit, then temperatures.

Texts go through in batches; what stays in memory is the matrix of the features. Each part that is done is kept among the
checkpoints, so a training that was killed does not do it again.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.models.calibrated import FEWEST_ROWS, fitted_temperature
from taxomind_assets.models.contracts import Batch, Rows, Surroundings
from taxomind_assets.models.hierarchy import Unit, unit_nodes, units_of
from taxomind_assets.models.pipeline import Encoding, Pipeline, TrainedUnit, load_encoding, save_encoding, wants_unit_rows
from taxomind_assets.models.registry import Registry
from taxomind_assets.models.specification import ClassWeight, ModelSpec
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.faults import Fault
from taxomind_resources.files import remove_tree, temporary_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH: Final = 2048
#: Numbers that linear classifiers may hold: features are as many as fit for the classes that there are.
_MOST_COEFFICIENTS: Final = 60_000_000
_FEWEST_FEATURES: Final = 50_000
_TOKENS: Final = "tokens.jsonl.gz"
#: Training rows beside which validation rows add next to nothing, and would need the matrix twice.
_MANY_ROWS: Final = 200_000


@dataclass(frozen=True)
class Examples:
    """n texts with their nodes.

    Attributes:
        texts: clean texts.
        nodes: int64[n], positions in the taxonomy.
        labelled: bool[n], False for texts of the taxonomy itself.
    """

    texts: Sequence[str]
    nodes: NDArray[np.int64]
    labelled: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)


class Fitter:
    """Fits one model.

    Args:
        spec: what it is made of, checked.
        tree: the taxonomy.
        plugins: the registry.
        surroundings: what plug-ins may use.
        checkpoints: folder of this training; None = nothing is kept.
    """

    def __init__(
        self, spec: ModelSpec, tree: Taxonomy, plugins: Registry, surroundings: Surroundings, checkpoints: Path | None = None
    ) -> None:
        self.spec = spec
        self.tree = tree
        self.plugins = plugins
        self.surroundings = replace(surroundings, seed=spec.seed)
        self._checkpoints = checkpoints
        self._matrices: tuple[Any, Any] = (None, None)

    def fit(self, train: Examples, validation: Examples) -> Pipeline:
        """Train on rows; validation rows stop training early and fit temperatures, nothing else.

        Raises:
            Fault: `too_few_labels`, or what a plug-in raises.
        """
        units = units_of(self.tree, self.spec.hierarchy, train.nodes, train.labelled, self.spec.min_examples)
        most = max(len(unit.classes) for unit in units)
        encoding = self._encoding(train, most)
        takes_rows = any(self._input(unit) == "matrix" for unit in units)
        batches = _batches(train.texts, encoding.batch)
        matrix = encoding.matrix(batches()) if takes_rows else None
        judged = encoding.matrix(_batches(validation.texts, encoding.batch)()) if takes_rows and len(validation) else None
        self._matrices = matrix, judged
        trained: list[tuple[Unit, Any]] = []
        scored = []
        for place, unit in enumerate(units):
            rows = self._rows(unit, train, matrix)
            known = self._rows(unit, validation, judged) if len(validation) else None
            usable = known if known is not None and known.classes.size else None
            classifier = self._classifier(str(place), unit, rows, usable)
            trained.append((unit, classifier))
            empty = np.zeros((0, rows.count), np.float32), np.zeros(0, np.int64)
            scored.append(
                (classifier.scores(known.inputs), known.classes) if known is not None and known.classes.size else empty
            )
            if len(units) > 1:
                self.surroundings.say(f"{place + 1:,} of {len(units):,} classifiers are trained ({unit.name})")
        temperatures = self._temperatures(trained, scored)
        own = tuple(TrainedUnit(unit, machine, t) for (unit, machine), t in zip(trained, temperatures, strict=True))
        return Pipeline(encoding, own, self.tree)

    def with_validation(self, pipeline: Pipeline, train: Examples, validation: Examples) -> Pipeline | None:
        """What `fit` gave for these rows, with classifiers that have learned from the validation rows as well.

        Tokenizer, features and temperatures stay as they are. None = no classifier learns anything from them: each needs them
        to know when to stop, or there are too few or too many rows.
        """
        (matrix, judged), self._matrices = self._matrices, (None, None)
        learning = [getattr(own.classifier, "learns_from_validation", False) for own in pipeline.units]
        if not any(learning) or matrix is None or judged is None or len(train) > _MANY_ROWS:
            return None
        self.surroundings.say(f"training again with {len(validation):,} validation texts")
        nodes, labelled = (np.concatenate((getattr(train, name), getattr(validation, name))) for name in ("nodes", "labelled"))
        # Classifiers that read texts are none of these.
        both, rows = Examples((), nodes, labelled), _stacked(matrix, judged)
        units = list(pipeline.units)
        for place in np.flatnonzero(learning).tolist():
            unit = units[place].unit
            classifier = self._classifier(f"{place}-again", unit, self._rows(unit, both, rows), None)
            units[place] = replace(units[place], classifier=classifier)
        return replace(pipeline, units=tuple(units))

    def _input(self, unit: Unit) -> str:
        plugin = self.plugins.get("classifier", self.spec.classifier_of(unit.name).name)
        return str(plugin.info.input)

    def _encoding(self, train: Examples, classes: int) -> Encoding:
        kept = self._kept("encoding")
        if kept is not None and kept.is_dir():
            return load_encoding(kept, _resolved(self.spec, kept), self.plugins, self.surroundings)
        spec, around = self.spec, self.surroundings
        tokenizer = spec.tokenizer and self.plugins.create("tokenizer", spec.tokenizer.name, spec.tokenizer.parameters, around)
        if tokenizer:
            around.say(f"tokenizer {tokenizer.info.name}: {len(train):,} texts")
            tokenizer.fit(_batches(train.texts, Batch))
            assert spec.tokenizer is not None
            found = tokenizer.parameters.model_dump(mode="json")
            spec = replace(spec, tokenizer=replace(spec.tokenizer, parameters=found))
        most = max(_FEWEST_FEATURES, _MOST_COEFFICIENTS // max(classes, 1))
        tokens = _Tokens(tokenizer, self._checkpoints) if tokenizer else None
        features = []
        for part in spec.features:
            own = self.plugins.create("features", part.name, part.parameters, around)
            around.say(f"features {part.name}: {len(train):,} texts")
            own.fit(tokens.batches(train.texts) if tokens else _batches(train.texts, Batch), most)
            features.append(own)
        encoding = Encoding(spec, tokenizer, tuple(features), wants_unit_rows(spec, self.plugins))
        if kept is not None:
            self._keep(kept, lambda folder: _save_resolved(encoding, folder))
        return encoding

    def _rows(self, unit: Unit, examples: Examples, matrix: Any) -> Rows:
        """The rows of a unit."""
        rows, classes = unit.places(unit_nodes(self.tree, unit, examples.nodes, examples.labelled))
        if self._input(unit) == "text":
            inputs: Any = [examples.texts[row] for row in rows.tolist()]
        else:
            inputs = matrix[rows] if matrix is not None else matrix
        weights = _row_weights(classes, len(unit.classes), self.spec.class_weight)
        return Rows(inputs, classes, weights, len(unit.classes))

    def _classifier(self, place: str, unit: Unit, rows: Rows, validation: Rows | None) -> Any:
        part = self.spec.classifier_of(unit.name)
        kept = self._kept(f"unit-{place}")
        if kept is not None and kept.is_dir():
            return self.plugins.load("classifier", part.name, part.parameters, folder=kept, surroundings=self.surroundings)
        classifier = self.plugins.create("classifier", part.name, part.parameters, self.surroundings)
        classifier.train(rows, validation, None if kept is None else kept.with_name(f"steps-{place}"))
        if kept is not None:
            self._keep(kept, classifier.save)
        return classifier

    def _temperatures(self, trained: Sequence[tuple[Unit, Any]], scored: Sequence[Any]) -> list[float]:
        """One for each unit with enough validation rows, one that all others of the same classifier share."""
        shared: dict[str, float] = {}
        found = []
        for (_, machine), own in zip(trained, scored, strict=True):
            name, start = machine.info.name, float(getattr(machine, "temperature", 1.0))
            if name not in shared:
                every = [s for (_, other), s in zip(trained, scored, strict=True) if other.info.name == name]
                shared[name] = fitted_temperature(every, start)
            found.append(fitted_temperature([own], shared[name]) if own[1].size >= FEWEST_ROWS else shared[name])
        return found

    def _kept(self, name: str) -> Path | None:
        return self._checkpoints / name if self._checkpoints else None

    def _keep(self, target: Path, save: Callable[[Path], object]) -> None:
        """Write a part that is done, whole or not at all."""
        temporary = temporary_path(target.parent)
        temporary.mkdir()
        try:
            save(temporary)
            os.rename(temporary, target)
        finally:
            remove_tree(temporary)


class _Tokens:
    """Tokens of the training texts, kept in a file where making them takes long (one JSON list per line)."""

    def __init__(self, tokenizer: Any, folder: Path | None) -> None:
        self._tokenizer = tokenizer
        self._path = folder / _TOKENS if folder and tokenizer.info.speed != "fast" else None

    def batches(self, texts: Sequence[str]) -> Callable[[], Iterator[Batch]]:
        """Batches whose tokens are made once."""
        path = self._path
        plain = _batches(texts, lambda own: Batch(own, self._tokenizer.tokenize))
        if path is None:
            return plain

        def cached() -> Iterator[Batch]:
            if not path.exists():
                self._write(path, plain)
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for start in range(0, len(texts), _BATCH):
                    block = texts[start : start + _BATCH]
                    tokens: list[list[str]] = [json.loads(file.readline()) for _ in block]
                    yield Batch(block, partial(_known, tokens))

        return cached

    @staticmethod
    def _write(path: Path, batches: Callable[[], Iterator[Batch]]) -> None:
        from taxomind_resources.files import publishing

        with publishing(path) as temporary, gzip.open(temporary, "wt", encoding="utf-8", compresslevel=1) as file:
            for batch in batches():
                file.writelines(json.dumps(tokens, ensure_ascii=False) + "\n" for tokens in batch.tokens)


def _stacked(above: Any, below: Any) -> Any:
    """One matrix over the other, dense or sparse."""
    from scipy import sparse

    if isinstance(above, np.ndarray):
        return np.concatenate((above, below))
    return sparse.csr_array(sparse.vstack((above, below), format="csr"))


def _known(tokens: list[list[str]], texts: Sequence[str]) -> list[list[str]]:
    """Tokens that were made before."""
    return tokens


def _batches(texts: Sequence[str], make: Callable[[Sequence[str]], Batch]) -> Callable[[], Iterator[Batch]]:
    return lambda: (make(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH))


def _row_weights(classes: NDArray[np.int64], count: int, kind: ClassWeight) -> NDArray[np.float32]:
    """How much each row counts, float32[n], 1 on average."""
    if kind == "none" or not classes.size:
        return np.ones(classes.size, np.float32)
    sizes = np.bincount(classes, minlength=count)
    weights = (1.0 / np.maximum(sizes, 1)) ** (1.0 if kind == "balanced" else 0.5)
    rows = weights[classes]
    return np.asarray(rows * (rows.size / rows.sum()), np.float32)


def _save_resolved(encoding: Encoding, folder: Path) -> None:
    save_encoding(encoding, folder)
    (folder / "spec.json").write_text(json.dumps(encoding.spec.to_json()), encoding="utf-8")


def _resolved(spec: ModelSpec, folder: Path) -> ModelSpec:
    """The specification as its tokenizer was resolved when the encoding was kept."""
    kept = ModelSpec.from_json(json.loads((folder / "spec.json").read_text(encoding="utf-8")))
    return replace(spec, tokenizer=kept.tokenizer)


def check_enough(examples: Examples, tree: Taxonomy) -> None:
    """Refuse what nothing can be learned from.

    Raises:
        Fault: `too_few_labels`, with the counts.
    """
    labelled = examples.nodes[examples.labelled]
    codes = np.unique(labelled).size
    if labelled.size < 2 or codes < 2:
        what = f"{labelled.size:,} training texts of {codes:,} codes are too few to learn from."
        next_step = f"Put a file with the columns text and code into the inbox of {tree.key!r}, in the folder labelled."
        raise Fault("too_few_labels", what, allowed="two texts of two codes", next_step=next_step)
