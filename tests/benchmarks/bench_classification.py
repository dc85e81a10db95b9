"""What classification costs beside embedding, and what routing costs beside one matrix product."""

from __future__ import annotations

import argparse

import numpy as np

from taxomind_assets.classification.branch_view import branched_index
from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.index import NodeIndex, unit_rows
from taxomind_assets.views.texts import node_texts
from taxomind_resources.embedding import load_embedder
from tests.benchmarks.material import PeakMemory, best, build, measured, occupations, short_texts, uncached

LARGE = (57, 437, 4_000, 16_295)  # nodes per level of a tree as large as UNSPSC's upper four levels


def large_tree() -> Taxonomy:
    """A tree of 20,789 nodes on four levels whose labels are random words."""
    random = np.random.default_rng(0)
    words = ["".join(letters) for letters in random.choice(list("abcdefghijklmnoprstuvw"), (5_000, 7))]
    nodes: list[Node] = []
    above: list[str | None] = [None]
    for level, size in enumerate(LARGE, 1):
        parents = np.sort(random.integers(0, len(above), size))
        labels = [" ".join(pick) for pick in random.choice(words, (size, 3))]
        own: list[str | None] = [f"{level}-{i}" for i in range(size)]
        nodes += [
            Node(str(code), above[parent], level, (NodeText("en", label),))
            for code, parent, label in zip(own, parents, labels, strict=True)
        ]
        above = own
    return Taxonomy.build("large", nodes)


def beside_the_embedder(count: int, repeats: int) -> list[str]:
    """Rows of the table, for texts in four languages and in English: embedding, classification, all but embedding."""
    settings = uncached()
    embedder = load_embedder(settings.embedding, settings.data)
    classifier = Classifier(build(occupations(settings), embedder), embedder, settings)
    return [
        row
        for name, languages in (("in four languages", None), ("in English", {"en"}))
        for row in _beside(classifier, short_texts(settings, count, languages), repeats, name)
    ]


def _beside(classifier: Classifier, texts: list[str], repeats: int, kind: str) -> list[str]:
    embedder = classifier.embedder
    vectors = embedder.embed(texts, "query")
    classifier.classify(texts[:2_000])
    alone, whole, rest = [], [], []
    for _ in range(repeats):
        alone.append(measured(lambda: embedder.embed(texts, "query")))
        whole.append(measured(lambda: classifier.classify(texts)))
        rest.append(measured(lambda: classifier.classify(texts, vectors=vectors)))
    base = best(alone)
    rows = [("the embedder alone", base), ("`Classifier.classify`", best(whole)), ("the same, vectors given", best(rest))]
    return [
        f"| {name}, {len(texts):,} short texts {kind} | {cost.cpu:.2f} s | {cost.wall:.2f} s | {cost.cpu / base.cpu:.2f} "
        f"| {cost.wall / base.wall:.2f} | {len(texts) / cost.wall:,.0f} |"
        for name, cost in rows
    ]


def routing_alone(count: int, repeats: int, dimensions: int = 384) -> list[str]:
    """Rows of the table: one float32 product, routing of the same shape, and its memory."""
    settings = uncached()
    tree = large_tree()
    random = np.random.default_rng(1)
    texts = node_texts(tree)["label"]
    vectors = unit_rows(random.normal(size=(len(texts), dimensions)).astype(np.float32))
    index = branched_index(NodeIndex(tree, "0" * 12, {}, tuple(texts), vectors, {"en": 1.0}, frozenset({"en"})))
    classifier = Classifier(index, load_embedder(settings.embedding, settings.data), settings)
    picked = random.integers(0, len(texts), count)
    queries = [f"{texts[i].text} {place}" for place, i in enumerate(picked)]
    near = unit_rows(vectors[picked] + 0.05 * random.normal(size=(count, dimensions)).astype(np.float32))
    classifier.classify(queries[:500], vectors=near[:500])
    product, routing, memory = [], [], []
    for _ in range(repeats):
        product.append(measured(lambda: [near[i : i + 500] @ vectors.T for i in range(0, count, 500)]))
        with PeakMemory() as peak:
            routing.append(measured(lambda: classifier.classify(queries, vectors=near)))
        memory.append(peak.mebibytes)
    base, cost = best(product), best(routing)
    return [
        f"| float32 product {count:,} x {dimensions} x {len(tree):,} | {base.cpu:.2f} s | {base.wall:.2f} s | 1.00 | 1.00 "
        f"| {count / base.wall:,.0f} |",
        f"| routing alone over {len(tree):,} nodes, peak +{max(memory):.0f} MiB | {cost.cpu:.2f} s | {cost.wall:.2f} s "
        f"| {cost.cpu / base.cpu:.2f} | {cost.wall / base.wall:.2f} | {count / cost.wall:,.0f} |",
    ]


def main(argv: list[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(argv)
    print("| classification | CPU | wall | CPU ratio | wall ratio | texts/s |\n| --- | --: | --: | --: | --: | --: |")
    for row in [
        *beside_the_embedder(options.texts, options.repeats),
        *routing_alone(options.texts, options.repeats),
    ]:
        print(row, flush=True)


if __name__ == "__main__":
    main()
