"""What one correction costs, and what corrections do to nodes that nobody corrected.

    python -m tests.benchmarks.bench_learning                               cost alone
    python -m tests.benchmarks.bench_learning --data FOLDER --sets isco08.en,clinc150.en     untouched nodes as well

The curve of quality over the number of corrections per leaf is part of `make bench` (regimes k=1 to all).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.learning.gathering import accept_corrections, gather_evidence
from taxomind_assets.learning.stored import evidence_of_rows
from taxomind_assets.pending import IndexState
from taxomind_assets.taxonomy.records import taxonomy_to_table
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_assets.views.index import NodeIndex, unit_rows
from taxomind_assets.views.texts import VIEWS, clean, node_texts
from taxomind_resources.embedding import Embedder, load_embedder
from taxomind_resources.inbox import Inbox
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import Settings
from taxomind_resources.tables import BY_NAME
from tests.bench.material import Text, find_sets
from tests.bench.task import Task
from tests.benchmarks.bench_classification import large_tree
from tests.benchmarks.material import best, build, measured, occupations, uncached

_TRIES = 5
KEY = "bench"


def invented(count: int, codes: list[str], dimensions: int) -> Evidence:
    """Corrections that were never made: random words and random vectors, spread over all nodes."""
    random = np.random.default_rng(0)
    texts = [f"thing {number} of kind {number % 97}" for number in range(count)]
    vectors = unit_rows(random.normal(size=(count, dimensions)).astype(np.float32))
    return Evidence.of(texts, [codes[i % len(codes)] for i in range(count)], vectors)


def random_index(tree: Taxonomy, dimensions: int) -> NodeIndex:
    """An index with random vectors, for sizes where embedding would take the time."""
    texts = [text for view in VIEWS for text in node_texts(tree)[view]]
    order = sorted(texts, key=lambda text: tree.position[text.code])
    vectors = np.random.default_rng(0).normal(size=(len(order), dimensions)).astype(np.float32)
    languages = dict.fromkeys(tree.languages, 1.0)
    return NodeIndex(tree, "0" * 12, {}, tuple(order), unit_rows(vectors), languages, frozenset(tree.languages))


def in_process(settings: Settings, embedder: Embedder, sizes: list[int]) -> Iterator[str]:
    """Rows of the table: one more correction in a process that holds a classifier, and the first answer after it."""
    small = build(occupations(settings), embedder)
    large = random_index(large_tree(), small.vectors.shape[1])
    for index in (small, large):
        for size in sizes:
            evidence = invented(size, index.tree.codes, index.vectors.shape[1])
            classifier = Classifier(index, embedder, settings).with_evidence(evidence)
            classifier.classify("something that was never seen")
            learned = []

            def teach(classifier: Classifier = classifier, learned: list[Classifier] = learned) -> None:
                learned.append(classifier.learn([f"a new text {len(learned)}"], [classifier.tree.codes[-1]]))

            cost = best(measured(teach) for _ in range(_TRIES))
            first = best(measured(lambda one=one: one.classify("a new text like it")) for one in learned)
            total = cost.wall + first.wall
            yield f"| {len(index.tree):,} | {size:,} | {cost.cpu:.3f} s | {first.cpu:.3f} s | {total:.3f} s |"


def on_disk(embedder: Embedder, sizes: list[int]) -> Iterator[str]:
    """Rows of the table: as many files of one correction each, read for the first time, then one more."""
    tree = Taxonomy.build(KEY, occupations(uncached()).nodes, version="0" * 12)
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder)
            inbox, outputs, settings = Inbox(data, 0.0), Outputs(data), Settings.model_validate({"data": data})
            state = IndexState(tree.version, embedder.spec.vector_class, "", "")
            outputs.write("taxonomy.enriched_nodes", KEY, taxonomy_to_table(tree, "taxonomy.enriched_nodes"))
            empty = BY_NAME["views.node_vectors"].arrow.empty_table()
            outputs.write("views.node_vectors", KEY, empty, digest=state.digest())
            place = data / "inbox" / KEY / "corrections"
            place.mkdir(parents=True)

            def put(number: int, place: Path = place) -> None:
                row = {"text": f"job number {number}", "code": tree.codes[number % len(tree)]}
                path = place / f"c{number:06d}.jsonl"
                path.write_text(json.dumps(row))
                os.utime(path, (1_000_000_000, 1_000_000_000 + number))

            def learn(
                inbox: Inbox = inbox, outputs: Outputs = outputs, settings: Settings = settings, embedder: Embedder = embedder
            ) -> None:
                accept_corrections(KEY, settings, inbox, outputs)
                gather_evidence(KEY, outputs, embedder)

            for number in range(size):
                put(number)
            first = measured(learn)
            put(size)
            more = measured(learn)
            rows = outputs.read("learning.evidence", KEY, columns=["code", "text", "vector"])
            load = best(
                measured(lambda rows=rows: evidence_of_rows(rows, embedder.spec.dimensions, tree.position)) for _ in range(3)
            )
            yield f"| {size:,} | {first.cpu:.1f} s | {more.cpu:.2f} s | {more.wall:.2f} s | {load.cpu:.3f} s |"


def untouched(data: Path, names: list[str], embedder: Embedder, settings: Settings) -> Iterator[str]:
    """Rows of the table: half of the leaves get k corrections each; how texts of the other half are answered."""
    found = {bench_set.name: bench_set for bench_set in find_sets(data)}
    for name in names:
        task = Task(found[name], embedder, settings, Path(tempfile.mkdtemp()))
        leaves = sorted(code for code, leaf in zip(task.tree.codes, task.tree.is_leaf, strict=True) if leaf)
        taught = set(leaves[::2])
        plain = Classifier(task.index, embedder, settings)
        tests = [text for text in task.tests("k=1") if not taught & set(text.codes)]
        before = _right(plain, task.tree, tests)
        for regime in ("k=1", "k=3", "k=10", "all"):
            rows = [(clean(text.text), code) for text in task.pool(regime) for code in text.codes if code in taught]
            texts, codes = [text for text, _ in rows], [code for _, code in rows]
            after = _right(plain.with_evidence(Evidence.of(texts, codes, task.vectors(texts))), task.tree, tests)
            yield f"| {name} | {regime} | {len(rows):,} | {len(tests):,} | {before:.1%} | {after:.1%} | {after - before:+.1%} |"


def _right(classifier: Classifier, tree: Taxonomy, tests: list[Text]) -> float:
    best_leaf = classifier.answers([clean(text.text) for text in tests]).leaves[:, 0]
    gold = [{tree.position[code] for code in text.codes} for text in tests]
    return float(np.mean([leaf in known for leaf, known in zip(best_leaf.tolist(), gold, strict=True)]))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evidence", type=int, nargs="*", default=[0, 1_000, 10_000])
    parser.add_argument("--files", type=int, nargs="*", default=[1, 1_000, 10_000])
    parser.add_argument("--data", type=Path, help="folder of benchmark sets")
    parser.add_argument("--sets", default="isco08.en,naics-2012.en,clinc150.en")
    given = parser.parse_args()
    settings = uncached()
    embedder = load_embedder(settings.embedding, settings.data)
    if given.evidence:
        print("| nodes | corrections before | `Classifier.learn`, CPU | first answer after it, CPU | both, wall |")
        print("|---|---|---|---|---|")
        for row in in_process(settings, embedder, given.evidence):
            print(row, flush=True)
    if given.files:
        print("\n| files | learned at first, CPU | one more file, CPU | wall | evidence loaded, CPU |\n|---|---|---|---|---|")
        for row in on_disk(load_embedder(settings.embedding, settings.data), given.files):
            print(row, flush=True)
    if given.data:
        print("\n| set | corrections of half of the leaves | texts | test texts of the others | before | after | change |")
        print("|---|---|---|---|---|---|---|")
        for row in untouched(given.data, given.sets.split(","), embedder, settings):
            print(row, flush=True)


if __name__ == "__main__":
    main()
