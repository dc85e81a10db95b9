"""How good models are, and what they cost, on benchmark sets with all their labels.

    python -m tests.benchmarks.bench_models DATA --sets agnews.en,ecoicop-pl-products.pl --limit 180 --docs

Every way gets the same rows (the pool of the split `full`, and the texts of the nodes) and the same test texts. A way that did
not end within `--limit` seconds is left out with the reason. `--docs` writes the table to docs/models.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.models.contracts import Surroundings
from taxomind_assets.models.fitting import Examples, Fitter
from taxomind_assets.models.joining import join
from taxomind_assets.models.pipeline import Pipeline
from taxomind_assets.models.registry import registry
from taxomind_assets.models.specification import ModelSpec, chosen_spec
from taxomind_assets.views.texts import clean
from taxomind_resources.embedding import load_embedder
from taxomind_resources.embedding.runtimes import available_cores
from taxomind_resources.settings import Settings, load_settings
from tests.bench.material import BenchSet, Text, find_sets
from tests.bench.measures import Answered, measured
from tests.bench.peers import hiclass
from tests.bench.product import classifier_of
from tests.bench.splits import rank
from tests.bench.task import Task

PAGE: Final = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN: Final = "<!-- ways: made by `python -m tests.benchmarks.bench_models DATA --docs` -->"
END: Final = "<!-- end of ways -->"
_VALIDATION: Final = 10  # one text of so many
_PLAIN: Final = ["smartirs=ntc"]
_WORDS: Final = ["ngram_range=[1,1]", "characters=false"]
#: What LexiClass makes of these plug-ins: single words, no runs of characters.
COMBINATIONS: Final[dict[str, dict[str, Any]]] = {
    "icu+bow+svm": {"preset": "fast", "features": "bow", "parameters": _WORDS},
    "spacy+tfidf+svm": {"preset": "fast", "tokenizer": "spacy", "parameters": [*_WORDS, *_PLAIN]},
    "spacy+tfidf+xgboost": {
        "preset": "fast",
        "tokenizer": "spacy",
        "classifier": "xgboost",
        "parameters": [*_WORDS, *_PLAIN],
    },
    "transformer": {"preset": "best"},
    "ours: fast": {"preset": "fast"},
    "ours: combined": {"preset": "combined"},
    "ours: combined per parent": {"preset": "combined", "hierarchy": "per_parent"},
}
JOINED: Final = "ours: combined with the router"
CORRECTED: Final = "ours: all texts as corrections"
HICLASS: Final = "HiClass LCPPN"
WAYS: Final = (*COMBINATIONS, HICLASS, JOINED, CORRECTED)
#: The sets that models are compared on, as far as they are in the folder.
SETS: Final = ("agnews.en", "clinc150.en", "ecoicop-pl-products.pl", "isco08.en", "naics-2012.en", "us-soc-2018-onet.en")
Record = dict[str, Any]


def spec_of(way: str) -> ModelSpec:
    """The specification of one of `COMBINATIONS`."""
    given = dict(COMBINATIONS[way])
    return chosen_spec(registry(), given.pop("preset"), **given)


def examples(task: Task, texts: Sequence[Text], *, node_texts: bool = False) -> Examples:
    """Rows of texts, one for each code that a text has, and of the leaves' own texts."""
    rows = [(clean(text.text), task.tree.position[code]) for text in texts for code in text.codes]
    own = [(clean(text), leaf) for leaf, text in task.leaf_texts] if node_texts else []
    labelled = np.repeat([True, False], [len(rows), len(own)])
    return Examples([text for text, _ in [*rows, *own]], np.array([node for _, node in [*rows, *own]], np.int64), labelled)


def parted(pool: Sequence[Text]) -> tuple[list[Text], list[Text]]:
    """Training and validation texts of a pool, by a hash."""
    held = [rank(text.text, "bench models") % _VALIDATION == 0 for text in pool]
    return [t for t, out in zip(pool, held, strict=True) if not out], [t for t, out in zip(pool, held, strict=True) if out]


def fitted(task: Task, pool: Sequence[Text], spec: ModelSpec) -> tuple[Pipeline, Pipeline, float]:
    """A model as it serves, as it was before it learned from validation texts, and the seconds that both took."""
    train, validation = parted(pool)
    around = Surroundings(lambda: task.embedder, spec.seed, available_cores())
    rows = examples(task, train, node_texts=True), examples(task, validation)
    start = time.perf_counter()
    fitter = Fitter(spec.checked(registry()), task.tree, registry(), around)
    before = fitter.fit(*rows)
    pipeline = fitter.with_validation(before, *rows) or before
    return pipeline, before, time.perf_counter() - start


