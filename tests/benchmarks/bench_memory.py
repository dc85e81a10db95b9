"""How much memory `taxomind classify` and `taxomind models train` take.

    python -m tests.benchmarks.bench_memory --texts 1000000                    classifying files of so many texts
    python -m tests.benchmarks.bench_memory --texts --labelled 100000          training on so many labelled texts

The whole program runs as users start it, with its default settings and a data root of its own; the resident memory of the
process and all that it starts is read while it works.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from taxomind_assets.views.texts import node_texts
from taxomind_resources.settings import load_settings
from tests.benchmarks.material import EXAMPLES, occupations

_TAXOMIND = (sys.executable, "-W", "ignore", "-c", "from taxomind_app.cli.main import run; run()")
_LINKS = ("{} / {}", "{} ({})", "{}, {}", "{} - {}", "{}; {}")
_INTERVAL_S = 0.05


def recombined(count: int) -> Iterator[tuple[str, str]]:
    """Texts of two shipped example titles in one language, with the code of the first; few come twice."""
    titles: dict[str, list[tuple[str, str]]] = {}
    for text in node_texts(occupations(load_settings()))["example"]:
        titles.setdefault(text.language, []).append((text.text, text.code))
    languages = sorted(titles)
    random = np.random.default_rng(0)
    for place in range(count):
        own = titles[languages[place % len(languages)]]
        one, other = random.integers(0, len(own), 2)
        yield _LINKS[place % len(_LINKS)].format(own[one][0], own[other][0]), own[one][1]


def write_texts(file: Path, count: int) -> None:
    """A CSV file of `count` texts with their codes, which `classify` does not look at."""
    with file.open("w", encoding="utf-8", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(("text_id", "text", "code"))
        rows.writerows((number, *row) for number, row in enumerate(recombined(count), 1))


def resident(process: psutil.Process) -> int:
    """Bytes that a process and its descendants hold in memory."""
    total = 0
    for part in [process, *process.children(recursive=True)]:
        try:
            total += part.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def watched(command: Sequence[str]) -> tuple[float, list[int]]:
    """Wall seconds of a command, and its resident bytes every `_INTERVAL_S` seconds.

    Raises:
        SystemExit: the command failed.
    """
    start = time.perf_counter()
    samples = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        process = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                samples.append(resident(process))
            except psutil.NoSuchProcess:
                break
            time.sleep(_INTERVAL_S)
        if running.wait():
            sys.exit(f"{' '.join(command)} failed with exit code {running.returncode}")
    return time.perf_counter() - start, samples


def measure(count: int, folder: Path) -> str:
    """One row of the table."""
    file, answers = folder / f"texts-{count}.csv", folder / f"answers-{count}.csv"
    write_texts(file, count)
    classify = ["classify", "--taxonomy", "isco08", "--input", str(file), "--output", str(answers)]
    seconds, samples = watched([*_TAXOMIND, *classify, "--data", str(folder / "data")])
    with answers.open(encoding="utf-8", newline="") as written:
        rows = sum(1 for _ in csv.reader(written)) - 1
    return _row(f"classifying {rows:,} texts", file, rows / seconds, seconds, samples)


def measure_training(count: int, folder: Path) -> str:
    """The same for a model of the preset `fast`."""
    file = folder / f"labelled-{count}.csv"
    write_texts(file, count)
    train = ["models", "train", "--taxonomy", "isco08", "--input", str(file), "--preset", "fast"]
    seconds, samples = watched([*_TAXOMIND, *train, "--data", str(folder / "data")])
    return _row(f"training on {count:,} texts", file, count / seconds, seconds, samples)


def _row(what: str, file: Path, pace: float, seconds: float, samples: Sequence[int]) -> str:
    half, whole = (max(part) / 2**20 for part in (samples[: len(samples) // 2], samples))
    size = file.stat().st_size / 2**20
    return f"| {what}, {size:.0f} MiB | {seconds:.0f} s | {pace:,.0f} | {half:.0f} MiB | {whole:.0f} MiB |"


def main(argv: list[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, nargs="*", default=[20_000, 100_000], help="texts of each file to classify")
    parser.add_argument("--labelled", type=int, nargs="*", default=[], help="texts of each file to train on")
    parser.add_argument("--nice", type=int, default=0, help="lower the priority by so much, for long runs beside other work")
    options = parser.parse_args(argv)
    os.nice(options.nice)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        add = ["taxonomy", "add", "isco08", str(EXAMPLES / "taxonomy.csv"), "--data", str(folder / "data")]
        watched([*_TAXOMIND, *add])
        print("| a file | time | texts/s | resident in the first half | resident at most |")
        print("| --- | --: | --: | --: | --: |", flush=True)
        for count in options.texts:
            print(measure(count, folder), flush=True)
        for count in options.labelled:
            print(measure_training(count, folder), flush=True)


if __name__ == "__main__":
    main()
