"""`taxomind models predict`: one version asked alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from taxomind_app.cli.model_exports import VariantChoice
from taxomind_app.cli.model_place import ModelPlace, Used
from taxomind_app.cli.session import Session, Taxonomy
from taxomind_resources.faults import Fault

PREDICT_EPILOG = """Examples

taxomind models predict --taxonomy news "Champion wins final in extra time"

taxomind models predict --taxonomy news --variant onnx-int8 "Champion wins final in extra time"

taxomind models predict --taxonomy news --input texts.csv --output answers.tsv
"""
_FIRST = 20
_ALTERNATIVES = 3


def predict(
    session: Session,
    *,
    texts: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]", help="Texts to answer.", show_default=False)] = None,
    taxonomy: Taxonomy = None,
    version: Used = None,
    input_: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="CSV, TSV, JSONL or Parquet with texts.", show_default=False),
    ] = None,
    variant: Annotated[
        VariantChoice | None, typer.Option("--variant", help="Form in which it answers (default: source).")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write all answers as TSV.", show_default=False)
    ] = None,
) -> None:
    """Ask one version alone, without the classifier around it: its best code and probability for each text.

    A text that is empty gets no code and shifts nothing. Without --output the first 20 answers are shown.
    """
    from taxomind_assets.models.training import load_model

    place = ModelPlace(session, taxonomy)
    if bool(texts) == (input_ is not None):
        raise Fault("invalid_input", "It is not clear what to answer.", value=texts, allowed="texts, or --input FILE")
    pipeline, manifest = load_model(
        place.store, place.key, version, embedder=place.embedder, variant=str(variant or VariantChoice.SOURCE)
    )
    named = _read(session, input_) if input_ else [(str(number), text) for number, text in enumerate(texts or (), 1)]
    found = pipeline.predict([text for _, text in named])
    ranked = found.ranked(_ALTERNATIVES)
    rows = []
    for place_, (text_id, text) in enumerate(named):
        best = int(found.best[place_])
        rows.append(
            {
                "text_id": text_id,
                "text": text,
                "code": None if best < 0 else found.tree.codes[best],
                "label": None if best < 0 else found.tree.nodes[best].label,
                "confidence": round(float(found.confidence[place_]), 6),
                "next": [(found.tree.codes[node], float(found.own[place_, node])) for node in ranked[place_, 1:] if best >= 0],
                "version": manifest["version"],
            }
        )
    _print_answers(session, rows, output)


def _read(session: Session, path: Path) -> list[tuple[str, str]]:
    """Ids and texts of a file; rows that cannot be used are told on standard error."""
    from taxomind_assets.classification.text_readers import read_texts

    settings = session.settings
    found: list[tuple[str, str]] = []
    for block in read_texts(path, settings.text, settings.limits):
        found += zip(block.text_id, block.text, strict=True)
        for row in block.rejected:
            session.note(f"{row.source_file}, line {row.line}: {row.reason}")
    return found


def _print_answers(session: Session, rows: Sequence[dict[str, Any]], output: Path | None) -> None:
    from taxomind_app.cli.showing import dict_table

    if output is not None:
        lines = ["text_id\tcode\tconfidence\tversion"]
        lines += [f"{row['text_id']}\t{row['code'] or ''}\t{row['confidence']:.6f}\t{row['version']}" for row in rows]
        from taxomind_resources.files import replace_bytes

        replace_bytes(output, ("\n".join(lines) + "\n").encode())
    if session.json:
        session.print_json({"answers": rows})
        return
    shown = [
        {
            "text": row["text"][:60],
            "answer": f"{row['code']} {row['label']}" if row["code"] else "-",
            "sure": f"{row['confidence']:.0%}",
        }
        for row in rows[:_FIRST]
    ]
    if shown:
        session.out.print(dict_table(shown))
    if len(rows) > _FIRST:
        session.say(f"... and {len(rows) - _FIRST:,} more{'' if output else '; --output FILE writes all of them'}")
    if output is not None:
        session.say(f"{len(rows):,} answers are in {output}")
