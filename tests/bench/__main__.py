"""Measure the product and other ways to code texts: `python -m tests.bench DATA_FOLDER`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path

from taxomind_resources.settings import load_settings
from tests.bench.material import BenchSet, find_sets
from tests.bench.page import PAGE, about, page
from tests.bench.run import OWN, WAYS, Options, Record, headline, merged, run
from tests.bench.tables import Table, tables
from tests.bench.task import REGIMES


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print. Returns 0, also when there is no data folder."""
    options = _parser().parse_args(argv)
    if options.data is None or not options.data.is_dir():
        print(f"There is no folder of benchmark sets{f' {options.data}' if options.data else ''}; nothing was measured.")
        print("Name one: make bench DATA=FOLDER. docs/quality.md says what it holds.")
        return 0
    sets = _chosen(find_sets(options.data), options.sets)
    records: list[Record] = merged(*(json.loads(file.read_text(encoding="utf-8")) for file in options.known))
    with ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taxomind-bench-")))
        choice = Options(
            options.data, work, tuple(options.regimes), options.texts, _ways(options), options.ablations, options.draws
        )
        for bench_set, found in run(sets if choice.anything else [], choice, options.jobs):
            print(f"{bench_set.name}: {headline(found)}", file=sys.stderr, flush=True)
            records = merged(records, found, [about(load_settings(work).embedding.model, options.texts)])
            if options.json:
                options.json.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    made = tables(records)
    show(made)
    if options.docs:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), made, records), encoding="utf-8")
    return 0


def _ways(options: argparse.Namespace) -> tuple[str, ...]:
    if options.ways is not None:
        return tuple(options.ways)
    return tuple(WAYS) if options.peers else (OWN,)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", help="folder with one folder for each set")
    parser.add_argument("--sets", nargs="+", default=["*"], metavar="PATTERN", help="sets by name, * and ? allowed")
    parser.add_argument("--regimes", nargs="+", default=list(REGIMES), choices=REGIMES)
    parser.add_argument("--peers", action="store_true", help="all other ways to code texts too")
    parser.add_argument(
        "--ways",
        nargs="*",
        choices=WAYS,
        metavar="WAY",
        help=f"these ways alone: {', '.join(WAYS)}; none: the known records alone",
    )
    parser.add_argument(
        "--known", type=Path, nargs="+", default=[], help="records of earlier runs, shown together with the new ones"
    )
    parser.add_argument("--ablations", action="store_true", help="the product without each of its features too")
    parser.add_argument(
        "--draws", type=int, default=0, metavar="N", help="the promises over N draws of the texts that fit the threshold too"
    )
    parser.add_argument("--texts", type=int, default=1_000, help="test texts of a set, at most")
    parser.add_argument("--jobs", type=int, default=1, help="sets measured at a time")
    parser.add_argument("--work", type=Path, help="data root of the run, which keeps the vectors (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="also write the records to this file")
    parser.add_argument("--docs", action="store_true", help="also write the tables to docs/quality.md")
    return parser


def _chosen(sets: Sequence[BenchSet], patterns: Sequence[str]) -> list[BenchSet]:
    """The sets whose names fit a pattern.

    Raises:
        SystemExit: none does.
    """
    found = [one for one in sets if any(fnmatchcase(one.name, pattern) for pattern in patterns)]
    if not found:
        sys.exit(f"No set is called {' or '.join(patterns)}; there are {', '.join(one.name for one in sets) or 'none'}.")
    return found


def show(made: Sequence[Table]) -> None:
    """Print tables to the terminal."""
    from rich.console import Console
    from rich.table import Table as Rich

    console = Console(width=None if sys.stdout.isatty() else 240)
    for table in made:
        drawn = Rich(title=table.title, caption=table.note, title_justify="left", caption_justify="left")
        for place, name in enumerate(table.header):
            drawn.add_column(name, justify="right" if place else "left")
        for row in table.rows:
            drawn.add_row(*[f"[bold]{cell[2:-2]}[/]" if cell.startswith("**") else cell.replace("[", r"\[") for cell in row])
        console.print(drawn)


if __name__ == "__main__":
    sys.exit(main())
