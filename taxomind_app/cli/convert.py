"""`taxomind taxonomy convert`: a published classification becomes a taxonomy file and training rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from taxomind_app.cli.session import Session

if TYPE_CHECKING:
    from taxomind_assets.taxonomy.converters import Converted

EPILOG = """Formats

isco08: the ILO workbook with the structure and definitions of ISCO-08 (.xlsx)

isic4: the UN structure file of ISIC Rev.4 (CSV)

Example

taxomind taxonomy convert isco08 "ISCO-08 EN Structure and definitions.xlsx" --output isco08
"""
_SHOWN: Final = 10


def convert(
    session: Session,
    *,
    format_: Annotated[str, typer.Argument(metavar="FORMAT", help="isco08 or isic4.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file as it was downloaded.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where taxonomy.csv and training.csv go; replaced if present."),
    ],
) -> None:
    """Convert a published classification to taxonomy.csv and training.csv."""
    from taxomind_assets.taxonomy import converters

    found = converters.convert(format_, file, session.settings.limits)
    written = found.write(output)
    if session.json:
        session.print_json(
            {
                "taxonomy": written.taxonomy,
                "nodes": len(found.taxonomy),
                "training": written.training,
                "training_rows": len(found.training_rows),
                "remarks": found.warnings,
                "rejected": [
                    {"line": row.line, "reason_code": row.reason_code, "reason": row.reason} for row in found.rejected
                ],
            }
        )
        return
    _remarks(session, found)
    session.out.print(f"{written.taxonomy}: {len(found.taxonomy):,} nodes, {found.taxonomy.depth} levels", markup=False)
    session.out.print(f"{written.training}: {len(found.training_rows):,} training rows", markup=False)
    session.out.print(f'\n  taxomind taxonomy add {found.taxonomy.key} "{written.taxonomy}"', markup=False)


def _remarks(session: Session, found: Converted) -> None:
    for remark in found.warnings:
        session.note(f"Remark: {remark}")
    for row in found.rejected[:_SHOWN]:
        session.note(f"Refused: line {row.line}: {row.reason} [{row.reason_code}]")
    if len(found.rejected) > _SHOWN:
        session.note(f"Refused: ... and {len(found.rejected) - _SHOWN:,} more rows; --json lists all")
