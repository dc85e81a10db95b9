"""What the product is meant to reach, by regime and set: exact leaf accuracy in per cent, with the encoder that ships."""

from __future__ import annotations

from typing import Final

_SETS: Final = (
    *("isco08.en", "naics-2012.en", "instacart-aisles.en", "clinc150.en", "isco08.fr", "rome-v3.fr", "ecoicop-pl-products.pl"),
    *("trec-qc.en", "agnews.en"),
)
_ACCURACY: Final[dict[str, tuple[float | None, ...]]] = {
    "zero-shot": (70, 61, 45, 72, 35, 38, 42, 32, 78),
    "k=1": (71, 63, 51, None, 35, 41, 45, 32, None),
    "k=5": (75, 72, 61, None, 46, 52, 55, 42, None),
    "all": (80, 79, 73, 95, 56, 57, 86, 82, None),
    "full": (84, 81, 80.5, 95, 67, 67.5, 92, 91, 91.5),
}
ACCURACY: Final[dict[tuple[str, str], float]] = {
    (regime, name): target
    for regime, row in _ACCURACY.items()
    for name, target in zip(_SETS, row, strict=True)
    if target is not None
}
#: (regime, set, promise) -> least share answered and least mean depth.
PROMISES: Final[dict[tuple[str, str, int], tuple[float, float]]] = {
    ("full", "isco08.en", 90): (0.95, 0.90),
    ("full", "isco08.en", 95): (0.88, 0.82),
    ("all", "isco08.en", 90): (0.88, 0.75),
}
COVER_90: Final[dict[tuple[str, str], float]] = {("full", "isco08.en"): 0.88}
CALIBRATION_ERROR: Final = 0.03
#: (set, strangers) -> least area under the ROC curve.
OUTSIDE: Final[dict[tuple[str, str], float]] = {
    ("isco08.en", "out of scope"): 0.99,
    ("naics-2012.en", "job titles"): 0.90,
    ("isco08.en", "product names"): 0.90,
}


def accuracy_target(regime: str, name: str) -> float | None:
    """The target of a set; `SET+` has that of the set."""
    return ACCURACY.get((regime, name.removesuffix("+")))
