"""What every stop rule returns: where each text's path ends, why, and what else was near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Decisions:
    """Answers for b texts. Positions are those of the tree (preorder).

    Attributes:
        nodes: int32[b], the answer; `ROOT` (-1) = no answer.
        reasons: object[b] of str, why the path ends there (`leaf_node_reached`, `sibling_ambiguity`, ...).
        ambiguous: bool[b], a person should look.
        alternatives: int32[b, a], next best nodes at the stop, best first, padded with `ROOT`.
        details: one mapping per text with rule-specific figures (JSON types only), or None.
    """

    nodes: NDArray[np.int32]
    reasons: NDArray[np.object_]
    ambiguous: NDArray[np.bool_]
    alternatives: NDArray[np.int32]
    details: list[dict[str, Any]] | None = None
