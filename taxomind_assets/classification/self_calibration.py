"""Calibration without labels: what a taxonomy's own texts say about how sure its scores may be.

A node's examples are texts whose node is known. One example of each leaf that has several is held out (in a small taxonomy
several, one after the other), the rest is indexed, and the temperature under which the held-out texts are most likely, with 1
as prior, becomes the taxonomy's own. It was 0.82 to 0.92 where real labels gave 0.71 to 0.96 (three public taxonomies), on
the careful side in two of three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from taxomind_assets.classification.base_views import FAMILIAR
from taxomind_assets.classification.branch_view import branched_index
from taxomind_assets.classification.calibration import Calibration, masses, noise_texts
from taxomind_assets.classification.label_calibration import fit_temperature
from taxomind_assets.classification.scoring import Scorer
from taxomind_assets.taxonomy.tree import Taxonomy
from taxomind_assets.views.adaptation import fit_adaptation
from taxomind_assets.views.texts import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from taxomind_assets.views.index import NodeIndex
    from taxomind_resources.crosslingual.lazy import LazyStudent

    Embed = Callable[[Sequence[str]], NDArray[np.float32]]

_BLOCK: Final = 64
#: A node must keep this many examples; more held-out texts than enough, or more in one round than the sample, tell nothing new.
_KEPT_EXAMPLES: Final = 2
_ENOUGH_HELD_OUT: Final = 100
_SAMPLE: Final = 600
_ROUNDS: Final = 8
#: Share of the noise texts that must get no answer, and share of the taxonomy's own labels that may get none.
_NOISE_SHARE: Final = 0.95
_OWN_SHARE: Final = 0.05
#: How far real texts reach below labels, as a share of the largest weight.
_OWN_MARGIN: Final = 0.13
#: The same for labels in other languages that a student compares with node texts in any.
_OTHER_MARGIN: Final = 0.09
_OWN_SAMPLE: Final = 400
_FEWEST_LEAVES: Final = 20
_MODES: Final = (0.0, 1.0)


@dataclass(frozen=True)
class HeldOut:
    """Examples taken out of a taxonomy: `rest` is the tree without them; `texts[i]` belongs to node `nodes[i]`."""

    rest: Taxonomy
    texts: list[str]
    nodes: NDArray[np.int64]


def hold_out(tree: Taxonomy, languages: frozenset[str], place: int = 1) -> HeldOut:
    """Take one example in one of `languages` out of each leaf that keeps at least two there.

    Args:
        place: which one, counted from the last (1); leaves with fewer examples keep all of theirs.
    """
    nodes, texts, places = [], [], []
    for position, node in enumerate(tree.nodes):
        left = []
        for text in node.texts:
            known = text.examples
            if tree.is_leaf[position] and text.language in languages and len(known) >= max(place, _KEPT_EXAMPLES + 1):
                texts.append(clean(known[-place]))
                places.append(position)
                text = replace(text, examples=(*known[:-place], *known[len(known) - place + 1 :]))
            left.append(text)
        nodes.append(replace(node, texts=tuple(left)))
    return HeldOut(replace(tree, nodes=tuple(nodes)), texts, np.array(places, np.int64))


def adapted_index(index: NodeIndex) -> NodeIndex:
    """The index with its vectors adapted by the texts of its leaves, where enough leaves have several."""
    kept = np.flatnonzero(index.tree.is_leaf[index.owners] & (np.array([text.view for text in index.texts]) != "negative"))
    return index.adapted(fit_adaptation(index.vectors[kept], index.owners[kept].astype(np.int64)))


def own_calibration(index: NodeIndex, embed: Embed, student: LazyStudent | None = None) -> Calibration:
    """The calibration that an index gets when it is built.

    Args:
        index: the new index.
        embed: the encoder: unit query vectors, float32[b, d], not adapted to the index.
        student: the cross-lingual student that will score beside the index.
    """
    other = frozenset(index.languages) - index.trusted_languages
    temperatures = [
        own_temperature(index, languages, mode, embed, student)
        for languages, mode in zip((other, index.trusted_languages), _MODES, strict=True)
    ]
    used = student.spec.version if student else ""
    calibration = Calibration(temperature=(temperatures[0], temperatures[1]), student=used)
    return replace(
        calibration, nowhere_energy=nowhere_energy(index, calibration, lambda texts: index.placed(embed(texts)), student)
    )


def own_temperature(
    index: NodeIndex, languages: frozenset[str], trusted: float, embed: Embed, student: LazyStudent | None = None
) -> float:
    """Temperature under which held-out examples in `languages` are most likely, with 1 as prior.

    A small taxonomy has few leaves, so several of their examples are held out, one after the other. What adapts the encoder
    and what tells the branches apart must not have seen them either.

    Args:
        embed: the encoder, not adapted to the index.
    """
    plain = index.plain()
    scores: list[NDArray[np.float32]] = []
    gold: list[list[int]] = []
    leaves = index.tree.is_leaf
    for place in range(1, _ROUNDS + 1):
        held = hold_out(index.tree, languages, place)
        if len(gold) >= _ENOUGH_HELD_OUT or not held.texts:
            break
        picked = _spread(len(held.texts), _SAMPLE)
        texts = [held.texts[i] for i in picked]
        rest = _without(plain, held) if index.adaptation is None else adapted_index(_without(plain, held))
        rest = branched_index(rest) if index.branches else rest
        scores.append(_logits(Scorer(rest, student=student), texts, rest.placed(embed(texts)), trusted)[leaves])
        gold += [[int(node)] for node in (np.cumsum(leaves) - 1)[held.nodes[picked]]]
    return fit_temperature(np.concatenate(scores, axis=1), gold, 1.0) if scores else 1.0


def _without(index: NodeIndex, held: HeldOut) -> NodeIndex:
    """The index without the held-out examples."""
    gone = {(index.tree.codes[node], text) for node, text in zip(held.nodes.tolist(), held.texts, strict=True)}
    rows = [i for i, text in enumerate(index.texts) if text.view != "example" or (text.code, text.text) not in gone]
    texts = tuple(index.texts[i] for i in rows)
    return replace(index, tree=held.rest, texts=texts, vectors=index.vectors[rows], branches=None)


def nowhere_energy(
    index: NodeIndex, calibration: Calibration, embed: Embed, student: LazyStudent | None = None
) -> tuple[float, float] | None:
    """Energies under which a text belongs nowhere, without and with the encoder trusted; None = cannot be told.

    At least 95 % of the fixed noise texts lie under them, unless that would also catch what belongs here: labels of leaves,
    scored as if their own node did not exist, lie as low as the lowest real texts do (measured on nine taxonomies). A
    taxonomy with few leaves has no such labels to go by.
    """
    leaves = np.flatnonzero(index.tree.is_leaf)
    if leaves.size < _FEWEST_LEAVES:
        return None
    leaves = leaves[_spread(leaves.size, _OWN_SAMPLE)]
    noise, scorer = list(noise_texts()), Scorer(index, student=student)
    noise_vectors = embed(noise)
    found = []
    for trusted in _MODES:
        own, margin = _own_labels(index, leaves, other=student is not None and not trusted)
        outside = _energies(scorer, calibration, noise, noise_vectors, trusted)
        inside = _energies(scorer, calibration, own, embed(own), trusted, without=leaves)
        lowest = np.quantile(inside, _OWN_SHARE) - margin * max(scorer.weights.mode(bool(trusted)).values())
        found.append(round(float(min(np.quantile(outside, _NOISE_SHARE), lowest)), 4))
    return found[0], found[1]


def _own_labels(index: NodeIndex, leaves: NDArray[np.int64], *, other: bool) -> tuple[list[str], float]:
    """A label of each leaf, and by how much real texts lie below (see `_OWN_MARGIN`).

    Args:
        other: take labels in languages that are not trusted, by turns, where the leaves have them.
    """
    nodes = [index.tree.nodes[leaf] for leaf in leaves]
    if other:
        options = [[text.label for text in node.texts if text.language not in index.trusted_languages] for node in nodes]
        if all(options):
            return [clean(labels[place % len(labels)]) for place, labels in enumerate(options)], _OTHER_MARGIN
    return [clean(node.label) for node in nodes], _OWN_MARGIN


def _energies(
    scorer: Scorer,
    calibration: Calibration,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    trusted: float,
    *,
    without: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Energy of each text, float32[b]; node `without[i]` is left out for text i."""
    logits, known = _logits(scorer, texts, vectors, trusted), np.full(len(texts), trusted, np.float32)
    if without is not None:
        logits[without, np.arange(len(texts))] = -np.inf
        own = scorer.base.familiarity(texts, own=True) - scorer.base.familiarity(texts)
        logits += own * scorer.weights.of(FAMILIAR, known)
    return masses(scorer.tree, logits, calibration, known).energy


def _logits(scorer: Scorer, texts: Sequence[str], vectors: NDArray[np.float32], trusted: float) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(texts), _BLOCK):
        block = texts[start : start + _BLOCK]
        known = np.full(len(block), trusted, np.float32)
        parts.append(scorer.logits(scorer.query(vectors[start : start + _BLOCK], block, known)))
    return np.concatenate(parts, axis=1)


def _spread(size: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` places spread evenly over 0..size-1."""
    return np.unique(np.linspace(0, size - 1, min(size, wanted)).astype(np.int64))
