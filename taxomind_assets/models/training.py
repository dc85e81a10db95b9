"""One training: labelled texts in, an immutable version out.

Validation rows end a training early, fit temperatures and judge; then classifiers that can learn from them too.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from taxomind_assets.models.arrays import save_json
from taxomind_assets.models.contracts import Surroundings
from taxomind_assets.models.evaluation import Evaluation, data_digest, evaluate
from taxomind_assets.models.exports.report import SOURCE, approved_folder
from taxomind_assets.models.fitting import Examples, Fitter, check_enough
from taxomind_assets.models.held_out import HeldOut
from taxomind_assets.models.pipeline import Pipeline
from taxomind_assets.models.registry import Registry, registry
from taxomind_assets.models.specification import ModelSpec
from taxomind_assets.models.splits import sampled
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_assets.views.texts import TEXT_POLICY_VERSION, node_texts
from taxomind_resources.embedding.runtimes import available_cores
from taxomind_resources.model_store import MANIFEST, ModelStore, Run, file_digests

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_resources.embedding import Embedder

FORMAT: Final = 1
SPLIT_FILE: Final = "split.parquet"
_LIBRARIES: Final = ("taxomind", "numpy", "scipy", "scikit-learn", "torch", "transformers", "tokenizers", "safetensors")
_METRICS: Final = ("accuracy", "macro_f1", "weighted_f1", "hF1", "log_loss", "brier", "ece", "majority")


class ArrowTexts(Sequence[str]):
    """Texts of an Arrow column, turned into Python strings as they are read: a million of them cost their bytes alone."""

    def __init__(self, column: pa.ChunkedArray, more: Sequence[str] = ()) -> None:
        self._column = column
        self._more = list(more)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """A text, or several."""
        own = len(self._column)
        if isinstance(place, int):
            return str(self._column[place].as_py()) if 0 <= place < own else self._more[place - own]
        start, stop, _ = place.indices(len(self))
        found: list[str] = self._column.slice(start, max(min(stop, own) - start, 0)).to_pylist() if start < own else []
        return found + self._more[max(start - own, 0) : max(stop - own, 0)]

    def __len__(self) -> int:
        """Number of texts."""
        return len(self._column) + len(self._more)


@dataclass(frozen=True)
class Trained:
    """A version that was made. `validation`: how good it is on the validation rows; None = there were none."""

    number: int
    pipeline: Pipeline
    manifest: dict[str, Any]
    validation: Evaluation | None


def examples_of(tree: Taxonomy, labelled: pa.Table, split: str, *, own_texts: bool = False) -> Examples:
    """The rows of one split.

    Args:
        tree: the taxonomy.
        labelled: `models.labelled_texts`.
        split: train, validation or test.
        own_texts: labels, definitions and examples of the taxonomy come after them, in the languages of the labelled rows.
    """
    import pyarrow.compute as pc

    rows = labelled.filter(pc.equal(labelled["split"], split))
    known = [tree.position[code] for code in rows["code"].to_pylist()]
    more: list[tuple[str, int]] = []
    if own_texts:
        wanted = _languages(tree, rows)
        texts = (text for view in node_texts(tree).values() for text in view if text.view != "negative")
        found = (text for text in texts if wanted is None or _base(text.language) in wanted)
        more = [(text.text, tree.position[text.code]) for text in found]
    return Examples(
        ArrowTexts(rows["text"], [text for text, _ in more]),
        np.array([*known, *(node for _, node in more)], np.int64),
        np.repeat([True, False], [len(known), len(more)]),
    )


def with_fewer_texts(labelled: pa.Table, most: int, seed: int) -> pa.Table:
    """`models.labelled_texts` with at most so many training rows; every code keeps its share."""
    import pyarrow as pa

    is_train = np.array([split == "train" for split in labelled["split"].to_pylist()], np.bool_)
    rows = np.flatnonzero(is_train)
    _, strata = np.unique(np.array(labelled["code"].to_pylist())[rows], return_inverse=True)
    texts = np.array([int(value, 16) for value in labelled["text_hash"].take(pa.array(rows)).to_pylist()], np.uint64)
    kept = ~is_train
    kept[rows[sampled(strata.astype(np.int64), texts, most, seed)]] = True
    return labelled.filter(pa.array(kept))


def _languages(tree: Taxonomy, rows: pa.Table) -> frozenset[str] | None:
    """Languages whose texts of the taxonomy are worth training on: those of the labelled rows, and texts that name none.

    The others would be most of the rows of a taxonomy in many languages, and teach words that no text has. None = all: where a
    row does not say its language, or the taxonomy has none of theirs.
    """
    said = {_base(language) for language in rows["language"].unique().to_pylist()}
    there = {_base(own.language) for node in tree.nodes for own in node.texts}
    return frozenset({*said, ""}) if "" not in said and said & there else None


def _base(language: str) -> str:
    """`de` of `de-CH`."""
    return language.partition("-")[0].lower()


def train_model(
    key: str,
    spec: ModelSpec,
    tree: Taxonomy,
    labelled: pa.Table,
    store: ModelStore,
    *,
    embedder: Callable[[], Embedder],
    plugins: Registry | None = None,
    say: Callable[[str], None] = lambda _: None,
    threads: int | None = None,
) -> Trained:
    """Train a model and publish it as a version; test rows are not looked at.

    A training of the same inputs that was killed before goes on where it was. One that fails leaves its number as `failed`.

    Args:
        key: taxonomy key.
        spec: what the model is made of.
        tree: the taxonomy in force.
        labelled: `models.labelled_texts`.
        store: where versions are kept.
        embedder: gives the embedding model.
        plugins: the registry; default: that of the process.
        say: takes sentences on how far it is.
        threads: threads; default: all cores.

    Raises:
        Fault: `too_few_labels`, `invalid_input`, `missing_extra`, `storage_failed`, or what a plug-in raises.
    """
    plugins = plugins or registry()
    checked = spec.checked(plugins)
    train = examples_of(tree, labelled, "train", own_texts=checked.node_texts)
    validation = examples_of(tree, labelled, "validation")
    check_enough(train, tree)
    pairs = list(zip(labelled["text_hash"].to_pylist(), labelled["code"].to_pylist(), strict=True))
    splits = list(zip(labelled["text_hash"].to_pylist(), labelled["split"].to_pylist(), strict=True))
    digests = {"digest": data_digest(pairs), "split_digest": data_digest(splits)}
    inputs = json.dumps([FORMAT, checked.version, tree.version, digests, TEXT_POLICY_VERSION, _versions(checked, plugins)])
    checkpoints = store.checkpoint(key, hashlib.sha256(inputs.encode()).hexdigest()[:16])
    with store.training(key, checked.name) as run:
        started = time.monotonic()
        around = Surroundings(embedder, checked.seed, threads or available_cores(), checkpoints, say)
        fitter = Fitter(checked, tree, plugins, around, checkpoints)
        pipeline = fitter.fit(train, validation)
        seconds = {"training": time.monotonic() - started, "validation": 0.0}
        judged = held_out = None
        if len(validation):
            started = time.monotonic()
            predictions = pipeline.predict(validation.texts)
            judged = evaluate(tree, predictions, validation.nodes)
            seconds["validation"] = time.monotonic() - started
            started = time.monotonic()
            again = fitter.with_validation(pipeline, train, validation)
            if again is not None:
                held_out = HeldOut.of(predictions, pipeline.codes, _hashes(labelled, "validation"))
                pipeline = again
            seconds["training"] += time.monotonic() - started
        facts = {
            "data": {**digests, **_counts(labelled), "node_texts": int((~train.labelled).sum())},
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "learned_from_validation": held_out is not None,
            "libraries": _versions(checked, plugins),
        }
        if held_out is not None:
            held_out.save(run.folder)
        manifest = write_version(run, pipeline, labelled, judged, facts)
    store.drop_checkpoints(key)
    return Trained(run.number, pipeline, manifest, judged)


def write_version(
    run: Run, pipeline: Pipeline, labelled: pa.Table, judged: Evaluation | None, facts: dict[str, Any]
) -> dict[str, Any]:
    """Fill the folder of a version; returns its manifest."""
    import pyarrow.parquet as pq

    pipeline.save(run.folder)
    pq.write_table(labelled.select(["text_hash", "split"]), run.folder / SPLIT_FILE, compression="zstd")
    metrics = {name: judged.value(name) for name in _METRICS} | {"n": judged.answers.size} if judged else {}
    manifest = {
        "format": FORMAT,
        "taxonomy_key": run.key,
        "version": run.number,
        "created_at": run.started.isoformat(),
        "name": pipeline.spec.name,
        "spec": pipeline.spec.to_json(),
        "taxonomy_version": pipeline.tree.version,
        "text_policy": TEXT_POLICY_VERSION,
        "codes": pipeline.codes,
        "validation": metrics,
        "size_bytes": sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file()),
        **facts,
        "files": file_digests(run.folder),
    }
    save_json(run.folder / MANIFEST, manifest)
    return manifest


def load_model(
    store: ModelStore,
    key: str,
    number: int | None = None,
    *,
    embedder: Callable[[], Embedder],
    plugins: Registry | None = None,
    threads: int | None = None,
    variant: str = SOURCE,
) -> tuple[Pipeline, dict[str, Any]]:
    """A version as it was trained, with its manifest; every file is checked against it first.

    Args:
        store: where versions are kept.
        key: taxonomy key.
        number: the version; default: the promoted one, else the latest.
        embedder: gives the embedding model.
        plugins: the registry; default: that of the process.
        threads: threads; default: all cores.
        variant: source, auto (the fastest that the gate let pass, else the source), or the name of one.

    Raises:
        Fault: `no_model`, `model_damaged`, `missing_extra`, `gate_refused` (variant), or what a plug-in raises.
    """
    folder = store.verified(key, number)
    manifest = store.manifest(key, int(folder.name.removeprefix("v")))
    around = Surroundings(embedder, threads=threads or available_cores())
    exported = approved_folder(store, key, int(manifest["version"]), variant)
    pipeline = Pipeline.load(folder, ModelSpec.from_json(manifest["spec"]), plugins or registry(), around, exported)
    return pipeline, manifest


def trained_texts(folder: Path) -> frozenset[str]:
    """Hashes of the texts that a version was trained on or chosen by (`models.labelled_texts.text_hash`)."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / SPLIT_FILE)
    return frozenset(rows.filter(pc.not_equal(rows["split"], "test"))["text_hash"].to_pylist())


def _hashes(labelled: pa.Table, split: str) -> list[str]:
    """Hashes of the texts of a split, in the order of `examples_of`."""
    import pyarrow.compute as pc

    found: list[str] = labelled.filter(pc.equal(labelled["split"], split))["text_hash"].to_pylist()
    return found


def _counts(labelled: pa.Table) -> dict[str, int]:
    import pyarrow.compute as pc

    return {split: int(pc.sum(pc.equal(labelled["split"], split)).as_py() or 0) for split in ("train", "validation", "test")}


def _versions(spec: ModelSpec, plugins: Registry) -> dict[str, str]:
    """Versions of the libraries that a model may depend on."""
    parts = [plugins.get("classifier", part.name) for part in (spec.classifier, *spec.overrides.values())]
    parts += [plugins.get("features", part.name) for part in spec.features]
    parts += [plugins.get("tokenizer", spec.tokenizer.name)] if spec.tokenizer else []
    names = [*_LIBRARIES, *(name for plugin in parts for need in plugin.info.requires for name in need.distributions), "icu4py"]
    found = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
