"""Run every benchmark in turn: `python -m tests.benchmarks [name ...]` (`classification`, `build`, ...; default: all)."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(file.stem.removeprefix("bench_") for file in Path(__file__).parent.glob("bench_*.py"))


def main(argv: list[str]) -> None:
    """Run the named benchmarks, or all, each with its default options.

    Raises:
        SystemExit: a name is not known.
    """
    unknown = set(argv) - set(NAMES)
    if unknown:
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.")
    for name in argv or NAMES:
        print(f"\n## {name}\n", flush=True)
        sys.argv = [f"bench_{name}"]
        import_module(f"tests.benchmarks.bench_{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
