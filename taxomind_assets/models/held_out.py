"""What a model said of its validation rows before it learned from them as well: what later weighs its vote.

Once validation rows have fitted the temperatures, classifiers that need none of them to know when to stop are trained again on
all rows, which is worth about as much as that many more labels. From then on only these probabilities tell how good the model
is on texts that it has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.models.arrays import load_arrays, load_json, save_arrays, save_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.models.pipeline import Predictions
    from taxomind_assets.taxonomy.tree import Taxonomy

_TEXTS: Final = "held_out.json"
_NUMBERS: Final = "held_out.npz"
#: Rows kept, the first by hash; weighing a vote needs no more of them.
MOST_ROWS: Final = 4_000
#: Numbers kept, as float16.
_MOST_NUMBERS: Final = 40_000_000


@dataclass(frozen=True)
class HeldOut:
    """Probabilities of m validation texts.

    Attributes:
        hashes: `models.labelled_texts.text_hash` of each.
        codes: codes of the columns.
        own: float16 [m, c], see `Predictions.own`.
    """

    hashes: list[str]
    codes: list[str]
    own: NDArray[np.float16]

    @classmethod
    def of(cls, predictions: Predictions, codes: Sequence[str], hashes: Sequence[str]) -> HeldOut:
        """From what a model with `codes` said of the texts of `hashes`."""
        most = min(MOST_ROWS, _MOST_NUMBERS // max(len(codes), 1))
        rows = sorted(range(len(hashes)), key=lambda row: hashes[row])[:most]
        columns = [predictions.tree.position[code] for code in codes]
        return cls([hashes[row] for row in rows], list(codes), predictions.own[rows][:, columns].astype(np.float16))

    def said(self, tree: Taxonomy, hashes: Sequence[str]) -> tuple[list[int], NDArray[np.float32]]:
        """Which of the texts it holds, and their probabilities over the nodes of the model's taxonomy, float32 [b, n]."""
        place = {text: row for row, text in enumerate(self.hashes)}
        held = [i for i, text in enumerate(hashes) if text in place]
        own = np.zeros((len(held), len(tree)), np.float32)
        own[:, [tree.position[code] for code in self.codes]] = self.own[[place[hashes[i]] for i in held]]
        return held, own

    def save(self, folder: Path) -> None:
        """Write it into the folder of a version."""
        save_json(folder / _TEXTS, {"hashes": self.hashes, "codes": self.codes})
        save_arrays(folder / _NUMBERS, {"own": self.own})

    @classmethod
    def load(cls, folder: Path) -> HeldOut | None:
        """The inverse of `save`; None for a version that has learned from no validation row.

        Raises:
            Fault: `model_damaged`.
        """
        if not (folder / _TEXTS).is_file():
            return None
        texts = load_json(folder / _TEXTS)
        return cls(texts["hashes"], texts["codes"], load_arrays(folder / _NUMBERS)["own"])
