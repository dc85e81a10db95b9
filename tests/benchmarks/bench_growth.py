"""Growth: hide leaves of a taxonomy, let their texts come in over simulated weeks, and see what is proposed.

    python -m tests.benchmarks.bench_growth FOLDER [FOLDER ...] [--hide 0.1] [--texts 20] [--taught 10] [--wishes 3] [--seed 0]
    python -m tests.benchmarks.bench_growth FOLDER [FOLDER ...] --fit

A FOLDER holds `taxonomy.csv` and `labelled.csv` (text, language, code), with eight texts or more for some leaves; the titles of
the shipped ISCO-08, which is taken without one, are too few. Three ways are measured: with the taxonomy alone, after people
have placed some texts of the leaves that are there (`taught`), and when people wished the right label for some texts of each
hidden leaf (`wishes`). A proposal is right when people wished for it or most of its texts belong to one hidden leaf. The same
texts under the whole taxonomy, without wishes, show how much is proposed where nothing is missing. `--fit` prints the model of
groups that `growth.unexplained` holds, fitted to these sets.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.growth.detector import Candidate, Rules, detect, wished_texts
from taxomind_assets.growth.misfits import Known, Misfits, cluster_rows, current_misfits, drawn_by_wishes
from taxomind_assets.growth.observations import Observation, misfit_of, title_of
from taxomind_assets.growth.trial import EXAMPLES as EXAMPLES_OF_A_NODE
from taxomind_assets.growth.unexplained import Model, measures, tree_groups
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


def looked_at(classifier: Classifier, rows: Sequence[Observation], now: datetime, settings: Settings) -> Misfits:
    """The texts of the windows as growth sees them at a time."""
    since = now - timedelta(days=Rules.of(settings.growth).days)
    inside = [row for row in rows if row.observed_at is not None and since <= row.observed_at <= now and not row.source]
    return current_misfits(classifier, inside[-settings.growth.most_texts :], settings.growth.low_confidence)


def proposals(classifier: Classifier, rows: Sequence[Observation], now: datetime, settings: Settings) -> list[Candidate]:
    """What the detector proposes at a time, from the texts of its windows alone."""
    rules = Rules.of(settings.growth)
    misfits = looked_at(classifier, rows, now, settings)
    told = [row for row in rows if row.source and row.observed_at is not None and row.observed_at <= now]
    drawn = drawn_by_wishes(misfits, wished_texts(told, classifier.tree, now, rules), classifier.embedder, classifier.index)
    wishes = {row.text_id: row.proposed_label for row in (*told, *drawn)}
    known = Known.of(classifier, [row.text for row in misfits.fitting][-500:])
    least = settings.growth.group_probability
    clusters = cluster_rows(misfits, min_size=rules.min_count, known=known, wishes=wishes, least=least)
    return list(detect([*told, *drawn, *clusters], classifier.tree, now, rules).candidates)


def wished(rows: Sequence[Observation], truth: Mapping[str, str], labels: Mapping[str, str], count: int) -> list[Observation]:
    """For the first texts of each hidden leaf, the label that a person wishes."""
    left = dict.fromkeys(labels, count)
    found = []
    for row in rows:
        leaf = truth[row.text_id]
        if left.get(leaf, 0):
            left[leaf] -= 1
            found.append(replace(row, proposed_label=labels[leaf], source="user"))
    return found


@dataclass(frozen=True)
class Judged:
    """A proposal: the true leaf of most of its texts, and their share."""

    candidate: Candidate
    leaf: str
    purity: float


def judge(candidate: Candidate, truth: Mapping[str, str], wishes: Mapping[str, str]) -> Judged:
    """Whose texts a proposal is made of; of a wish, that of the leaf that was wished for."""
    leaves = Counter(truth[own] for own in candidate.text_ids)
    leaf = wishes.get(candidate.label) or leaves.most_common(1)[0][0]
    return Judged(candidate, leaf, leaves[leaf] / candidate.count)


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
    known = classifier.scorer.evidence
    if known is not None:
        grown = grown.with_evidence(known.rows.evidence)
    return grown.learn([text for text, _ in texts], [code for _, code in texts]), codes


@dataclass(frozen=True)
class Outcome:
    """What one way came to on one set.

    Attributes:
        judged: the proposals at the end.
        right: of these, the right ones.
        weeks: first week in which each hidden leaf was proposed.
        parents: whether each right proposal hangs where its leaf did.
        false: proposals for 1,000 texts where nothing is hidden; None = not measured (people do not wish for what is there).
        before, after: shares of held-out texts answered at their leaf, of proposed leaves and of the others.
    """

    judged: list[Judged]
    right: list[Judged]
    weeks: dict[str, int]
    parents: list[bool]
    false: float | None
    before: tuple[float, float]
    after: tuple[float, float]


@dataclass(frozen=True)
class Case:
    """A set of which leaves are hidden."""

    name: str
    whole: Taxonomy
    stream: Stream
    hidden: list[str]
    taught: list[tuple[str, str]]
    measured: list[tuple[str, str]]

    @classmethod
    def of(cls, folder: Path, options: argparse.Namespace, settings: Settings) -> Case:
        """Read a set; half of the texts that do not come in teach, the others measure."""
        whole = read_taxonomy(folder / "taxonomy.csv", "growth", settings.limits).taxonomy
        rng = random.Random(options.seed)
        languages = Counter(row["language"] for row in csv.DictReader((folder / "labelled.csv").open(encoding="utf-8")))
        labelled = read_labelled(folder, whole, languages.most_common(1)[0][0])
        stream = sample(labelled, options.texts, rng)
        hidden = hidden_leaves(whole, labelled, options.hide, rng)
        if not hidden:
            sys.exit(f"No leaf of {folder} has {LEAST_TEXTS} labelled texts; name a folder with more.")
        taught, measured = stream.held_out[::2], stream.held_out[1::2]
        left: Counter[str] = Counter()
        kept = [pair for pair in taught if left.update([pair[1]]) or left[pair[1]] <= options.taught]
        return cls(folder.name, whole, stream, hidden, kept, measured)

    def classifier(self, settings: Settings, embedder: Embedder, *, whole: bool, taught: bool) -> Classifier:
        """Of the whole taxonomy or of what is left of it."""
        tree = replace(self.whole, version="whole") if whole else without(self.whole, self.hidden)
        pairs = [pair for pair in self.taught if taught and pair[1] in tree.position]
        return classifier_of(tree, settings, embedder).learn([text for text, _ in pairs], [code for _, code in pairs])


def is_right(own: Judged, case: Case, wishes: Mapping[str, str]) -> bool:
    """Whether a proposal is one of a hidden leaf."""
    return own.candidate.label in wishes or (own.leaf in case.hidden and own.purity > 0.5)


def outcome(case: Case, options: argparse.Namespace, settings: Settings, embedder: Embedder, way: str) -> Outcome:
    """Let the texts come in and see what is proposed, week by week."""
    low, taught = settings.growth.low_confidence, way == "taught"
    reduced = case.classifier(settings, embedder, whole=False, taught=taught)
    truth = {f"{place}": leaf for place, (_, leaf) in enumerate(case.stream.texts)}
    rows = observed(reduced, case.stream, options.weeks, low)
    labels: dict[str, str] = {}
    if way == "wishes":
        labels = {code: case.whole.nodes[case.whole.position[code]].label for code in case.hidden}
        rows = [*rows, *wished(rows, truth, labels, options.wishes)]
    wishes = {label: code for code, label in labels.items()}
    judged: list[Judged] = []
    weeks: dict[str, int] = {}
    for week in range(2, options.weeks + 1, 2):
        judged = [judge(own, truth, wishes) for own in proposals(reduced, rows, START + timedelta(weeks=week), settings)]
        for own in judged:
            if is_right(own, case, wishes):
                weeks.setdefault(own.leaf, week)
    right = [own for own in judged if is_right(own, case, wishes)]
    parents = [own.candidate.parent.code == case.whole.nodes[case.whole.position[own.leaf]].parent_code for own in right]
    false = None
    if way != "wishes":
        full = case.classifier(settings, embedder, whole=True, taught=taught)
        end = START + timedelta(weeks=options.weeks)
        found = proposals(full, observed(full, case.stream, options.weeks, low), end, settings)
        false = 1000 * len(found) / len(case.stream.texts)
    grown, codes = accepted(reduced, right, settings, embedder)
    leaves = {own.leaf for own in right}
    parts = (
        [pair for pair in case.measured if pair[1] in leaves],
        [pair for pair in case.measured if pair[1] not in set(case.hidden)],
    )
    before, after = ([accuracy(own, part, names) for part in parts] for own, names in ((reduced, {}), (grown, codes)))
    return Outcome(judged, right, weeks, parents, false, (before[0], before[1]), (after[0], after[1]))


def row_of(case: Case, way: str, found: Outcome) -> str:
    """A line of the table."""
    leaves, right = {own.leaf for own in found.right}, len(found.right)
    per_leaf = Counter(leaf for _, leaf in case.stream.texts)
    sizes = [(sum(per_leaf[leaf] >= 10 for leaf in group), len(group)) for group in (leaves, case.hidden)]
    purity = np.mean([own.purity for own in found.right]) if right else float("nan")
    weeks = f"{np.median(list(found.weeks.values())):.0f}" if found.weeks else "-"
    cells = [
        case.name,
        way,
        f"{len(leaves)} of {len(case.hidden)}",
        f"{sizes[0][0]} of {sizes[1][0]}",
        f"{right} of {len(found.judged)}",
        f"{purity:.2f}" if right else "-",
        f"{sum(found.parents)} of {right}",
        weeks,
        "-" if found.false is None else f"{found.false:.1f}",
        f"{found.before[0]:.2f} > {found.after[0]:.2f}" if right else "-",
        f"{found.before[1]:.2f} > {found.after[1]:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


COLUMNS = (
    *("set", "way", "leaves found", "of those with 10 texts", "proposals right", "purity", "right parent", "week"),
    *("false per 1,000", "accuracy of these leaves", "of the others"),
)


def fit(cases: Sequence[Case], settings: Settings, embedder: Embedder, options: argparse.Namespace) -> Model:
    """The model of groups, from sets with and without hidden leaves, taught and not."""
    from sklearn.linear_model import LogisticRegression

    parts, truths = [], []
    end = START + timedelta(weeks=options.weeks)
    for case in cases:
        truth = {f"{place}": leaf for place, (_, leaf) in enumerate(case.stream.texts)}
        for whole, taught in ((False, False), (True, False), (False, True), (True, True)):
            classifier = case.classifier(settings, embedder, whole=whole, taught=taught)
            rows = observed(classifier, case.stream, options.weeks, settings.growth.low_confidence)
            found = looked_at(classifier, rows, end, settings)
            assert found.answered is not None
            groups = list(tree_groups(found.answered.vectors, settings.growth.min_count))
            parts.append(measures(found.answered, groups))
            for group in groups:
                leaves = Counter(truth[found.every[place].text_id] for place in group.tolist())
                leaf, count = leaves.most_common(1)[0]
                truths.append(not whole and leaf in case.hidden and count > group.size / 2)
    fitted = LogisticRegression().fit(np.concatenate(parts), truths)
    return Model(tuple(np.round(fitted.coef_[0], 3).tolist()), round(float(fitted.intercept_[0]), 3))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", default=[EXAMPLES])
    parser.add_argument("--hide", type=float, default=0.1)
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--taught", type=int, default=10)
    parser.add_argument("--wishes", type=int, default=3)
    parser.add_argument("--weeks", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    settings = load_settings()
    embedder = load_embedder(settings.embedding, settings.data)
    cases = [Case.of(folder, options, settings) for folder in options.folders]
    if options.fit:
        print(fit(cases, settings, embedder, options))
        return
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for case in cases:
        for way in ("taxonomy alone", "taught", "wishes"):
            print(row_of(case, way, outcome(case, options, settings, embedder, way)), flush=True)


if __name__ == "__main__":
    main()
