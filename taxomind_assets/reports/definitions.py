"""What each measure means: the one list that the metrics, their documentation and the summaries share.

All measures compare codes, never labels; the root is never counted. A text with several known codes is judged against
the one that its answer agrees with longest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure. `better`: which direction is an improvement, '' when it depends; `unit`: how to show it."""

    meaning: str
    better: Literal["higher", "lower", ""]
    unit: Literal["share", "number", "edges"] = "share"


OUTCOMES: Final = ("right", "under", "over", "wrong_branch", "abstained")

MEASURES: Final[Mapping[str, Measure]] = {
    "exact": Measure("the answer is the known code", "higher"),
    "safe": Measure("ancestor match: the answer is the known code or above it", "higher"),
    "kept_accuracy": Measure("`safe` among the answered texts: what the accuracy target promises", "higher"),
    "under": Measure("the answer is strictly above the known code", ""),
    "over": Measure("the answer is strictly below the known code", ""),
    "wrong_branch": Measure("the answer is neither the known code nor above or below it", "lower"),
    "right_branch": Measure("right, under and over together", "higher"),
    "abstained": Measure("no answer", ""),
    "ambiguous": Measure("flagged for a person", ""),
    "level_match": Measure("the answer has the level of the known code, right or wrong", ""),
    "level_accuracy": Measure("right at this level, among texts whose known code reaches it", "higher"),
    "root_accuracy": Measure("right top node", "higher"),
    "leaf_accuracy": Measure("the best leaf is a known code", "higher"),
    "recall_5": Measure("known code among the first 5 candidates", "higher"),
    "recall_10": Measure("known code among the first 10 candidates", "higher"),
    "recall_20": Measure("known code among the first 20 candidates", "higher"),
    "mrr_10": Measure("mean of 1 / place of the known code; 0 after place 10", "higher", "number"),
    "hP": Measure("hierarchical precision over node-and-ancestor sets, summed over texts", "higher"),
    "hR": Measure("hierarchical recall over node-and-ancestor sets, summed over texts", "higher"),
    "hF1": Measure("harmonic mean of hP and hR", "higher"),
    "hP_macro": Measure("hierarchical precision, mean over texts (no answer = 0)", "higher"),
    "hR_macro": Measure("hierarchical recall, mean over texts", "higher"),
    "hF1_macro": Measure("hierarchical F1 of each text, mean over texts", "higher"),
    "macro_f1": Measure("exact-match F1 of each known code, mean over codes", "higher"),
    "hierarchical_distance": Measure(
        "edges through the lowest common ancestor; 10 without one and without an answer", "lower", "edges"
    ),
    "hierarchical_accuracy": Measure("mean of 1 / (1 + hierarchical distance)", "higher", "number"),
    "depth": Measure("depth of the answer / depth of the known code, at most 1; no answer = 0", "", "number"),
    "depth_right": Measure("the same, counting only the nodes that are right", "higher", "number"),
    "information": Measure("1 - log leaves under the answer / log all leaves; 0 unless safe", "higher", "number"),
    "aurc": Measure("area under the risk-coverage curve; right = exact", "lower", "number"),
    "cover_90": Measure("share of texts that can be answered at 90 % exact", "higher"),
    "cover_95": Measure("share of texts that can be answered at 95 % exact", "higher"),
    "ece": Measure("calibration error of the confidence against exact (15 bins)", "lower", "number"),
    "safe_aurc": Measure("area under the risk-coverage curve of the answers; right = safe", "lower", "number"),
    "safe_cover_90": Measure("share of texts that can be answered at 90 % safe", "higher"),
    "safe_cover_95": Measure("share of texts that can be answered at 95 % safe", "higher"),
    "safe_ece": Measure("calibration error of the answers' confidence against safe (15 bins)", "lower", "number"),
    "leaf_aurc": Measure("area under the risk-coverage curve of the best leaf", "lower", "number"),
    "leaf_cover_90": Measure("share of texts whose best leaf can be given at 90 % accuracy", "higher"),
    "leaf_cover_95": Measure("share of texts whose best leaf can be given at 95 % accuracy", "higher"),
    "leaf_ece": Measure("calibration error of the best leaf's confidence (15 bins)", "lower", "number"),
}
