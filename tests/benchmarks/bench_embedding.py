"""How fast texts become vectors, all ways in one run: `python -m tests.benchmarks.bench_embedding [--rounds 3]`.

Rates are texts per second of CPU time on all cores (texts x cores / CPU seconds), which other load on the machine hardly
changes; cosines are to sentence-transformers in float32. The rounds of all ways alternate; the best round of each counts.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taxomind_resources.embedding import load_embedder
from taxomind_resources.embedding.cache import VectorCache
from taxomind_resources.embedding.calibration import calibration_texts
from taxomind_resources.embedding.embedder import TextEmbedder
from taxomind_resources.embedding.loading import packaged_model, shared_embedder
from taxomind_resources.embedding.runtimes import available_cores
from taxomind_resources.settings import EmbeddingSettings, load_settings

EXAMPLES = Path(__file__).parents[2] / "data" / "examples" / "isco08" / "taxonomy.csv"
REFERENCE = "SentenceTransformer.encode, float32"
DEFAULT = "local, OpenVINO"
Encode = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass
class Measured:
    """Best seconds of one way on one set of texts."""

    cpu_s: float = float("inf")
    wall_s: float = float("inf")
    vectors: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def add(self, encode: Encode, texts: Sequence[str]) -> None:
        """One round."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.vectors = encode(texts)
        self.cpu_s = min(self.cpu_s, time.process_time() - cpu)
        self.wall_s = min(self.wall_s, time.perf_counter() - wall)


def text_sets(titles: int, definitions: int, documents: int) -> dict[str, list[str]]:
    """Different short titles, definitions and documents of some hundred tokens; from the shipped ISCO-08 where it is there."""
    short: dict[str, None] = {}
    long: dict[str, None] = {}
    if EXAMPLES.is_file():
        with EXAMPLES.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                short |= dict.fromkeys([row["label"], *row["examples"].splitlines()])
                long[row["definition"]] = None
    made = calibration_texts(4 * (titles + definitions))
    short |= dict.fromkeys(made[0::2])
    long |= dict.fromkeys(made[1::2])
    # The reference drops what is over its 256 tokens, the others embed it: only texts within are compared.
    definition_list = [text for text in long if len(text) > 60 and text.isascii()]
    return {
        "titles": [text for text in short if text][:titles],
        "definitions": definition_list[:definitions],
        "documents": [" ".join(definition_list[8 * i : 8 * i + 8])[:900] for i in range(documents)],
    }


def ways(data: Path) -> dict[str, Encode]:
    """Every way that this installation has, the reference first."""
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(packaged_model()), device="cpu", local_files_only=True)

    def plain(texts: Sequence[str]) -> NDArray[np.float32]:
        return reference.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)

    def local(**values: object) -> Encode:
        embedder = load_embedder(EmbeddingSettings(cache=False, **values), data)  # type: ignore[arg-type]
        return lambda texts: embedder.embed(texts, "query")

    found: dict[str, Encode] = {REFERENCE: plain}
    found["sentence-transformers provider"] = local(provider="sentence-transformers", device="cpu")
    if importlib.util.find_spec("openvino"):
        found[DEFAULT] = local(runtime="openvino")
        found["local, OpenVINO, float32"] = local(runtime="openvino", number_format="float32")
    found["local, onnxruntime"] = local(runtime="onnxruntime")
    if importlib.util.find_spec("nncf") and importlib.util.find_spec("openvino"):
        found["local, OpenVINO, static INT8"] = local(number_format="int8")
    return found


def measure_ways(sets: dict[str, list[str]], data: Path, rounds: int) -> dict[str, dict[str, Measured]]:
    """All ways on all sets."""
    found = ways(data)
    results = {way: {name: Measured() for name in sets} for way in found}
    for way in found.values():  # loading, converting and warming are not measured here
        for texts in sets.values():
            way(texts[:64])
    for _ in range(rounds):
        for way, encode in found.items():
            for name, texts in sets.items():
                results[way][name].add(encode, texts)
    return results


def print_ways(results: dict[str, dict[str, Measured]], sets: dict[str, list[str]]) -> None:
    """One row per way: rate and ratio to the reference per set, mean and least cosine over all texts."""
    cores = available_cores()
    print("| way | " + " | ".join(f"{name}/s" for name in sets) + " | times the reference | cosine mean / min |")
    print("|---|" + "--:|" * len(sets) + "---|---|")
    for way, own in results.items():
        rates = [f"{cores * len(sets[name]) / own[name].cpu_s:,.0f}" for name in sets]
        ratios = [f"{results[REFERENCE][name].cpu_s / own[name].cpu_s:.1f}" for name in sets]
        mean, least = cosines(results, way)
        print(f"| {way} | {' | '.join(rates)} | {' / '.join(ratios)} | {mean:.6f} / {least:.6f} |")


