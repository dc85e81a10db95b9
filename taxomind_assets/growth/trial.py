"""A trial: what would change if a node were added. The node exists in memory alone; nothing is written.

Half of the candidate's texts teach the new node, the other half are answered, and the other way round: each text is judged by a
classifier that has not seen it. Texts that a person has placed are answered with and without the node, by a classifier that
knows none of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.classifier import Classifier
from taxomind_assets.growth.file_edits import NewNode
from taxomind_assets.growth.observations import title_of
from taxomind_assets.learning.evidence import Evidence
from taxomind_assets.taxonomy.tree import ROOT, Node, NodeText, Taxonomy
from taxomind_assets.views.index import stored_precision
from taxomind_assets.views.texts import VIEWS, node_texts

if TYPE_CHECKING:
    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.embedding import Embedder

#: Examples that a new node gets.
EXAMPLES: Final = 7
_MOST_OTHERS: Final = 500
_FOLDS: Final = 2
_TRIAL_VERSION: Final = "trial"


@dataclass(frozen=True)
class Trial:
    """What adding a node would change.

    Attributes:
        texts: texts of the candidate; `moved`: of these, texts that the node would take without having seen them.
        others: other texts that were looked at; `drawn`: of these, texts that it would take from where they are.
        placed: texts that a person has placed; `better` and `worse`: of these, texts whose answer becomes right or wrong.
        accuracy_before, accuracy_after: share of these that are answered at their node or below it; None = there are none.
        sibling_confidence_before, sibling_confidence_after: mean confidence of the other texts that stay; None = as above.
    """

    texts: int
    moved: int
    others: int = 0
    drawn: int = 0
    placed: int = 0
    better: int = 0
    worse: int = 0
    accuracy_before: float | None = None
    accuracy_after: float | None = None
    sibling_confidence_before: float | None = None
    sibling_confidence_after: float | None = None

    def to_json(self) -> str:
        """As it stands in `growth.candidates`."""
        return json.dumps({name: round(v, 4) if isinstance(v, float) else v for name, v in asdict(self).items()})

    @classmethod
    def from_json(cls, text: str) -> Trial:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))

    def sentence(self) -> str:
        """The trial in words."""
        parts = [f"{self.moved} of {self.texts} of its texts would go there unseen"]
        if self.others:
            parts.append(f"{self.drawn} of {self.others} other texts would be drawn away")
        if self.accuracy_before is not None and self.accuracy_after is not None:
            parts.append(
                f"of {self.placed} placed texts {self.accuracy_before:.0%} are right before, {self.accuracy_after:.0%} after "
                f"({self.better} better, {self.worse} worse)"
            )
        return "; ".join(parts)


@dataclass(frozen=True)
class Probe:
    """Texts that a trial looks at besides those of the candidate.

    Attributes:
        others: texts with answers that fit.
        placed: (text, code) as people have placed them.
    """

    others: tuple[str, ...] = ()
    placed: tuple[tuple[str, str], ...] = ()


def try_node(classifier: Classifier, node: NewNode, texts: Sequence[str], probe: Probe | None = None) -> Trial:
    """Try a node out.

    Args:
        classifier: of the taxonomy in force, with its evidence.
        node: the node; its examples are replaced by texts of each half.
        texts: texts of the candidate.
        probe: other texts to look at.

    Raises:
        Fault: what the embedder raises.
    """
    own = set(texts)
    probe = probe or Probe()
    others = [text for text in dict.fromkeys(probe.others) if text not in own][:_MOST_OTHERS]
    halves = [list(texts[start::_FOLDS]) for start in range(_FOLDS)]
    moved = 0
    for place, held_out in enumerate(halves):
        taught = [text for number, half in enumerate(halves) if number != place for text in half]
        if held_out and taught:
            moved += _at(_with_node(classifier, node, taught).classify(held_out)["code"].to_pylist(), node.code)
    full = _with_node(classifier, node, list(texts))
    drawn, before, after = _others(classifier, full, others, node.code)
    placed = [pair for pair in dict.fromkeys(probe.placed) if pair[0] not in own and pair[1] in classifier.tree.position]
    judged = _placed(classifier, node, texts, placed)
    return replace(
        judged,
        texts=len(texts),
        moved=moved,
        others=len(others),
        drawn=drawn,
        sibling_confidence_before=before,
        sibling_confidence_after=after,
    )


def _at(codes: Sequence[str | None], code: str) -> int:
    return sum(own == code for own in codes)


def _others(
    classifier: Classifier, full: Classifier, texts: Sequence[str], code: str
) -> tuple[int, float | None, float | None]:
    """(texts that the node draws away, mean confidence of those that stay before and after)."""
    if not texts:
        return 0, None, None
    before, after = (own.classify(list(texts)) for own in (classifier, full))
    stays = np.array([new != code for new in after["code"].to_pylist()], np.bool_)
    if not stays.any():
        return len(texts), None, None
    means = [float(table["confidence"].to_numpy()[stays].mean()) for table in (before, after)]
    return int((~stays).sum()), means[0], means[1]


def _placed(classifier: Classifier, node: NewNode, texts: Sequence[str], placed: Sequence[tuple[str, str]]) -> Trial:
    """Accuracy on texts that people have placed, which neither classifier has seen."""
    if not placed:
        return Trial(0, 0)
    untaught = classifier.with_evidence(Evidence.none(classifier.index.vectors.shape[1]))
    given = [text for text, _ in placed]
    right = []
    for own in (untaught, _with_node(untaught, node, list(texts))):
        paths = own.classify(given)["path"].to_pylist()
        right.append(np.array([code in path for path, (_, code) in zip(paths, placed, strict=True)], np.bool_))
    before, after = right
    return Trial(
        0,
        0,
        placed=len(placed),
        better=int((after & ~before).sum()),
        worse=int((before & ~after).sum()),
        accuracy_before=float(before.mean()),
        accuracy_after=float(after.mean()),
    )


def _with_node(classifier: Classifier, node: NewNode, texts: list[str]) -> Classifier:
    """A classifier whose taxonomy has the node, taught by these texts; its evidence and calibration are the former ones."""
    examples = tuple(dict.fromkeys(filter(None, map(title_of, texts))))[:EXAMPLES]
    index = index_with_node(classifier.index, classifier.embedder, replace(node, examples=examples))
    grown = Classifier(index, classifier.embedder, classifier.settings, classifier.calibration)
    known = classifier.scorer.evidence
    if known is not None:
        grown = grown.with_evidence(known.rows.evidence)
    return grown.learn(texts, [node.code] * len(texts))


def index_with_node(index: NodeIndex, embedder: Embedder, node: NewNode) -> NodeIndex:
    """An index with one node more; only its texts are embedded.

    Args:
        index: the index.
        embedder: of its classifier, whose vectors lie in the space of the index.
        node: the new node.
    """
    text = NodeText(node.language, node.label, examples=node.examples)
    nodes = [*index.tree.nodes, Node(node.code, node.parent_code, node.level, (text,))]
    tree = Taxonomy.build(index.tree.key, nodes, version=_TRIAL_VERSION)
    views = node_texts(Taxonomy.build(index.tree.key, [replace(nodes[-1], parent_code=None)]))
    added = [own for view in VIEWS for own in views[view]]
    vectors = np.concatenate((index.vectors, stored_precision(embedder.embed([own.text for own in added], "document"))))
    texts = [*index.texts, *added]
    order = sorted(range(len(texts)), key=lambda row: tree.position[texts[row].code])
    # The branches are told apart by what they were: one node more changes them too little to learn them anew.
    before = index.tree.position
    origin = [before.get(one.code, before.get(one.parent_code or "", ROOT)) for one in tree.nodes]
    return replace(
        index,
        tree=tree,
        version=_TRIAL_VERSION,
        texts=tuple(texts[row] for row in order),
        vectors=vectors[order],
        branches=index.branches.grown(np.array(origin)) if index.branches else None,
    )
