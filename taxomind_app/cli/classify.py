"""`taxomind classify`: texts in, places in a taxonomy out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taxomind_app.cli.session import Session, Taxonomy
from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_app.cli.sinks import Refused
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.classification.text_readers import TextBlock
    from taxomind_resources.settings import Settings

EPILOG = """Examples

taxomind classify "primary teacher, year 4"

taxomind classify --input titles.csv --output answers.csv

taxomind classify --input titles.csv --output leaves.parquet --stop never

cat titles.txt | taxomind classify --json | jq .code

taxomind classify --stale

TAXOMIND_JUDGE__ENABLED=true taxomind classify --input titles.csv --dry-run
"""


class StopRule(StrEnum):
    """How far down an answer goes."""

    MASS = "mass"
    GATE = "gate"
    RULES = "rules"
    NEVER = "never"


@dataclass
class Tally:
    """What became of the texts of a call."""

    texts: int = 0
    unanswered: int = 0

    def add(self, answers: pa.Table) -> None:
        """Count answers."""
        self.texts += answers.num_rows
        self.unanswered += answers["code"].null_count


def classify(
    session: Session,
    *,
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Texts to classify.")] = None,
    taxonomy: Taxonomy = None,
    input_: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="CSV, TSV, JSONL or Parquet with texts; '-' = standard input, a text per line.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write answers to a .csv, .tsv, .jsonl or .parquet file."),
    ] = None,
    stop: Annotated[
        StopRule | None,
        typer.Option(
            "--stop",
            help="mass: deepest node that is sure enough; gate: learned from labelled texts; rules: the older gap tests; "
            "never: always a leaf.",
        ),
    ] = None,
    accuracy_target: Annotated[
        float | None,
        typer.Option("--accuracy-target", metavar="P", help="Probability that an answer must reach, between 0 and 1."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what a judge or a reranker would be asked and what it would cost; give no answers."
        ),
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say for each level what decided and what was nearest.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Stop after N texts.")] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Answer files of the inbox again whose answers are older than what was learned.")
    ] = False,
) -> None:
    """Give texts their place in a taxonomy.

    Texts come from the command line, from a file or from standard input. Without --output, answers are shown; when standard
    output is no terminal, texts of a file or of standard input are answered as CSV. Where a judge or a reranker is switched on,
    what it may take is said before, and what it has cost after.
    """
    from taxomind_app.cli import costs

    if stale:
        _reclassify(session, taxonomy, alone=not (texts or input_ or output or explain or limit or stop or accuracy_target))
        return
    from_stdin = input_ == "-" or (input_ is None and not texts)
    _check_use(texts, input_, from_stdin=from_stdin, output=output, explain=explain)
    classifier = _classifier(session, taxonomy, stop, accuracy_target)
    settings = classifier.settings
    source = None if input_ is None or from_stdin else Path(input_)
    if dry_run:
        costs.show(session, classifier, _blocks(texts, source, settings), limit)
        return
    # Standard input cannot be read twice.
    with costs.told(session, classifier, None if from_stdin else _blocks(texts, source, settings), limit):
        blocks = _blocks(texts, source, settings)
        if output is not None:
            _to_file(session, classifier, blocks, source=source, output=output, limit=limit)
        else:
            _to_screen(session, classifier, blocks, explain=explain, given=bool(texts), limit=limit)


def _reclassify(session: Session, taxonomy: str | None, *, alone: bool) -> None:
    """Answer the stale batches of the inbox again; in their place, so nothing is there twice."""
    if not alone:
        raise Fault("invalid_input", "--stale answers files of the inbox.", allowed="--stale with --taxonomy and --json alone")
    from taxomind_app.cli.graph import ANSWERS, run_assets
    from taxomind_app.cli.keys import chosen_key
    from taxomind_assets.classification.staleness import described, stale_batches
    from taxomind_resources.index_store import IndexStore
    from taxomind_resources.outputs import Outputs

    settings, key = session.settings, chosen_key(session.settings, taxonomy)
    found = stale_batches(key, settings, Outputs(settings.data), IndexStore(settings.data))
    if found:
        run_assets(session, key, [ANSWERS], {ANSWERS: {"reclassify": "stale"}})
    if session.json:
        batches = [{"batch_id": b.batch_id, "file": b.source_file, "texts": b.texts, "because": list(b.because)} for b in found]
        session.print_json({"taxonomy": key, "answered_again": batches})
        return
    for sentence in described(found):
        session.say(f"  {sentence}")
    session.say(
        f"{sum(batch.texts for batch in found):,} texts were answered again." if found else "Every answer is up to date."
    )


def _check_use(texts: list[str] | None, input_: str | None, *, from_stdin: bool, output: Path | None, explain: bool) -> None:
    if texts and input_ is not None:
        raise Fault("invalid_input", "There are texts and an input file.", value=input_, allowed="either texts or --input")
    if from_stdin and input_ is None and sys.stdin.isatty():
        next_step = 'taxomind classify "a text", or taxomind classify --input FILE'
        raise Fault(
            "invalid_input", "There is no text to classify.", allowed="texts, --input or standard input", next_step=next_step
        )
    if output is None:
        return
    from taxomind_app.cli.sinks import check_output

    check_output(output)
    if explain:
        raise Fault("invalid_input", "Explanations are not written to tables.", allowed="--explain with --json > FILE")
    if input_ is not None and not from_stdin and output.exists() and output.samefile(input_):
        raise Fault("invalid_input", "Input and output are the same file.", value=str(output), allowed="another file")


def _classifier(session: Session, taxonomy: str | None, stop: StopRule | None, accuracy_target: float | None) -> Classifier:
    from taxomind_app.cli.keys import chosen_key

    key = chosen_key(session.settings, taxonomy)
    settings = session.settings.for_taxonomy(key)
    changed: dict[str, Any] = {}
    if stop is not None:
        changed["stop_rule"] = stop.value
    if accuracy_target is not None:
        if not 0 < accuracy_target < 1:
            raise Fault(
                "invalid_input",
                "--accuracy-target is a probability.",
                value=accuracy_target,
                allowed="more than 0, less than 1",
            )
        changed["accuracy_target"] = accuracy_target
    if changed:
        # The groups of this taxonomy are laid over already; what the command line says comes last.
        settings = settings.model_copy(update={"routing": settings.routing.model_copy(update=changed), "taxonomy": {}})
    from taxomind_assets.classification.classifier import Classifier

    return Classifier.load(key, settings)


def _blocks(texts: list[str] | None, source: Path | None, settings: Settings) -> Iterator[TextBlock]:
    from taxomind_app.cli import streams

    if texts:
        return streams.argument_blocks(texts, settings)
    return streams.input_blocks(settings) if source is None else streams.file_blocks(source, settings)


def _to_file(
    session: Session,
    classifier: Classifier,
    blocks: Iterator[TextBlock],
    *,
    source: Path | None,
    output: Path,
    limit: int | None,
) -> None:
    from taxomind_app.cli.sinks import flat_rows, open_output
    from taxomind_app.cli.streams import limited

    started = time.monotonic()
    tally = Tally()
    with open_output(output) as (sink, refused), _progress(session, source, limit) as advance:
        for block in limited(blocks, limit):
            refused.write(block.rejected)
            if len(block):
                answers = classifier.classify(block.text)
                sink.write(flat_rows(block, answers))
                tally.add(answers)
            advance(len(block) + len(block.rejected))
    seconds = time.monotonic() - started
    _remark_refused(session, refused)
    session.note(_summary(tally, seconds, output))
    if session.json:
        session.print_json(
            {
                "output": str(output),
                "taxonomy": classifier.tree.key,
                "texts": tally.texts,
                "answered": tally.texts - tally.unanswered,
                "refused": refused.count,
                "refused_rows": str(refused.path) if refused.count else None,
                "seconds": round(seconds, 3),
                **classifier.versions,
            }
        )


def _to_screen(
    session: Session,
    classifier: Classifier,
    blocks: Iterator[TextBlock],
    *,
    explain: bool,
    given: bool,
    limit: int | None,
) -> None:
    from contextlib import ExitStack

    from taxomind_app.cli.sinks import Refused
    from taxomind_app.cli.streams import limited

    with ExitStack() as stack:
        refused = Refused(None, stack)
        show = _display(session, classifier, explain=explain, as_csv=not given and not explain and not sys.stdout.isatty())
        for block in limited(blocks, limit):
            refused.write(block.rejected)
            if len(block):
                show(block)
    _remark_refused(session, refused)


def _display(session: Session, classifier: Classifier, *, explain: bool, as_csv: bool) -> Callable[[TextBlock], None]:
    """What shows the answers of a block: JSON lines, CSV, or text for people."""
    from taxomind_app.cli.sinks import CsvSink, flat_rows

    if session.json:
        return lambda block: _print_json_lines(session, classifier, block, explain=explain)
    if not as_csv:
        return lambda block: _print_answers(session, classifier, block, explain=explain)
    sink = CsvSink(sys.stdout)
    return lambda block: sink.write(flat_rows(block, classifier.classify(block.text)))


def _explained(classifier: Classifier, block: TextBlock) -> Iterator[dict[str, Any]]:
    from taxomind_app.cli.showing import with_origins

    return (with_origins(classifier.tree, classifier.explain(text)) for text in block.text)


def _print_json_lines(session: Session, classifier: Classifier, block: TextBlock, *, explain: bool) -> None:
    rows = _explained(classifier, block) if explain else classifier.classify(block.text).to_pylist()
    for text_id, row in zip(block.text_id, rows, strict=True):
        session.print_json({"text_id": text_id, **row}, indent=None)
    sys.stdout.flush()


def _print_answers(session: Session, classifier: Classifier, block: TextBlock, *, explain: bool) -> None:
    from taxomind_app.cli.showing import answer_view, explanation_view

    rows = _explained(classifier, block) if explain else classifier.classify(block.text).to_pylist()
    for row in rows:
        session.out.print(answer_view(classifier.tree, row))
        if explain and row["levels"]:
            session.out.print()
            session.out.print(explanation_view(row))
        session.out.print()


def _remark_refused(session: Session, refused: Refused) -> None:
    if not refused.count:
        return
    where = f", see {refused.path}" if refused.path else ""
    session.note(f"Warning: {refused.count:,} row{'s were' if refused.count > 1 else ' was'} refused{where}")
    for row in refused.first:
        session.note(f"  line {row.line}: {row.reason} [{row.reason_code}]")
    if refused.count > len(refused.first):
        session.note(f"  ... and {refused.count - len(refused.first):,} more")


def _summary(tally: Tally, seconds: float, output: Path) -> str:
    rate = tally.texts / max(seconds, 1e-9)
    return (
        f"{tally.texts:,} texts in {seconds:.1f} s ({rate:,.0f} per second), {tally.unanswered:,} without an answer: {output}"
    )


@contextmanager
def _progress(session: Session, source: Path | None, limit: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; silent when that is no terminal."""
    if not session.err.is_terminal:
        yield lambda rows: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from taxomind_app.cli.streams import estimated_rows

    total = estimated_rows(source, limit) if source else limit
    columns = [
        SpinnerColumn(),
        TextColumn("texts"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=session.err, transient=True) as bar:
        task = bar.add_task("texts", total=total)
        yield lambda rows: bar.advance(task, rows)
