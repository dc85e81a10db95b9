"""Weights of the fusion: what one unit of each feature adds to a node's logit.

The shipped weights need no labels. They were chosen on several public taxonomies at once: keeping each text of a node as a
vector of its own and adding raw cosines is better than one concatenated text and than reciprocal-rank fusion. Where the
encoder cannot be trusted for a language, characters decide instead (`trust.py`). Labels, when there are enough, fit weights of
their own around these (`fitting.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class FusionWeights:
    """Logit weights by feature; a feature that is not named weighs nothing.

    Attributes:
        untrusted: for texts in a language that the encoder does not know.
        trusted: for texts in a language that it knows. A text between the two gets weights between them.
    """

    untrusted: Mapping[str, float]
    trusted: Mapping[str, float]

    def of(self, name: str, trusted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Weight of a feature for each text, float32[b]; `trusted` is float32[b] in 0..1."""
        low, high = self.untrusted.get(name, 0.0), self.trusted.get(name, 0.0)
        return (low + (high - low) * trusted).astype(np.float32)

    def mode(self, trusted: bool) -> Mapping[str, float]:
        """The weights of texts that are, or are not, trusted altogether."""
        return self.trusted if trusted else self.untrusted

    def over(self, others: FusionWeights) -> FusionWeights:
        """These weights, and those of `others` for features that these do not name."""
        return FusionWeights({**others.untrusted, **self.untrusted}, {**others.trusted, **self.trusted})

    @cached_property
    def version(self) -> str:
        """12 hex digits over the numbers."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """The weights as JSON types."""
        return {"untrusted": dict(self.untrusted), "trusted": dict(self.trusted)}

    @classmethod
    def from_json(cls, values: Mapping[str, Mapping[str, float]]) -> FusionWeights:
        """The inverse of `to_json`."""
        return cls(dict(values["untrusted"]), dict(values["trusted"]))


#: Weights of the views that every taxonomy has. `best_text` is the scale: all others were chosen as shares of it.
SHIPPED: Final = FusionWeights(
    untrusted={"best_text": 4.0, "text_characters": 4.0, "whole_characters": 4.0, "path_characters": 4.0},
    trusted={
        "best_text": 7.5,
        "whole": 7.5,
        "path": 1.875,
        "ancestors": 1.875,
        "whole_characters": 2.25,
        "whole_words": 2.25,
        "familiar_words": 2.0,
    },
)
