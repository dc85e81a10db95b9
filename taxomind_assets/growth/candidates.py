"""Candidates with all that a person wants to know: nearest nodes, similar candidates, the code, and what a trial says."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.growth.detector import Candidate
from taxomind_assets.growth.file_edits import NewNode
from taxomind_assets.growth.misfits import middle_of
from taxomind_assets.growth.placing import proposed_code
from taxomind_assets.growth.trial import Probe, Trial, try_node
from taxomind_assets.taxonomy.tree import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from taxomind_assets.classification.classifier import Classifier

_NEAREST: Final = 3
#: Cosine from which on two labels count as meaning nearly the same; a hint, nothing is merged.
SIMILAR: Final = 0.8
_EMBEDDED: Final = 50


@dataclass(frozen=True)
class Described:
    """A candidate with what is known about it.

    Attributes:
        candidate: the candidate.
        code: code that it would get.
        hidden_until: end of the cool-down after a skip; None = shown.
        nearest: (code, label, cosine) of the existing nodes that its texts are nearest to.
        similar: labels of other candidates of nearly the same meaning.
        trial: None = not tried.
    """

    candidate: Candidate
    code: str
    hidden_until: datetime | None
    nearest: tuple[tuple[str, str, float], ...]
    similar: tuple[str, ...]
    trial: Trial | None


def described(
    classifier: Classifier,
    candidates: Sequence[Candidate],
    hidden: Mapping[str, datetime | None],
    used: Collection[str] = (),
    *,
    trials: int = 0,
    probe: Probe | None = None,
) -> list[Described]:
    """Look candidates up.

    Args:
        classifier: of the taxonomy in force.
        candidates: what the detector found.
        hidden: end of the cool-down of each, by key.
        used: codes that the taxonomy ever had.
        trials: candidates that are tried out, of those that are shown.
        probe: other texts that a trial looks at.

    Raises:
        Fault: what the embedder raises.
    """
    if not candidates:
        return []
    tree, middles = classifier.tree, _middles(classifier, candidates)
    to_nodes = middles @ classifier.index.whole_vectors.T
    to_each_other = middles @ middles.T
    found, taken, tried = [], set(used), 0
    for row, candidate in enumerate(candidates):
        code = proposed_code(candidate.key, candidate.parent.code, tree, taken)
        taken.add(code)
        best = np.argsort(-to_nodes[row], kind="stable")[:_NEAREST].tolist()
        nearest = tuple((tree.codes[i], tree.nodes[i].label, float(to_nodes[row, i])) for i in best)
        alike = [
            i for i in np.argsort(-to_each_other[row], kind="stable").tolist() if i != row and to_each_other[row, i] >= SIMILAR
        ]
        similar = tuple(candidates[i].label for i in alike[:_NEAREST])
        trial = None
        if tried < trials and hidden.get(candidate.key) is None and len(candidate.texts) > 1:
            tried += 1
            trial = try_node(classifier, new_node(candidate, code, tree), candidate.texts, probe)
        found.append(Described(candidate, code, hidden.get(candidate.key), nearest, similar, trial))
    return found


def new_node(candidate: Candidate, code: str, tree: Taxonomy) -> NewNode:
    """The node that a candidate would become."""
    parent = candidate.parent.code
    level = 1 if parent is None else tree.nodes[tree.position[parent]].level + 1
    return NewNode(code, parent, candidate.label, level, language=tree.languages[0])


def _middles(classifier: Classifier, candidates: Sequence[Candidate]) -> NDArray[np.float32]:
    """float32[c, d]: the middle of each candidate's label and texts."""
    texts = [[candidate.label, *candidate.texts[:_EMBEDDED]] for candidate in candidates]
    vectors = classifier.embedder.embed([text for own in texts for text in own], "query")
    ends = np.cumsum([len(own) for own in texts])
    return np.stack([middle_of(vectors[end - len(own) : end]) for own, end in zip(texts, ends.tolist(), strict=True)])


def candidates_table(found: Sequence[Described]) -> pa.Table:
    """Candidates with the schema of `growth.candidates`."""
    import pyarrow as pa

    from taxomind_resources.tables import BY_NAME

    rows = []
    for own in found:
        candidate, parent = own.candidate, own.candidate.parent
        rows.append(
            {
                "key": candidate.key,
                "label": candidate.label,
                "kind": "cluster" if candidate.is_cluster else "label",
                "status": "pending" if own.hidden_until is None else "skipped",
                "hidden_until": own.hidden_until,
                "code": own.code,
                "parent_code": parent.code,
                "parent_label": parent.label,
                "parent_exists": parent.exists,
                "parent_rule": parent.rule,
                "count": candidate.count,
                "day_span": candidate.day_span,
                "first_seen": candidate.first_seen,
                "last_seen": candidate.last_seen,
                "window": candidate.window,
                "share": candidate.share,
                "mean_confidence": candidate.mean_confidence,
                "sources": candidate.sources,
                "languages": sorted({row.language for row in candidate.rows if row.language}),
                "titles": candidate.titles,
                "texts": candidate.texts,
                "text_ids": candidate.text_ids,
                "nearest": [{"code": code, "label": label, "similarity": cosine} for code, label, cosine in own.nearest],
                "similar": list(own.similar),
                "trial": own.trial.to_json() if own.trial else "",
            }
        )
    return pa.Table.from_pylist(rows, schema=BY_NAME["growth.candidates"].arrow)
