"""docs/quality.md: words of its own, then the tables of the last run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.tables import Table

if TYPE_CHECKING:
    from tests.bench.run import Record

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "quality.md"
MARKER: Final = "<!-- below: made by `python -m tests.bench FOLDER --docs` -->\n\n"
_PACKAGES: Final = ("taxomind", "scikit-learn", "hiclass", "numpy")


def about(encoder: str, texts: int) -> Record:
    """The record of what was measured with what."""
    versions = {name: found for name in _PACKAGES if (found := _version(name))}
    return {"about": "run", "encoder": encoder, "texts_at_most": texts, "versions": versions}


def page(head: str, made: Sequence[Table], records: Sequence[Record]) -> str:
    """The page: what stands above the line `MARKER`, and the tables.

    Args:
        head: the page as it is.
    """
    runs = [record for record in records if "about" in record]
    lines = ["## Results", ""]
    for run in runs:
        versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
        lines += [f"Encoder {run['encoder']}; at most {run['texts_at_most']:,} test texts of a set; {versions}.", ""]
    return head.partition(MARKER)[0] + MARKER + "\n".join(lines) + "\n" + "\n".join(table.markdown() for table in made)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
