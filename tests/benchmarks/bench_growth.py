"""Growth: hide leaves of a taxonomy, let their texts come in over simulated weeks, and see what is proposed.

    python -m tests.benchmarks.bench_growth [FOLDER] [--hide 0.1] [--texts 20] [--weeks 8] [--seed 0]

FOLDER holds `taxonomy.csv` and `labelled.csv` (text, language, code), with eight texts or more for some leaves; the titles of
the shipped ISCO-08, which is taken without it, are too few. Nobody proposes labels: all comes from texts that do not fit. A
proposal is right when most of its texts belong to one hidden leaf. The same texts under the whole taxonomy show how much is
proposed where nothing is missing.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.growth.detector import Candidate, Rules, detect
from taxomind_assets.growth.misfits import Known, cluster_rows, current_misfits
from taxomind_assets.growth.observations import Observation, misfit_of, title_of
from taxomind_assets.growth.trial import EXAMPLES as EXAMPLES_OF_A_NODE
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_assets.taxonomy.tree import Node, NodeText, Taxonomy
from taxomind_assets.views.build import build_index
from taxomind_assets.views.texts import VIEWS, clean, node_texts
from taxomind_resources.embedding import Embedder, load_embedder
from taxomind_resources.settings import Settings, load_settings
from tests.benchmarks.material import EXAMPLES

START = datetime(2026, 1, 5, tzinfo=UTC)
#: Of each leaf's texts, the share that is kept to measure answers.
HELD_OUT = 0.3
LEAST_TEXTS = 8


@dataclass(frozen=True)
class Stream:
    """Texts with their true leaves; `held_out` never comes in."""

    texts: list[tuple[str, str]]
    held_out: list[tuple[str, str]]


def read_labelled(folder: Path, tree: Taxonomy, language: str = "en") -> dict[str, list[str]]:
    """Texts of each leaf."""
    found: dict[str, dict[str, None]] = {}
    for path in sorted([*folder.glob("labelled.csv"), *folder.glob("labelled/*.csv")]):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                place = tree.position.get(row["code"])
                if place is not None and tree.is_leaf[place] and row.get("language", language) in {language, ""}:
                    found.setdefault(row["code"], {})[clean(row["text"])] = None
    return {code: list(texts) for code, texts in found.items()}


def sample(texts: Mapping[str, Sequence[str]], most: int, rng: random.Random) -> Stream:
    """At most so many texts of each leaf, some of them held out."""
    coming, kept = [], []
    for code, own in texts.items():
        chosen = rng.sample(list(own), min(most, len(own)))
        cut = round(len(chosen) * HELD_OUT)
        kept += [(text, code) for text in chosen[:cut]]
        coming += [(text, code) for text in chosen[cut:]]
    rng.shuffle(coming)
    return Stream(coming, kept)


def hidden_leaves(tree: Taxonomy, texts: Mapping[str, Sequence[str]], share: float, rng: random.Random) -> list[str]:
    """Leaves with enough texts whose parent keeps another child."""
    able = [code for code, own in texts.items() if len(own) >= LEAST_TEXTS]
    rng.shuffle(able)
    hidden: list[str] = []
    left = Counter(node.parent_code for node in tree.nodes)
    for code in able:
        parent = tree.nodes[tree.position[code]].parent_code
        if len(hidden) < max(1, round(share * int(tree.is_leaf.sum()))) and left[parent] > 1:
            hidden.append(code)
            left[parent] -= 1
    return hidden


def classifier_of(tree: Taxonomy, settings: Settings, embedder: Embedder) -> Classifier:
    """A classifier for a taxonomy, as the assets build it."""
    texts = [text for view in VIEWS for text in node_texts(tree)[view]]
    vectors = embedder.embed([text.text for text in texts], "document")
    return Classifier(build_index(tree, texts, vectors, embedder), embedder, settings)


def without(tree: Taxonomy, codes: Sequence[str]) -> Taxonomy:
    """The taxonomy without some leaves."""
    gone = set(codes)
    return Taxonomy.build(tree.key, [node for node in tree.nodes if node.code not in gone], version="hidden")


def observed(classifier: Classifier, stream: Stream, weeks: int, low: float) -> list[Observation]:
    """Observations of texts that come in evenly over so many weeks."""
    texts = [text for text, _ in stream.texts]
    rows = classifier.classify(texts).to_pylist()
    span = timedelta(weeks=weeks)
    found = []
    for place, (text, row) in enumerate(zip(texts, rows, strict=True)):
        misfit = misfit_of(row, low)
        moment = START + span * place / max(len(texts) - 1, 1)
        found.append(
            Observation(f"{place}", title_of(text), text, row["code"], row["label"] or "", misfit=misfit, observed_at=moment)
        )
    return found


def proposals(classifier: Classifier, rows: Sequence[Observation], now: datetime, settings: Settings) -> list[Candidate]:
    """What the detector proposes at a time, from the texts of its windows alone."""
    rules = Rules.of(settings.growth)
    since = now - timedelta(days=rules.days)
    inside = [row for row in rows if row.observed_at is not None and since <= row.observed_at <= now]
    misfits = current_misfits(classifier, [row for row in inside if row.misfit], settings.growth.low_confidence)
    fitting = [row.text for row in inside if not row.misfit][-500:]
    clusters = cluster_rows(misfits, min_size=rules.min_count, known=Known.of(classifier, fitting))
    return list(detect(clusters, classifier.tree, now, rules).candidates)


@dataclass(frozen=True)
class Judged:
    """A proposal: the true leaf of most of its texts, and their share."""

    candidate: Candidate
    leaf: str
    purity: float


def judge(candidate: Candidate, truth: Mapping[str, str]) -> Judged:
    """Whose texts a proposal is made of."""
    leaf, count = Counter(truth[own] for own in candidate.text_ids).most_common(1)[0]
    return Judged(candidate, leaf, count / candidate.count)


def accuracy(classifier: Classifier, texts: Sequence[tuple[str, str]], renamed: Mapping[str, str]) -> float:
    """Share of texts that are answered at their leaf."""
    if not texts:
        return float("nan")
    codes = classifier.classify([text for text, _ in texts])["code"].to_pylist()
    return float(np.mean([code == renamed.get(leaf, leaf) for code, (_, leaf) in zip(codes, texts, strict=True)]))


def accepted(
    classifier: Classifier, right: Sequence[Judged], settings: Settings, embedder: Embedder
) -> tuple[Classifier, dict[str, str]]:
    """The classifier built after the first right proposal for each leaf was added, and the new codes of these leaves."""
    codes: dict[str, str] = {}
    nodes, texts = list(classifier.tree.nodes), []
    for number, own in enumerate(right):
        if own.leaf in codes:
            continue
        parent = own.candidate.parent.code
        level = 1 if parent is None else classifier.tree.nodes[classifier.tree.position[parent]].level + 1
        examples = tuple(own.candidate.texts[:EXAMPLES_OF_A_NODE])
        nodes.append(Node(f"grown-{number}", parent, level, (NodeText("en", own.candidate.label, examples=examples),)))
        texts += [(text, f"grown-{number}") for text in own.candidate.texts]
        codes[own.leaf] = f"grown-{number}"
    grown = classifier_of(Taxonomy.build(classifier.tree.key, nodes, version="grown"), settings, embedder)
    return grown.learn([text for text, _ in texts], [code for _, code in texts]), codes


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=EXAMPLES)
    parser.add_argument("--hide", type=float, default=0.1)
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--weeks", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    settings = load_settings()
    embedder = load_embedder(settings.embedding, settings.data)
    whole = read_taxonomy(options.folder / "taxonomy.csv", "growth", settings.limits).taxonomy
    rng = random.Random(options.seed)
    labelled = read_labelled(options.folder, whole)
    stream = sample(labelled, options.texts, rng)
    hidden = hidden_leaves(whole, labelled, options.hide, rng)
    if not hidden:
        sys.exit(f"No leaf of {options.folder} has {LEAST_TEXTS} labelled texts; name a folder with more.")
    leaves = f"{len(hidden)} of {int(whole.is_leaf.sum())} leaves hidden"
    print(f"{len(whole):,} nodes, {leaves}, {len(stream.texts):,} texts, {options.weeks} weeks")
    grown_tree = without(whole, hidden)
    started = time.perf_counter()
    reduced = classifier_of(grown_tree, settings, embedder)
    report(reduced, stream, hidden, whole, weeks=options.weeks, settings=settings, embedder=embedder)
    full = classifier_of(replace(whole, version="whole"), settings, embedder)
    rows = observed(full, stream, options.weeks, settings.growth.low_confidence)
    found = proposals(full, rows, START + timedelta(weeks=options.weeks), settings)
    print(f"nothing hidden: {len(found)} proposals, {1000 * len(found) / len(stream.texts):.2f} for 1,000 texts")
    print(f"{time.perf_counter() - started:.0f} s")


def report(
    reduced: Classifier,
    stream: Stream,
    hidden: Sequence[str],
    whole: Taxonomy,
    *,
    weeks: int,
    settings: Settings,
    embedder: Embedder,
) -> None:
    """What is found when leaves are hidden."""
    truth = {f"{place}": leaf for place, (_, leaf) in enumerate(stream.texts)}
    rows = observed(reduced, stream, weeks, settings.growth.low_confidence)
    of_hidden = [row for row in rows if truth[row.text_id] in set(hidden)]
    print(
        f"do not fit: {np.mean([bool(row.misfit) for row in of_hidden]):.0%} of the texts of hidden leaves, "
        f"{np.mean([bool(row.misfit) for row in rows if truth[row.text_id] not in set(hidden)]):.0%} of the others"
    )
    first: dict[str, int] = {}
    judged: list[Judged] = []
    for week in range(1, weeks + 1):
        judged = [judge(own, truth) for own in proposals(reduced, rows, START + timedelta(weeks=week), settings)]
        for own in judged:
            if own.leaf in hidden and own.purity > 0.5:
                first.setdefault(own.leaf, week)
    right = [own for own in judged if own.leaf in hidden and own.purity > 0.5]
    leaves = {own.leaf for own in right}
    parents = [own.candidate.parent.code == whole.nodes[whole.position[own.leaf]].parent_code for own in right]
    print(f"proposals: {len(judged)}, precision {len(right) / max(len(judged), 1):.2f}, recall {len(leaves) / len(hidden):.2f}")
    if right:
        print(
            f"purity {np.mean([own.purity for own in right]):.2f}, right parent {np.mean(parents):.2f}, "
            f"first proposed in week {np.median(list(first.values())):.0f} (median)"
        )
    grown, codes = accepted(reduced, right, settings, embedder)
    parts = {
        "proposed leaves": [pair for pair in stream.held_out if pair[1] in leaves],
        "other leaves": [pair for pair in stream.held_out if pair[1] not in set(hidden)],
    }
    for name, own_texts in parts.items():
        before, after = accuracy(reduced, own_texts, {}), accuracy(grown, own_texts, codes)
        print(f"held-out texts of {name} answered at their leaf: {before:.3f} before, {after:.3f} after acceptance")
    for own in sorted(judged, key=lambda item: -item.purity):
        mark, leaf = "right" if own in right else "wrong", whole.nodes[whole.position[own.leaf]].label
        print(f"  {mark} {own.purity:.2f} {own.candidate.count:3d} {own.candidate.label!r}: {leaf}")


if __name__ == "__main__":
    main()
