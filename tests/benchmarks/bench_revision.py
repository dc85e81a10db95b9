"""What a revision keeps: evidence and accuracy on codes that became one other, and on codes that were split.

    python -m tests.benchmarks.bench_revision [FOLDER] [--seeds N] [--share P] [--texts N]

FOLDER holds `taxonomy.csv` and `labelled.csv` (text, code); without one, the shipped ISCO-08 with its job titles is taken. Two
editions with a known crosswalk are made of it (see `editions`). Half of the labelled texts are corrections made in the former
edition, half are texts that were answered in it. Everything is a mean over `--seeds` pairs of editions.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.classification.text_readers import read_texts
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.taxonomy.diff_links import guess_links
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_assets.taxonomy.revision import Revision, Translation, VersionFile
from taxomind_assets.taxonomy.revision_choice import COUNTS_ABOVE, choose_among
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_assets.views.texts import clean
from taxomind_resources.embedding import Embedder, load_embedder
from taxomind_resources.settings import Settings, load_settings
from tests.benchmarks.editions import Editions, make_editions
from tests.benchmarks.material import EXAMPLES, build

Figures = dict[str, list[float]]


@dataclass(frozen=True)
class Labelled:
    """Texts and their codes in the real taxonomy."""

    texts: list[str]
    codes: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, places: Sequence[int]) -> Labelled:
        """Some of them."""
        return Labelled([self.texts[i] for i in places], [self.codes[i] for i in places])


def read(folder: Path | None, settings: Settings, most: int) -> tuple[Taxonomy, Labelled]:
    """A taxonomy and up to `most` texts with the code of one of its leaves, each text once."""
    labelled = EXAMPLES / "labelled" / "job-titles.csv" if folder is None else folder / "labelled.csv"
    tree = read_taxonomy((folder or EXAMPLES) / "taxonomy.csv", "measured", settings.limits).taxonomy
    leaves = {code for code, leaf in zip(tree.codes, tree.is_leaf.tolist(), strict=True) if leaf}
    pairs: dict[str, str] = {}
    for block in read_texts(labelled, settings.text, settings.limits, labelled=True):
        for text, code in zip(block.text, block.code, strict=True):
            if code in leaves:
                pairs.setdefault(clean(text), code)
    chosen = random.Random(0).sample(sorted(pairs.items()), min(most, len(pairs)))
    return tree, Labelled([text for text, _ in chosen], [code for _, code in chosen])


def forced(tree: Taxonomy, embedder: Embedder, settings: Settings) -> Classifier:
    """A classifier that always answers with a leaf."""
    routing = settings.routing.model_copy(update={"stop_rule": "never"})
    return Classifier(build(tree, embedder), embedder, settings.model_copy(update={"routing": routing}))


def accuracy(classifier: Classifier, found: Labelled, gold: Sequence[str]) -> float | None:
    """Share of the texts whose answer is the known code; None without texts."""
    if not found.texts:
        return None
    answers = classifier.classify(found.texts)["code"].to_pylist()
    return fmean(answer == code for answer, code in zip(answers, gold, strict=True))


def measure(tree: Taxonomy, found: Labelled, embedder: Embedder, settings: Settings, seed: int, share: float) -> Figures:
    """All figures for one pair of editions."""
    figures: Figures = defaultdict(list)
    editions = make_editions(tree, seed, share)
    translation = _translation(editions)
    places = list(range(len(found)))
    random.Random(seed).shuffle(places)
    corrections, texts = found.only(places[::2]), found.only(places[1::2])
    old, new = (forced(own, embedder, settings) for own in (editions.old, editions.new))
    _diff(editions, figures)
    _corrections(editions, translation, corrections, texts, new, figures)
    _answers(editions, translation, texts, old, new, figures)
    return figures


def _translation(editions: Editions) -> Translation:
    files = VersionFile(editions.old.version, "old.csv", "1"), VersionFile(editions.new.version, "new.csv", "2")
    record = Revision(1, "revise", 0, datetime.now(UTC), "me", *files, crosswalk=editions.crosswalk)
    return Translation.of([record], editions.new.version)


def _diff(editions: Editions, figures: Figures) -> None:
    guessed = {(guess.link.old_code, guess.link.new_code) for guess in guess_links(editions.old, editions.new)}
    true = {(link.old_code, link.new_code) for link in editions.links}
    figures["diff without a crosswalk: precision of links"].append(len(guessed & true) / max(len(guessed), 1))
    figures["diff without a crosswalk: recall of links"].append(len(guessed & true) / max(len(true), 1))


def _corrections(
    editions: Editions, translation: Translation, given: Labelled, texts: Labelled, new: Classifier, figures: Figures
) -> None:
    """Where corrections of the former edition end up, and what the classifier makes of them."""
    codes = [translation.between(editions.old_of[code], 0, 1) for code in given.codes]
    true = [editions.new_of[code] for code in given.codes]
    exact = [i for i, own in enumerate(codes) if len(own) == 1]
    split = [i for i, own in enumerate(codes) if len(own) > 1]
    figures["corrections: share on codes with one successor"].append(len(exact) / len(codes))
    figures["corrections: kept in the right place, one successor"].append(fmean(codes[i][0] == true[i] for i in exact))
    placed = {i: codes[i][0] for i in exact}
    if split:
        choices = choose_among(new, [given.texts[i] for i in split], [codes[i] for i in split])
        right = [choice.code == true[i] for i, choice in zip(split, choices, strict=True)]
        sure = [choice.confidence >= new.settings.routing.accuracy_target for choice in choices]
        blind = accuracy(new, given.only(split), [true[i] for i in split])
        figures["corrections of split codes: right part, all"].append(fmean(right))
        figures["corrections of split codes: sure"].append(fmean(sure))
        if any(sure):
            figures["corrections of split codes: right part, sure ones"].append(
                fmean(own for own, is_sure in zip(right, sure, strict=True) if is_sure)
            )
        figures["corrections of split codes: right when classified from scratch"].append(blind or 0.0)
        placed |= {i: choice.code for i, choice in zip(split, choices, strict=True) if choice.confidence > COUNTS_ABOVE}
    gold = [editions.new_of[code] for code in texts.codes]
    for name, taught in (("translated", placed), ("given anew by people", dict(enumerate(true))), ("lost", {})):
        classifier = _with_evidence(new, given, taught)
        figures[f"accuracy, corrections {name}"].append(accuracy(classifier, texts, gold) or 0.0)
        for kind, codes_of_kind in editions.changed.items():
            own = [i for i, code in enumerate(texts.codes) if code in set(codes_of_kind)]
            value = accuracy(classifier, texts.only(own), [gold[i] for i in own])
            if value is not None:
                figures[f"accuracy on {kind} codes, corrections {name}"].append(value)


def _with_evidence(classifier: Classifier, given: Labelled, placed: dict[int, str]) -> Classifier:
    texts = [given.texts[i] for i in placed]
    if not texts:
        return classifier
    return classifier.with_evidence(Evidence.of(texts, list(placed.values()), classifier.embedder.embed(texts, "query")))


def _answers(
    editions: Editions, translation: Translation, texts: Labelled, old: Classifier, new: Classifier, figures: Figures
) -> None:
    """Answers of the former edition in the codes of the new one."""
    answers = old.classify(texts.texts)["code"].to_pylist()
    was_right = [answer == editions.old_of[code] for answer, code in zip(answers, texts.codes, strict=True)]
    codes = [translation.between(answer, 0, 1) for answer in answers]
    true = [editions.new_of[code] for code in texts.codes]
    moved = [i for i, own in enumerate(codes) if len(own) == 1 and was_right[i]]
    figures["right answers: still right, one successor"].append(fmean(codes[i] == (true[i],) for i in moved))
    split = [i for i, own in enumerate(codes) if len(own) > 1 and was_right[i]]
    if split:
        choices = choose_among(new, [texts.texts[i] for i in split], [codes[i] for i in split])
        own = texts.only(split)
        gold = [true[i] for i in split]
        figures["right answers at split codes: right among the parts"].append(
            fmean(choice.code == code for choice, code in zip(choices, gold, strict=True))
        )
        figures["right answers at split codes: right from scratch"].append(accuracy(new, own, gold) or 0.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures as a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--texts", type=int, default=3000)
    options = parser.parse_args(arguments)
    settings = load_settings()
    embedder = load_embedder(settings.embedding, settings.data)
    tree, found = read(options.folder, settings, options.texts)
    print(f"{len(tree):,} nodes, {len(found):,} labelled texts, {options.seeds} pairs of editions\n")
    total: Figures = defaultdict(list)
    for seed in range(options.seeds):
        for name, values in measure(tree, found, embedder, settings, seed, options.share).items():
            total[name] += values
    print("| measure | mean | least |\n|---|---|---|")
    for name, values in total.items():
        print(f"| {name} | {fmean(values):.3f} | {min(values):.3f} |")


if __name__ == "__main__":
    main()