def cosines(results: dict[str, dict[str, Measured]], way: str) -> tuple[float, float]:
    """Mean and least cosine of a way's vectors to the reference's."""
    pairs = [(results[REFERENCE][name].vectors, results[way][name].vectors) for name in results[way]]
    values = np.concatenate([(one * other).sum(axis=1) for one, other in pairs])
    return float(values.mean()), float(values.min())


def measure_cache(texts: Sequence[str], models: Path, rounds: int) -> dict[str, Measured]:
    """The default way without the cache, with an empty one, and with one that knows every text."""
    off = shared_embedder(EmbeddingSettings(cache=False), models, None)
    off.embed(texts, "query")
    measured = {"cache off": Measured(), "cache on, all new": Measured(), "cache on, all known": Measured()}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            file = VectorCache(Path(folder) / "cache.sqlite", off.spec.dimensions, 2**40)
            on = TextEmbedder(off._encoder, file, frozenset({"query"}))  # the same loaded model
            file.count()
            measured["cache off"].add(lambda some: off.embed(some, "query"), texts)
            measured["cache on, all new"].add(lambda some, on=on: on.embed(some, "query"), texts)
            measured["cache on, all known"].add(lambda some, on=on: on.embed(some, "query"), texts)
    return measured


def first_vector(data: Path, values: dict[str, object], rounds: int) -> Measured:
    """From the start of Python to the first vector, in fresh processes."""
    code = (
        "from pathlib import Path; from taxomind_resources.embedding import load_embedder;"
        "from taxomind_resources.settings import EmbeddingSettings;"
        f"load_embedder(EmbeddingSettings(cache=False, **{values!r}), Path({str(data)!r})).embed(['nurse'], 'query')"
    )
    measured = Measured()
    for _ in range(rounds):
        before, begin = os.times(), time.perf_counter()
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)
        after = os.times()
        measured.wall_s = min(measured.wall_s, time.perf_counter() - begin)
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        measured.cpu_s = min(measured.cpu_s, cpu)
    return measured


def goal(what: str, reached: float, wanted: float, *, at_most: bool = False) -> None:
    """One line: what was wanted, what came out."""
    good = reached <= wanted if at_most else reached >= wanted
    sign = "<=" if at_most else ">="
    print(f"- {'reached' if good else 'MISSED'}: {what} {sign} {wanted:g} (measured {reached:.5g})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=4096, help="number of titles")
    chosen = parser.parse_args()
    data = load_settings().data
    sets = text_sets(chosen.texts, chosen.texts // 8, chosen.texts // 32)
    results = measure_ways(sets, data, chosen.rounds)
    print(f"{available_cores()} cores; " + ", ".join(f"{len(texts)} {name}" for name, texts in sets.items()) + "\n")
    print_ways(results, sets)
    cache = measure_cache(sets["titles"], data, chosen.rounds)
    print("\n| cache | CPU s | wall s |\n|---|--:|--:|")
    for name, own in cache.items():
        print(f"| {name} | {own.cpu_s:.3f} | {own.wall_s:.3f} |")
    starts: dict[str, dict[str, object]] = {DEFAULT: {}, "local, onnxruntime": {"runtime": "onnxruntime"}}
    starts["sentence-transformers provider"] = {"provider": "sentence-transformers", "number_format": "float32"}
    first = {name: first_vector(data, values, chosen.rounds) for name, values in starts.items() if name in results}
    print("\n| first vector from a fresh process | CPU s | wall s |\n|---|--:|--:|")
    for name, own in first.items():
        print(f"| {name} | {own.cpu_s:.2f} | {own.wall_s:.2f} |")
    print()
    if DEFAULT in results:
        ratio = results[REFERENCE]["titles"].cpu_s / results[DEFAULT]["titles"].cpu_s
        goal("OpenVINO against sentence-transformers float32, titles, CPU time", ratio, 4)
        goal("cosine to float32, least", cosines(results, DEFAULT)[1], 0.9999)
        goal("first vector, wall seconds", first[DEFAULT].wall_s, 0.5, at_most=True)
    goal("rate with an empty cache against none", cache["cache off"].cpu_s / cache["cache on, all new"].cpu_s, 0.93)
    goal("known texts against embedding them", cache["cache off"].cpu_s / cache["cache on, all known"].cpu_s, 10)


if __name__ == "__main__":
    main()
