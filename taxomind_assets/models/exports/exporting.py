"""One export: a version in, its variants with the gate's verdict out, as the part `onnx` of the version.

    onnx/<variant>/unit-0.onnx ...      one graph per classifier; for a transformer its tokenizer beside it
    onnx/report.json                    figures, verdicts, digests

The part is there as a whole or not at all, so a killed export leaves nothing that could be served.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.models.evaluation import class_scores, on_tree
from taxomind_assets.models.exports import agreement
from taxomind_assets.models.exports.agreement import EDGE_TEXTS, Answers, compared
from taxomind_assets.models.exports.report import PART, SOURCE, VARIANTS, Exported, Variant, save_report
from taxomind_assets.models.exports.runtime import OnnxClassifier
from taxomind_assets.models.pipeline import Pipeline, TrainedUnit
from taxomind_resources.embedding.runtimes import available_cores
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.models.fitting import Examples
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.model_store import ModelStore

MOST_TEXTS: Final = 1_000
_ALONE: Final = 64
_TIMED: Final = 50
_WARM_UP: Final = 5


def export_version(
    store: ModelStore,
    key: str,
    number: int,
    tree: Taxonomy,
    examples: Examples,
    *,
    embedder: Callable[[], Embedder],
    say: Callable[[str], None] = lambda _: None,
    threads: int | None = None,
) -> Exported:
    """Export a version, compare every variant with it, and keep all as a part of the version.

    Args:
        store: where versions are kept.
        key: taxonomy key.
        number: the version.
        tree: the taxonomy that `examples` belong to.
        examples: labelled texts of the validation split.
        embedder: gives the embedding model.
        say: takes sentences on how far it is.
        threads: threads of every variant and of the source; default: all cores.

    Raises:
        Fault: as `load_model`; `export_impossible` when even the baseline cannot be made.
    """
    from taxomind_assets.models.training import load_model

    own = threads or available_cores()
    source, manifest = load_model(store, key, number, embedder=embedder, threads=own)
    chosen = _chosen(examples)
    texts = [*(examples.texts[i] for i in chosen), *EDGE_TEXTS]
    judge = _Judge(tree, texts, examples.nodes[chosen])
    found: list[Exported] = []

    def write(folder: Path) -> None:
        made = _Export(source, manifest, folder, judge, say, own).run()
        exported = Exported(number, made, len(texts), len(chosen), own, _machine(), datetime.now(UTC))
        save_report(folder, exported)
        found.append(exported)

    store.add_part(key, number, PART, write)
    return found[0]


@dataclass(frozen=True)
class _Judge:
    """Texts to compare on; the first ones have known nodes, int64[k], positions in `tree`."""

    tree: Taxonomy
    texts: list[str]
    nodes: NDArray[np.int64]

    def answers(self, pipeline: Pipeline) -> Answers:
        filled = [text for text in self.texts if text.strip()]
        alone = np.concatenate([pipeline.predict([text]).own for text in self.texts[:_ALONE]])
        return Answers(pipeline.unit_scores(filled), pipeline.predict(self.texts).own, alone)

    def quality(self, pipeline: Pipeline, own: NDArray[np.float32]) -> tuple[float | None, float | None]:
        """Accuracy and macro F1 on the labelled texts; None without any."""
        if not self.nodes.size:
            return None, None
        from taxomind_assets.models.pipeline import Predictions

        known = on_tree(self.tree, Predictions(pipeline.tree, own[: self.nodes.size]))
        answers = np.where(known.any(axis=1), known.argmax(axis=1), -1).astype(np.int64)
        f1 = [float(row["f1"]) for row in class_scores(self.tree, self.nodes, answers)]
        return float((answers == self.nodes).mean()), float(np.mean(f1)) if f1 else None

    def speed(self, pipeline: Pipeline) -> dict[str, float]:
        """Milliseconds of one text, and texts per second of all at once; texts that are empty or overlong are left out."""
        own = self.texts[: self.nodes.size] or self.texts[1:9]
        timed = (own * (1 + (_TIMED + _WARM_UP) // len(own)))[: _TIMED + _WARM_UP]
        spent = []
        for text in timed:
            started = time.perf_counter()
            pipeline.predict([text])
            spent.append(1000 * (time.perf_counter() - started))
        started = time.perf_counter()
        pipeline.predict(own)
        rate = len(own) / max(time.perf_counter() - started, 1e-9)
        p50, p95 = np.percentile(spent[_WARM_UP:], [50, 95]).tolist()
        return {"latency_p50_ms": p50, "latency_p95_ms": p95, "texts_per_second": rate}


@dataclass
class _Export:
    """The work on one version."""

    source: Pipeline
    manifest: dict[str, Any]
    folder: Path
    judge: _Judge
    say: Callable[[str], None]
    threads: int

    def run(self) -> tuple[Variant, ...]:
        """All variants, the source first."""
        reference = self.judge.answers(self.source)
        quality = self.judge.quality(self.source, reference.own)
        size = int(self.manifest["size_bytes"])
        rows = [
            Variant(SOURCE, "reference", size_bytes=size, accuracy=quality[0], macro_f1=quality[1], **self._speed(self.source))
        ]
        missing = sorted({u.classifier.info.name for u in self.source.units if not hasattr(u.classifier, "write_onnx")})
        if missing:
            reason = f"{', '.join(missing)} cannot be written as ONNX"
            return (*rows, *(Variant(name, "impossible", reason) for name in VARIANTS))
        for name in VARIANTS:
            self.say(f"export: {name}")
            try:
                row, answers = self._variant(name, reference, quality)
            except Fault as fault:
                if fault.code != "export_impossible":
                    raise
                rows.append(Variant(name, "impossible", f"{fault.what} {fault.value or ''}".strip()))
                if name == VARIANTS[0]:  # the others are made of it
                    rows += [Variant(other, "impossible", "there is no baseline") for other in VARIANTS[1:]]
                    break
                continue
            rows.append(row)
            if name == VARIANTS[0]:
                reference = answers
                if row.state != "accepted":
                    rows += [Variant(other, "rejected", "its baseline was rejected") for other in VARIANTS[1:]]
                    break
        return tuple(rows)

    def _variant(self, name: str, reference: Answers, quality: tuple[float | None, float | None]) -> tuple[Variant, Answers]:
        folder = self.folder / name
        folder.mkdir()
        for place, trained in enumerate(self.source.units):
            self._write(name, place, trained)
        own = variant_pipeline(self.source, folder, self.threads)
        answers = self.judge.answers(own)
        accuracy, macro_f1 = self.judge.quality(own, answers.own)
        lost = [a - b for a, b in zip(quality, (accuracy, macro_f1), strict=True) if a is not None and b is not None]
        takes_text = all(trained.classifier.info.input == "text" for trained in self.source.units)
        limits = agreement.INT8 if name == "onnx-int8" else agreement.TEXTS if takes_text else agreement.ROWS
        found = compared(reference, answers, lost, limits)
        row = Variant(
            name,
            "rejected" if found.reasons else "accepted",
            "; ".join(found.reasons),
            sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            agreement=found,
            accuracy=accuracy,
            macro_f1=macro_f1,
            **self._speed(own),
        )
        return row, answers

    def _write(self, name: str, place: int, trained: TrainedUnit) -> None:
        from taxomind_assets.models.exports.graphs import describe, write_int8, write_optimised

        target = self.folder / name / f"unit-{place}" / "model.onnx"
        target.parent.mkdir()
        if name == VARIANTS[0]:
            trained.classifier.write_onnx(target)
            describe(target, self._facts(trained))
            return
        baseline = self.folder / VARIANTS[0] / f"unit-{place}" / "model.onnx"
        (write_int8 if name == "onnx-int8" else write_optimised)(baseline, target)
        describe(target, self._facts(trained))
        for beside in baseline.parent.iterdir():
            if beside.name != baseline.name:
                (target.parent / beside.name).write_bytes(beside.read_bytes())

    def _facts(self, trained: TrainedUnit) -> dict[str, str]:
        codes = [self.source.tree.codes[node] for node in trained.unit.classes]
        return {
            "taxonomy_key": str(self.manifest["taxonomy_key"]),
            "version": str(self.manifest["version"]),
            "taxonomy_version": str(self.manifest["taxonomy_version"]),
            "text_policy": str(self.manifest["text_policy"]),
            "unit": trained.unit.name,
            "codes": json.dumps(codes, ensure_ascii=False),
            "temperature": repr(trained.temperature),
        }

    def _speed(self, pipeline: Pipeline) -> dict[str, Any]:
        return dict(self.judge.speed(pipeline))


def variant_pipeline(source: Pipeline, folder: Path, threads: int) -> Pipeline:
    """The pipeline with its classifiers replaced by exported graphs.

    Raises:
        Fault: `model_damaged`.
    """
    units = []
    for place, trained in enumerate(source.units):
        path = folder / f"unit-{place}" / "model.onnx"
        units.append(
            replace(trained, classifier=OnnxClassifier(trained.classifier.info, path, len(trained.unit.classes), threads))
        )
    return replace(source, units=tuple(units))


def _chosen(examples: Examples) -> list[int]:
    """Rows to compare on, each code in turn, those with the smallest hash first."""
    from taxomind_assets.classification.label_calibration import text_share

    shares = [text_share(text, "export") for text in examples.texts]
    order = sorted(range(len(examples)), key=shares.__getitem__)
    seen: dict[int, int] = {}
    turns = []
    for row in order:
        node = int(examples.nodes[row])
        turns.append((seen.setdefault(node, 0), row))
        seen[node] += 1
    turns.sort(key=lambda turn: turn[0])  # stable: within a turn the order of the hashes stays
    return [row for _, row in turns[:MOST_TEXTS]]


def _machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
