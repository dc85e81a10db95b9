"""Two versions on the same texts, and whether the newer one may replace the other.

The test is McNemar's, exact (McNemar, 1947): of the texts that one version has right and the other wrong, each should win half,
if both are equally good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_resources.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

#: Probability under which a difference is taken for one.
SIGNIFICANT: Final = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two versions, a (new) and b (old), on n texts.

    Attributes:
        n: texts that both were asked.
        accuracy_a, accuracy_b: their accuracies there.
        only_a, only_b: texts that only one of them has right.
        p_value: probability of a difference at least as large if both were equally good.
    """

    n: int
    accuracy_a: float
    accuracy_b: float
    only_a: int
    only_b: int
    p_value: float

    @property
    def verdict(self) -> str:
        """better, worse or `no clear difference`, of a."""
        if self.p_value >= SIGNIFICANT:
            return "no clear difference"
        return "better" if self.only_a > self.only_b else "worse"

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        return {**self.__dict__, "verdict": self.verdict}


def compare(right_a: NDArray[np.bool_], right_b: NDArray[np.bool_]) -> Comparison:
    """Compare by which texts each has right, bool[n] both."""
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    n = right_a.size
    return Comparison(n, float(right_a.mean()), float(right_b.mean()), only_a, only_b, mcnemar(only_a, only_b))


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact probability."""
    from scipy.stats import binomtest

    total = only_a + only_b
    return float(binomtest(only_a, total, 0.5).pvalue) if total else 1.0


def compare_answers(a: pa.Table, b: pa.Table) -> Comparison:
    """Compare two versions by their rows of `models.answers`.

    Raises:
        Fault: `invalid_input` when they were not asked the same texts with the same known codes.
    """
    rows = [dict(zip(table["text_hash"].to_pylist(), table.to_pylist(), strict=True)) for table in (a, b)]
    shared = [text for text in rows[0] if text in rows[1]]
    same = len(shared) == len(rows[0]) == len(rows[1])
    if not shared or not same or any(rows[0][t]["target_code"] != rows[1][t]["target_code"] for t in shared):
        what = f"The versions were judged on different rows: {len(rows[0]):,} and {len(rows[1]):,}, {len(shared):,} in common."
        next_step = "Judge both on the test rows of now: `taxomind models evaluate --version N --again`."
        raise Fault("invalid_input", what, allowed="the same texts with the same codes", next_step=next_step)
    right = [np.array([own[text]["code"] == own[text]["target_code"] for text in shared], np.bool_) for own in rows]
    return compare(right[0], right[1])


@dataclass(frozen=True)
class Verdict:
    """What the gate says. `reasons`: why a version may not be promoted; none = it may."""

    reasons: tuple[str, ...]
    comparison: Comparison | None

    @property
    def passed(self) -> bool:
        """Whether it may."""
        return not self.reasons


def gate(new: dict[str, float | None], old: dict[str, float | None] | None, comparison: Comparison | None) -> Verdict:
    """Whether a version may be promoted, by figures of its test rows.

    It must be better than always giving the most frequent code. Where a version is in use, the new one must not be clearly
    worse (McNemar), and must not lose more than a point of macro F1.

    Args:
        new: figures of the new version, by name.
        old: those of the one in use on the same rows; None = none is in use.
        comparison: of both, new first; None = none is in use.
    """
    reasons = []
    accuracy, majority = new.get("accuracy") or 0.0, new.get("majority") or 0.0
    if accuracy <= majority:
        reasons.append(f"its accuracy of {accuracy:.1%} is not above that of the most frequent code, {majority:.1%}")
    if comparison is not None and comparison.verdict == "worse":
        lost = comparison.accuracy_b - comparison.accuracy_a
        reasons.append(f"it is clearly worse than the version in use, by {lost:.1%} (p = {comparison.p_value:.3f})")
    if old is not None:
        drop = (old.get("macro_f1") or 0.0) - (new.get("macro_f1") or 0.0)
        if drop > 0.01 and (comparison is None or comparison.only_b > comparison.only_a):
            reasons.append(f"its macro F1 is {drop:.3f} lower than that of the version in use")
    return Verdict(tuple(reasons), comparison)
