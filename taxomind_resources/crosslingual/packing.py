"""Matrices of few bits: each row has its own step, each value is one of 2, 4 or 16 multiples of it.

Levels lie symmetric around zero (-1.5, -0.5, 0.5 and 1.5 steps with two bits). The step starts at the one that is best for
normally distributed values (Max, 1960, "Quantizing for minimum distortion") and is then fitted by least squares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Best uniform step in standard deviations, by number of bits.
_NORMAL_STEP: Final = {1: 1.596, 2: 0.9957, 4: 0.3352}
#: Numbers of bits that are supported.
BITS: Final = tuple(_NORMAL_STEP)
_REFITS: Final = 2
_BLOCK_ROWS: Final = 8192


@dataclass(frozen=True)
class PackedRows:
    """A float matrix [n, d] in `bits` bits a value.

    Attributes:
        codes: uint8[n, d * bits / 8], values of a row one after the other, the first in the lowest bits.
        steps: float16[n], 0 for rows of zeros.
        bits: 1, 2 or 4.
    """

    codes: NDArray[np.uint8] = field(repr=False)
    steps: NDArray[np.float16] = field(repr=False)
    bits: int

    @classmethod
    def pack(cls, rows: NDArray[np.float32], bits: int) -> PackedRows:
        """Pack float32[n, d]; d a multiple of 8 / bits.

        Raises:
            Fault: `invalid_input`.
        """
        if bits not in _NORMAL_STEP:
            raise Fault("invalid_input", "Rows cannot be packed in this many bits.", value=bits, allowed="1, 2 or 4")
        if rows.shape[1] * bits % 8:
            raise Fault(
                "invalid_input", "Rows do not fill whole bytes.", value=rows.shape[1], allowed=f"multiples of {8 // bits}"
            )
        codes = np.zeros((len(rows), rows.shape[1] * bits // 8), np.uint8)
        steps = np.zeros(len(rows), np.float16)
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            codes[block], steps[block] = _packed(rows[block], bits)
        return cls(codes, steps, bits)

    def rows(self, numbers: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """The rows of these numbers as float32[len(numbers), d]."""
        values: NDArray[np.float32] = _levels(self.bits)[self.codes[numbers]].reshape(
            len(numbers), self.codes.shape[1] * 8 // self.bits
        )
        values *= self.steps[numbers].astype(np.float32)[:, None]
        return values


def _packed(rows: NDArray[np.float32], bits: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    half = 1 << (bits - 1)
    step = np.sqrt(np.mean(rows**2, axis=1, keepdims=True)) * np.float32(_NORMAL_STEP[bits])
    for _ in range(_REFITS + 1):
        lower = np.clip(np.floor(rows / np.maximum(step, np.float32(1e-12))), -half, half - 1)
        level = lower + np.float32(0.5)
        step = np.sum(rows * level, axis=1, keepdims=True) / np.sum(level**2, axis=1, keepdims=True)
    places = (lower + half).astype(np.uint8).reshape(len(rows), -1, 8 // bits)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return np.bitwise_or.reduce(places << shifts, axis=2).astype(np.uint8), step[:, 0].astype(np.float16)


def _levels(bits: int) -> NDArray[np.float32]:
    """Values of every byte in steps, float32[256, 8 / bits]."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    places = (np.arange(256, dtype=np.uint8)[:, None] >> shifts) & np.uint8((1 << bits) - 1)
    return places.astype(np.float32) - np.float32((1 << (bits - 1)) - 0.5)
