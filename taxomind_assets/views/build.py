"""Making a node index from node texts and their vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from taxomind_assets.classification.branch_view import branched_index
from taxomind_assets.classification.self_calibration import adapted_index, own_calibration
from taxomind_assets.views.index import NodeIndex, index_version, indexed_texts, stored_precision, trusted_languages
from taxomind_resources.crosslingual.lazy import SHIPPED_STUDENT, open_student

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from taxomind_assets.taxonomy.tree import Taxonomy
    from taxomind_assets.views.texts import NodeViewText
    from taxomind_resources.embedding import Embedder

#: Labels looked at per language to find its fertility.
_FERTILITY_SAMPLE: Final = 2_000
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


def build_index(
    tree: Taxonomy,
    texts: Sequence[NodeViewText],
    vectors: NDArray[np.float32],
    embedder: Embedder,
    crosslingual: str = SHIPPED_STUDENT,
    *,
    adapt: bool = False,
) -> NodeIndex:
    """Build an index.

    Args:
        tree: the taxonomy.
        texts: all node texts of the views label, definition and example.
        vectors: float32[len(texts), d], their vectors.
        embedder: the model that made them.
        crosslingual: the student that will score beside it (setting `scoring.crosslingual`).
        adapt: fit the encoder to the taxonomy's texts (setting `scoring.adapt`).

    Raises:
        Fault: as `open_student`.
    """
    student = open_student(crosslingual, embedder.spec)
    fertility = language_fertility(tree, embedder)
    spec: Mapping[str, Any] = json.loads(embedder.spec.to_json())
    trusted = trusted_languages(fertility, is_multilingual(embedder))
    row = {(t.code, t.view, t.language, t.text_hash): i for i, t in enumerate(texts)}
    kept = indexed_texts(tree, texts, trusted)
    rows = np.array([row[t.code, t.view, t.language, t.text_hash] for t in kept])
    rounded = stored_precision(vectors[rows])
    used = {"adapt": adapt} | ({"crosslingual": student.spec.version} if student else {})
    index = NodeIndex(tree, index_version(tree, {**spec, **used}, kept), spec, tuple(kept), rounded, fertility, trusted)
    index = branched_index(adapted_index(index) if adapt else index)
    return replace(index, calibration=own_calibration(index, lambda queries: embedder.embed(queries, "query"), student))
