"""The shipped example: ISCO-08 with job titles in four languages, put into the inbox like anybody's files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_resources.inbox import Inbox

KEY: Final = "isco08"
_FILES: Final = (("taxonomy", "taxonomy.csv"), ("texts", "texts/survey-answers.csv"), ("labelled", "labelled/job-titles.csv"))


def example_folder() -> Path:
    """Folder of the shipped example: beside the packages, as in a clone, else below the working directory.

    Raises:
        Fault: `unreadable_file` when it is in neither place, or not whole.
    """
    places = [base / "data" / "examples" / KEY for base in (Path(__file__).resolve().parents[1], Path.cwd())]
    missing = [[name for _, name in _FILES if not (place / name).is_file()] for place in places]
    for place, names in zip(places, missing, strict=True):
        if not names:
            return place
    nearest = min(range(len(places)), key=lambda number: len(missing[number]))
    raise Fault(
        "unreadable_file",
        f"The shipped example is not here: {places[nearest]} lacks {', '.join(missing[nearest])}.",
        allowed=" or ".join(map(str, dict.fromkeys(places))),
        next_step="The example comes with the repository: clone it, and start the command in its folder.",
    )


def put_example(inbox: Inbox, folder: Path) -> None:
    """Add the example's files to the inbox; those that are there already stay as they are.

    Raises:
        Fault: `unreadable_file` or `storage_failed`.
    """
    for kind, name in _FILES:
        inbox.put(KEY, kind, folder / name)


def some_answers(results: pa.Table, per_language: int) -> pa.Table:
    """The first answers of each language, in the order of the file.

    Args:
        results: `classification.results`.
        per_language: rows of one language.
    """
    import pyarrow as pa

    ordered = results.sort_by([("source_file", "ascending"), ("row", "ascending")])
    seen: dict[str, int] = {}
    kept = []
    for place, language in enumerate(ordered["language"].to_pylist()):
        seen[language] = seen.get(language, 0) + 1
        if seen[language] <= per_language:
            kept.append(place)
    return ordered.take(pa.array(kept, pa.int64()))
