"""A trained model: texts in, probabilities of nodes out. It is one folder, and needs neither the labelled texts nor the index.

manifest.json       what it is (written by `training.py`)
taxonomy.json       the nodes that it was trained for, in their order
tokenizer/          files of the tokenizer
features-0/ ...     files of each of the features
units.json          what each classifier decides, and its temperature
unit-0/ ...         files of each classifier
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.models.arrays import load_json, save_json
from taxomind_assets.models.calibrated import probabilities
from taxomind_assets.models.contracts import Batch, Surroundings
from taxomind_assets.models.exports.runtime import OnnxClassifier
from taxomind_assets.models.hierarchy import Unit, own_mass
from taxomind_assets.models.registry import Registry
from taxomind_assets.models.specification import ModelSpec
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.texts import clean
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Texts that go through a model together.
BLOCK: Final = 1024
_TAXONOMY: Final = "taxonomy.json"
_UNITS: Final = "units.json"
_TINY: Final = 1e-9


@dataclass(frozen=True)
class TrainedUnit:
    """A unit with its classifier.

    Attributes:
        unit: what it decides.
        classifier: a trained `contracts.Classifier`.
        temperature: of its scores.
    """

    unit: Unit
    classifier: Any
    temperature: float


@dataclass(frozen=True)
class Encoding:
    """Fitted tokenizer and features: texts to what classifiers take.

    Attributes:
        spec: what the model is made of.
        tokenizer: a `contracts.Tokenizer`, or None.
        features: `contracts.Features`, as many as the specification names.
        unit_rows: rows are brought to length one.
    """

    spec: ModelSpec
    tokenizer: Any
    features: tuple[Any, ...]
    unit_rows: bool

    def batch(self, texts: Sequence[str]) -> Batch:
        """Texts with their tokens."""
        return Batch(texts, self.tokenizer.tokenize if self.tokenizer else None)

    def rows(self, batch: Batch) -> Any:
        """float32 [b, f], sparse when any of the features is."""
        from scipy import sparse

        parts = []
        for part, own in zip(self.spec.features, self.features, strict=True):
            rows = own.transform(batch)
            parts.append(_scaled(rows, part.weight, unit=self.unit_rows))
        if len(parts) == 1:
            return parts[0]
        if all(isinstance(rows, np.ndarray) for rows in parts):
            return np.concatenate(parts, axis=1)
        return sparse.csr_array(sparse.hstack([sparse.csr_array(rows) for rows in parts], format="csr"))

    def matrix(self, texts: Iterable[Batch]) -> Any:
        """`rows` of all batches, one below another."""
        from scipy import sparse

        parts = [self.rows(batch) for batch in texts]
        if all(isinstance(rows, np.ndarray) for rows in parts):
            return np.concatenate(parts)
        return sparse.csr_array(sparse.vstack(parts, format="csr"))


def _scaled(rows: Any, weight: float, *, unit: bool) -> Any:
    """Rows of length `weight` where `unit`, else times `weight`."""
    from scipy import sparse

    if isinstance(rows, np.ndarray):
        lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY) if unit else 1.0
        return (rows * (weight / lengths)).astype(np.float32)
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel()) if unit else np.ones(rows.shape[0])
    factors = np.repeat(weight / np.maximum(lengths, _TINY), np.diff(rows.indptr))
    return sparse.csr_array(((rows.data * factors).astype(np.float32), rows.indices, rows.indptr), shape=rows.shape)


@dataclass(frozen=True)
class Predictions:
    """What a model says of b texts.

    Attributes:
        tree: the taxonomy that it was trained for (labels in the primary language alone).
        own: float32 [b, n], probability that a text belongs to a node and to nothing below it; a row of zeros = no text.
    """

    tree: Taxonomy
    own: NDArray[np.float32]

    @property
    def best(self) -> NDArray[np.int64]:
        """The most probable node of each text, int64[b]; -1 = there was no text."""
        return np.where(self.own.any(axis=1), self.own.argmax(axis=1), -1).astype(np.int64)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Its probability, float32[b]."""
        return np.asarray(self.own.max(axis=1, initial=0.0), np.float32)

    def ranked(self, places: int) -> NDArray[np.int64]:
        """The most probable nodes, int64 [b, at most `places`], best first; ties by the order of the taxonomy."""
        return np.argsort(-self.own, axis=1, kind="stable")[:, :places].astype(np.int64)

    @classmethod
    def concatenate(cls, tree: Taxonomy, parts: Sequence[NDArray[np.float32]]) -> Predictions:
        """One after another."""
        return cls(tree, np.concatenate(parts) if parts else np.zeros((0, len(tree)), np.float32))


