"""A taxonomy's own labelled texts put to use: the calibration that serves, and answers that no own label has helped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from taxomind_assets.classification.calibration import Calibration
from taxomind_assets.classification.gate import fit_gate
from taxomind_assets.classification.label_calibration import (
    TEMPERATURE_SHARE,
    LabelledLogits,
    calibrate,
    score_labelled,
    text_share,
)
from taxomind_assets.classification.self_calibration import nowhere_energy
from taxomind_assets.classification.unseen_evidence import unseen
from taxomind_assets.views.texts import normalise
from taxomind_resources.tables import BY_NAME

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_resources.outputs import Outputs

TABLE: Final = "classification.calibrations"
#: Labelled texts under which a calibration would say more about them than about the taxonomy.
FEWEST_TEXTS: Final = 50
#: Labelled texts that a calibration looks at; more would only cost time.
MOST_TEXTS: Final = 20_000
#: Corrected texts among them.
MOST_CORRECTIONS: Final = 2_000
_SALT: Final = "calibration"
_FOLDS: Final = "report"


def label_calibration(classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> Calibration | None:
    """The calibration that labelled texts make of an index's own; None when there are too few.

    Texts that are evidence themselves are scored by the evidence of all others.

    Args:
        classifier: the classifier of the index.
        texts: b unique texts.
        codes: known codes of each.
    """
    if len(texts) < FEWEST_TEXTS:
        return None
    order = sorted(range(len(texts)), key=lambda i: text_share(texts[i], _SALT))[:MOST_TEXTS]
    chosen = [texts[i] for i in order]
    gold = [[classifier.tree.position[code] for code in codes[i]] for i in order]
    labelled = score_labelled(unseen(classifier).scorer, chosen, classifier.embedder.embed(chosen, "query"), gold)
    return _calibrated(classifier, chosen, labelled)


def with_corrections(
    texts: Sequence[str], codes: Sequence[list[str]], corrected: Sequence[str], corrected_codes: Sequence[list[str]]
) -> tuple[list[str], list[list[str]], int]:
    """Labelled texts, and corrected texts that are not among them, at most `MOST_CORRECTIONS` by a hash.

    The bound keeps the time that one more correction takes; which of them are taken changes little from one to the next.

    Returns:
        (texts, codes of each, number of corrected texts).
    """
    known = {normalise(text) for text in texts}
    further = [i for i, text in enumerate(corrected) if normalise(text) not in known]
    taken = sorted(further, key=lambda i: text_share(corrected[i], _SALT))[:MOST_CORRECTIONS]
    return [*texts, *(corrected[i] for i in taken)], [*codes, *(corrected_codes[i] for i in taken)], len(taken)


def _calibrated(classifier: Classifier, texts: Sequence[str], labelled: LabelledLogits) -> Calibration:
    index = classifier.index
    found = calibrate(
        index.tree,
        labelled,
        for_temperature=np.array([text_share(text, _SALT) < TEMPERATURE_SHARE for text in texts], np.bool_),
        prior=index.calibration,
        accuracy_target=classifier.settings.routing.accuracy_target,
        nowhere_energy=lambda found: nowhere_energy(
            index, found, lambda queries: classifier.embedder.embed(queries, "query"), classifier.student
        ),
    )
    # The gate promises nothing, so it may learn from the texts that prove the threshold.
    return replace(found, gate=fit_gate(index.tree, labelled, texts, found))


def unseen_answers(classifier: Classifier, texts: Sequence[str], codes: Sequence[Sequence[str]]) -> pa.Table:
    """Answers to labelled texts, each by a calibration and by evidence that have not seen it.

    The texts are parted in two by a hash; each half is answered with a calibration that the other half made. When the
    classifier uses no label of its own, its answers are what they are. Corrections of a text are left out for it alone.

    Returns:
        As `Classifier.classify`, in the order of `texts`.
    """
    classifier = unseen(classifier)
    if classifier.calibration == classifier.index.calibration:
        return classifier.classify(list(texts))
    second = np.array([text_share(text, _FOLDS) < 0.5 for text in texts], np.bool_)
    parts: list[pa.Table] = []
    rows: list[int] = []
    for fold in (second, ~second):
        own, other = np.flatnonzero(fold).tolist(), np.flatnonzero(~fold).tolist()
        made = label_calibration(classifier, [texts[i] for i in other], [codes[i] for i in other])
        parts.append(classifier.with_calibration(made or classifier.index.calibration).classify([texts[i] for i in own]))
        rows += own
    place: NDArray[np.int64] = np.argsort(np.array(rows, np.int64))
    return pa.concat_tables(parts).take(pa.array(place))


def calibration_table(calibration: Calibration, index_version: str, texts: int) -> pa.Table:
    """One row of `classification.calibrations`."""
    row = {
        "calibration_version": calibration.version,
        "index_version": index_version,
        "labelled_texts": texts,
        "temperature_untrusted": calibration.temperature[0],
        "temperature_trusted": calibration.temperature[1],
        "threshold": calibration.threshold,
        "accuracy_target": calibration.accuracy_target,
        "proven": calibration.proven,
        "numbers": calibration.to_text(),
        "fitted_at": datetime.now(UTC),
    }
    return pa.Table.from_pylist([row], schema=BY_NAME[TABLE].arrow)


def stored_calibration(outputs: Outputs, key: str, index_version: str) -> Calibration | None:
    """The calibration that labels have made for this index; None when there is none.

    Raises:
        Fault: `storage_failed`.
    """
    rows = outputs.read(TABLE, key, columns=["index_version", "numbers"]).to_pylist()
    found = [row["numbers"] for row in rows if row["index_version"] == index_version]
    return Calibration.from_text(found[-1]) if found else None


def described(calibration: Calibration, texts: int) -> str:
    """What labels have shown, in two sentences."""
    few = "They show too few stops for a gate: with the stop rule `gate` the rule `mass` decides."
    return f"{_shown(calibration, texts)} {few if calibration.gate is None else 'They have fitted the stop rule `gate`.'}"


def _shown(calibration: Calibration, texts: int) -> str:
    if calibration.threshold is None:
        return f"{texts:,} labelled texts fitted the temperatures; no threshold is shown to keep the target."
    return (
        f"{texts:,} labelled texts: answers from a probability of {calibration.threshold:.3f} on are right (or above the right "
        f"node) for at least {calibration.accuracy_target:.0%} of the answered texts, with 90 % confidence."
    )
