"""What a running service takes to answer: single texts at a steady rate, and a batch beside the bare classifier."""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil

from taxomind_assets.classification.classifier import Classifier
from taxomind_resources.settings import Settings, load_settings
from tests.acceptance.browser import PROGRAM, own_environment, running_service
from tests.benchmarks.material import EXAMPLES, short_texts

KEY = "isco08"
#: Threads that send; more requests than this are never under way at the same time.
_SENDERS = 16
_WARM = 40
_BATCH = 1_000
_PATH = "/v1/classify"


class Caller:
    """Calls a service over one connection that is kept."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)

    def classify(self, texts: Sequence[str]) -> int:
        """Texts that were answered."""
        body = json.dumps({"taxonomy": KEY, "texts": list(texts)}).encode()
        self._connection.request("POST", _PATH, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(content.decode())
        return len(json.loads(content)["answers"])


def at_a_rate(address: str, texts: Sequence[str], rate: float) -> list[float]:
    """Seconds from when each request was due until it was answered: who waits in a queue waits as well."""
    found: list[float] = []
    lock, places = threading.Lock(), iter(enumerate(texts))
    started = time.perf_counter() + 0.1

    def send() -> None:
        caller = Caller(address)
        while True:
            with lock:
                place, text = next(places, (-1, ""))
            if place < 0:
                return
            due = started + place / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            caller.classify([text])
            with lock:
                found.append(time.perf_counter() - due)

    threads = [threading.Thread(target=send) for _ in range(_SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def server_of(address: str) -> psutil.Process:
    """The process that listens there."""
    port = urlsplit(address).port
    listening = [own for own in psutil.net_connections("tcp") if own.status == psutil.CONN_LISTEN and own.laddr.port == port]
    return psutil.Process(listening[0].pid)


def cpu_of(process: psutil.Process) -> float:
    """Processor seconds that it has taken."""
    times = process.cpu_times()
    return float(times.user + times.system)


def singles(address: str, texts: Iterator[str], rate: float, seconds: float) -> str:
    """A row of the table: single texts."""
    caller, process = Caller(address), server_of(address)
    for _ in range(_WARM):
        caller.classify([next(texts)])
    before = cpu_of(process)
    own = [next(texts) for _ in range(int(rate * seconds))]
    waited = np.array(at_a_rate(address, own, rate)) * 1000
    cpu = 1000 * (cpu_of(process) - before) / len(own)
    middle, late = np.percentile(waited, [50, 99])
    return f"| one text, {rate:g} requests/s for {seconds:g} s | {middle:.1f} ms | {late:.1f} ms | {cpu:.1f} ms |"


def batches(address: str, texts: Iterator[str], settings: Settings, repeats: int) -> str:
    """A line: how a batch compares with the classifier in this process."""
    caller, classifier = Caller(address), Classifier.load(KEY, settings)
    classifier.classify([next(texts) for _ in range(100)])
    served, bare = [], []
    for _ in range(repeats):
        for found, work in ((served, caller.classify), (bare, classifier.classify)):
            own = [next(texts) for _ in range(_BATCH)]
            started = time.perf_counter()
            work(own)
            found.append(time.perf_counter() - started)
    ratio = min(bare) / min(served)
    return (
        f"{_BATCH:,} texts in one request: {_BATCH / min(served):,.0f} texts/s; the bare classifier: "
        f"{_BATCH / min(bare):,.0f} texts/s; ratio {ratio:.2f}"
    )


def main(argv: list[str] | None = None) -> None:
    """Build the shipped ISCO-08, start the service on it, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeats", type=int, default=8, help="batches of each kind; the fastest counts")
    parser.add_argument("--data", type=Path, default=None, help="a data root with isco08 built; default: a new one")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        data = options.data or Path(folder)
        if options.data is None:
            command = [PROGRAM, "--data", data, "taxonomy", "add", KEY, EXAMPLES / "taxonomy.csv"]
            subprocess.run([str(word) for word in command], env=own_environment(), check=True, capture_output=True)
        settings = load_settings(data)
        needed = _WARM + int(options.rate * options.seconds) + 100 + 2 * options.repeats * _BATCH
        texts = short_texts(settings, needed)
        # Each text is sent once: vectors that are cached would tell nothing.
        fresh = (f"{text} {place}" for place, text in enumerate(texts))
        with running_service(data) as address:
            print("| service | p50 | p99 | CPU |\n| --- | --: | --: | --: |")
            print(singles(address, fresh, options.rate, options.seconds), flush=True)
            print("\n" + batches(address, fresh, settings, options.repeats), flush=True)


if __name__ == "__main__":
    main()
