"""What corrections have taught: right answers before and after, confusions repaired, and how far people agree.

Every figure is about texts held back: each corrected text is answered by the corrections of other texts, and by weights and
voters that were fitted without its fold. "Before" is the classifier as it ships, without any label. Corrections are no random
sample, since people correct what is wrong; so the figures say what learning has changed, not how good the answers are to all
texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from taxomind_assets.classification.label_calibration import text_share
from taxomind_assets.classification.own_labels import unseen_answers
from taxomind_assets.classification.unseen_evidence import untaught
from taxomind_assets.reports.intervals import CONFIDENCE_LEVEL
from taxomind_assets.reports.judging import judge
from taxomind_assets.reports.metrics import measure, value_of
from taxomind_assets.reports.promise import Promise, promise_of
from taxomind_assets.reports.targets import KnownText, collect
from taxomind_assets.views.texts import normalise
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.learning.corrections import Correction
    from taxomind_assets.taxonomy.tree import Taxonomy

LEARNING: Final = "reports.learning"
CONFUSIONS: Final = "reports.confusions"
#: Corrected texts that are answered, chosen by a hash.
MOST_TEXTS: Final = 2_000
MEASURES: Final = ("exact", "safe", "kept_accuracy", "leaf_accuracy", "hF1", "abstained")
STAGES: Final = ("before", "after")
_SALT: Final = "learning report"


@dataclass(frozen=True)
class Learned:
    """What was learned, on t corrected texts.

    Attributes:
        before: `reports.errors` without any label.
        after: `reports.errors` with the corrections of other texts.
        metrics: rows of `reports.learning`.
        confusions: rows of `reports.confusions`.
        promise: promised and reached accuracy, after.
        gain: difference of the shares of right leaves, with its 95 % interval; None without texts.
        agreement: see `agreement`; None when no two annotators placed the same text.
    """

    before: pa.Table
    after: pa.Table
    metrics: pa.Table
    confusions: pa.Table
    promise: Promise
    gain: tuple[float, float, float]
    agreement: float | None

    def sentence(self) -> str:
        """The gain in plain words."""
        values = {stage: self._value(stage, "leaf_accuracy") for stage in STAGES}
        change, low, high = self.gain
        texts = f"On {len(self.after):,} corrected texts, each answered by those of the others, the best leaf is right"
        shares = f"for {values['after']:.1%}, without any correction for {values['before']:.1%}"
        return f"{texts} {shares}: {change:+.1%} (95 % interval {low:+.1%} to {high:+.1%})."

    def _value(self, stage: str, metric: str) -> float:
        rows = [row for row in self.metrics.to_pylist() if (row["stage"], row["metric"]) == (stage, metric)]
        return float(rows[0]["value"] or 0) if rows else 0.0


def learned(classifier: Classifier, corrections: Sequence[Correction]) -> Learned | None:
    """Measure what corrections have taught; None when none of them counts.

    Args:
        classifier: the classifier with its evidence.
        corrections: those that count, with codes of its taxonomy.
    """
    tree = classifier.tree
    targets = _targets(tree, corrections)
    if not targets.num_rows:
        return None
    texts, codes = targets["text"].to_pylist(), targets["codes"].to_pylist()
    answers = untaught(classifier.with_fitted(None)).classify(texts), unseen_answers(classifier, texts, codes)
    judged = [judge(tree, targets, one.append_column("text_id", targets["text_id"])) for one in answers]
    now = datetime.now(UTC)
    measured = [measure(tree, errors, slices=False, measured_at=now) for errors in judged]
    promise = promise_of(classifier, judged[1], measured[1])
    rights = [np.asarray(errors["leaf_right"], np.bool_) for errors in judged]
    return Learned(
        judged[0],
        judged[1],
        _metrics(classifier, dict(zip(STAGES, measured, strict=True)), promise),
        confusions(tree, *judged),
        promise,
        paired_difference(*rights),
        agreement(corrections),
    )


def _targets(tree: Taxonomy, corrections: Iterable[Correction]) -> pa.Table:
    known = [found for found in corrections if found.code in tree.position]
    taken = sorted(known, key=lambda found: (text_share(found.text, _SALT), found.code or "", found.correction_id))
    shown = {normalise(text): None for text in (found.text for found in taken)}
    kept = set(list(shown)[:MOST_TEXTS])
    rows = [found for found in taken if normalise(found.text) in kept]
    return collect(tree, (KnownText("corrections", found.correction_id, found.text, "", found.code or "") for found in rows))


def _metrics(classifier: Classifier, measured: Mapping[str, pa.Table], promise: Promise) -> pa.Table:
    rows = []
    for stage, metrics in measured.items():
        for name in MEASURES:
            found = value_of(metrics, name)
            if found is None:
                continue
            kept = {
                column: found[column] for column in ("metric", "value", "n", "interval_low", "interval_high", "measured_at")
            }
            promised = promise.promised if name == "kept_accuracy" else None
            rows.append({**kept, "stage": stage, "promised": promised, **_versions(classifier)})
    return pa.Table.from_pylist(rows, schema=BY_NAME[LEARNING].arrow)


def _versions(classifier: Classifier) -> dict[str, str]:
    names = ("evidence_version", "index_version", "calibration_version")
    return {name: classifier.versions[name] for name in names}


def paired_difference(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """Difference of two shares on the same texts, with its 95 % interval.

    Args:
        before: bool[t], right before.
        after: bool[t], right after.

    Returns:
        (difference, low, high): the change of the discordant pairs with their standard error (Agresti and Min, 2005, adding
        half a text to each kind of pair, which keeps the interval honest for few texts).
    """
    from statistics import NormalDist

    gained, lost, n = int((after & ~before).sum()) + 0.5, int((before & ~after).sum()) + 0.5, before.size + 2
    adjusted = (gained - lost) / n
    half = NormalDist().inv_cdf(0.5 + CONFIDENCE_LEVEL / 2) * np.sqrt((gained + lost) / n - adjusted**2) / np.sqrt(n)
    change = float(after.mean() - before.mean()) if before.size else 0.0
    return change, float(max(adjusted - half, -1)), float(min(adjusted + half, 1))


def confusions(tree: Taxonomy, before: pa.Table, after: pa.Table) -> pa.Table:
    """Pairs of leaves that were confused: how many texts evidence has put right, and how many it has put wrong.

    Args:
        tree: the taxonomy.
        before: `reports.errors` without evidence.
        after: the same texts with evidence, in the same order.
    """
    repaired: Counter[tuple[str, str]] = Counter()
    broken: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], str] = {}
    names = ("text", "target_code", "leaf_code", "leaf_right")
    first, second = (zip(*(errors[name].to_pylist() for name in names), strict=True) for errors in (before, after))
    for (text, target, was, was_right), (_, _, now, now_right) in zip(first, second, strict=True):
        if bool(was_right) == bool(now_right):
            continue
        pair = (was if now_right else now) or "", target
        (repaired if now_right else broken)[pair] += 1
        example.setdefault(pair, text)
    pairs = sorted(example, key=lambda pair: (broken[pair] - repaired[pair], pair))
    rows = [
        {
            "wrong_code": wrong,
            "right_code": right,
            "wrong_label": tree.nodes[tree.position[wrong]].label if wrong in tree.position else "",
            "right_label": tree.nodes[tree.position[right]].label,
            "repaired": repaired[wrong, right],
            "broken": broken[wrong, right],
            "example": example[wrong, right],
        }
        for wrong, right in pairs
    ]
    return pa.Table.from_pylist(rows, schema=BY_NAME[CONFUSIONS].arrow)


def agreement(corrections: Iterable[Correction]) -> float | None:
    """Agreement of annotators on the nodes of the same texts: Krippendorff's alpha for nominal data.

    1 = they always agree, 0 = as by chance (Krippendorff, 2004, "Content analysis", chapter 11). Written out here, because the
    well-kept package for it has a licence that this project cannot take over. Rows without an annotator do not take part.

    Returns:
        Alpha; None when no text was placed by two annotators, or when all said the same everywhere.
    """
    opinions: dict[str, dict[str, str]] = {}
    for found in corrections:
        if found.annotator and found.code is not None:
            opinions.setdefault(normalise(found.text), {})[found.annotator] = found.code
    units = [Counter(own.values()) for own in opinions.values() if len(own) > 1]
    totals = sum(units, Counter[str]())
    everything = totals.total()
    expected = everything**2 - sum(count**2 for count in totals.values())
    if not expected:
        return None
    observed = sum((own.total() ** 2 - sum(count**2 for count in own.values())) / (own.total() - 1) for own in units)
    return 1 - (everything - 1) * observed / expected


def shown_pair(row: Mapping[str, Any]) -> str:
    """One row of `reports.confusions` as a sentence."""
    wrong = f"{row['wrong_code']} {row['wrong_label']}".strip() or "no leaf"
    counts = [f"{row[name]:,} {words}" for name, words in (("repaired", "put right"), ("broken", "put wrong")) if row[name]]
    return f'{wrong} -> {row["right_code"]} {row["right_label"]}: {", ".join(counts)} ("{row["example"]}")'


def shown(confused: pa.Table, most: int = 10) -> list[dict[str, Any]]:
    """Confusions as people read them."""
    return [
        {
            "taken for": f"{row['wrong_code']} {row['wrong_label']}".strip() or "-",
            "is": f"{row['right_code']} {row['right_label']}",
            "put right": str(row["repaired"]),
            "put wrong": str(row["broken"]),
            "example": row["example"],
        }
        for row in confused.slice(0, most).to_pylist()
    ]
