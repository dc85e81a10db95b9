"""Corrections as they stand this moment, straight from the files of the inbox: ahead of the asset graph, and with its result.

The graph makes evidence of corrections some seconds after they came. A process that answers people cannot wait for that. It
reads the same files, settles them by the same function, and moves its classifier by the difference; when the graph has caught
up, there is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from taxomind_assets.classification.evidence_view import EvidenceView
from taxomind_assets.learning.corrections import Correction, CorrectionRow, Settled, Translate
from taxomind_assets.learning.ledger import Ledger
from taxomind_assets.learning.versions import Held
from taxomind_assets.views.texts import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taxomind_assets.classification.classifier import Classifier
    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_resources.inbox import Inbox
    from taxomind_resources.outputs import Outputs
    from taxomind_resources.settings import Settings


@dataclass(frozen=True)
class StandingCorrections:
    """All rows of the files of one taxonomy's corrections, and what they come to.

    Attributes:
        tree: the taxonomy that they are settled for.
        rows: all rows there are.
        translate: what became of codes of earlier editions.
        chosen: codes of corrections whose node a revision split, by id, as the graph decided them.
    """

    tree: Taxonomy
    rows: tuple[CorrectionRow, ...]
    translate: Translate
    chosen: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings, inbox: Inbox, outputs: Outputs, tree: Taxonomy) -> StandingCorrections:
        """Those of the inbox now.

        Raises:
            Fault: `storage_failed`, `unreadable_file` (a record of a revision).
        """
        from taxomind_assets.learning.gathering import stored_corrections, translation_of
        from taxomind_assets.learning.reading import look_at_corrections

        key = tree.key
        read = look_at_corrections(key, inbox.files(key, "corrections"), settings.for_taxonomy(key), outputs)
        chosen = {found.correction_id: found.code for found in stored_corrections(outputs, key, status="applied") if found.code}
        rows = tuple(row for file in read for row in file.rows)
        return cls(tree, rows, translation_of(key, inbox, outputs, tree), chosen)

    def with_rows(self, rows: Sequence[CorrectionRow]) -> StandingCorrections:
        """These and more; what was settled is not settled again."""
        found = replace(self, rows=(*self.rows, *rows))
        found.__dict__["ledger"] = self.ledger.with_rows(rows)
        return found

    @cached_property
    def ledger(self) -> Ledger:
        """The rows by what they touch."""
        return Ledger(self.tree, self.translate, self.chosen).with_rows(self.rows)

    @cached_property
    def settled(self) -> Settled:
        """What became of each."""
        return self.ledger.settled()

    @cached_property
    def applied(self) -> tuple[Correction, ...]:
        """Those that count."""
        return tuple(self.settled.applied)

    @property
    def held(self) -> frozenset[Held]:
        """Those that count, as evidence holds them."""
        return self.ledger.held

    @cached_property
    def texts(self) -> frozenset[str]:
        """The normalised texts that people have placed."""
        return frozenset(normalise(found.text) for found in self.applied)


def moved(classifier: Classifier, wanted: Iterable[Held]) -> Classifier:
    """The classifier with exactly this evidence: what it has already is kept, what is new is embedded."""
    if not classifier.settings.scoring.use_updated_evidence:
        return classifier
    evidence = classifier.scorer.evidence
    have = Counter(zip(evidence.rows.codes, evidence.rows.texts, strict=True)) if evidence else Counter[tuple[str, str]]()
    want = Counter((item.code, item.text) for item in wanted if item.code in classifier.tree.position)
    if gone := have - want:
        classifier = _without(classifier, gone)
    new = sorted((want - have).elements())
    return classifier.learn([text for _, text in new], [code for code, _ in new]) if new else classifier


def _without(classifier: Classifier, gone: Counter[tuple[str, str]]) -> Classifier:
    evidence = classifier.scorer.evidence
    if evidence is None:
        return classifier
    marked = np.zeros(len(evidence.rows), np.bool_)
    for (code, text), times in gone.items():
        same = [row for row in evidence.rows.rows_of(text) if evidence.rows.codes[row] == code]
        marked[[row for row in same if evidence.rows.texts[row] == text][:times]] = True
    left = evidence.rows.without(marked, classifier.tree.position)
    view = EvidenceView(classifier.scorer.base, left) if len(left) else None
    return classifier.with_scorer(classifier.scorer.with_evidence(view))


def difference(before: StandingCorrections, after: StandingCorrections) -> tuple[list[Held], list[Held]]:
    """(what counts now and did not, what counted and does not), sorted."""
    return sorted(after.held - before.held), sorted(before.held - after.held)


def latest_first(corrections: Sequence[Correction]) -> list[Correction]:
    """Corrections for people: the latest first."""
    return sorted(corrections, key=lambda found: (-found.corrected_at, found.correction_id))
