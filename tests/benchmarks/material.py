"""What the benchmarks share: texts, taxonomies and measures."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from taxomind_assets.classification.text_readers import read_texts
from taxomind_assets.taxonomy.readers import read_taxonomy
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_assets.views.build import build_index
from taxomind_assets.views.index import NodeIndex
from taxomind_assets.views.texts import VIEWS, node_texts
from taxomind_resources.embedding import Embedder
from taxomind_resources.settings import Settings, load_settings

EXAMPLES = Path(__file__).parents[2] / "data" / "examples" / "isco08"
VARIANTS = ("{}", "senior {}", "junior {}", "{} (m/f)", "{}, part-time")


class Cost(NamedTuple):
    """Seconds of processor time and of wall time."""

    cpu: float
    wall: float


def measured(work: Callable[[], object]) -> Cost:
    """What one call costs."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def best(costs: Iterable[Cost]) -> Cost:
    """Least processor time and least wall time: other work on the machine only adds."""
    cpu, wall = zip(*costs, strict=True)
    return Cost(min(cpu), min(wall))


def uncached() -> Settings:
    """The settings with the cache of vectors switched off."""
    settings = load_settings()
    return settings.model_copy(update={"embedding": settings.embedding.model_copy(update={"cache": False})})


def occupations(settings: Settings) -> Taxonomy:
    """The shipped ISCO-08."""
    return read_taxonomy(EXAMPLES / "taxonomy.csv", "isco08", settings.limits).taxonomy


def short_texts(settings: Settings, count: int, languages: Container[str | None] | None = None) -> list[str]:
    """Different job titles: the labelled ones and the nodes' examples, with small variations; None = in four languages."""
    titles = [
        text
        for block in read_texts(EXAMPLES / "labelled" / "job-titles.csv", settings.text, settings.limits)
        for text, language in zip(block.text, block.language, strict=True)
        if languages is None or language in languages
    ]
    nodes = node_texts(occupations(settings))
    examples = [
        text.text
        for text in (*nodes["label"], *nodes["example"])
        if (text.view == "example" if languages is None else text.language in languages)
    ]
    known = list(dict.fromkeys([*titles, *np.random.default_rng(0).permutation(examples).tolist()]))
    varied = dict.fromkeys(VARIANTS[i % len(VARIANTS)].format(text) for i, text in enumerate(known * len(VARIANTS)))
    return list(varied)[:count]


def build(tree: Taxonomy, embedder: Embedder) -> NodeIndex:
    """The index of a taxonomy."""
    views = node_texts(tree)
    texts = [text for view in VIEWS for text in views[view]]
    return build_index(tree, texts, embedder.embed([text.text for text in texts], "document"), embedder)


class PeakMemory:
    """Most resident memory of this process above that at the start, in MiB, sampled every 5 ms."""

    def __enter__(self) -> PeakMemory:
        self._process = psutil.Process(os.getpid())
        self._start = self.peak = self._process.memory_info().rss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.mebibytes = (self.peak - self._start) / 2**20
