"""What every converter hands back, and how it is written: `taxonomy.csv` and `training.csv`."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final, NamedTuple

from taxomind_assets.inputs import RejectedRow
from taxomind_assets.taxonomy.assemble import assemble
from taxomind_assets.taxonomy.rows import NodeRow
from taxomind_assets.taxonomy.sources import Source
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_resources.files import write_atomically
from taxomind_resources.settings import LimitSettings

TAXONOMY_COLUMNS: Final = ("code", "parent_code", "level", "label", "definition", "examples", "language")
TRAINING_COLUMNS: Final = ("text", "label", "code", "level")


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A text that the publisher itself gave a code: a definition, or one example.

    Attributes:
        text: the definition or the example.
        label: label of its node.
        code: code of its node.
        level: level of its node, from 1.
    """

    text: str
    label: str
    code: str
    level: int


class WrittenFiles(NamedTuple):
    """Paths of the files that `Converted.write` wrote."""

    taxonomy: Path
    training: Path


@dataclass(frozen=True)
class Converted:
    """A published classification, converted.

    Attributes:
        taxonomy: the checked tree; siblings are ordered by code, whatever the order in the file.
        rejected: rows that were refused, in file order, each with its reason.
        warnings: what was accepted with a remark, one sentence each.
    """

    taxonomy: Taxonomy
    rejected: tuple[RejectedRow, ...]
    warnings: tuple[str, ...]

    @property
    def training_rows(self) -> list[TrainingRow]:
        """Definition and examples of every node, in the order of the tree."""
        return [
            TrainingRow(text, node.label, node.code, node.level)
            for node in self.taxonomy.nodes
            for text in (node.texts[0].definition, *node.texts[0].examples)
            if text
        ]

    def write(self, folder: Path) -> WrittenFiles:
        """Write `taxonomy.csv` and `training.csv` (UTF-8, every cell quoted); each is whole or absent at every moment.

        Args:
            folder: made when it is missing; files of these names are replaced.

        Raises:
            Fault: `storage_failed`.
        """
        nodes = [
            (
                node.code,
                node.parent_code or "",
                node.level,
                node.label,
                node.texts[0].definition,
                "\n".join(node.texts[0].examples),
                node.texts[0].language,
            )
            for node in self.taxonomy.nodes
        ]
        return WrittenFiles(
            _write_csv(folder / "taxonomy.csv", TAXONOMY_COLUMNS, nodes),
            _write_csv(folder / "training.csv", TRAINING_COLUMNS, map(astuple, self.training_rows)),
        )


def assemble_converted(
    name: str,
    key: str,
    rows: Iterable[NodeRow | RejectedRow],
    limits: LimitSettings,
    warnings: Sequence[str] = (),
) -> Converted:
    """Join nodes whose parents are known to a checked tree.

    Args:
        name: name of the file, for messages.
        key: key of the taxonomy.
        rows: nodes and refused rows, in file order.
        limits: `max_nodes`.
        warnings: remarks of the converter.

    Raises:
        Fault: `invalid_taxonomy` or `too_large`.
    """
    listed = list(rows)
    # Sorted, so that the order of rows changes nothing but the line numbers in messages.
    nodes = sorted((row for row in listed if isinstance(row, NodeRow)), key=lambda row: (row.code, row.line))
    rejected = [row for row in listed if isinstance(row, RejectedRow)]
    file = assemble(name, key, Source([*rejected, *nodes], warnings=list(warnings)), limits)
    return Converted(file.taxonomy, file.rejected, file.warnings)


def longest_prefix(code: str, codes: Collection[str]) -> str:
    """The longest proper prefix of `code` that is itself one of `codes`; '' when there is none."""
    return next((code[:size] for size in range(len(code) - 1, 0, -1) if code[:size] in codes), "")


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)

    return write_atomically(path, write)