@dataclass(frozen=True)
class Pipeline:
    """A trained model.

    Attributes:
        encoding: tokenizer and features.
        units: classifiers with what they decide.
        tree: the taxonomy that it was trained for.
    """

    encoding: Encoding
    units: tuple[TrainedUnit, ...]
    tree: Taxonomy

    @property
    def spec(self) -> ModelSpec:
        """What it is made of."""
        return self.encoding.spec

    @cached_property
    def codes(self) -> list[str]:
        """Codes that it can answer or decide between, in the order of the taxonomy."""
        known = sorted({node for trained in self.units for node in trained.unit.classes})
        return [self.tree.codes[node] for node in known]

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Probabilities for b texts, in their order; an empty one gets none and shifts nothing."""
        cleaned = [clean(text) for text in texts]
        return Predictions.concatenate(self.tree, list(self._blocks(cleaned)))

    def _blocks(self, texts: Sequence[str]) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(texts), BLOCK):
            block = texts[start : start + BLOCK]
            own = np.zeros((len(block), len(self.tree)), np.float32)
            filled = [place for place, text in enumerate(block) if text]
            if filled:
                own[filled] = self._own([block[place] for place in filled])
            yield own

    def unit_scores(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """What each classifier gives for b clean texts that are not empty: float32 [b, c] each."""
        rows: Any = None
        found = []
        for trained in self.units:
            takes_text = trained.classifier.info.input == "text"
            if not takes_text and rows is None:
                rows = self.encoding.rows(self.encoding.batch(texts))
            found.append(trained.classifier.scores(texts if takes_text else rows))
        return found

    def _own(self, texts: Sequence[str]) -> NDArray[np.float32]:
        scored = zip(self.unit_scores(texts), self.units, strict=True)
        given = [probabilities(scores, trained.temperature) for scores, trained in scored]
        return own_mass(self.tree, [trained.unit for trained in self.units], given)

    def save(self, folder: Path) -> None:
        """Write all into an empty folder."""
        save_skeleton(folder, self.tree)
        save_encoding(self.encoding, folder)
        for place, trained in enumerate(self.units):
            own = folder / f"unit-{place}"
            own.mkdir()
            trained.classifier.save(own)
        save_json(
            folder / _UNITS,
            [
                {
                    "name": trained.unit.name,
                    "classes": [self.tree.codes[node] for node in trained.unit.classes],
                    "classifier": trained.classifier.info.name,
                    "temperature": trained.temperature,
                }
                for trained in self.units
            ],
        )

    @classmethod
    def load(
        cls, folder: Path, spec: ModelSpec, plugins: Registry, surroundings: Surroundings, exported: Path | None = None
    ) -> Pipeline:
        """The inverse of `save`; `exported` = folder of graphs that take the place of the classifiers.

        Raises:
            Fault: `model_damaged`, `missing_extra`, or what a plug-in raises.
        """
        tree = load_skeleton(folder)
        encoding = load_encoding(folder, spec, plugins, surroundings)
        units = []
        for place, known in enumerate(load_json(folder / _UNITS)):
            part = spec.classifier_of(known["name"])
            if part.name != known["classifier"]:
                raise Fault("model_damaged", f"{_UNITS} names another classifier than the manifest.", value=known["classifier"])
            if exported is None:
                own = folder / f"unit-{place}"
                classifier = plugins.load("classifier", part.name, part.parameters, folder=own, surroundings=surroundings)
            else:
                info = plugins.get("classifier", part.name).info
                graph = exported / f"unit-{place}" / "model.onnx"
                classifier = OnnxClassifier(info, graph, len(known["classes"]), surroundings.threads)
            unit = Unit(known["name"], tuple(tree.position[code] for code in known["classes"]))
            units.append(TrainedUnit(unit, classifier, known["temperature"]))
        return cls(encoding, tuple(units), tree)


def save_encoding(encoding: Encoding, folder: Path) -> None:
    """Write tokenizer and features into a folder."""
    named = [("tokenizer", encoding.tokenizer)] if encoding.tokenizer else []
    named += [(f"features-{place}", own) for place, own in enumerate(encoding.features)]
    for name, own in named:
        (folder / name).mkdir()
        own.save(folder / name)


def load_encoding(folder: Path, spec: ModelSpec, plugins: Registry, surroundings: Surroundings) -> Encoding:
    """The inverse of `save_encoding`.

    Raises:
        Fault: as `Registry.load`.
    """
    tokenizer = None
    if spec.tokenizer:
        own = folder / "tokenizer"
        given = spec.tokenizer.parameters
        tokenizer = plugins.load("tokenizer", spec.tokenizer.name, given, folder=own, surroundings=surroundings)
    features = tuple(
        plugins.load("features", part.name, part.parameters, folder=folder / f"features-{place}", surroundings=surroundings)
        for place, part in enumerate(spec.features)
    )
    return Encoding(spec, tokenizer, features, wants_unit_rows(spec, plugins))


def wants_unit_rows(spec: ModelSpec, plugins: Registry) -> bool:
    """Whether the classifiers of a model want rows of length one; those that share rows must agree.

    Raises:
        Fault: `invalid_input` when they do not.
    """
    parts = {part.name: plugins.get("classifier", part.name) for part in (spec.classifier, *spec.overrides.values())}
    wants = {bool(getattr(plugin.factory, "unit_rows", False)) for plugin in parts.values() if plugin.info.input == "matrix"}
    if len(wants) > 1:
        what = "Classifiers of one model share their rows; these want them scaled differently."
        raise Fault("invalid_input", what, value=", ".join(parts), allowed="svm, logreg and nearest_centroid; or xgboost alone")
    return wants == {True}


def save_skeleton(folder: Path, tree: Taxonomy) -> None:
    """Write codes, parents and labels of a taxonomy."""
    nodes = [[node.code, node.parent_code, node.level, node.label] for node in tree.nodes]
    save_json(folder / _TAXONOMY, {"key": tree.key, "version": tree.version, "nodes": nodes})


def load_skeleton(folder: Path) -> Taxonomy:
    """The inverse of `save_skeleton`.

    Raises:
        Fault: `model_damaged`.
    """
    known = load_json(folder / _TAXONOMY)
    nodes = [Node(code, parent, level, (NodeText("", label),)) for code, parent, level, label in known["nodes"]]
    try:
        return Taxonomy.build(known["key"], nodes, version=known["version"])
    except ValueError as error:
        raise Fault("model_damaged", f"{_TAXONOMY} holds no tree: {error}", value=str(folder)) from error
