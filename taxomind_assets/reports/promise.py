"""The promised accuracy against the one that was reached, in figures and in a plain sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow.compute as pc

from taxomind_assets.reports.metrics import value_of

if TYPE_CHECKING:
    import pyarrow as pa

    from taxomind_assets.classification.classifier import Classifier

#: Texts below which figures are mostly chance and no promise counts as kept.
FEWEST_TEXTS: Final = 30

Verdict = Literal["kept", "not kept", "cannot be told"]


@dataclass(frozen=True)
class Promise:
    """What an accuracy target promised and what became of it.

    Attributes:
        promised: probability that a returned node is the right one or above it; None = the stop rule promises nothing.
        proven: whether labels of this taxonomy have shown the threshold.
        texts: judged texts.
        answered: those with an answer.
        reached: share right or above among the answered ones, with its 95 % interval `low`, `high`; None = no answer.
        depth: mean number of nodes on the paths of the answers; None = no answer.
        information: mean share of information kept (`definitions.MEASURES`).
        leaf_accuracy: share of all texts whose best leaf is a known code; None = no ranked leaves.
        verbatim: texts that stand word for word in the taxonomy.
        reached_unseen: as `reached`, without those; None = there are none such, or no others.
    """

    promised: float | None
    proven: bool
    texts: int
    answered: int
    reached: float | None
    low: float | None
    high: float | None
    depth: float | None
    information: float | None
    leaf_accuracy: float | None
    verbatim: int
    reached_unseen: float | None

    @property
    def share_answered(self) -> float:
        """Share of the texts that got an answer."""
        return self.answered / self.texts if self.texts else 0.0

    @property
    def verdict(self) -> Verdict | None:
        """Kept when the whole interval reaches the target, not kept when none of it does; None without a promise."""
        if self.promised is None:
            return None
        if self.low is None or self.high is None:
            return "cannot be told"
        if self.high < self.promised:
            return "not kept"
        return "kept" if self.low >= self.promised and self.answered >= FEWEST_TEXTS else "cannot be told"

    def threshold(self) -> str:
        """Where the threshold comes from, for people."""
        if self.promised is None:
            return "none: the stop rule promises no accuracy"
        if self.proven:
            return "proven on labels; each text was answered with a threshold that the other half of the labels made"
        return "unproven default threshold: no labels of this taxonomy have shown it"

    def sentence(self) -> str:
        """All of it in plain words."""
        return " ".join(part for part in (self._few(), self._found(), self._unanswered(), self._verbatim()) if part)

    def _few(self) -> str:
        if self.texts >= FEWEST_TEXTS:
            return ""
        return f"Only {_counted(self.texts, 'text')}: all figures are mostly chance; {FEWEST_TEXTS} or more say something."

    def _found(self) -> str:
        if self.reached is None:
            return "No text got an answer, so there is no accuracy to speak of."
        share = f"{self.reached:.1%} of {_counted(self.answered, 'answered text')}"
        found = f"{share} {_are(self.answered)} right or above (95 % interval {self.low:.1%} to {self.high:.1%})"
        if self.promised is None:
            return f"The stop rule promises no accuracy; {found}."
        default = "" if self.proven else "; the threshold is an unproven default"
        return f"Promised {self.promised:.0%}: {self.verdict}{self._at_n()}. {found}{default}."

    def _at_n(self) -> str:
        return f" at n = {self.answered:,}" if self.verdict == "cannot be told" else ""

    def _unanswered(self) -> str:
        """A promise is also kept by answering hardly anything, so the price is named beside it."""
        none = self.texts - self.answered
        if not none:
            return ""
        said = f"{_counted(none, 'text')} ({none / self.texts:.1%}) got no answer"
        return (
            f"{said}." if self.leaf_accuracy is None else f"{said}; the best leaf is right for {self.leaf_accuracy:.1%} of all."
        )

    def _verbatim(self) -> str:
        if not self.verbatim:
            return ""
        stand = f"{_counted(self.verbatim, 'text')} {'stands' if self.verbatim == 1 else 'stand'} word for word in the taxonomy"
        return f"{stand}." if self.reached_unseen is None else f"{stand}; without them {self.reached_unseen:.1%}."


def promise_of(classifier: Classifier, errors: pa.Table, metrics: pa.Table) -> Promise:
    """Promised and reached accuracy of a report.

    Args:
        classifier: what was measured.
        errors: `reports.errors`.
        metrics: `reports.metrics` of the served answers.
    """
    routing = classifier.settings.routing
    kept = value_of(metrics, "kept_accuracy") or {}
    information, leaf = (value_of(metrics, name) or {} for name in ("information", "leaf_accuracy"))
    unseen: dict[str, Any] = value_of(metrics, "kept_accuracy", slice_name="verbatim=false") or {}
    lengths = np.asarray(pc.list_value_length(errors["path"]), np.int64)
    answered = lengths[lengths > 0]
    return Promise(
        promised=routing.accuracy_target if routing.stop_rule == "mass" else None,
        proven=classifier.calibration.proves(routing.accuracy_target),
        texts=len(errors),
        answered=len(answered),
        reached=kept.get("value"),
        low=kept.get("interval_low"),
        high=kept.get("interval_high"),
        depth=float(answered.mean()) if len(answered) else None,
        information=information.get("value"),
        leaf_accuracy=leaf.get("value"),
        verbatim=int(pc.sum(errors["verbatim"]).as_py() or 0),
        reached_unseen=unseen.get("value"),
    )


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
