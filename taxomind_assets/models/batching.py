"""Texts of like length in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Padded tokens of one batch in use.
_BATCH_TOKENS: Final = 4096


def batches_of_like_length(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows in batches of a bounded number of padded tokens, the longest first."""
    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    batches: list[list[int]] = []
    for row in order:
        size = len(ids[batches[-1][0]]) if batches else 0
        if not batches or size * (len(batches[-1]) + 1) > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(row)
    return batches
