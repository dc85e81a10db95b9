"""Judging a version on the rows that it was not trained on. Test rows are read here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taxomind_assets.models.evaluation import evaluate
from taxomind_assets.models.held_out import HeldOut
from taxomind_assets.models.pipeline import Predictions
from taxomind_assets.models.stored import EVALUATIONS, labelled_texts, part_of, write_evaluation
from taxomind_assets.models.training import examples_of, load_model, trained_texts
from taxomind_assets.taxonomy.stored import stored_taxonomy

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.models.pipeline import Pipeline
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.embedding import Embedder
    from taxomind_resources.model_store import ModelStore
    from taxomind_resources.outputs import Outputs

SPLITS: Final = ("validation", "test")


@dataclass(frozen=True)
class JudgedVersion:
    """What was judged.

    Attributes:
        digest: of the test rows, '' when there are none.
        measures: rows of `models.evaluations` of this version.
        notes: what a person should know.
    """

    digest: str
    measures: int
    notes: tuple[str, ...]


def judge_version(
    key: str, number: int, outputs: Outputs, store: ModelStore, embedder: Callable[[], Embedder], *, again: bool = False
) -> JudgedVersion:
    """Judge a version on validation and test rows, and keep the figures.

    The test rows are read once: figures that exist stay, unless `again` asks for the rows of now, for example to compare it
    with a version that was trained on more data.

    Raises:
        Fault: as `load_model`; `unknown_taxonomy` or `storage_failed`.
    """
    tree = stored_taxonomy(outputs, key)
    rows = labelled_texts(outputs, key, tree)
    known = trained_texts(store.folder(key, number))
    digests: dict[str, str] = {}
    notes: list[str] = []
    pipeline: Pipeline | None = None
    for split in SPLITS:
        part = part_of(number, split)
        if outputs.exists(EVALUATIONS, key, part) and not (again and split == "test"):
            digests[split] = outputs.digest(EVALUATIONS, key, part) or ""
            notes.append(f"the {split} rows were read before; their figures stay")
            continue
        own = _rows_of(rows, split)
        if split == "test":
            own, lost = _unseen(own, known)
            if lost:
                notes.append(f"{lost:,} test texts were left out, since the version was trained on them")
        if not own.num_rows:
            notes.append(f"there are no {split} rows")
            continue
        if pipeline is None:
            pipeline, _ = load_model(store, key, number, embedder=embedder)
        held_out = HeldOut.load(store.folder(key, number)) if split == "validation" else None
        own, predictions = _answered(pipeline, tree, own, split, held_out)
        digests[split] = _judge(tree, own, split, predictions, key=key, number=number, outputs=outputs)
    parts = [part_of(number, split) for split in SPLITS]
    measures = outputs.read(EVALUATIONS, key, columns=["metric"], parts=parts).num_rows
    return JudgedVersion(digests.get("test", ""), measures, tuple(notes))


def _answered(
    pipeline: Pipeline, tree: Taxonomy, rows: pa.Table, split: str, held_out: HeldOut | None
) -> tuple[pa.Table, Predictions]:
    """Rows, and what the model says of them: of rows that it has learned from in the end, what it said before."""
    if held_out is None:
        return rows, pipeline.predict(examples_of(tree, rows, split).texts)
    held, said = held_out.said(pipeline.tree, rows["text_hash"].to_pylist())
    return rows.take(held), Predictions(pipeline.tree, said)


def _judge(
    tree: Taxonomy, rows: pa.Table, split: str, predictions: Predictions, *, key: str, number: int, outputs: Outputs
) -> str:
    found = evaluate(tree, predictions, examples_of(tree, rows, split).nodes)
    return write_evaluation(outputs, key, number, split, tree=tree, rows=rows, found=found)


def _rows_of(rows: pa.Table, split: str) -> pa.Table:
    import pyarrow.compute as pc

    return rows.filter(pc.equal(rows["split"], split))


def _unseen(rows: pa.Table, known: frozenset[str]) -> tuple[pa.Table, int]:
    """Rows that a version was not trained on, and how many others there are."""
    import pyarrow as pa

    kept = [text not in known for text in rows["text_hash"].to_pylist()]
    return rows.filter(pa.array(kept, pa.bool_())), len(kept) - sum(kept)
