"""Runs sets, regimes and ways, and gives back plain records."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from taxomind_resources.embedding import load_embedder
from taxomind_resources.settings import load_settings
from tests.bench import ablations, promise
from tests.bench.ablations import ablated
from tests.bench.material import BenchSet
from tests.bench.measures import area_under_roc, measured
from tests.bench.peers import PEERS, NotFeasibleError
from tests.bench.product import belonging, classifier_of, product
from tests.bench.task import Task, strangers

#: Name of the product in the records.
OWN = "taxomind"
WAYS = {OWN: product, **PEERS}
Record = dict[str, Any]
#: What must be told apart: texts of the first kind belong in the taxonomy, those of the second do not.
OUTSIDE = (
    ("isco08.en", "out of scope", None),
    ("clinc150.en", "out of scope", None),
    ("naics-2012.en", "job titles", "isco08.en"),
    ("isco08.en", "product names", "instacart-aisles.en"),
)


@dataclass(frozen=True)
class Options:
    """What is run.

    Attributes:
        data: folder of the sets.
        work: data root of the product during the run; its cache of vectors stays there.
        regimes: names of `task.REGIMES`.
        texts: test texts of a set, at most.
        ways: names of `WAYS`.
        ablations: also the product without each of its features.
        draws: also the promises over this many draws of the texts that fit the threshold; 0 = not.
    """

    data: Path
    work: Path
    regimes: tuple[str, ...]
    texts: int
    ways: tuple[str, ...]
    ablations: bool = False
    draws: int = 0

    @property
    def anything(self) -> bool:
        """Whether there is anything to measure."""
        return bool(self.ways or self.ablations or self.draws)


def run(sets: Sequence[BenchSet], options: Options, jobs: int) -> Iterator[tuple[BenchSet, list[Record]]]:
    """Each set with its records as soon as it is done, in the order of the sets, whatever the number of processes."""
    yield from zip(sets, _each(partial(run_set, options=options), sets, jobs), strict=True)


def _each(work: Callable[[BenchSet], list[Record]], sets: Sequence[BenchSet], jobs: int) -> Iterator[list[Record]]:
    if jobs == 1 or len(sets) == 1:
        yield from map(work, sets)
        return
    context = get_context("spawn")
    started = context.Value("i", 0)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_share_cores, initargs=(jobs, started)) as processes:
        yield from processes.map(work, sets)


def _share_cores(jobs: int, started: Synchronized[int]) -> None:
    """Give each of several processes cores of its own."""
    with started.get_lock():
        place = started.value
        started.value += 1
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        own = cores[place % jobs :: jobs] or [cores[place % len(cores)]]
        os.sched_setaffinity(0, own)


def task_of(bench_set: BenchSet, options: Options) -> Task:
    """The set with the product's settings: its defaults, and what the environment changes."""
    settings = load_settings(options.work)
    return Task(bench_set, load_embedder(settings.embedding, settings.data), settings, options.work, options.texts)


def run_set(bench_set: BenchSet, options: Options) -> list[Record]:
    """Records of one set: one for each regime and way, and one for each kind of texts that belong nowhere."""
    task = task_of(bench_set, options)
    records = []
    for regime in options.regimes:
        pool, tests = task.pool(regime), task.tests(regime)
        gold = task.gold(tests)
        for name in options.ways:
            record: Record = {"set": task.name, "regime": regime, "way": name, "labelled": len(pool), "nodes": len(task.tree)}
            try:
                records.append(record | measured(task.tree, gold, WAYS[name](task, pool, tests)))
            except NotFeasibleError as reason:
                records.append(record | {"left_out": str(reason)})
    if "zero-shot" in options.regimes and OWN in options.ways:
        records += list(_outside(task, options))
    if options.ablations:
        records += [record for regime in ablations.REGIMES if regime in options.regimes for record in ablated(task, regime)]
    if options.draws:
        chosen = [regime for regime in promise.REGIMES if regime in options.regimes]
        records += [record for regime in chosen for record in promise.draws(task, regime, options.draws)]
    return records


def _outside(task: Task, options: Options) -> Iterator[Record]:
    """How well the product tells texts that belong nowhere, without any label."""
    for name, kind, other in OUTSIDE:
        if task.name != name:
            continue
        texts = strangers(options.data)
        if other is not None:
            folder, language = other.rsplit(".", 1)
            if not (options.data / folder / "labelled.csv").is_file():
                continue
            texts = [text.text for text in task_of(BenchSet(options.data / folder, language), options).tests("zero-shot")]
        inside = [text.text for text in task.tests("zero-shot")]
        if texts:
            belongs = belonging(classifier_of(task, []), inside + texts, task.vectors(inside + texts))
            area = area_under_roc(belongs[: len(inside)], belongs[len(inside) :])
            yield {"set": task.name, "outside": kind, "texts": len(inside), "strangers": len(texts), "auroc": area}


def headline(records: Sequence[Record]) -> str:
    """Accuracies of one set in one line: the product's, or without it those of the first way."""
    shown: dict[str, float] = {}
    for record in records:
        if "accuracy" in record and "way" in record and (record["way"] == OWN or record["regime"] not in shown):
            shown[record["regime"]] = record["accuracy"]
    return ", ".join(f"{regime} {100 * accuracy:.1f}" for regime, accuracy in shown.items())


def merged(*parts: Iterable[Record]) -> list[Record]:
    """Records of several runs; of two of the same thing the later one counts, at the place of the first."""
    found: dict[tuple[Any, ...], Record] = {}
    for record in (record for part in parts for record in part):
        found[tuple(record.get(name) for name in ("about", "set", "regime", "way", "outside", "without", "promise"))] = record
    return list(found.values())