def size_of(pipeline: Pipeline) -> int:
    """Bytes of a model on disk."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline.save(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def of_model(task: Task, pool: Sequence[Text], tests: Sequence[Text], way: str) -> Record:
    """A model alone."""
    pipeline, _, seconds = fitted(task, pool, spec_of(way))
    return _judged(task, tests, lambda texts: pipeline.predict(texts).best, seconds) | {"bytes": size_of(pipeline)}


def of_joined(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Record:
    """A model in the classifier, as `taxomind models promote` joins it."""
    from taxomind_assets.classification.calibration import Calibration
    from taxomind_assets.models.voting import ModelVotes, Vote

    start = time.perf_counter()
    classifier = Classifier(task.index, task.embedder, task.settings)
    indexed = time.perf_counter() - start
    pipeline, before, seconds = fitted(task, pool, spec_of("ours: combined"))
    start = time.perf_counter()
    held = [(clean(text.text), code) for text in parted(pool)[1] for code in text.codes]
    texts = [text for text, _ in held]
    found = join(classifier, pipeline, 1, texts, [code for _, code in held], said=before.predict(texts).own)
    if found.choice != "router":
        view = ModelVotes(pipeline, 1, task.tree, found.strength, found.familiarity)
        classifier = classifier.with_model(Vote(view, Calibration.from_text(found.calibration)))
    seconds += indexed + time.perf_counter() - start

    def leaves(texts: list[str]) -> Any:
        return classifier.answers(texts, task.index.placed(task.vectors(texts))).leaves[:, 0]

    return _judged(task, tests, leaves, seconds) | {"bytes": size_of(pipeline), "choice": found.choice}


def of_corrections(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Record:
    """The classifier without a model, every labelled text a correction, as `taxomind learn` takes them."""
    start = time.perf_counter()
    classifier = classifier_of(task, pool)
    seconds = time.perf_counter() - start

    def leaves(texts: list[str]) -> Any:
        return classifier.answers(texts, task.index.placed(task.vectors(texts))).leaves[:, 0]

    return _judged(task, tests, leaves, seconds) | {"bytes": None}


def of_hiclass(task: Task, pool: Sequence[Text], tests: Sequence[Text]) -> Record:
    """HiClass with a linear support vector machine per parent, on words and characters."""
    start = time.perf_counter()
    answered = hiclass(task, pool, tests)
    seconds = time.perf_counter() - start
    found = measured(task.tree, task.gold(tests), answered)
    predict = answered.predict_us * len(tests) / 1e6
    return {**_shares(found), "seconds": seconds - predict, "texts_per_second": len(tests) / max(predict, 1e-9), "bytes": None}


def _judged(task: Task, tests: Sequence[Text], answer: Callable[[list[str]], Any], seconds: float) -> Record:
    texts = [clean(text.text) for text in tests]
    answer(texts[:32])  # what is made on first use is no part of the speed
    start = time.perf_counter()
    leaves = np.asarray(answer(texts), np.int32)
    spent = time.perf_counter() - start
    found = measured(task.tree, task.gold(tests), Answered(leaves))
    return {**_shares(found), "seconds": seconds, "texts_per_second": len(texts) / max(spent, 1e-9)}


def _shares(found: Record) -> Record:
    return {name: found[name] for name in ("texts", "accuracy", "accuracy_low", "accuracy_high", "hierarchical_f1")}


def run_way(bench_set: BenchSet, way: str, texts: int, work: Path) -> Record:
    """One way on one set, vectors made anew."""
    settings = uncached(work)
    task = Task(bench_set, load_embedder(settings.embedding, settings.data), settings, work, texts)
    pool, tests = task.pool("full"), task.tests("full")
    shared = {"set": task.name, "way": way, "labelled": len(pool), "nodes": len(task.tree)}
    if way == HICLASS:
        return shared | of_hiclass(task, pool, tests)
    if way in (JOINED, CORRECTED):
        return shared | (of_joined if way == JOINED else of_corrections)(task, pool, tests)
    return shared | of_model(task, pool, tests, way)


def uncached(work: Path) -> Settings:
    """The default settings without the cache of vectors."""
    settings = load_settings(work)
    return settings.model_copy(update={"embedding": settings.embedding.model_copy(update={"cache": False})})


def within(limit: float, bench_set: BenchSet, way: str, texts: int, work: Path) -> Record:
    """`run_way` in a process of its own, ended at the limit."""
    if way == HICLASS and importlib.util.find_spec("hiclass") is None:
        return {"set": bench_set.name, "way": way, "left_out": "HiClass is not installed: pip install 'taxomind[bench]'"}
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(send, bench_set, way, texts, work))
    process.start()
    send.close()
    try:
        if receive.poll(limit):
            return dict(receive.recv())
        return {"set": bench_set.name, "way": way, "left_out": f"not done within {limit:,.0f} s"}
    except EOFError:
        return {"set": bench_set.name, "way": way, "left_out": "its process ended"}
    finally:
        process.kill()
        process.join()


def _send(send: Any, bench_set: BenchSet, way: str, texts: int, work: Path) -> None:
    try:
        send.send(run_way(bench_set, way, texts, work))
    except Exception as error:
        send.send({"set": bench_set.name, "way": way, "left_out": f"{type(error).__name__}: {error}"[:120]})


def table(records: Sequence[Record]) -> list[str]:
    """Markdown, the sets one after another, the most accurate way of each in bold."""
    lines = ["| set | way | accuracy | 95 % | hierarchical F1 | training | texts/s | MB |", "|---|---|--:|--:|--:|--:|--:|--:|"]
    for name in dict.fromkeys(record["set"] for record in records):
        own = [record for record in records if record["set"] == name]
        best = max((record["accuracy"] for record in own if "accuracy" in record), default=0.0)
        lines += [_line(record, best) for record in own]
    return lines


def _line(record: Record, best: float) -> str:
    head = f"| {record['set']} | {record['way']} |"
    if "left_out" in record:
        return f"{head} - | | | | | {record['left_out']} |"
    share = f"{record['accuracy']:.1%}"
    size = "" if record["bytes"] is None else f"{record['bytes'] / 1e6:.1f}"
    cells = [
        f"**{share}**" if record["accuracy"] == best else share,
        f"{record['accuracy_low']:.1%} to {record['accuracy_high']:.1%}",
        f"{record['hierarchical_f1']:.1%}",
        f"{record['seconds']:.1f} s",
        f"{record['texts_per_second']:,.0f}",
        size,
    ]
    return f"{head} {' | '.join(cells)} |"


def publish(page: Path, lines: Sequence[str], records: Sequence[Record]) -> None:
    """Put the table where `page` has the marks for it."""
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    sizes = {r["set"]: f"{r['set']} {r['labelled']:,} and {r['texts']:,}" for r in records if "texts" in r}
    about = f"Labelled and test texts: {'; '.join(sizes.values())}. Seconds are wall time with vectors, {os.cpu_count()} cores."
    page.write_text("\n".join([head + BEGIN, "", about, "", *lines, "", END + tail]), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Run, print, and write the table if asked.

    Raises:
        SystemExit: there is no such set or way.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of benchmark sets")
    parser.add_argument("--sets", default=",".join(SETS), help="names of sets, joined by commas")
    parser.add_argument("--ways", default=",".join(WAYS), help="ways, joined by commas")
    parser.add_argument("--texts", type=int, default=2_000, help="test texts of a set, at most")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds for a way on a set")
    parser.add_argument("--records", type=Path, help="keep what was measured in this file, and measure what it lacks alone")
    parser.add_argument("--docs", action="store_true", help="also write the table to docs/models.md")
    options = parser.parse_args(argv)
    if options.data is None:
        print("Give the folder of benchmark sets; nothing is measured.")
        return
    sets = {own.name: own for own in find_sets(options.data)}
    ways = options.ways.split(",")
    names = options.sets.split(",")
    if not {*names} <= set(sets) or not {*ways} <= {*WAYS}:
        raise SystemExit(f"Sets: {', '.join(sets)}. Ways: {', '.join(WAYS)}.")
    kept = options.records
    records: list[Record] = json.loads(kept.read_text(encoding="utf-8")) if kept and kept.is_file() else []
    known = {(record["set"], record["way"]) for record in records}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        settings = uncached(work)
        load_embedder(settings.embedding, settings.data).embed(["anything"], "query")  # the model is converted once, for all
        for name, way in product(names, ways):
            if (name, way) not in known:
                records.append(within(options.limit, sets[name], way, options.texts, work))
                print(_line(records[-1], 2.0), flush=True)
                if kept:
                    kept.write_text(json.dumps(records, indent=1), encoding="utf-8")
    records.sort(key=lambda record: (record["set"], WAYS.index(record["way"])))
    lines = table(records)
    print("\n".join(lines))
    if options.docs:
        publish(PAGE, lines, records)


if __name__ == "__main__":
    main()
