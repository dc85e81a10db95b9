"""`taxomind crosslingual train`: a cross-lingual student from aligned labels."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from taxomind_app.cli.session import Session, styled
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from taxomind_resources.crosslingual.measuring import HeldOutScore
    from taxomind_resources.crosslingual.pairs import AlignedPair
    from taxomind_resources.crosslingual.training import TrainedStudent

EPILOG = """Examples

taxomind crosslingual train --input jobs.ttl --output jobs.npz

taxomind crosslingual train --input aligned.parquet --input products.csv --output student.npz

The settings say which student classifies: scoring.crosslingual = "student.npz"
"""
_SUFFIX: Final = ".npz"
_DOING: Final = {
    "read": "read the pairs",
    "embed": "embed the English labels",
    "features": "count n-grams",
    "learn": "learn",
    "measure": "measure held-out labels",
}


def train(
    session: Session,
    *,
    input_: Annotated[
        list[Path],
        typer.Option(
            "--input",
            "-i",
            metavar="FILE|FOLDER",
            help="Taxonomies with labels in English and other languages, or Parquet and CSV files with the columns language, "
            "text, english (and source); a folder stands for the files in it. May be given several times.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The student, a file *.npz; replaced if present.")
    ],
    hold_out: Annotated[
        float,
        typer.Option(
            "--hold-out",
            metavar="SHARE",
            help="Share of English labels kept out to measure what the student finds, before it learns all; 0 = none.",
        ),
    ] = 0.1,
) -> None:
    """Teach a cross-lingual student, which finds English node texts for texts in other languages.

    Takes some minutes of CPU time. The same files give the same student.
    """
    from taxomind_assets.taxonomy.aligned import aligned_files, read_aligned
    from taxomind_resources.crosslingual.training import train as teach
    from taxomind_resources.embedding import load_embedder

    _check_output(output)
    settings = session.settings
    pairs: list[AlignedPair] = []
    for path in aligned_files(input_):
        found = read_aligned(path, settings.limits)
        for remark in found.remarks:
            session.note(f"Remark: {path.name}: {remark}")
        pairs += found.pairs
    with _progress(session) as tell:
        trained = teach(pairs, load_embedder(settings.embedding, settings.data), hold_out=hold_out, progress=tell)
    trained.student.save(output)
    _show(session, trained, output)


def _check_output(output: Path) -> None:
    """Refuse before the work what would fail after it."""
    if output.suffix.lower() != _SUFFIX:
        raise Fault("invalid_input", "A student is a file *.npz.", value=str(output), allowed=f"a name that ends in {_SUFFIX}")
    if output.is_dir():
        raise Fault("invalid_input", "The output is a folder.", value=str(output), allowed="the name of a file")


@contextmanager
def _progress(session: Session) -> Iterator[Callable[[str, float], None]]:
    """Shows what is being done, and each step when it is done."""
    console = session.err
    running: list[tuple[str, float]] = []
    with console.status("starting", spinner="dots") as status:

        def end() -> None:
            for what, started in running:
                seconds = f"{time.monotonic() - started:>8.1f} s"
                console.print(styled("  [green]✓[/] {what}[dim]{seconds}[/]", what=f"{_DOING[what]:<32}", seconds=seconds))
            running.clear()

        def tell(what: str, share: float) -> None:
            if not running or running[-1][0] != what:
                end()
                if what in _DOING:
                    running.append((what, time.monotonic()))
            status.update(f"{_DOING.get(what, what)} {share:.0%}" if share else _DOING.get(what, what))

        yield tell
        end()


def _show(session: Session, trained: TrainedStudent, output: Path) -> None:
    report, spec = trained.report, trained.student.spec
    if session.json:
        session.print_json(
            {
                "output": output,
                "megabytes": _megabytes(output),
                "languages": spec.languages,
                "training_digest": spec.training_digest,
                **asdict(report),
            }
        )
        return
    if report.skipped:
        session.note(f"Remark: {report.skipped:,} rows have no language, text or English text and were left out.")
    if report.scores:
        _show_scores(session, report.scores)
    session.say(
        styled(
            "\n[bold]{output}[/]: {languages} languages, {learned} pairs of {labels} English labels, {size} MB.",
            output=output,
            languages=len(spec.languages),
            learned=f"{report.learned:,}",
            labels=f"{report.labels:,}",
            size=_megabytes(output),
        )
    )
    session.say(f'\nIn settings.toml:\n\n  [scoring]\n  crosslingual = "{output.absolute().as_posix()}"')


def _megabytes(path: Path) -> float:
    return round(path.stat().st_size / 1e6, 1)


def _show_scores(session: Session, scores: Sequence[HeldOutScore]) -> None:
    """One row per source: what is found of held-out labels, mean over languages, in percent."""
    from taxomind_app.cli.showing import plain_table

    table = plain_table("labels that were held out, of")
    for name in ("languages", "texts", "English labels", "encoder: first / in ten", "student: first / in ten"):
        table.add_column(name, justify="right")
    groups: defaultdict[str, list[HeldOutScore]] = defaultdict(list)
    for score in scores:
        groups[score.source].append(score)
    for source, rows in groups.items():
        encoder, student = (_shares(rows, prefix) for prefix in ("encoder_", ""))
        texts = f"{sum(row.texts for row in rows):,}"
        table.add_row(source or "-", str(len(rows)), texts, f"{rows[0].labels:,}", encoder, student)
    session.out.print(table)


def _shares(rows: Sequence[HeldOutScore], prefix: str) -> str:
    means: list[Any] = [sum(getattr(row, f"{prefix}hit_{k}") for row in rows) / len(rows) for k in (1, 10)]
    return f"{means[0]:.1%} / {means[1]:.1%}"
