"""Converters: published classifications as they can be downloaded become a taxonomy file and training rows (TX-15)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from taxomind_assets.taxonomy.converters.converted import Converted, TrainingRow
from taxomind_assets.taxonomy.converters.isco08 import convert_isco08
from taxomind_assets.taxonomy.converters.isic4 import convert_isic4
from taxomind_resources.faults import Fault
from taxomind_resources.settings import LimitSettings

__all__ = ["CONVERTERS", "Converted", "Converter", "TrainingRow", "convert", "convert_isco08", "convert_isic4"]


class Convert(Protocol):
    """Reads one published file."""

    def __call__(self, path: Path, limits: LimitSettings | None = None) -> Converted:
        """The file as a checked taxonomy with training rows; bad rows are refused one by one."""


@dataclass(frozen=True, slots=True)
class Converter:
    """A converter and what it reads, in one sentence."""

    convert: Convert
    description: str


CONVERTERS: Final[Mapping[str, Converter]] = {
    "isco08": Converter(
        convert_isco08, "ISCO-08 occupations: the ILO workbook 'ISCO-08 EN Structure and definitions' (.xlsx)."
    ),
    "isic4": Converter(
        convert_isic4, "ISIC Rev.4 industries: the UN structure file with the columns Code and Description (CSV)."
    ),
}


def convert(name: str, path: Path, limits: LimitSettings | None = None) -> Converted:
    """Run the converter called `name`.

    Args:
        name: a key of `CONVERTERS`.
        path: the downloaded file.
        limits: bytes of the file, characters of a cell, nodes; the defaults when None.

    Raises:
        Fault: `invalid_input` for an unknown name, naming the nearest; else as the converter.
    """
    converter = CONVERTERS.get(name)
    if converter is None:
        near = difflib.get_close_matches(name.casefold(), CONVERTERS, 1, 0.0)[0]
        raise Fault(
            "invalid_input",
            f"There is no converter {name!r}.",
            value=name,
            allowed=", ".join(CONVERTERS),
            next_step=f"Did you mean {near!r}?",
        )
    return converter.convert(path, limits)
