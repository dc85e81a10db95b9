"""Making a node index from node texts and their vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.classification.calibration import energies, noise_texts
from taxomind_assets.classification.scoring import TRUSTED, UNTRUSTED, Scorer
from taxomind_assets.views.index import NodeIndex, index_version, indexed_texts, trusted_languages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_assets.views.texts import NodeViewText
    from taxomind_resources.embedding import Embedder

#: Labels looked at per language to find its fertility.
_FERTILITY_SAMPLE: Final = 2_000
_ENERGY_BLOCK: Final = 64
#: Share of the noise texts that must get no answer, and share of the taxonomy's own labels that may get none.
_NOISE_SHARE: Final = 0.95
_OWN_SHARE: Final = 0.05
#: How far real texts reach below labels, as a share of the profile's scale.
_OWN_MARGIN: Final = 0.13
_OWN_SAMPLE: Final = 400
_FEWEST_LEAVES: Final = 20
#: Frequent words of ten languages; an English vocabulary cuts them into letters, a multilingual one keeps most whole.
_PROBE: Final = (
    "учитель больница работа время χρόνος εργασία δάσκαλος 学校 医院 工作 学生 仕事 先生 학교 병원 선생님 مدرسة مستشفى عمل "
    "विद्यालय अस्पताल काम โรงเรียน โรงพยาบาล בית עבודה вчитель лікарня"
)
#: Word pieces per probe word up to which a vocabulary counts as multilingual (MiniLM's English one: about 5).
_PROBE_FERTILITY: Final = 3.0


def is_multilingual(embedder: Embedder) -> bool:
    """Whether the encoder's vocabulary covers many scripts; then every language is trusted."""
    return _fertility(_PROBE.split(), embedder) <= _PROBE_FERTILITY


def language_fertility(tree: Taxonomy, embedder: Embedder) -> dict[str, float]:
    """Word pieces per word of the labels in each language of the taxonomy."""
    labels: dict[str, list[str]] = {}
    for node in tree.nodes:
        for text in node.texts:
            known = labels.setdefault(text.language, [])
            if len(known) < _FERTILITY_SAMPLE:
                known.append(text.label)
    return {language: _fertility(texts, embedder) for language, texts in labels.items()}


def _fertility(texts: Sequence[str], embedder: Embedder) -> float:
    words = sum(len(text.split()) for text in texts)
    return float(embedder.word_pieces(texts).sum()) / max(words, 1)


def build_index(tree: Taxonomy, texts: Sequence[NodeViewText], vectors: NDArray[np.float32], embedder: Embedder) -> NodeIndex:
    """Build an index.

    Args:
        tree: the taxonomy.
        texts: all node texts of the views label, definition and example.
        vectors: float32[len(texts), d], their vectors.
        embedder: the model that made them.
    """
    fertility = language_fertility(tree, embedder)
    spec: Mapping[str, Any] = json.loads(embedder.spec.to_json())
    trusted = trusted_languages(fertility, is_multilingual(embedder))
    row = {(t.code, t.view, t.language, t.text_hash): i for i, t in enumerate(texts)}
    kept = indexed_texts(tree, texts, trusted)
    rows = np.array([row[t.code, t.view, t.language, t.text_hash] for t in kept])
    index = NodeIndex(tree, index_version(tree, spec, kept), spec, tuple(kept), vectors[rows], fertility, trusted)
    return replace(index, nowhere_energy=nowhere_energy(index, vectors, texts, embedder))


def nowhere_energy(
    index: NodeIndex, vectors: NDArray[np.float32], texts: Sequence[NodeViewText], embedder: Embedder
) -> tuple[float, float] | None:
    """Energies under which a text belongs nowhere, without and with the encoder trusted; None = cannot be told.

    At least 95 % of the fixed noise texts lie under them, unless that would also catch what belongs here: labels of leaves,
    scored as if their own node did not exist, lie as low as the lowest real texts do (measured on nine taxonomies). A
    taxonomy with few leaves has no such labels to go by.
    """
    leaves = np.flatnonzero(index.tree.is_leaf)
    if leaves.size < _FEWEST_LEAVES:
        return None
    leaves = leaves[np.linspace(0, leaves.size - 1, min(leaves.size, _OWN_SAMPLE)).astype(np.int64)]
    codes = {index.tree.codes[leaf] for leaf in leaves}
    first: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text.view == "label" and text.code in codes:
            first.setdefault(text.code, row)
    rows = [first[index.tree.codes[leaf]] for leaf in leaves]
    scorer, noise = Scorer(index), list(noise_texts())
    noise_vectors, own = embedder.embed(noise, "query"), [texts[row].text for row in rows]
    found = []
    for trusted, profile in ((0.0, UNTRUSTED), (1.0, TRUSTED)):
        outside = np.quantile(_energies(scorer, noise, noise_vectors, trusted), _NOISE_SHARE)
        inside = np.quantile(_energies(scorer, own, vectors[rows], trusted, without=leaves), _OWN_SHARE)
        found.append(round(float(min(outside, inside - _OWN_MARGIN * profile.scale)), 4))
    return found[0], found[1]


def _energies(
    scorer: Scorer,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    trusted: float,
    without: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Energy of each text, float32[b]; node `without[i]` is left out for text i."""
    found = []
    for start in range(0, len(texts), _ENERGY_BLOCK):
        block = texts[start : start + _ENERGY_BLOCK]
        logits = scorer.logits(vectors[start : start + _ENERGY_BLOCK], block, np.full(len(block), trusted, np.float32))
        if without is not None:
            logits[without[start : start + _ENERGY_BLOCK], np.arange(len(block))] = -np.inf
        found.append(energies(scorer.tree, logits))
    return np.concatenate(found)
