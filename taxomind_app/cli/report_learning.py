"""The part of `taxomind report` on corrections: what they have taught, and how far people agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taxomind_app.cli.session import Session, styled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taxomind_resources.outputs import Outputs

#: Measures shown before and after, and what they are called.
_SHOWN: Final = {
    "leaf_accuracy": "best leaf right",
    "safe": "answer right or above",
    "kept_accuracy": "of the answered",
    "hF1": "hierarchical F1",
    "abstained": "no answer",
}
_CONFUSIONS: Final = 5


@dataclass(frozen=True)
class StoredLearning:
    """The last learning report of a taxonomy.

    Attributes:
        values: rows of `reports.learning` by (stage, metric).
        confusions: rows of `reports.confusions`, the most repaired first.
        contradictions: corrections that contradict each other or the crowd, by kind, as of now.
        agreement: Krippendorff's alpha of the annotators, as of now; None when no text was placed by two.
        evidence_version: what was measured.
        current_version: the evidence as of now.
    """

    values: Mapping[tuple[str, str], Mapping[str, Any]]
    confusions: list[dict[str, Any]]
    contradictions: Mapping[str, int]
    agreement: float | None
    evidence_version: str
    current_version: str

    @property
    def texts(self) -> int:
        """Corrected texts that were answered."""
        return int(self.values["after", "leaf_accuracy"]["n"])


def stored_learning(outputs: Outputs, key: str) -> StoredLearning | None:
    """The last learning report; None when there is none.

    Raises:
        Fault: `storage_failed`.
    """
    from taxomind_assets.learning.gathering import stored_corrections
    from taxomind_assets.learning.stored import current_evidence_version
    from taxomind_assets.reports.learned import CONFUSIONS, LEARNING, agreement

    rows = outputs.read(LEARNING, key).to_pylist()
    if not rows:
        return None
    latest = max(row["measured_at"] for row in rows)
    own = [row for row in rows if row["measured_at"] == latest]
    return StoredLearning(
        {(row["stage"], row["metric"]): row for row in own},
        outputs.read(CONFUSIONS, key).to_pylist(),
        Counter(outputs.read("learning.reviews", key, columns=["kind"])["kind"].to_pylist()),
        agreement(stored_corrections(outputs, key, status="applied")),
        own[0]["evidence_version"],
        current_evidence_version(outputs, key),
    )


def learning_json(found: StoredLearning) -> dict[str, Any]:
    """A learning report as JSON types."""
    names = ("value", "interval_low", "interval_high", "promised", "n")
    measures: dict[str, dict[str, Any]] = {}
    for (stage, metric), row in found.values.items():
        measures.setdefault(stage, {})[metric] = {name: row[name] for name in names}
    return {
        "evidence_version": found.evidence_version,
        "current_evidence_version": found.current_version,
        "texts": found.texts,
        **measures,
        "confusions": found.confusions,
        "to_review": dict(found.contradictions),
        "annotator_agreement": found.agreement,
    }


def print_learning(session: Session, found: StoredLearning) -> None:
    """Print a learning report, short."""
    from taxomind_app.cli.showing import dict_table
    from taxomind_assets.reports.learned import shown_pair
    from taxomind_assets.reports.summary import figure

    heading = "\n[bold]What corrections have taught[/] [dim](corrected texts: {texts}, each answered as if it were new)[/]\n"
    session.out.print(styled(heading, texts=f"{found.texts:,}"))
    rows = []
    for metric, label in _SHOWN.items():
        before, after = (found.values.get((stage, metric)) for stage in ("before", "after"))
        if before and after:
            ends = figure(metric, after["interval_low"]), figure(metric, after["interval_high"])
            promised = figure(metric, after["promised"]) if after["promised"] is not None else ""
            shares = {"before": figure(metric, before["value"]), "after": figure(metric, after["value"])}
            rows.append({"measure": label, **shares, "95% interval": " to ".join(ends), "promised": promised})
    session.out.print(dict_table(rows))
    repaired, broken = (sum(row[name] for row in found.confusions) for name in ("repaired", "broken"))
    session.say(f"\nConfusions: {repaired:,} texts put right, {broken:,} put wrong.")
    for row in found.confusions[:_CONFUSIONS]:
        session.say(f"  {shown_pair(row)}")
    session.say(_agreement(found.agreement))
    if reviews := sum(found.contradictions.values()):
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.contradictions.items()))
        session.say(f"{reviews:,} corrections to look at ({kinds}): taxomind learn list --reviews")
    if found.current_version != found.evidence_version:
        session.say("Corrections have come or gone since; --rebuild measures again.")


def _agreement(alpha: float | None) -> str:
    if alpha is None:
        return "Agreement of annotators: unknown, no text was placed by two of them in a way that tells."
    return f"Agreement of annotators: {alpha:.2f} (Krippendorff's alpha; 1 = always, 0 = as by chance)."
