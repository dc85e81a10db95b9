"""What one correction costs, and what it is worth.

    python -m tests.benchmarks.bench_learning                       what it costs
    python -m tests.benchmarks.bench_learning --data FOLDER         what they are worth, on five benchmark sets (`few_shot`)
    python -m tests.benchmarks.bench_learning --data FOLDER --sets isco08.en,clinc150.en --texts 300 --work DIR --docs

`--docs` writes what was measured to the section "One correction at a time" of docs/quality.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.learning.gathering import accept_corrections, gather_evidence
from taxomind_assets.learning.stored import evidence_of_rows
from taxomind_assets.pending import IndexState
from taxomind_assets.taxonomy.records import taxonomy_to_table
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_assets.views.index import NodeIndex, unit_rows
from taxomind_assets.views.texts import VIEWS, node_texts
from taxomind_resources.embedding import Embedder, load_embedder
from taxomind_resources.inbox import Inbox
from taxomind_resources.outputs import Outputs
from taxomind_resources.settings import Settings, load_settings
from taxomind_resources.tables import BY_NAME
from tests.bench.page import PAGE
from tests.benchmarks import few_shot
from tests.benchmarks.bench_classification import large_tree
from tests.benchmarks.material import best, build, measured, occupations, uncached

_TRIES = 5
KEY = "bench"
#: Marks around the table of docs/quality.md.
BEGIN: Final = "<!-- corrections: made by `python -m tests.benchmarks.bench_learning --data FOLDER --docs` -->"
END: Final = "<!-- end of corrections -->"


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
    times = []
    for index in (small, large):
        for size in sizes:
            evidence = invented(size, index.tree.codes, index.vectors.shape[1])
            classifier = Classifier(index, embedder, settings).with_evidence(evidence)
            classifier.classify("something that was never seen")
            usual = best(measured(lambda one=classifier: one.classify("another text")) for _ in range(_TRIES))
            learned = [classifier]

            def teach(learned: list[Classifier] = learned) -> None:
                learned.append(learned[-1].learn([f"a new text {len(learned)}"], [learned[-1].tree.codes[-1]]))

            cost = best(measured(teach) for _ in range(_TRIES))
            first = best(measured(lambda one=one: one.classify("a new text like it")) for one in learned[1:])
            times.append(cost.cpu)
            total = cost.wall + first.wall
            cells = [
                f"{len(index.tree):,}",
                f"{size:,}",
                *(f"{one.cpu:.4f} s" for one in (usual, cost, first)),
                f"{total:.3f} s",
            ]
            yield f"| {' | '.join(cells)} |"
    yield f"\nThe last takes {times[-1] / times[0]:.2f} times as long to learn as the first."


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


def publish(page: Path, lines: list[str], texts: int) -> None:
    """Put tables where `page` has the marks for them."""
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    about = f"At most {texts:,} test texts of a set; taxomind {version('taxomind')}."
    page.write_text("\n".join([head + BEGIN, "", about, "", *lines, "", END + tail]), encoding="utf-8")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evidence", type=int, nargs="*", default=[100, 10_000, 100_000])
    parser.add_argument("--files", type=int, nargs="*", default=[1, 1_000, 10_000])
    parser.add_argument("--data", type=Path, help="folder of benchmark sets")
    parser.add_argument("--sets", default=",".join(few_shot.SETS))
    parser.add_argument("--texts", type=int, default=1_000, help="test texts of a set, at most")
    parser.add_argument("--work", type=Path, help="data root of the run, which keeps the vectors (default: a temporary folder)")
    parser.add_argument(
        "--json", type=Path, help="also write the records to this file; sets that it has are not measured again"
    )
    parser.add_argument("--docs", action="store_true", help="also write the table to docs/quality.md")
    given = parser.parse_args()
    if given.data:
        worth(given)
    else:
        costs(given)


def costs(given: argparse.Namespace) -> None:
    """Print what one correction costs."""
    settings = uncached()
    embedder = load_embedder(settings.embedding, settings.data)
    if given.evidence:
        print(
            "| nodes | corrections before | an answer, CPU | `Classifier.learn`, CPU | first answer after, CPU | both, wall |"
        )
        print("|---|---|---|---|---|---|")
        for row in in_process(settings, embedder, given.evidence):
            print(row, flush=True)
    if given.files:
        print("\n| files | learned at first, CPU | one more file, CPU | wall | evidence loaded, CPU |\n|---|---|---|---|---|")
        for row in on_disk(load_embedder(settings.embedding, settings.data), given.files):
            print(row, flush=True)


def worth(given: argparse.Namespace) -> None:
    """Print what corrections are worth, set by set."""
    with ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = load_settings(work)
        embedder = load_embedder(settings.embedding, settings.data)
        known = json.loads(given.json.read_text(encoding="utf-8")) if given.json and given.json.exists() else []
        names = given.sets.split(",")
        done = {record["set"] for record in known}
        for name in [name for name in names if name not in done]:
            for record in few_shot.records(given.data, name, embedder, settings, work=work, texts=given.texts):
                known.append(record)
                print(few_shot.tables([record])[-1], file=sys.stderr, flush=True)
            if given.json:
                given.json.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        lines = few_shot.tables([record for name in names for record in known if record["set"] == name])
        print("\n".join(lines))
        if given.docs:
            publish(PAGE, lines, given.texts)


if __name__ == "__main__":
    main()
